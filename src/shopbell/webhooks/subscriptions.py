"""Which topics a webhook gets. Owns the table of subscriptions."""

from collections.abc import Collection, Sequence
from typing import Literal, Protocol, get_args

from sqlalchemy import Connection, delete, insert

from shopbell.db.schema.webhooks import webhook_subscriptions

Topic = Literal["messages", "transfers", "deliveries"]


class Switch(Protocol):
    """Whether a webhook is enabled: a ``Webhook``, or its row."""

    @property
    def enabled(self) -> bool: ...
    @property
    def disabled_reason(self) -> str | None: ...


class Subscriber(Switch, Protocol):
    """A ``Webhook``."""

    @property
    def organization_id(self) -> int: ...
    @property
    def id(self) -> int: ...
    @property
    def topics(self) -> Sequence[str]: ...


def in_order(topics: Collection[str]) -> list[str]:
    """The topics in the order of the documentation."""
    return [topic for topic in get_args(Topic) if topic in topics]


def receives(webhook: Switch) -> bool:
    """Whether it gets deliveries: not if it was disabled by hand."""
    return bool(webhook.enabled) or webhook.disabled_reason is not None


def write(tx: Connection, webhook: Subscriber) -> None:
    """Write the subscriptions of a webhook."""
    remove(tx, webhook)
    if receives(webhook):
        wanted = [
            {"organization_id": webhook.organization_id, "webhook_id": webhook.id, "topic": topic}
            for topic in webhook.topics
        ]
        tx.execute(insert(webhook_subscriptions), wanted)


def remove(tx: Connection, webhook: Subscriber) -> None:
    """Remove all subscriptions of a webhook."""
    c = webhook_subscriptions.c
    tx.execute(
        delete(webhook_subscriptions).where(c.organization_id == webhook.organization_id, c.webhook_id == webhook.id)
    )
