"""Reads what decisions are made of: the news of an organization's feed, and how the threads in it stand."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
from sqlalchemy import Connection, Row, and_, func, or_, select

from shopbell import customers
from shopbell.events import InThread
from shopbell.hours import OpeningHours
from shopbell.opt_outs import OptOuts
from shopbell.outreach import deliveries
from shopbell.outreach.decisions import Facts, News, Said, Store, Turned
from shopbell.outreach.readers import read_readers
from shopbell.storage.customer_schema import surveys, thread_outreach
from shopbell.storage.delivery_schema import events, feeds
from shopbell.storage.schema import businesses, messages, threads

BATCH_EVENTS = 32
SCAN_POSITIONS = 5_000
"""How many positions one batch looks through for what matters."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A piece of a feed.

    Args:
        organization_id: whose.
        begin: the position that it follows.
        end: up to where it goes.
        news: what has happened in which thread, in its order.
    """

    organization_id: int
    begin: int
    end: int
    news: Mapping[int, Sequence[News]]


@dataclass(frozen=True, slots=True)
class Known:
    """A thread of a batch, with all that is needed to decide and to write."""

    thread: InThread
    facts: Facts
    customer_id: int
    locale: str | None
    business: Row[Any]


def read_batch(tx: Connection, organization_id: int, begin: int) -> Batch:
    """The next piece of an organization's feed, of which only what may matter is read.

    Args:
        tx: the transaction.
        organization_id: whose feed.
        begin: up to where it has been decided.
    """
    last = tx.scalar(select(feeds.c.last_position).where(feeds.c.organization_id == organization_id)) or 0
    end = min(last, begin + SCAN_POSITIONS)
    e, m, b = events.c, messages.c, businesses.c
    # Thousands of messages a second come by the widget route, most of them of customers whom nothing needs to be said.
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
    news: dict[int, list[News]] = {}
    for row in rows:
        one: News
        if row.type == "status":
            one = Turned(orjson.loads(row.details or "{}").get("status", ""), row.created_at_ms)
        else:
            is_template = row.content_sid is not None
            one = Said(row.id, row.sequence, row.said_at_ms, row.from_customer, row.channel, is_template)
        news.setdefault(row.thread_id, []).append(one)
    return Batch(organization_id, begin, end, news)


def read_facts(
    tx: Connection, organization_id: int, thread_ids: Collection[int], opt_outs: OptOuts, *, caller: str | None = None
) -> dict[int, Known]:
    """How threads stand.

    Args:
        tx: the transaction.
        organization_id: whose threads.
        thread_ids: which.
        opt_outs: knows who wants nothing more.
        caller: the number, in E.164, from which the customer calls now: it counts instead of the one they last wrote
            from.
    """
    ids = sorted(thread_ids)
    t, o = threads.c, thread_outreach.c
    rows = tx.execute(select(threads).where(t.organization_id == organization_id, t.id.in_(ids))).all()
    told = {
        row.thread_id: row
        for row in tx.execute(select(thread_outreach).where(o.organization_id == organization_id, o.thread_id.in_(ids)))
    }
    read = deliveries.read_sequences(tx, organization_id, ids)
    owners = customers.owners(tx, organization_id, {row.customer_id for row in rows})
    readers = read_readers(tx, organization_id, rows, owners, opt_outs, caller=caller)
    stores = _stores(tx, organization_id, {row.business_id for row in rows})
    resolved = {owners[row.customer_id] for row in rows if row.status == "resolved"}
    asked = _last_asked(tx, organization_id, resolved)
    known: dict[int, Known] = {}
    for row in rows:
        customer, reader = readers[row.id]
        business, store = stores[row.business_id]
        said = told.get(row.id)
        known[row.id] = Known(
            thread=InThread(row.id, row.customer_id, row.business_id, row.last_sequence),
            facts=Facts(
                thread_id=row.id,
                channel=row.channel,
                status=row.status,
                last_reply_sequence=row.last_reply_sequence,
                read_sequence=read.get(row.id, 0),
                reader=reader,
                store=store,
                told_sequence=said.store_told_sequence if said else None,
                is_invited=said is not None and said.invited_at_ms is not None,
                auto_replied_period=said.auto_replied_period if said else None,
                last_asked_ms=asked.get(customer.id),
            ),
            customer_id=customer.id,
            locale=customer.locale,
            business=business,
        )
    return known


def _stores(tx: Connection, organization_id: int, business_ids: set[int]) -> dict[int, tuple[Row[Any], Store]]:
    c = businesses.c
    query = select(businesses).where(c.organization_id == organization_id, c.id.in_(sorted(business_ids)))
    return {row.id: (row, store_of(row)) for row in tx.execute(query)}


def store_of(row: Row[Any]) -> Store:
    """A business's row as decisions take it."""
    hours = None
    if row.auto_replies and row.opening_hours:
        hours = OpeningHours.from_json(orjson.loads(row.opening_hours), row.time_zone)
    is_told = row.tells_store and row.deactivated_at_ms is None
    return Store(
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
