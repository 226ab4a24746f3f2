"""List threads, read the messages of one, and set the status of threads."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, FromClause, Select, select, update

from shopbell.customers import canonical, customers
from shopbell.db.businesses import Businesses, is_among
from shopbell.db.schema.core import assignments, messages, threads
from shopbell.errors import CommandError, NotFound
from shopbell.events import record
from shopbell.events.actors import Actor
from shopbell.runtime import clock

Status = Literal["waiting", "replied", "resolved"]

_WAY = threads.alias("way")


@dataclass(frozen=True, slots=True)
class Thread:
    """The conversation of one customer with one business. Times are Unix ms."""

    organization_id: int
    id: int
    customer_id: int
    business_id: int
    channel: str
    status: str
    last_sequence: int
    created_at_ms: int
    updated_at_ms: int
    last_reply_sequence: int
    last_reply_author_id: int | None
    last_other_reply_sequence: int
    last_customer_message_at_ms: int | None
    merge_id: int | None
    last_email: str | None = field(repr=False)
    last_phone: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """A thread with data of other tables.

    Args:
        thread: the thread.
        customer_id: the customer of the thread, after merges.
        assignee_id: the assigned employee, if any.
        last_by_whatsapp_ms: when the customer last wrote by WhatsApp, in Unix ms; only for threads whose channel is
            WhatsApp.
    """

    thread: Thread
    customer_id: int
    assignee_id: int | None
    last_by_whatsapp_ms: int | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filters of a list of threads; None means any.

    Args:
        business_id: with this business.
        customer_id: of this customer, including customers who were merged into them.
        assignee_id: assigned to this employee.
        status: ``waiting``, ``replied`` or ``resolved``.
        channel: ``WEB``, ``EMAIL``, ``SMS`` or ``WHATSAPP``.
        updated_since_ms: changed at this time or later, in Unix ms.
        businesses: with one of these.
    """

    business_id: int | None = None
    customer_id: int | None = None
    assignee_id: int | None = None
    status: str | None = None
    channel: str | None = None
    updated_since_ms: int | None = None
    businesses: Businesses = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a thread; ``sequence`` counts from 1 without gaps.

    Times are Unix ms.
    """

    id: int
    sequence: int
    body: str
    from_customer: bool
    internal: bool
    created_at_ms: int
    employee_id: int | None
    content_sid: str | None
    external_id: str | None
    attachment_id: int | None
    channel: str | None


def get(tx: Connection, thread_id: int) -> Thread:
    """Find a thread by id, in all organizations.

    Raises:
        CommandError: there is none.
    """
    row = tx.execute(select(threads).where(threads.c.id == thread_id)).mappings().first()
    if row is None:
        raise CommandError(f"there is no thread {thread_id}; `shopbell threads list` shows them")
    return Thread(**row)


def lock(tx: Connection, organization_id: int, thread_id: int) -> Thread:
    """Lock the row of the organization's thread with this id.

    Raises:
        NotFound: there is none, or it has no message.
    """
    c = threads.c
    query = select(threads).where(c.organization_id == organization_id, c.id == thread_id, c.last_sequence > 0)
    row = tx.execute(query.with_for_update()).mappings().first()
    if row is None:
        raise NotFound("customerThreadId")
    return Thread(**row)


def check_within(
    tx: Connection, organization_id: int, thread_id: int, businesses: Businesses, *, field: str = "customerThreadId"
) -> None:
    """Check that a thread is with one of these businesses.

    Args:
        field: the field or parameter that names it, for the error.

    Raises:
        NotFound: 404; it is with another business, or does not exist.
    """
    c = threads.c
    query = select(c.id).where(c.organization_id == organization_id, c.id == thread_id, c.last_sequence > 0)
    if tx.execute(query.where(is_among(c.business_id, businesses))).first() is None:
        raise NotFound(field)


def update_status(tx: Connection, organization_id: int, thread_id: int, status: str, *, actor: Actor) -> None:
    """Set the status of a thread by hand.

    The customer's next message sets it to ``waiting``.

    Args:
        tx: the transaction.
        organization_id: the organization.
        thread_id: the thread.
        status: ``waiting``, ``replied`` or ``resolved``.
        actor: who sets it.

    Raises:
        NotFound: there is no such thread.
    """
    thread = lock(tx, organization_id, thread_id)
    if thread.status == status:
        return
    now_ms = clock.now_ms()
    change(tx, thread, status=status, updated_at_ms=now_ms)
    details = {"status": status, "before": thread.status}
    record.record(tx, organization_id, "status", actor=actor, now_ms=now_ms, thread=in_thread(thread), details=details)


def in_thread(thread: Thread) -> record.InThread:
    """A thread as events need it."""
    return record.InThread(thread.id, thread.customer_id, thread.business_id, thread.last_sequence)


def change(tx: Connection, thread: Thread, **columns: object) -> None:
    """Set columns of a thread whose row the transaction has locked."""
    c = threads.c
    tx.execute(update(threads).where(c.organization_id == thread.organization_id, c.id == thread.id).values(**columns))


def find(tx: Connection, organization_id: int, thread_id: int, *, field: str = "customerThreadId") -> Seen:
    """Find the organization's thread with this id.

    Args:
        tx: the transaction.
        organization_id: the organization.
        thread_id: the thread.
        field: the field or parameter that names it, for the error.

    Raises:
        NotFound: there is none, or it has no message.
    """
    seen = _seen(tx, organization_id, _select(organization_id).where(threads.c.id == thread_id))
    if not seen:
        raise NotFound(field)
    return seen[0]


def find_page(
    tx: Connection, organization_id: int, wanted: Wanted, *, before_id: int | None = None, limit: int
) -> list[Seen]:
    """List threads of an organization, newest first.

    Args:
        tx: the transaction.
        organization_id: the organization.
        wanted: the filters.
        before_id: only threads with a smaller id.
        limit: most threads.
    """
    c = threads.c
    # The index is forced: SQLite would rather read all threads of the organization than use another one.
    query, place = _select(organization_id), c.id
    if wanted.assignee_id is not None:
        place = assignments.c.thread_id
    elif wanted.customer_id is None and wanted.status is not None:
        query, place = _by_index(organization_id, _WAY.c.status == wanted.status), _WAY.c.id
    elif wanted.customer_id is None and wanted.business_id is not None:
        query, place = _by_index(organization_id, _WAY.c.business_id == wanted.business_id), _WAY.c.id
    elif wanted.customer_id is None and wanted.businesses is not None:
        query, place = _by_index(organization_id, is_among(_WAY.c.business_id, wanted.businesses)), _WAY.c.id
    query = query.order_by(place.desc()).limit(limit)
    if before_id is not None:
        query = query.where(place < before_id)
    if wanted.customer_id is not None:
        family = canonical.merged_ids(tx, organization_id, wanted.customer_id)
        ids = [row.id for row in customers.threads_of(tx, organization_id, family)]
        query = query.where(c.id.in_(ids))
    if wanted.updated_since_ms is not None:
        query = query.where(c.updated_at_ms >= wanted.updated_since_ms)
    query = query.where(is_among(c.business_id, wanted.businesses))
    exact = (
        (c.business_id, wanted.business_id),
        (assignments.c.employee_id, wanted.assignee_id),
        (c.status, wanted.status),
        (c.channel, wanted.channel),
    )
    for column, value in exact:
        if value is not None:
            query = query.where(column == value)
    return _seen(tx, organization_id, query)


def _select(organization_id: int, source: FromClause = threads) -> Select[Any]:
    c = threads.c
    assigned = (assignments.c.organization_id == c.organization_id) & (assignments.c.thread_id == c.id)
    return (
        select(threads, assignments.c.employee_id)
        .select_from(source.outerjoin(assignments, assigned))
        .where(c.organization_id == organization_id, c.last_sequence > 0)
    )


def _by_index(organization_id: int, wanted: ColumnElement[bool]) -> Select[Any]:
    """The threads that an index finds, in the order of their ids.

    Only the index is read to find them.
    """
    same = (_WAY.c.organization_id == threads.c.organization_id) & (_WAY.c.id == threads.c.id)
    return _select(organization_id, _WAY.join(threads, same)).where(_WAY.c.organization_id == organization_id, wanted)


def _seen(tx: Connection, organization_id: int, query: Select[Any]) -> list[Seen]:
    found = [dict(row) for row in tx.execute(query).mappings()]
    owners = canonical.canonical_ids(tx, organization_id, {row["customer_id"] for row in found})
    there = [row["id"] for row in found if row["channel"] == "WHATSAPP"]
    heard = last_by_whatsapp_ms(tx, organization_id, there) if there else {}
    return [
        Seen(
            assignee_id=row.pop("employee_id"),
            customer_id=owners[row["customer_id"]],
            last_by_whatsapp_ms=heard.get(row["id"]),
            thread=Thread(**row),
        )
        for row in found
    ]


def last_by_whatsapp_ms(tx: Connection, organization_id: int, thread_ids: Collection[int]) -> dict[int, int | None]:
    """When the customers of threads last wrote by WhatsApp, in Unix ms.

    Args:
        tx: the transaction.
        organization_id: the organization.
        thread_ids: threads of it.
    """
    t, m = threads.c, messages.c
    last = (
        select(m.created_at_ms)
        .where(m.organization_id == t.organization_id, m.thread_id == t.id, m.channel == "WHATSAPP", m.from_customer)
        .order_by(m.sequence.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(t.id, last).where(t.organization_id == organization_id, t.id.in_(thread_ids))
    return {row.id: row[1] for row in tx.execute(query)}


def find_all(
    tx: Connection,
    *,
    organization_id: int | None = None,
    business_id: int | None = None,
    customer_id: int | None = None,
    status: str | None = None,
    limit: int | None = None,
) -> list[Thread]:
    """List threads, last changed first.

    Args:
        tx: the transaction.
        organization_id: only of this organization.
        business_id: only with this business.
        customer_id: only of this customer.
        status: only ``waiting``, ``replied`` or ``resolved``.
        limit: most threads; None for all.
    """
    c = threads.c
    query = select(threads).order_by(c.updated_at_ms.desc(), c.id.desc()).limit(limit)
    wanted = (
        (c.organization_id, organization_id),
        (c.business_id, business_id),
        (c.customer_id, customer_id),
        (c.status, status),
    )
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    return [Thread(**row) for row in tx.execute(query).mappings()]


def history(tx: Connection, thread: Thread, *, after_sequence: int = 0, limit: int | None = None) -> list[Message]:
    """List the messages of a thread in order.

    Args:
        tx: the transaction.
        thread: the thread.
        after_sequence: only messages after this place.
        limit: most messages; None for all.
    """
    c = messages.c
    query = _history(thread).where(c.sequence > after_sequence).order_by(c.sequence).limit(limit)
    return [Message(*row) for row in tx.execute(query)]


def history_before(
    tx: Connection, thread: Thread, before_sequence: int, *, after_sequence: int = 0, limit: int
) -> list[Message]:
    """List the last messages of a thread before a place, in order.

    Args:
        before_sequence: only messages before this place.
        after_sequence: only messages after this place.
        limit: the maximum number of messages.
    """
    c = messages.c
    query = _history(thread).where(c.sequence > after_sequence, c.sequence < before_sequence)
    return [Message(*row) for row in tx.execute(query.order_by(c.sequence.desc()).limit(limit))][::-1]


def _history(thread: Thread) -> Select[Any]:
    c = messages.c
    columns = [c[name] for name in Message.__dataclass_fields__]
    return select(*columns).where(c.organization_id == thread.organization_id, c.thread_id == thread.id)
