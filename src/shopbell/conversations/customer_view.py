"""Show conversations to customers, without notes and employees' last names."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Connection, Integer, and_, bindparam, case, false, func, select

from shopbell.attachments import attachments
from shopbell.attachments.attachments import Attachment
from shopbell.db.json_rows import json_rows
from shopbell.db.schema.core import businesses, employees, messages, threads
from shopbell.db.schema.customers import surveys, thread_reads

Place = tuple[int, int]
"""A thread, and the sequence of one of its messages; 0 for its beginning."""

UNREAD_AMONG = 1_000
"""Unread messages are counted among so many at the end of a conversation."""


@dataclass(frozen=True, slots=True, repr=False)
class Line:
    """A message that the customer sees. Times are Unix ms.

    ``author`` is the first name of the employee who wrote it, if one did.
    """

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
    """The state of a thread.

    ``…_sequence`` are places of messages, 0 for none. ``survey_…`` is the last survey that is not answered.
    """

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
    """A conversation in the customer's list.

    ``last_sequence`` and ``last_message_at_ms`` (Unix ms) are those of the last visible message, 0 and None if there is
    none. ``unread_count`` counts the store's messages that the customer has not read.
    """

    thread_id: int
    business_id: int
    business_name: str
    status: str
    last_sequence: int
    last_message_at_ms: int | None
    unread_count: int


# Each stream runs these after each event. Building them once halves their cost.
_m, _t, _r, _s = messages.c, threads.c, thread_reads.c, surveys.c
_ORGANIZATION, _THREAD = bindparam("organization_id", type_=BigInteger), bindparam("thread_id", type_=BigInteger)
_THREADS = bindparam("thread_ids", type_=BigInteger, expanding=True)
_SEQUENCE_MAX = 2**31 - 1
_SEEN = (
    select(
        *(_m.id, _m.sequence, _m.body, _m.from_customer, _m.channel, _m.attachment_id, _m.created_at_ms, _m.thread_id),
        employees.c.name.label("employee_name"),
    )
    .outerjoin(employees, and_(employees.c.organization_id == _m.organization_id, employees.c.id == _m.employee_id))
    .where(_m.internal == false())
    .order_by(_m.sequence)
)
_LINES = _SEEN.where(
    _m.organization_id == _ORGANIZATION, _m.thread_id == _THREAD, _m.sequence > bindparam("after_sequence")
)
_SOME_LINES = _LINES.limit(bindparam("limit", type_=Integer))
_LAST_LINES = _SOME_LINES.order_by(None).order_by(_m.sequence.desc())
# With the organization in each row, SQLite begins with the places. Otherwise it reads all messages of the organization.
_PLACES = select(*json_rows("places", [_m.organization_id, _m.thread_id, _m.sequence])).subquery("places")
_organization, _thread, _after = _PLACES.c
_later = messages.alias("later").c
# The last line of each page, so that a long thread is not read to its end.
_PAGE_END = (
    select(_later.sequence)
    .where(_later.organization_id == _organization, _later.thread_id == _thread, _later.sequence > _after)
    .where(_later.internal == false())
    .order_by(_later.sequence)
    .offset(bindparam("limit", type_=Integer) - 1)
    .limit(1)
    .scalar_subquery()
)
_PAGES = _SEEN.add_columns(_after.label("after_sequence")).join(
    _PLACES,
    and_(
        *(_m.organization_id == _organization, _m.thread_id == _thread, _m.sequence > _after),
        _m.sequence <= func.coalesce(_PAGE_END, _SEQUENCE_MAX),
    ),
)
_LAST_SURVEYS = (
    select(_s.thread_id, _s.id, _s.kind, _s.answered_at_ms)
    # The zero keeps SQLite from using the primary key, which would read all rows of the organization.
    .where(_s.organization_id + 0 == _ORGANIZATION, _s.thread_id.in_(_THREADS))
    .order_by(_s.id)
)
_STATES = (
    select(_t.id, _t.business_id, _t.status, _t.last_sequence, _r.store_sequence, _r.customer_sequence)
    .outerjoin(thread_reads, and_(_r.organization_id == _t.organization_id, _r.thread_id == _t.id))
    .where(_t.organization_id == _ORGANIZATION, _t.id.in_(_THREADS))
)


def lines(
    tx: Connection, organization_id: int, thread_id: int, *, after_sequence: int = 0, limit: int | None = None
) -> list[Line]:
    """The messages of a thread that the customer sees, in order.

    Args:
        tx: the transaction.
        organization_id: the organization.
        thread_id: the thread.
        after_sequence: only messages after this place.
        limit: most messages; None for all.
    """
    where = {"organization_id": organization_id, "thread_id": thread_id, "after_sequence": after_sequence}
    found = tx.execute(_LINES, where) if limit is None else tx.execute(_SOME_LINES, {**where, "limit": limit})
    return _lines(tx, organization_id, found.all())


def last_lines(tx: Connection, organization_id: int, thread_id: int, *, limit: int) -> list[Line]:
    """The last messages of a thread that the customer sees, in order.

    Args:
        tx: the transaction.
        organization_id: the organization.
        thread_id: the thread.
        limit: most messages.
    """
    where = {"organization_id": organization_id, "thread_id": thread_id, "after_sequence": 0, "limit": limit}
    return _lines(tx, organization_id, tx.execute(_LAST_LINES, where).all()[::-1])


def pages(tx: Connection, organization_id: int, places: Collection[Place], *, limit: int) -> dict[Place, list[Line]]:
    """The next messages after each of these places, as ``lines`` gives them.

    Args:
        tx: the transaction.
        organization_id: the organization.
        places: where to begin.
        limit: most messages after each place.
    """
    found: dict[Place, list[Line]] = {place: [] for place in places}
    where = {"places": [(organization_id, *place) for place in found], "limit": limit}
    rows = tx.execute(_PAGES, where).all() if found else []
    for row, line in zip(rows, _lines(tx, organization_id, rows), strict=True):
        found[row.thread_id, row.after_sequence].append(line)
    return found


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
    """The state of a thread; None if it does not exist."""
    return states(tx, organization_id, [thread_id]).get(thread_id)


def states(tx: Connection, organization_id: int, thread_ids: Collection[int]) -> dict[int, State]:
    """The states of those of these threads that exist, by thread."""
    where = {"organization_id": organization_id, "thread_ids": list(thread_ids)}
    rows = tx.execute(_STATES, where).all()
    surveys_of = {row.thread_id: row for row in tx.execute(_LAST_SURVEYS, where)}  # the last one of each thread
    found = {}
    for row in rows:
        survey = surveys_of.get(row.id)
        if survey is not None and survey.answered_at_ms is not None:
            survey = None
        found[row.id] = State(
            thread_id=row.id,
            business_id=row.business_id,
            status=row.status,
            last_sequence=row.last_sequence,
            read_by_store_sequence=row.store_sequence or 0,
            read_by_customer_sequence=row.customer_sequence or 0,
            survey_id=survey.id if survey else None,
            survey_kind=survey.kind if survey else None,
        )
    return found


def summaries(
    tx: Connection, organization_id: int, thread_ids: Collection[int], *, before_id: int | None = None, limit: int
) -> list[Summary]:
    """List conversations of a customer that have messages, newest first.

    Args:
        tx: the transaction.
        organization_id: the organization.
        thread_ids: the threads that the customer may see.
        before_id: only threads with a smaller id.
        limit: most conversations.
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


def _first_name(name: str | None) -> str | None:
    return name.split()[0] if name and name.split() else None
