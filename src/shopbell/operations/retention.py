"""Delete old messages and events of organizations, in small batches.

- Conversations remain, with their status and message numbering.
- Waiting webhook deliveries of deleted messages are skipped, and the delivery log loses their text.
- Events remain while a delivery of them waits, and until notifications and the inbox have consumed them.
- Files of deleted messages are deleted a day later, like all files without a message (``attachments/cleanup.py``).
- Drafts are deleted if they have not been changed for the retention time of messages.
- Scheduled messages that were refused are deleted after the same time.
- Comments on surveys are deleted after the same time as messages; the scores remain.
- The subject of a conversation's emails is deleted with the last of these emails.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table, delete, exists, or_, select, update

from shopbell.conversations import history
from shopbell.db.database import Database
from shopbell.db.lock_order import try_job_lock
from shopbell.db.schema.core import blocked_messages, messages, organizations
from shopbell.db.schema.customers import (
    mail_details,
    message_deliveries,
    notification_cursors,
    notification_state,
    outbound_messages,
    surveys,
)
from shopbell.db.schema.inbox import inbox_cursors
from shopbell.db.schema.webhooks import deliveries, events, webhooks
from shopbell.events import feed
from shopbell.inbox import projection, reads, scheduled_messages
from shopbell.inbox.erasure import delete_old_drafts
from shopbell.webhooks import redaction

BATCH_ROWS = 500
DAY_MS = 24 * 60 * 60 * 1000
PAUSE_S = 0.05
"""Pause between two batches, so that new messages do not wait long."""

_JOB = "retention"
_MESSAGES = (messages, blocked_messages)


@dataclass(frozen=True, slots=True)
class Kept:
    """An organization's retention times in days; None means forever."""

    organization_id: int
    messages_days: int | None
    events_days: int | None


@dataclass(frozen=True, slots=True)
class Swept:
    """The result of a batch.

    Args:
        deleted: the number of deleted rows.
        after: where the next batch continues; None if no old rows are left.
    """

    deleted: int
    after: int | None


def limited(tx: Connection) -> list[Kept]:
    """List the organizations with a retention time."""
    c = organizations.c
    query = select(c.id, c.keep_messages_days, c.keep_events_days).where(
        or_(c.keep_messages_days.is_not(None), c.keep_events_days.is_not(None))
    )
    return [Kept(*row) for row in tx.execute(query.order_by(c.id))]


async def sweep(database: Database, *, now_ms: int) -> int:
    """Delete everything older than its organization's retention time, batch by batch.

    Args:
        now_ms: current time in Unix ms.

    Returns:
        The number of deleted rows.

    Raises:
        StorageError: the database failed; completed batches are committed.
    """
    deleted = 0
    for kept in await database.read(limited):
        for table in _MESSAGES if kept.messages_days is not None else ():
            after: int | None = 0
            while after is not None:
                swept = await database.write(
                    sweep_messages, table, kept.organization_id, kept.messages_days or 0, after, now_ms=now_ms
                )
                deleted, after = deleted + swept.deleted, swept.after
                await asyncio.sleep(PAUSE_S)
        if kept.messages_days is not None:
            days = kept.messages_days
            while (
                count := await database.write(sweep_imported, kept.organization_id, days, now_ms=now_ms)
            ) is not None:
                deleted += count
                await asyncio.sleep(PAUSE_S)
            before_ms = now_ms - kept.messages_days * DAY_MS
            deleted += await _delete_drafts(database, kept.organization_id, before_ms)
            await _empty_comments(database, kept.organization_id, before_ms)
            await database.write(scheduled_messages.delete_refused, kept.organization_id, before_ms=before_ms)
        after = 0 if kept.events_days is not None else None
        while after is not None:
            swept = await database.write(
                sweep_events, kept.organization_id, kept.events_days or 0, after, now_ms=now_ms
            )
            deleted, after = deleted + swept.deleted, swept.after
            await asyncio.sleep(PAUSE_S)
    return deleted


def sweep_messages(tx: Connection, table: Table, organization_id: int, days: int, after: int, *, now_ms: int) -> Swept:
    """Delete up to 500 of an organization's oldest messages and their webhook payloads.

    Args:
        table: ``messages`` or ``blocked_messages``.
        days: the retention time.
        after: 0, or where the previous batch ended.
        now_ms: current time in Unix ms.
    """
    if not try_job_lock(tx, _JOB):
        return Swept(0, None)
    # Ids grow with time, so finding the oldest messages needs no other index.
    c = table.c
    columns = [c.id, c.created_at_ms, *([c.thread_id] if table is messages else [])]
    oldest = select(*columns).where(c.organization_id == organization_id, c.id > after).order_by(c.id).limit(BATCH_ROWS)
    rows = tx.execute(oldest).all()
    old = [row for row in rows if row.created_at_ms < now_ms - days * DAY_MS]
    after_page = _after([(row.id, row.created_at_ms) for row in rows], is_any_old=bool(old), now_ms=now_ms)
    if not old:
        return Swept(0, after_page)
    tx.execute(delete(table).where(c.organization_id == organization_id, c.id.in_([row.id for row in old])))
    if table is messages:
        threads, until_ms = sorted({row.thread_id for row in old}), max(row.created_at_ms for row in old)
        while redaction.empty(tx, organization_id, threads, until_ms=until_ms, limit=BATCH_ROWS):
            pass
        projection.empty_previews(tx, organization_id, threads, until_ms=until_ms)
        _delete_traces(tx, organization_id, [row.id for row in old], threads, now_ms - days * DAY_MS)
    return Swept(len(old), after_page)


def _after(page: Sequence[tuple[int, int]], *, is_any_old: bool, now_ms: int) -> int | None:
    """Return where the next batch continues; None if no old rows are left.

    Rows from the future do not end a sweep: after a clock ran ahead, or an import of wrong dates, older rows follow.

    Args:
        page: key and time of the rows of this batch, in the order of their keys.
    """
    if len(page) < BATCH_ROWS:
        return None
    key, created_at_ms = page[-1]
    return key if is_any_old or created_at_ms > now_ms else None


def sweep_imported(tx: Connection, organization_id: int, days: int, *, now_ms: int) -> int | None:
    """Delete up to 500 of an organization's old messages that were imported from another product.

    Args:
        days: the retention time.
        now_ms: current time in Unix ms.

    Returns:
        How many were deleted; None if none are left.
    """
    if not try_job_lock(tx, _JOB):
        return None
    before_ms = now_ms - days * DAY_MS
    old = history.delete_old(tx, organization_id, before_ms=before_ms, limit=BATCH_ROWS)
    if not old:
        return None if old is None else 0
    threads = sorted({thread_id for thread_id, _ in old})
    projection.empty_previews(tx, organization_id, threads, until_ms=before_ms)
    _delete_traces(tx, organization_id, [id_ for _, id_ in old], threads, before_ms)
    return len(old)


def _delete_traces(
    tx: Connection, organization_id: int, message_ids: list[int], thread_ids: list[int], before_ms: int
) -> None:
    """Delete the delivery status, emails, mentions and notifications of messages."""
    for table in (message_deliveries, mail_details):
        tx.execute(delete(table).where(table.c.organization_id == organization_id, table.c.message_id.in_(message_ids)))
    reads.forget_mentions(tx, organization_id, message_ids)
    d = outbound_messages.c
    settled = (d.state != "waiting", d.created_at_ms < before_ms)
    # The zero keeps SQLite from using the primary key, by which it would scan all rows of the organization.
    tx.execute(
        delete(outbound_messages).where(d.organization_id + 0 == organization_id, d.thread_id.in_(thread_ids), *settled)
    )
    o, m = notification_state.c, messages.c
    of_thread = (m.organization_id == o.organization_id, m.thread_id == o.thread_id, m.sequence > 0)
    mail_is_left = exists().where(*of_thread, m.channel == "EMAIL", m.from_customer)
    of_threads = (o.organization_id == organization_id, o.thread_id.in_(thread_ids))
    mailed = or_(o.mail_subject.is_not(None), o.mail_header_id.is_not(None))
    # Last, and in the lock order of all transactions.
    over = select(o.thread_id).where(*of_threads, mailed, ~mail_is_left).order_by(o.thread_id).with_for_update()
    these = (o.organization_id == organization_id, o.thread_id.in_(tx.scalars(over).all()))
    tx.execute(update(notification_state).where(*these).values(mail_subject=None, mail_header_id=None))


async def _delete_drafts(database: Database, organization_id: int, before_ms: int) -> int:
    """Delete old drafts; returns how many."""
    deleted = 0
    while count := await database.write(_delete_some_drafts, organization_id, before_ms):
        deleted += count
        await asyncio.sleep(PAUSE_S)
    return deleted


def _delete_some_drafts(tx: Connection, organization_id: int, before_ms: int) -> int:
    return delete_old_drafts(tx, organization_id, before_ms=before_ms) if try_job_lock(tx, _JOB) else 0


async def _empty_comments(database: Database, organization_id: int, before_ms: int) -> None:
    """Delete the comments on old survey answers; the scores remain."""
    # Search in a separate read transaction: on SQLite, a write transaction would block all other writers.
    while ids := await database.read(_find_comments, organization_id, before_ms):
        if not await database.write(_empty_surveys, organization_id, ids):
            return
        await asyncio.sleep(PAUSE_S)


def _find_comments(tx: Connection, organization_id: int, before_ms: int) -> list[int]:
    c = surveys.c
    of_organization = (c.organization_id == organization_id, c.answered_at_ms < before_ms, c.comment.is_not(None))
    return list(tx.scalars(select(c.id).where(*of_organization).order_by(c.id).limit(BATCH_ROWS)))


def _empty_surveys(tx: Connection, organization_id: int, ids: list[int]) -> bool:
    if not try_job_lock(tx, _JOB):
        return False
    c = surveys.c
    tx.execute(update(surveys).where(c.organization_id == organization_id, c.id.in_(ids)).values(comment=None))
    return True


def sweep_events(tx: Connection, organization_id: int, days: int, after: int, *, now_ms: int) -> Swept:
    """Delete up to 500 of an organization's oldest events.

    Events remain if a delivery of them waits, or if notifications or the inbox have not consumed them yet.

    Args:
        days: the retention time.
        after: 0, or where the previous batch ended.
        now_ms: current time in Unix ms.
    """
    if not try_job_lock(tx, _JOB):
        return Swept(0, None)
    c = events.c
    oldest = (
        select(c.position, c.created_at_ms)
        .where(c.organization_id == organization_id, c.position > after)
        .order_by(c.position)
        .limit(BATCH_ROWS)
    )
    page = [(position, created_at_ms) for position, created_at_ms in tx.execute(oldest)]
    old = [position for position, created_at_ms in page if created_at_ms < now_ms - days * DAY_MS]
    after_page = _after(page, is_any_old=bool(old), now_ms=now_ms)
    if not old:
        return Swept(0, after_page)
    d = deliveries.c
    waiting = select(d.position).where(
        d.organization_id == organization_id,
        d.webhook_id.in_(select(webhooks.c.id).where(webhooks.c.organization_id == organization_id)),
        d.position.in_(old),
        d.state == "waiting",
    )
    cursors = (notification_cursors.c, inbox_cursors.c)
    consumed = min(tx.scalar(select(u.position).where(u.organization_id == organization_id)) or 0 for u in cursors)
    gone = sorted(position for position in {*old} - set(tx.scalars(waiting)) if position <= consumed)
    if gone:
        feed.delete_events(tx, organization_id, gone)
    return Swept(len(gone), after_page)
