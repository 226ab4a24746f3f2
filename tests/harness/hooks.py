"""Webhooks at a server that delivers nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from harness.shop import Shop

HOOKS = "/api/webhooks"
URL = "https://receiver.example/hook"
CANARY = "canaryheadervalue"
"""Is in the values of headers, which must stay secret."""

HEADERS = [{"name": "Authorization", "value": f"Bearer {CANARY}"}, {"name": "X-Shop", "value": f"{CANARY}-too"}]


@dataclass
class Hooks:
    """Acme's webhooks, at a server without a worker; all responses are kept."""

    shop: Shop
    answers: list[httpx2.Response] = field(default_factory=list)

    def post(self, path: str = "", body: object = None, token: str = "") -> httpx2.Response:
        """Send to a path below the webhooks."""
        self.answers.append(self.shop.post(body or {}, path=HOOKS + path, token=token))
        return self.answers[-1]

    def get(self, path: str = "", token: str = "") -> httpx2.Response:
        """Read a path below the webhooks."""
        headers = {"token": token or self.shop.world.token}
        self.answers.append(self.shop.server.client.get(HOOKS + path, headers=headers))
        return self.answers[-1]

    def create(self, token: str = "", **fields: Any) -> dict[str, Any]:
        """Make a webhook, which must be answered 200."""
        answer = self.post("/", {"url": URL, "subscribedEvents": ["messages"]} | fields, token)
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def update(self, webhook_id: str, **fields: Any) -> None:
        """Change a webhook, which must be answered 200."""
        answer = self.post(f"/{webhook_id}/update", fields)
        assert (answer.status_code, answer.json()) == (200, {"result": "ok"})

    def shown(self, webhook_id: str) -> dict[str, Any]:
        """A webhook as it is read."""
        answer = self.get(f"/{webhook_id}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def rows(self, table: str, webhook_id: str) -> list[dict[str, Any]]:
        """The rows of a table that are a webhook's."""
        sql = f"SELECT * FROM {table} WHERE webhook_id = :id ORDER BY 1, 2, 3"
        return self.shop.database.rows(sql, id=int(webhook_id))

    def row(self, webhook_id: str) -> dict[str, Any]:
        """The row of a webhook."""
        (row,) = self.shop.database.rows("SELECT * FROM webhooks WHERE id = :id", id=int(webhook_id))
        return row

    def switched_off(self, webhook_id: str, reason: str) -> None:
        """As the worker does when a receiver fails for days, or says that it is gone."""
        sql = "UPDATE webhooks SET enabled = false, disabled_reason = :reason, failures = 25, failing_since_ms = 1000 "
        assert self.shop.database.change(f"{sql} WHERE id = :id", reason=reason, id=int(webhook_id)) == 1


@contextmanager
def hooks_of(shop: Shop) -> Iterator[Hooks]:
    """The webhooks of a shared shop, of which none is left after the block."""
    yield Hooks(shop)
    for table in ("webhook_subscriptions", "delivery_queues", "deliveries", "delivery_attempts", "webhooks"):
        shop.database.change(f"DELETE FROM {table}")
