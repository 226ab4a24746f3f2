"""A conversation as its customer sees it: without notes, and employees by their first names."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Connection, Integer, and_, bindparam, case, false, func, select

from shopbell import attachments
from shopbell.attachments import Attachment
from shopbell.storage.customer_schema import surveys, thread_reads
from shopbell.storage.schema import businesses, employees, messages, threads

UNREAD_AMONG = 1_000
"""Of so many messages at the end of a conversation those are counted that the customer has not read."""


@dataclass(frozen=True, slots=True, repr=False)
class Line:
    """A message that the customer sees. ``author``: the first name of the employee who wrote it, where one did; times
    are Unix ms."""

    id: int
    sequence: int
    text: str
    from_customer: bool
    author: str | None
    channel: str
    attachment: Attachment | None
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class State:
    """How a thread stands; ``…_sequence`` are places of messages, 0 for none; ``survey_…``: the question that the
    customer was asked last and has not answered."""

    thread_id: int
    business_id: int
    status: str
    last_sequence: int
    read_by_store_sequence: int
    read_by_customer_sequence: int
    survey_id: int | None = None
    survey_kind: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A conversation as a list shows it to its customer. ``last_sequence`` and ``last_message_at_ms`` (Unix ms): of the
    last message that he sees; 0 and None where none is left; ``unread_count``: the store's messages after the last one
    that he has read."""

    thread_id: int
    business_id: int
    business_name: str
    status: str
    last_sequence: int
    last_message_at_ms: int | None
    unread_count: int


# Each stream asks these at each piece of news: built once, they cost half.
_m, _t, _r, _s = messages.c, threads.c, thread_reads.c, surveys.c
_ORGANIZATION, _THREAD = bindparam("organization_id", type_=BigInteger), bindparam("thread_id", type_=BigInteger)
_LINES = (
    select(
        *(_m.id, _m.sequence, _m.body, _m.from_customer, _m.channel, _m.attachment_id, _m.created_at_ms),
        employees.c.name.label("employee_name"),
    )
    .outerjoin(employees, and_(employees.c.organization_id == _m.organization_id, employees.c.id == _m.employee_id))
    .where(
        *(_m.organization_id == _ORGANIZATION, _m.thread_id == _THREAD, _m.sequence > bindparam("after_sequence")),
        _m.internal == false(),
    )
    .order_by(_m.sequence)
)
_SOME_LINES = _LINES.limit(bindparam("limit", type_=Integer))
_LAST_LINES = _SOME_LINES.order_by(None).order_by(_m.sequence.desc())
_LAST_SURVEY = (
    select(_s.id, _s.kind, _s.answered_at_ms)
    # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
    .where(_s.organization_id + 0 == _ORGANIZATION, _s.thread_id == _THREAD)
    .order_by(_s.id.desc())
    .limit(1)
)
_STATE = (
    select(_t.id, _t.business_id, _t.status, _t.last_sequence, _r.store_sequence, _r.customer_sequence)
    .outerjoin(thread_reads, and_(_r.organization_id == _t.organization_id, _r.thread_id == _t.id))
    .where(_t.organization_id == _ORGANIZATION, _t.id == _THREAD)
)


def lines(
    tx: Connection, organization_id: int, thread_id: int, *, after_sequence: int = 0, limit: int | None = None
) -> list[Line]:
    """What a customer sees of a thread, in its order.

    Args:
        tx: the transaction.
        organization_id: whose thread.
        thread_id: the thread.
        after_sequence: from the one after this on.
        limit: how many at most; None for all.
    """
    where = {"organization_id": organization_id, "thread_id": thread_id, "after_sequence": after_sequence}
    found = tx.execute(_LINES, where) if limit is None else tx.execute(_SOME_LINES, {**where, "limit": limit})
    return _lines(tx, organization_id, found.all())


def last_lines(tx: Connection, organization_id: int, thread_id: int, *, limit: int) -> list[Line]:
    """The end of what a customer sees of a thread, in its order.

    Args:
        tx: the transaction.
        organization_id: whose thread.
        thread_id: the thread.
        limit: how many at most.
    """
    where = {"organization_id": organization_id, "thread_id": thread_id, "after_sequence": 0, "limit": limit}
    return _lines(tx, organization_id, tx.execute(_LAST_LINES, where).all()[::-1])


def _lines(tx: Connection, organization_id: int, rows: Sequence[Any]) -> list[Line]:
    carried = [row.attachment_id for row in rows if row.attachment_id is not None]
    files = attachments.find(tx, organization_id, carried) if carried else {}
    return [
        Line(
            id=row.id,
            sequence=row.sequence,
            text=row.body,
            from_customer=row.from_customer,
            author=_first_name(row.employee_name),
            channel=row.channel or "WEB",
            attachment=files.get(row.attachment_id),
            created_at_ms=row.created_at_ms,
        )
        for row in rows
    ]


def state(tx: Connection, organization_id: int, thread_id: int) -> State | None:
    """How a thread stands; None where there is none."""
    row = tx.execute(_STATE, {"organization_id": organization_id, "thread_id": thread_id}).first()
    if row is None:
        return None
    survey = _open_survey(tx, organization_id, thread_id)
    return State(
        thread_id=row.id,
        business_id=row.business_id,
        status=row.status,
        last_sequence=row.last_sequence,
        read_by_store_sequence=row.store_sequence or 0,
        read_by_customer_sequence=row.customer_sequence or 0,
        survey_id=survey.id if survey else None,
        survey_kind=survey.kind if survey else None,
    )


def summaries(
    tx: Connection, organization_id: int, thread_ids: Collection[int], *, before_id: int | None = None, limit: int
) -> list[Summary]:
    """Conversations of a customer, the newest first; one that nobody has seen is none.

    Args:
        tx: the transaction.
        organization_id: whose threads.
        thread_ids: those that the customer may see.
        before_id: only threads with a smaller id.
        limit: how many at most.
    """
    seen = and_(_m.organization_id == _t.organization_id, _m.thread_id == _t.id, _m.internal == false())
    place, at_ms = (
        select(of_last).where(seen).order_by(_m.sequence.desc()).limit(1).scalar_subquery()
        for of_last in (_m.sequence, _m.created_at_ms)
    )
    read, oldest = func.coalesce(_r.customer_sequence, 0), _t.last_sequence - UNREAD_AMONG
    after = case((read > oldest, read), else_=oldest)
    unread = select(func.count()).where(seen, _m.sequence > after, _m.from_customer == false()).scalar_subquery()
    query = (
        select(_t.id, _t.business_id, businesses.c.name, _t.status, func.coalesce(place, 0), at_ms, unread)
        .join(businesses, and_(businesses.c.organization_id == _t.organization_id, businesses.c.id == _t.business_id))
        .outerjoin(thread_reads, and_(_r.organization_id == _t.organization_id, _r.thread_id == _t.id))
        .where(_t.organization_id == organization_id, _t.id.in_(thread_ids), _t.last_sequence > 0)
        .order_by(_t.id.desc())
        .limit(limit)
    )
    if before_id is not None:
        query = query.where(_t.id < before_id)
    return [Summary(*row) for row in tx.execute(query)]


def _open_survey(tx: Connection, organization_id: int, thread_id: int) -> Any:
    """The question that was asked last in a thread, unless it is answered."""
    row = tx.execute(_LAST_SURVEY, {"organization_id": organization_id, "thread_id": thread_id}).first()
    return None if row is None or row.answered_at_ms is not None else row


def _first_name(name: str | None) -> str | None:
    return name.split()[0] if name and name.split() else None
