"""The content of a notification: what its channel renders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, select

from shopbell.attachments.attachments import Attachment
from shopbell.attachments.signed_urls import AttachmentLinks
from shopbell.conversations import customer_view
from shopbell.conversations.customer_view import Line
from shopbell.db.schema.customers import message_deliveries
from shopbell.notifications.context import KnownThread
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings

HISTORY_MAX = 5
LINES_MAX = 50
_WINDOW = HISTORY_MAX + LINES_MAX
LINK_DAYS = 7

_DAY_S = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Notification:
    """An outbound message that is to be rendered.

    Args:
        row: its row.
        thread: its thread.
        address: the recipient.
        new: the messages that it carries, oldest first.
        earlier: some messages before them, newest first.
        make_link: creates the link with which the customer continues the conversation.
    """

    row: Row[Any] = field(repr=False)
    thread: KnownThread = field(repr=False)
    address: str = field(repr=False)
    new: Sequence[Line] = field(repr=False)
    earlier: Sequence[Line] = field(repr=False)
    make_link: Callable[[], str]

    @property
    def is_invitation(self) -> bool:
        """Whether it has a link and no messages."""
        return self.row.purpose in ("invitation", "link") and self.row.first_sequence is None

    @property
    def needs_link(self) -> bool:
        """Whether the customer needs the link.

        They do if it is an invitation, or if they wrote on the website.
        """
        is_by_address = self.row.purpose in ("reply", "auto-reply") and self.thread.context.channel == "WEB"
        return self.row.audience == "customer" and (self.is_invitation or is_by_address)


class Urls:
    """The URLs in notifications.

    Args:
        settings: those of this process.
        keys: the installation's keys.
    """

    def __init__(self, settings: Settings, keys: Keys) -> None:
        port = f":{settings.port}" if settings.port not in (0, 80) else ""
        public = str(settings.public_url).rstrip("/") if settings.public_url else None
        self.base = public or f"http://{settings.host}{port}"
        self.are_public = public is not None
        # An email may be read late, but a link cannot be valid for longer.
        self._files = AttachmentLinks(keys, LINK_DAYS * _DAY_S)

    def file(self, file: Attachment, now_ms: int) -> str:
        """Return the URL of a file, which is valid from now_ms for ``LINK_DAYS``."""
        return self._files.link(self.base, file.uuid, file.name, now_ms=now_ms).url


def read_lines(tx: Connection, row: Row[Any], read_sequence: int) -> tuple[list[Line], list[Line]]:
    """Read the messages that an email or text message has room for.

    Args:
        tx: the transaction.
        row: the outbound message.
        read_sequence: messages up to this place are left out, because they have been read elsewhere.

    Returns:
        The new messages, oldest first, and the earlier ones, newest first.
    """
    if row.first_sequence is None:
        return [], []
    unseen = {place for place in carried(tx, row).values() if place > read_sequence}
    after = max(0, min(unseen, default=row.first_sequence) - 1 - HISTORY_MAX)
    found = customer_view.lines(tx, row.organization_id, row.thread_id, after_sequence=after, limit=_WINDOW)
    new = [line for line in found if line.sequence in unseen]
    first = new[0].sequence if new else row.first_sequence
    return new, [line for line in reversed(found) if line.sequence < first][:HISTORY_MAX]


def carried(tx: Connection, row: Row[Any]) -> dict[int, int]:
    """The messages that an outbound message carries: their places by id."""
    d = message_deliveries.c
    query = select(d.message_id, d.sequence).where(
        d.organization_id + 0 == row.organization_id, d.outbound_message_id == row.id, d.thread_id == row.thread_id
    )
    return {row.message_id: row.sequence for row in tx.execute(query)}
