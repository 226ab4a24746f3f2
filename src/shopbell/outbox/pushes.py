"""What the push URL of an organization is sent: messages to customers, as their apps' servers read them."""

import time
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import Connection, Row, and_, select

from shopbell import conversation, customers
from shopbell.attachment_links import AttachmentLinks
from shopbell.keys import Keys
from shopbell.payloads import TEST_EVENT, Push, push_body
from shopbell.settings import Settings
from shopbell.storage.schema import employees, organizations

PUSH = "ipns"
"""The payload version of pushes, as the delivery log has it."""

PictureUrl = Callable[[str, str], str]
"""The link to a picture, by the UUID and the name of its attachment."""

log = structlog.get_logger()


def picture_urls(settings: Settings, keys: Keys) -> PictureUrl | None:
    """How links to pictures are made; None where the server has no public URL."""
    if settings.public_url is None:
        return None
    base_url, links = str(settings.public_url).rstrip("/"), AttachmentLinks(keys, settings.attachment_link_s)
    return lambda uuid, name: links.link(base_url, uuid, name, now_ms=time.time_ns() // 1_000_000).url


def push_for(tx: Connection, row: Row[Any], picture_url: PictureUrl | None) -> str | None:
    """The body of a push.

    Args:
        tx: the transaction.
        row: a delivery with what it tells, of ``telling.read``.
        picture_url: makes links to pictures.

    Returns:
        The body; empty for a test, which is a health check by GET; None for what is not pushed: whatever is no message
        that the business sent to the customer.
    """
    if row.type == TEST_EVENT:
        return ""
    if row.type != "message" or row.from_customer or row.internal:
        return None
    try:
        return push_body(_push(tx, row, picture_url))
    except Exception as error:  # as in telling.body_for
        log.error(
            "bug",
            job="make a push",
            organization=row.organization_id,
            webhook=row.webhook_id,
            position=row.position,
            exc_info=error,
        )
        return None


def _push(tx: Connection, row: Row[Any], picture_url: PictureUrl | None) -> Push:
    o, e = organizations.c, employees.c
    author = and_(e.organization_id == o.id, e.id == row.employee_id)
    names = select(o.name, e.name).select_from(organizations).outerjoin(employees, author)
    organization, employee = tx.execute(names.where(o.id == row.organization_id)).one()
    family = customers.family(tx, row.organization_id, row.customer_id)
    threads = [thread.id for thread in customers.threads_of(tx, row.organization_id, family)]
    summaries = conversation.summaries(tx, row.organization_id, threads, limit=len(threads))
    is_picture = row.uuid is not None and row.content_type.startswith("image/")
    return Push(
        customer_id=family[0],
        unread_count=sum(summary.unread_count for summary in summaries),
        sent_at_ms=row.sent_at_ms,
        organization_name=organization,
        employee_name=employee,
        text=row.text,
        attachment_name=row.name,
        attachment_type=row.content_type,
        picture_url=picture_url(row.uuid, row.name) if is_picture and picture_url else None,
    )
