"""The outbox of an installation without a worker, at a given time."""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from harness.installation import SECRET_KEY, Installation
from harness.world import World
from shopbell.db.database import Database
from shopbell.events import record
from shopbell.events.actors import SYSTEM
from shopbell.security.encryption import Cipher
from shopbell.security.keys import Keys
from shopbell.webhooks import endpoints
from shopbell.webhooks.claim import Claimed, Rules, Taken, claim
from shopbell.webhooks.retry_policy import Attempt, Delivered, NotSent, Outcome, WebhookKey
from shopbell.webhooks.settle import Finished, settle

MINUTE_MS = 60_000
DAY_MS = 86_400_000
RULES = Rules(
    lease_ms=30_000,
    per_webhook=8,
    first_pause_ms=0,
    order_wait_ms=60 * MINUTE_MS,
    failure_days=5,
    failure_attempts=20,
)
OK = Attempt(1, 1, status=200, answer="fine")
OOPS = Attempt(1, 1, status=500, answer="oops")


@dataclass
class Outbox:
    """The outbox of an installation, at a time that the test says."""

    installation: Installation
    people: World
    database: Database
    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    rules: Rules = RULES
    _emails: int = 0

    @property
    def acme(self) -> int:
        """Acme's id."""
        return int(self.people.acme)

    def webhook(self, organization_id: int | None = None, **changes: Any) -> int:
        """A webhook that is told of everything."""
        given = {"url": "https://receiver.example/", "topics": ["messages", "transfers"]} | changes
        made, _ = self.database.write_now(
            endpoints.create,
            organization_id or self.acme,
            SEALS,
            given,
            actor="test",
            now_ms=self.now_ms,  # type: ignore[arg-type]
        )
        return made.id

    def thread(self, organization_id: int | None = None) -> record.InThread:
        """A conversation of a new customer, with messages written to the database."""
        owner = organization_id or self.acme
        business = int(self.people.boston if owner == self.acme else self.people.london)
        self._emails += 1
        customer, thread = 5_000_000 + 2 * self._emails, 5_000_001 + 2 * self._emails
        change = self.installation.database.change
        change("INSERT INTO customers (organization_id, id, created_at_ms) VALUES (:o, :c, 1)", o=owner, c=customer)
        change(
            "INSERT INTO threads (organization_id, id, customer_id, business_id, channel, status, last_sequence,"
            " created_at_ms, updated_at_ms) VALUES (:o, :t, :c, :b, 'WEB', 'waiting', 0, 1, 1)",
            o=owner,
            t=thread,
            c=customer,
            b=business,
        )
        return record.InThread(thread, customer, business, 0)

    def transfer(self, thread: record.InThread, organization_id: int | None = None) -> int:
        """An event of a conversation; gives its position."""
        return self.database.write_now(
            record.record,
            organization_id or self.acme,
            "transfer",
            actor=SYSTEM,
            now_ms=self.now_ms,
            thread=thread,
            details={"fromBusinessId": 1, "toBusinessId": "2", "employeeUserId": None},
        )

    def claim(
        self, free: int = 64, *, busy: dict[int, int] | None = None, quick: Collection[WebhookKey] = ()
    ) -> list[Claimed]:
        """Claim what is due."""
        return self.take(free, busy, quick).claimed

    def take(self, free: int = 64, busy: dict[int, int] | None = None, quick: Collection[WebhookKey] = ()) -> Taken:
        """Claim, with what there was to do."""
        return self.database.write_now(
            claim, self.rules, free=free, busy=busy or {}, last_served=0, now_ms=self.now_ms, quick=quick
        )

    def settle(self, claimed: Claimed, outcome: Outcome, attempt: Attempt | None = None) -> None:
        """Settle one."""
        made = attempt or (OK if isinstance(outcome, Delivered) else OOPS)
        finished = [Finished(claimed, None if isinstance(outcome, NotSent) else made, outcome)]
        self.database.write_now(settle, self.rules, finished, now_ms=self.now_ms)

    def state(self, position: int) -> str:
        """The state of a delivery."""
        state: str = self.installation.database.value("SELECT state FROM deliveries WHERE position = :p", p=position)
        return state

    def queues(self) -> list[tuple[int, int]]:
        """Background and position of each queue."""
        rows = self.installation.database.rows("SELECT background, position FROM delivery_queues ORDER BY 1, 2")
        return [(row["background"], row["position"]) for row in rows]

    def row(self, webhook_id: int) -> dict[str, Any]:
        """A webhook's row."""
        (row,) = self.installation.database.rows("SELECT * FROM webhooks WHERE id = :id", id=webhook_id)
        return row


SEALS = Cipher(Keys((SECRET_KEY.encode(),)), endpoints.SEALING_PURPOSE)
