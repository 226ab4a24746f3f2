"""Emails and texts of an organization, as received and as recorded."""

from pathlib import Path
from typing import Any

import orjson

from harness.shop import Shop
from harness.smtp import SmtpServer
from harness.waiting import wait_until


class Post:
    """A running shop, and whatever it sends.

    Args:
        shop: the shop.
        mails: where its mails go.
        folder: where its texts go.
    """

    def __init__(self, shop: Shop, mails: SmtpServer, folder: Path) -> None:
        self.shop = shop
        self.mails = mails
        self.folder = folder

    def reply(self, thread_id: str, text: str, **fields: object) -> str:
        """Answer in a thread with Acme's token; the id of the message."""
        body = {"customerThreadId": thread_id, "text": text, **fields}
        answer = self.shop.post(body, path="/api/send-message-to-customer-thread")
        assert answer.status_code == 200, answer.text
        message_id: str = answer.json()["messageId"]
        return message_id

    def messages(self, thread_id: str) -> list[dict[str, Any]]:
        """A thread's messages, as the API shows them."""
        answer = self.shop.server.client.get(
            f"/api/threads/{thread_id}/messages", headers={"token": self.shop.world.token}
        )
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["messages"]
        return found

    def actor_of(self, message: dict[str, Any]) -> dict[str, str | None]:
        """Who wrote a message, as its event in the feed tells."""
        place = "SELECT position FROM events WHERE message_id = :id AND type = 'message'"
        position = self.shop.database.value(place, id=int(message["id"]))
        page = self.shop.server.client.get(
            f"/api/events?limit=1&after={position - 1}", headers={"token": self.shop.world.token}
        )
        actor: dict[str, str | None] = page.json()["events"][0]["actor"]
        return actor

    def deliveries(self, message_id: str) -> dict[tuple[str, str], tuple[str, str | None]]:
        """The records of a message: state and reason, by channel and audience."""
        rows = self.shop.database.rows("SELECT * FROM message_deliveries WHERE message_id = :id", id=int(message_id))
        return {(row["channel"], row["audience"]): (row["state"], row["reason"]) for row in rows}

    def wait_for_delivery(self, message_id: str, channel: str, state: str, audience: str = "customer") -> None:
        """Wait until a record is in a state."""
        wait_until(
            lambda: self.deliveries(message_id).get((channel, audience), ("",))[0] == state,
            lambda: f"{self.deliveries(message_id)}\n{self.shop.server.log}",
        )

    def business(self, **changes: object) -> None:
        """Change Boston's row."""
        sets = ", ".join(f"{name} = :{name}" for name in changes)
        self.shop.database.change(
            f"UPDATE businesses SET {sets} WHERE id = :id", id=int(self.shop.world.boston), **changes
        )

    def texts(self) -> list[dict[str, Any]]:
        """All texts so far, in the order in which they were sent."""
        return [orjson.loads(path.read_bytes()) for path in sorted(self.folder.glob("*.txt.json"))]

    def wait_for_texts(self, count: int) -> list[dict[str, Any]]:
        """All texts, once there are as many."""
        wait_until(lambda: len(self.texts()) >= count, lambda: f"{self.texts()}\n{self.shop.server.log}")
        return self.texts()

    def decided(self) -> None:
        """Wait until all that has happened so far is decided."""
        wait_until_decided(self.shop)

    def let_time_pass(self) -> None:
        """Make it that what waits is due, once all that has happened so far is decided."""
        self.decided()
        self.shop.database.change("UPDATE outbound_messages SET due_at_ms = 1 WHERE state = 'waiting' AND attempts = 0")

    def wait_for_row(self, query: str, **values: object) -> None:
        """Wait until a query finds something."""
        wait_until(lambda: self.shop.database.rows(query, **values), lambda: f"{query}\n{self.shop.server.log}")

    def wait_for_log(self, words: str) -> None:
        """Wait until the server's log says something."""
        wait_until(lambda: words in self.shop.server.log, lambda: self.shop.server.log)


def wait_until_decided(shop: Shop) -> None:
    """Wait until the server has decided who is notified of all that has happened so far."""
    query = (
        "SELECT count(*) FROM feeds LEFT JOIN notification_cursors USING (organization_id) "
        "WHERE last_position > coalesce(position, 0)"
    )
    wait_until(lambda: shop.database.value(query) == 0, lambda: shop.server.log)
