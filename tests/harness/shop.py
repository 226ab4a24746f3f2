"""A running installation with Acme and Globex, and common actions."""

import itertools
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from harness import raw
from harness.installation import Database, Server
from harness.world import World

WIDGET = "/api/widget/send-message-to-business"
HELLO = "Hello, I need help with my order."


@dataclass
class Shop:
    """A server that runs, its world, and its database."""

    server: Server
    world: World
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _spare_tokens: "Iterator[dict[str, str]] | None" = None

    @property
    def database(self) -> Database:
        """The database, looked at from outside."""
        return self.server.installation.database

    def spare_token(self) -> dict[str, str]:
        """The id and the token of a token of Acme's that no other test has used here."""
        if self._spare_tokens is None:
            self._spare_tokens = iter(self.world.spare)
        return next(self._spare_tokens)

    def somebody(self) -> str:
        """An e-mail address that was never used here."""
        return f"{uuid.uuid4().hex}@example.com"

    def some_number(self) -> str:
        """A possible phone number of region US that was never used here, in E.164."""
        return f"+1617{next(self._numbers) + 2_000_000:07d}"

    def body(self, **changes: Any) -> dict[str, Any]:
        """The valid body of a request of a new customer, with changes."""
        return {"businessId": self.world.boston, "message": HELLO, "user": {"email": self.somebody()}} | changes

    def post(
        self, body: object, *, token: str | None = "", headers: Mapping[str, str] | None = None, path: str = WIDGET
    ) -> httpx2.Response:
        """Send a body (JSON unless it is bytes) with Acme's token, another one, or none."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        all_headers = {"Content-Type": "application/json"} | dict(headers or {})
        if token is not None:
            all_headers["token"] = token or self.world.token
        return self.server.client.post(path, content=content, headers=all_headers)

    def post_raw(self, body: bytes, *headers: tuple[str, str], path: str = WIDGET) -> raw.RawAnswer:
        """Send a body with exactly these headers, on a connection of its own."""
        return raw.exchange(self.server.port, raw.post(path, body, list(headers)))

    def send(self, *, key: str | None = None, token: str = "", **changes: Any) -> str:
        """Send a right message, which must be answered 200, and return the thread's id."""
        answer = self.post(self.body(**changes), token=token, headers={"Idempotency-Key": key} if key else None)
        assert answer.status_code == 200, answer.text
        thread_id = answer.json()["customerThreadId"]
        assert isinstance(thread_id, str)
        return thread_id

    def move_to_whatsapp(self, thread_id: str, *, age_ms: int) -> None:
        """Let all that the customer said in a thread have come by WhatsApp, so long ago."""
        at = {"at": time.time_ns() // 1_000_000 - age_ms, "id": int(thread_id)}
        thread = "UPDATE threads SET channel = 'WHATSAPP', last_customer_message_at_ms = :at WHERE id = :id"
        said = "UPDATE messages SET channel = 'WHATSAPP', created_at_ms = :at WHERE thread_id = :id AND from_customer"
        assert self.database.change(thread, **at)
        assert self.database.change(said, **at)

    def refused(self, **changes: Any) -> list[dict[str, Any]]:
        """Send a body that must be answered 400 and return the faults; nothing may have been stored."""
        answer = self.post(self.body(**changes))
        assert answer.status_code == 400, answer.text
        assert answer.json()["type"] == "/problems/validation-error"
        faults: list[dict[str, Any]] = answer.json()["errors"]
        return faults

    def messages(self, thread_id: str) -> list[dict[str, Any]]:
        """The rows of a thread's messages, in their order."""
        return self.database.rows("SELECT * FROM messages WHERE thread_id = :id ORDER BY sequence", id=int(thread_id))

    def thread(self, thread_id: str) -> dict[str, Any]:
        """The row of a thread."""
        (row,) = self.database.rows("SELECT * FROM threads WHERE id = :id", id=int(thread_id))
        return row

    def customer_of(self, thread_id: str) -> int:
        """The id of the customer whose thread it is."""
        customer_id = self.thread(thread_id)["customer_id"]
        assert isinstance(customer_id, int)
        return customer_id

    def identities(self, customer_id: int) -> dict[str, list[str]]:
        """What a customer is known by, in normal form."""
        rows = self.database.rows(
            "SELECT kind, value FROM customer_identities WHERE customer_id = :id ORDER BY kind, value", id=customer_id
        )
        return {kind: [row["value"] for row in rows if row["kind"] == kind] for kind in ("email", "phone")}

    def count(self, table: str) -> int:
        """How many rows a table has.

        Of messages, count only those ``WHERE from_customer``: scheduled ones of earlier tests are sent at any time.
        """
        count = self.database.value(f"SELECT count(*) FROM {table}")
        assert isinstance(count, int)
        return count


def faults_of(answer: httpx2.Response) -> set[tuple[str, str, str]]:
    """The faults of a 400 as (in, place, code)."""
    assert answer.status_code == 400, answer.text
    faults = answer.json()["errors"]
    return {(fault["in"], fault.get("pointer") or fault.get("name"), fault["code"]) for fault in faults}


def codes(faults: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Faults of the body as (pointer, code)."""
    return [(fault["pointer"], fault["code"]) for fault in faults]
