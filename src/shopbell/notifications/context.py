"""Read the input of decisions: new events, and the state of their threads."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
from sqlalchemy import Connection, Row, and_, func, or_, select

from shopbell.customers import canonical
from shopbell.customers.opt_outs import OptOuts
from shopbell.db.schema.core import businesses, messages, threads
from shopbell.db.schema.customers import notification_state, surveys
from shopbell.db.schema.webhooks import events
from shopbell.events import feed
from shopbell.events.record import InThread
from shopbell.notifications import delivery_status
from shopbell.notifications.policy import Business, Context, Event, Said, Turned
from shopbell.notifications.recipients import read_readers
from shopbell.organizations.opening_hours import OpeningHours

BATCH_EVENTS = 32
SCAN_POSITIONS = 5_000
"""How many positions of a feed one batch covers."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A section of a feed.

    Args:
        organization_id: the organization.
        begin: the position before the section.
        end: the last position of the section.
        news: the events of each thread, in order.
    """

    organization_id: int
    begin: int
    end: int
    news: Mapping[int, Sequence[Event]]


@dataclass(frozen=True, slots=True)
class KnownThread:
    """A thread of a batch, with everything that decisions and writes need."""

    thread: InThread
    context: Context
    customer_id: int
    locale: str | None
    business: Row[Any]


def read_batch(tx: Connection, organization_id: int, begin: int) -> Batch:
    """Read the next section of a feed, but only events that may matter.

    Args:
        tx: the transaction.
        organization_id: the organization.
        begin: the last position that is decided.
    """
    end = min(feed.last_position(tx, organization_id), begin + SCAN_POSITIONS)
    e, m, b = events.c, messages.c, businesses.c
    # Thousands of messages per second arrive by the widget route, and most need no notification.
    asks_for_more = or_(
        e.thread_sequence == 1,
        and_(b.tells_store, b.email.is_not(None)),
        and_(b.auto_replies, b.opening_hours.is_not(None)),
    )
    query = (
        select(e.position, e.type, e.thread_id, e.details, e.created_at_ms, m.id, m.sequence, m.from_customer)
        .add_columns(m.channel, m.content_sid, m.created_at_ms.label("said_at_ms"))
        .outerjoin(
            messages,
            and_(
                m.organization_id == e.organization_id,
                m.thread_id == e.thread_id,
                m.sequence == e.thread_sequence,
                m.id == e.message_id,
            ),
        )
        .outerjoin(businesses, and_(b.organization_id == e.organization_id, b.id == e.business_id))
        .where(
            e.organization_id == organization_id,
            e.position > begin,
            e.position <= end,
            or_(
                e.type == "status",
                and_(
                    e.type == "message",
                    m.id.is_not(None),
                    ~m.internal,
                    or_(~m.from_customer, asks_for_more),
                ),
            ),
        )
        .order_by(e.position)
        .limit(BATCH_EVENTS)
    )
    rows = tx.execute(query).all()
    if len(rows) == BATCH_EVENTS:
        end = rows[-1].position
    news: dict[int, list[Event]] = {}
    for row in rows:
        one: Event
        if row.type == "status":
            one = Turned(orjson.loads(row.details or "{}").get("status", ""), row.created_at_ms)
        else:
            is_template = row.content_sid is not None
            one = Said(row.id, row.sequence, row.said_at_ms, row.from_customer, row.channel, is_template)
        news.setdefault(row.thread_id, []).append(one)
    return Batch(organization_id, begin, end, news)


def read_known_threads(
    tx: Connection, organization_id: int, thread_ids: Collection[int], opt_outs: OptOuts, *, caller: str | None = None
) -> dict[int, KnownThread]:
    """Read the state of threads.

    Args:
        tx: the transaction.
        organization_id: the organization.
        thread_ids: the threads.
        opt_outs: finds customers who want no more messages.
        caller: the number, in E.164, from which the customer calls now; it replaces the number that they last wrote
            from.
    """
    ids = sorted(thread_ids)
    t, o = threads.c, notification_state.c
    rows = tx.execute(select(threads).where(t.organization_id == organization_id, t.id.in_(ids))).all()
    states = {
        row.thread_id: row
        for row in tx.execute(
            select(notification_state).where(o.organization_id == organization_id, o.thread_id.in_(ids))
        )
    }
    read = delivery_status.read_sequences(tx, organization_id, ids)
    owners = canonical.canonical_ids(tx, organization_id, {row.customer_id for row in rows})
    readers = read_readers(tx, organization_id, rows, owners, opt_outs, caller=caller)
    found = _businesses(tx, organization_id, {row.business_id for row in rows})
    resolved = {owners[row.customer_id] for row in rows if row.status == "resolved"}
    asked = _last_asked(tx, organization_id, resolved)
    known: dict[int, KnownThread] = {}
    for row in rows:
        customer, reader = readers[row.id]
        business_row, business = found[row.business_id]
        state = states.get(row.id)
        known[row.id] = KnownThread(
            thread=InThread(row.id, row.customer_id, row.business_id, row.last_sequence),
            context=Context(
                thread_id=row.id,
                channel=row.channel,
                status=row.status,
                last_reply_sequence=row.last_reply_sequence,
                read_sequence=read.get(row.id, 0),
                reader=reader,
                business=business,
                notified_sequence=state.store_notified_sequence if state else None,
                is_invited=state is not None and state.invited_at_ms is not None,
                auto_replied_period=state.auto_replied_period if state else None,
                last_asked_ms=asked.get(customer.id),
            ),
            customer_id=customer.id,
            locale=customer.locale,
            business=business_row,
        )
    return known


def _businesses(tx: Connection, organization_id: int, business_ids: set[int]) -> dict[int, tuple[Row[Any], Business]]:
    c = businesses.c
    query = select(businesses).where(c.organization_id == organization_id, c.id.in_(sorted(business_ids)))
    return {row.id: (row, business_of(row)) for row in tx.execute(query)}


def business_of(row: Row[Any]) -> Business:
    """Read a business as decisions need it."""
    hours = None
    if row.auto_replies and row.opening_hours:
        hours = OpeningHours.from_json(orjson.loads(row.opening_hours), row.time_zone)
    is_told = row.tells_store and row.deactivated_at_ms is None
    return Business(
        email=row.email if is_told else None,
        lacks_email=is_told and row.email is None,
        invites=row.invites_customers,
        hours=hours,
        survey=cast("Any", row.survey),
    )


def _last_asked(tx: Connection, organization_id: int, customer_ids: set[int]) -> dict[int, int]:
    if not customer_ids:
        return {}
    c = surveys.c
    query = (
        select(c.customer_id, func.max(c.asked_at_ms).label("asked_ms"))
        .where(c.organization_id + 0 == organization_id, c.customer_id.in_(sorted(customer_ids)))
        .group_by(c.customer_id)
    )
    return {row.customer_id: row.asked_ms for row in tx.execute(query)}
