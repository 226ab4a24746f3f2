"""A clock set back delays no email and no SMS."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness.installation import SECRET_KEY, Installation
from harness.world import World
from shopbell.db.clock_changes import correct
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.notifications import limits, outbox, sender
from shopbell.notifications.limits import Budget, Wait
from shopbell.runtime.clock import SetBack
from shopbell.settings.settings import Settings

HOUR_MS = 3_600_000
THEN_MS = 1_800_000_000_000
NOW_MS = THEN_MS - HOUR_MS
SET_BACK = SetBack(HOUR_MS, NOW_MS - 100)
THREAD, FIRST = 5_000_000, 5_000_001
CHANNELS = ("EMAIL", "SMS")


class Waiting:
    """What waits, in a database without a server; the clock was just set back from ``THEN_MS`` to ``NOW_MS``."""

    def __init__(self, installation: Installation, people: World, database: Database) -> None:
        self.installation = installation
        self.database = database
        self.acme = int(people.acme)
        of = {"o": self.acme, "b": int(people.boston), "t": THREAD}
        change = installation.database.change
        change("INSERT INTO customers (organization_id, id, created_at_ms) VALUES (:o, :t, 1)", o=self.acme, t=THREAD)
        change(
            "INSERT INTO threads (organization_id, id, customer_id, business_id, channel, status, last_sequence,"
            " created_at_ms, updated_at_ms) VALUES (:o, :t, :t, :b, 'WEB', 'waiting', 0, 1, 1)",
            **of,
        )

    def add(self, pause_ms: int, attempts: int = 0, reason: str | None = None, number: int = 0) -> None:
        """Let something be due so long after the time before the clock was set back."""
        columns = "organization_id, id, thread_id, channel, audience, purpose, address, state, attempts, reason"
        self.installation.database.change(
            f"INSERT INTO outbound_messages ({columns}, due_at_ms, created_at_ms) VALUES"
            " (:o, :id, :t, 'SMS', 'customer', 'reply', '+16175550142', 'waiting', :attempts, :reason, :due, 1)",
            o=self.acme,
            t=THREAD,
            id=FIRST + number,
            due=THEN_MS + pause_ms,
            attempts=attempts,
            reason=reason,
        )

    def move_up(self, set_back: SetBack = SET_BACK, now_ms: int = NOW_MS) -> bool:
        """A worker notices the change."""
        return self.database.write_now(correct, "outbound_messages", sender.move_up, set_back, now_ms=now_ms)

    def due_ms(self) -> int | None:
        """When the first of them is due, beside the time now."""
        due_at_ms = self.database.read_now(outbox.next_due_ms, CHANNELS)
        return None if due_at_ms is None else due_at_ms - NOW_MS


@pytest.fixture
def waiting(installation: Installation, people: World) -> Iterator[Waiting]:
    """A database of its own."""
    settings = Settings(database_url=installation.database.url, secret_key=SECRET_KEY)  # type: ignore[arg-type]
    database = open_database(settings)
    yield Waiting(installation, people, database)
    database.engine.dispose()


@pytest.mark.parametrize(
    ("attempts", "reason"), [(0, None), (1, "connection_failed"), (1, "to_be_resent")], ids=["new", "retry", "resent"]
)
def test_waiting_messages_stay_due_at_the_same_time(waiting: Waiting, attempts: int, reason: str | None) -> None:
    waiting.add(5_000, attempts, reason)
    assert waiting.due_ms() == HOUR_MS + 5_000  # the control: so late it would be
    assert waiting.move_up()
    assert waiting.due_ms() == 5_000


def test_due_messages_stay_due(waiting: Waiting) -> None:
    waiting.add(-5_000)
    assert waiting.move_up()
    assert waiting.due_ms() == 0


@pytest.mark.parametrize("reason", [None, "resent"])
def test_messages_in_progress_stay_with_their_worker(waiting: Waiting, reason: str | None) -> None:
    waiting.add(5_000, 1, reason)
    assert waiting.move_up()
    assert waiting.due_ms() == HOUR_MS + 5_000


def test_one_of_several_workers_adjusts_due_times(waiting: Waiting) -> None:
    waiting.add(3 * HOUR_MS)
    assert waiting.move_up()
    assert not waiting.move_up(SetBack(HOUR_MS, SET_BACK.since_ms + 50), NOW_MS + 2_000)
    assert waiting.due_ms() == 3 * HOUR_MS


def test_the_pause_between_texts_to_a_number_is_not_extended(waiting: Waiting) -> None:
    budget = Budget(segments_per_day=100, cooldown_ms=2 * HOUR_MS)

    def spend(now_ms: int) -> Any:
        return waiting.database.write_now(limits.consume, budget, waiting.acme, "0" * 64, 1, now_ms=now_ms)

    assert spend(THEN_MS - HOUR_MS - 1) is None
    assert spend(NOW_MS) == Wait(THEN_MS + HOUR_MS - 1)
    assert waiting.move_up()
    assert spend(NOW_MS) == Wait(THEN_MS - 1)


def test_a_business_is_emailed_as_often_as_before(waiting: Waiting) -> None:
    def spend(now_ms: int) -> Any:
        return waiting.database.write_now(limits.consume_notice, 1, waiting.acme, "0" * 64, now_ms=now_ms)

    assert spend(THEN_MS - HOUR_MS // 2) is None
    quarter = SetBack(HOUR_MS // 4, THEN_MS - HOUR_MS // 4)
    assert spend(THEN_MS - quarter.by_ms) == Wait(THEN_MS + HOUR_MS // 2)
    assert waiting.move_up(quarter, THEN_MS - quarter.by_ms)
    assert spend(THEN_MS - quarter.by_ms) == Wait(THEN_MS + HOUR_MS // 2 - quarter.by_ms)
