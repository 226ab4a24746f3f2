"""How long messages and events are kept: what is older than an organization wants goes, in small batches.

A conversation stays when its messages go, with its status and its place in the numbering. A webhook delivery of a
message that is gone is skipped, and the log of deliveries loses its text; an event stays as long as a delivery of it
waits, and until it is decided what must be sent because of it. The files of messages that are gone go a day later, as
all files do that no message carries (``attachment_sweep.py``). What customers add to a score goes as messages do, and
the subject of their mails with the last of these.
"""

import asyncio
from dataclasses import dataclass

from sqlalchemy import Connection, Table, delete, exists, or_, select, tuple_, update

from shopbell import delivery_texts
from shopbell.storage.customer_schema import (
    dispatches,
    mail_details,
    message_deliveries,
    outreach_cursors,
    surveys,
    thread_outreach,
)
from shopbell.storage.database import Database
from shopbell.storage.delivery_schema import deliveries, events, webhooks
from shopbell.storage.schema import blocked_messages, messages, organizations
from shopbell.storage.turns import take_turn

BATCH_ROWS = 500
DAY_MS = 24 * 60 * 60 * 1000
PAUSE_S = 0.05
"""Between two batches, so that messages that come in meanwhile do not wait long."""

_JOB = "retention"
_MESSAGES = (messages, blocked_messages)


@dataclass(frozen=True, slots=True)
class Kept:
    """How long an organization keeps things, in days; None is for ever."""

    organization_id: int
    messages_days: int | None
    events_days: int | None


@dataclass(frozen=True, slots=True)
class Swept:
    """What a batch did.

    Args:
        deleted: how many rows went.
        after: where the next batch goes on, None when nothing is left that is old enough.
    """

    deleted: int
    after: int | None


def limited(tx: Connection) -> list[Kept]:
    """The organizations that do not keep everything for ever."""
    c = organizations.c
    query = select(c.id, c.keep_messages_days, c.keep_events_days).where(
        or_(c.keep_messages_days.is_not(None), c.keep_events_days.is_not(None))
    )
    return [Kept(*row) for row in tx.execute(query.order_by(c.id))]


async def sweep(database: Database, *, now_ms: int) -> int:
    """Delete all that is older than its organization wants to keep, batch by batch.

    Args:
        database: where it is.
        now_ms: the time in Unix ms.

    Returns:
        How many rows went.

    Raises:
        StorageError: the database failed; what was done is done.
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
            await _empty_comments(database, kept.organization_id, now_ms - kept.messages_days * DAY_MS)
        after = 0 if kept.events_days is not None else None
        while after is not None:
            swept = await database.write(
                sweep_events, kept.organization_id, kept.events_days or 0, after, now_ms=now_ms
            )
            deleted, after = deleted + swept.deleted, swept.after
            await asyncio.sleep(PAUSE_S)
    return deleted


def sweep_messages(tx: Connection, table: Table, organization_id: int, days: int, after: int, *, now_ms: int) -> Swept:
    """Delete an organization's oldest messages, at most 500, and what was sent of them to webhooks.

    Args:
        tx: the transaction.
        table: the messages, or those of blocked customers.
        organization_id: whose messages.
        days: how many days of them are kept.
        after: 0, or where the batch before ended.
        now_ms: the time in Unix ms.
    """
    if not take_turn(tx, _JOB):
        return Swept(0, None)
    # Ids grow with time, and there is an index on them: no other is needed to find the oldest.
    c = table.c
    # By its key, or SQLite would look for the rows of each batch among all that the organization has.
    key = [column for column in table.primary_key.columns if column is not c.organization_id]
    oldest = (
        select(c.id, c.created_at_ms, *key)
        .where(c.organization_id == organization_id, c.id > after)
        .order_by(c.id)
        .limit(BATCH_ROWS)
    )
    old = [row for row in tx.execute(oldest) if row.created_at_ms < now_ms - days * DAY_MS]
    if not old:
        return Swept(0, None)
    tx.execute(delete(table).where(c.organization_id == organization_id, tuple_(*key).in_([row[2:] for row in old])))
    if table is messages:
        threads, until_ms = sorted({row.thread_id for row in old}), max(row.created_at_ms for row in old)
        while delivery_texts.empty(tx, organization_id, threads, until_ms=until_ms, limit=BATCH_ROWS):
            pass
        _delete_traces(tx, organization_id, [row.id for row in old], threads, now_ms - days * DAY_MS)
    return Swept(len(old), old[-1].id if len(old) == BATCH_ROWS else None)


def _delete_traces(
    tx: Connection, organization_id: int, message_ids: list[int], thread_ids: list[int], before_ms: int
) -> None:
    """How messages reached somebody goes with them, and so do the mails that they came by, and those that are sent."""
    for table in (message_deliveries, mail_details):
        tx.execute(delete(table).where(table.c.organization_id == organization_id, table.c.message_id.in_(message_ids)))
    d = dispatches.c
    settled = (d.state != "waiting", d.created_at_ms < before_ms)
    # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
    tx.execute(
        delete(dispatches).where(d.organization_id + 0 == organization_id, d.thread_id.in_(thread_ids), *settled)
    )
    o, m = thread_outreach.c, messages.c
    mail_is_left = exists().where(
        m.organization_id == o.organization_id, m.thread_id == o.thread_id, m.channel == "EMAIL", m.from_customer
    )
    of_threads = (o.organization_id == organization_id, o.thread_id.in_(thread_ids))
    mailed = or_(o.mail_subject.is_not(None), o.mail_header_id.is_not(None))
    # Last, and in the order in which everybody locks them.
    over = select(o.thread_id).where(*of_threads, mailed, ~mail_is_left).order_by(o.thread_id).with_for_update()
    these = (o.organization_id == organization_id, o.thread_id.in_(tx.scalars(over).all()))
    tx.execute(update(thread_outreach).where(*these).values(mail_subject=None, mail_header_id=None))


async def _empty_comments(database: Database, organization_id: int, before_ms: int) -> None:
    """What customers added to their scores; the scores stay."""
    # Looked for apart: on SQLite everybody else who writes would wait meanwhile.
    while ids := await database.read(_find_comments, organization_id, before_ms):
        if not await database.write(_empty_surveys, organization_id, ids):
            return
        await asyncio.sleep(PAUSE_S)


def _find_comments(tx: Connection, organization_id: int, before_ms: int) -> list[int]:
    c = surveys.c
    of_organization = (c.organization_id == organization_id, c.answered_at_ms < before_ms, c.comment.is_not(None))
    return list(tx.scalars(select(c.id).where(*of_organization).order_by(c.id).limit(BATCH_ROWS)))


def _empty_surveys(tx: Connection, organization_id: int, ids: list[int]) -> bool:
    if not take_turn(tx, _JOB):
        return False
    c = surveys.c
    tx.execute(update(surveys).where(c.organization_id == organization_id, c.id.in_(ids)).values(comment=None))
    return True


def sweep_events(tx: Connection, organization_id: int, days: int, after: int, *, now_ms: int) -> Swept:
    """Delete an organization's oldest events, at most 500; not those that a delivery still waits for, nor those by
    which nobody has decided yet whether a mail or a text must be sent.

    Args:
        tx: the transaction.
        organization_id: whose events.
        days: how many days of them are kept.
        after: 0, or where the batch before ended.
        now_ms: the time in Unix ms.
    """
    if not take_turn(tx, _JOB):
        return Swept(0, None)
    c = events.c
    oldest = (
        select(c.position, c.created_at_ms)
        .where(c.organization_id == organization_id, c.position > after)
        .order_by(c.position)
        .limit(BATCH_ROWS)
    )
    old = [position for position, created_at_ms in tx.execute(oldest) if created_at_ms < now_ms - days * DAY_MS]
    if not old:
        return Swept(0, None)
    d = deliveries.c
    waiting = select(d.position).where(
        d.organization_id == organization_id,
        d.webhook_id.in_(select(webhooks.c.id).where(webhooks.c.organization_id == organization_id)),
        d.position.in_(old),
        d.state == "waiting",
    )
    u = outreach_cursors.c
    decided = tx.scalar(select(u.position).where(u.organization_id == organization_id)) or 0
    gone = sorted(position for position in {*old} - set(tx.scalars(waiting)) if position <= decided)
    if gone:
        tx.execute(delete(events).where(c.organization_id == organization_id, c.position.in_(gone)))
    return Swept(len(gone), old[-1] if len(old) == BATCH_ROWS else None)
