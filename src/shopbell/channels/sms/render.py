"""Render notifications as SMS and WhatsApp messages."""

from typing import Any

from sqlalchemy import Connection, Row, false, select

from shopbell.db.schema.core import messages
from shopbell.i18n.translations import for_locale
from shopbell.notifications.content import Notification, Urls
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings
from shopbell.sms.outgoing import OutgoingText
from shopbell.sms.segments import segments, shortened, with_plain_letters, with_plain_spaces

SEGMENTS_MAX = 10
"""Most segments of one SMS; the rest is behind its link."""


class TextRenderer:
    """Renders SMS and WhatsApp messages.

    Args:
        settings: those of this process.
        keys: the installation's keys.
    """

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._urls = Urls(settings, keys)

    def text(self, tx: Connection, notification: Notification) -> OutgoingText:
        """Render an SMS or a WhatsApp message, with a link if the text is too long."""
        row, thread, new = notification.row, notification.thread, notification.new
        texts = for_locale(thread.locale, thread.business.locale)
        name = thread.business.name
        content_sid = None
        media: list[str] = []
        if notification.is_invitation:
            body = texts.gettext("{business}: continue your conversation with us here:", business=name)
        else:
            files = [line.attachment for line in new if line.attachment is not None]
            if row.channel == "WHATSAPP":
                content_sid = _template_of(tx, row)
                media = [self._urls.file(file, row.created_at_ms) for file in files] if self._urls.are_public else []
            named = [] if media else [file.name for file in files]
            body = "\n".join(part for part in (*(line.text for line in new), *named) if part.strip())
            # A sender whose number the customer does not know must say who it is.
            if thread.context.channel == "WEB" and row.channel == "SMS" and row.purpose == "reply":
                body = texts.gettext("{business}: {message}", business=name, message=body)
        if row.channel == "SMS":
            body = with_plain_spaces(body)
        is_cut = row.channel == "SMS" and segments(body).count > SEGMENTS_MAX
        ending = f"\n{notification.make_link()}" if notification.needs_link or is_cut else ""
        body += ending
        if row.channel == "SMS":
            is_own = row.purpose != "reply" and not any(line.author for line in new)
            body = shortened(with_plain_letters(body) if is_own else body, SEGMENTS_MAX, ending)
        return OutgoingText(
            reference=f"{row.organization_id}-{row.id}",
            channel=row.channel,
            to=notification.address,
            text=body,
            sender=thread.business.phone_number if row.channel == "SMS" else None,
            content_sid=content_sid,
            media_urls=media,
        )


def _template_of(tx: Connection, row: Row[Any]) -> str | None:
    c = messages.c
    query = select(c.content_sid).where(
        c.organization_id == row.organization_id,
        *(c.thread_id == row.thread_id, c.sequence == row.first_sequence, c.internal == false()),
    )
    return tx.scalar(query)
