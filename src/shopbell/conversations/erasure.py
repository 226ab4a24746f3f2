"""Erases what customers wrote and what was written to them.

``operations/erasure.py`` calls this, batch by batch.

Each function handles one batch. It returns where the next batch begins, or None after the last one.
"""

from sqlalchemy import Connection, delete, select, tuple_, update

from shopbell.attachments import attachments
from shopbell.customers import customers
from shopbell.customers.erasure import Person
from shopbell.db.schema.core import blocked_messages, idempotency_keys, messages
from shopbell.db.schema.customers import surveys
from shopbell.db.schema.inbox_actions import scheduled_messages
from shopbell.runtime.clock import now_ms

BATCH_ROWS = 1_000
"""Most rows that one batch changes."""

Place = tuple[int | str, ...]
"""Where a batch begins; empty for the first one."""


def erase_messages(tx: Connection, organization_id: int, person: Person, after: Place) -> Place | None:
    """Delete the texts, files and external ids of messages.

    Their places and times stay.
    """
    m = messages.c
    place = tuple_(m.thread_id, m.sequence)
    query = (
        select(m.thread_id, m.sequence, m.id, m.attachment_id)
        .where(m.organization_id == organization_id, m.thread_id.in_(person.thread_ids))
        .order_by(m.thread_id, m.sequence)
    )
    if after:
        query = query.where(place > after)
    rows = tx.execute(query.limit(BATCH_ROWS)).all()
    if not rows:
        return None
    tx.execute(
        update(messages)
        .where(m.organization_id == organization_id, m.id.in_([row.id for row in rows]))
        .values(body="", attachment_id=None, external_id=None)
    )
    files = [row.attachment_id for row in rows if row.attachment_id is not None]
    attachments.remove_unused(tx, organization_id, files, now_ms=now_ms())
    return tuple(rows[-1][:2])


def delete_blocked_messages(tx: Connection, organization_id: int, person: Person, _: Place) -> Place | None:
    """Delete what customers sent while they were blocked."""
    b = blocked_messages.c
    some = (
        select(b.id)
        .where(customers.of_customers(blocked_messages, organization_id, person.customer_ids))
        .order_by(b.id)
        .limit(BATCH_ROWS)
    )
    ids = tx.scalars(some).all()
    tx.execute(delete(blocked_messages).where(b.organization_id == organization_id, b.id.in_(ids)))
    return (ids[-1],) if ids else None


def erase_comments(tx: Connection, organization_id: int, person: Person, _: Place) -> Place | None:
    """Delete the comments of survey answers; the scores stay."""
    of_customers = customers.of_customers(surveys, organization_id, person.customer_ids)
    tx.execute(update(surveys).where(of_customers, surveys.c.comment.is_not(None)).values(comment=None))
    return None


def delete_idempotency_keys(tx: Connection, organization_id: int, person: Person, after: Place) -> Place | None:
    """Delete the idempotency keys of their messages.

    A text can be guessed from its hash.
    """
    k, m, s = idempotency_keys.c, messages.c, scheduled_messages.c
    place = tuple_(k.caller_id, k.route, k.key)
    of_organization = k.organization_id == organization_id
    query = (
        select(k.caller_id, k.route, k.key, k.result_id).where(of_organization).order_by(k.caller_id, k.route, k.key)
    )
    if after:
        query = query.where(place > after)
    rows = tx.execute(query.limit(BATCH_ROWS)).all()
    said = (
        select(m.id)
        .where(m.organization_id == organization_id, m.id.in_([row.result_id for row in rows]))
        .where(m.thread_id.in_(person.thread_ids))
        .order_by(m.id)  # or SQLite would look among all messages of the conversations
    )
    scheduled = select(s.id).where(s.organization_id == organization_id, s.thread_id.in_(person.thread_ids))
    answered = {*person.thread_ids, *tx.scalars(said), *tx.scalars(scheduled)}
    keys = [tuple(row[:3]) for row in rows if row.result_id in answered]
    tx.execute(delete(idempotency_keys).where(of_organization, place.in_(keys)))
    return tuple(rows[-1][:3]) if rows else None
