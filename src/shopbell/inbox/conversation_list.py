"""Read the list of conversations: the pages and the counts of its views."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, Self, cast
from urllib.parse import parse_qsl

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)

from shopbell.customers import canonical, customers
from shopbell.db.businesses import Businesses, is_among
from shopbell.db.schema.inbox import HOUR_MS, RANKS, employee_reads, inbox_threads, mentions
from shopbell.db.schema.inbox_tools import thread_tags
from shopbell.errors import NotFound
from shopbell.inbox import projection, tags
from shopbell.inbox.projection import Touched
from shopbell.organizations import employees

View = Literal["needs-reply", "mine", "unassigned", "mentions", "snoozed", "open", "resolved"]
Sort = Literal["waiting", "recent"]

COUNT_MAX = 1_000
"""The maximum count of a saved view, because it may contain many resolved conversations."""

_NEEDS_REPLY_END, _UNSNOOZED_END, _OPEN_END = RANKS, 2 * RANKS, 3 * RANKS
_RANKS_OF: Mapping[View, tuple[int | None, int | None]] = {
    "needs-reply": (None, _NEEDS_REPLY_END),
    "mine": (None, _UNSNOOZED_END),
    "unassigned": (None, _NEEDS_REPLY_END),
    "snoozed": (_UNSNOOZED_END, _OPEN_END),
    "open": (None, _OPEN_END),
    "resolved": (_OPEN_END, None),
}
"""The first rank of a view, and the first rank after it. Mentions can have any rank."""
_LAST_HOUR = 2**31 - 1

_T = inbox_threads.c
_IS_OPEN: ColumnElement[bool] = _T.status != literal_column("'resolved'")
"""The same condition as that of the index."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads the list.

    Args:
        employee_id: the employee; None for a program, for which nothing is unread or mentioned.
        businesses: the businesses whose conversations they may see.
    """

    employee_id: int | None
    businesses: Businesses = None

    @property
    def is_employee(self) -> bool:
        """Whether the reader is an employee."""
        return self.employee_id is not None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which conversations; None means any.

    Args:
        view: the view.
        business_id: with this business.
        assignee_id: assigned to this employee.
        tag_id: with this tag.
        channel: on this channel.
        thread_ids: only these, in any view.
    """

    view: View = "needs-reply"
    business_id: int | None = None
    assignee_id: int | None = None
    tag_id: int | None = None
    channel: str | None = None
    thread_ids: Collection[int] | None = None

    @classmethod
    def of_query(cls, query: str) -> Self:
        """The filters of a saved view: ``saved_views.check_query`` has checked them."""
        given = dict(parse_qsl(query))
        ids = {name: int(given[name]) if name in given else None for name in ("businessId", "assigneeUserId", "tagId")}
        view = cast("View", given.get("view", "needs-reply"))
        return cls(view, ids["businessId"], ids["assigneeUserId"], ids["tagId"], given.get("channel"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A conversation in the list.

    Times are Unix ms; the fields are those of the table.
    """

    thread_id: int
    business_id: int
    customer_id: int
    customer_name: str | None
    channel: str
    status: str
    assignee_id: int | None
    waiting_since_ms: int | None
    snoozed_until_ms: int | None
    last_at_ms: int
    last_sequence: int
    last_author: str
    preview: str = field(repr=False)
    rank: int
    position: int
    is_unread: bool
    is_mentioned: bool
    tag_ids: Collection[int]

    def place(self, sort: Sort) -> int:
        """The key of the list's order; the id of the thread follows it."""
        return self.rank if sort == "waiting" else self.last_at_ms


@dataclass(frozen=True, slots=True)
class Counts:
    """How many conversations there are.

    Args:
        views: by view. Resolved ones are not counted.
        needs_reply: by business.
    """

    views: Mapping[View, int]
    needs_reply: Mapping[int, int]


def check_reader(tx: Connection, organization_id: int, reader: Reader) -> None:
    """Check that the employee is active.

    Raises:
        NotFound: 404; the organization has no such active employee.
    """
    if reader.employee_id is not None and not employees.is_active(tx, organization_id, reader.employee_id):
        raise NotFound("employeeUserId")


def find_page(
    tx: Connection,
    organization_id: int,
    reader: Reader,
    wanted: Wanted,
    *,
    sort: Sort = "waiting",
    after: tuple[int, int] | None = None,
    limit: int,
) -> list[Entry]:
    """List conversations.

    Args:
        reader: who reads.
        wanted: which ones.
        sort: the longest waiting first, then those that were answered, the newest first; or all by their last message,
            the newest first. Resolved ones are always listed by their last message.
        after: the place and the thread after which the page begins.
        limit: how many at most.

    Raises:
        NotFound: 404; the organization has no such active employee.
    """
    check_reader(tx, organization_id, reader)
    if order_of(wanted, sort) == "waiting":
        query = _entries(of_employee=reader.is_employee).where(*_conditions(organization_id, reader, wanted))
        if after is not None:
            query = query.where(tuple_(_T.rank, _T.thread_id) > after)
        return _read(tx, organization_id, reader, query.order_by(_T.rank, _T.thread_id).limit(limit))
    # The zero keeps SQLite from using the index by rank, which has another order.
    query = _entries(of_employee=reader.is_employee).where(*_conditions(organization_id, reader, wanted, _T.rank + 0))
    if wanted.view != "mentions":
        query = query.where(_IS_OPEN)
    # The condition is always there: without it, SQLite would use the primary key, and sort.
    query = query.where(_T.last_hour <= (_LAST_HOUR if after is None else after[0] // HOUR_MS))
    if after is not None:
        query = query.where(tuple_(_T.last_at_ms, _T.thread_id) < after)
    newest_first = (_T.last_hour.desc(), _T.last_at_ms.desc(), _T.thread_id.desc())
    return _read(tx, organization_id, reader, query.order_by(*newest_first).limit(limit))


def order_of(wanted: Wanted, sort: Sort) -> Sort:
    """The order in which a view is stored: resolved conversations have only one."""
    return "waiting" if wanted.view == "resolved" or wanted.thread_ids is not None else sort


def find_ids(
    tx: Connection,
    organization_id: int,
    reader: Reader,
    wanted: Wanted,
    *,
    among: Collection[int] | None = None,
    limit: int,
) -> list[int]:
    """The ids of a list's conversations, longest wait first; ``among``: only these."""
    query = select(_T.thread_id).where(
        _T.organization_id == organization_id, *_conditions(organization_id, reader, wanted)
    )
    if among is not None:
        query = query.where(_T.thread_id.in_(among))
    return list(tx.scalars(query.order_by(_T.rank, _T.thread_id).limit(limit)))


def find_entry(tx: Connection, organization_id: int, reader: Reader, thread_id: int, *, position: int) -> Entry | None:
    """The current entry of a conversation, even if it is not in the list yet.

    Args:
        position: the position of the feed, read before.
    """
    query = _entries(of_employee=reader.is_employee, are_present=True)
    asked = projection.asked_for(organization_id, [Touched(thread_id, position)])
    found = _read(tx, organization_id, reader, query, asked)
    if not found or (reader.businesses is not None and found[0].business_id not in reader.businesses):
        return None
    return found[0]


def find_others(tx: Connection, organization_id: int, reader: Reader, entry: Entry, *, limit: int) -> list[Entry]:
    """The other conversations of the same customer, the longest waiting first."""
    family = canonical.with_merged(tx, organization_id, entry.customer_id)
    others = {row.id for row in customers.threads_of(tx, organization_id, family)} - {entry.thread_id}
    if not others:
        return []
    query = _entries(of_employee=reader.is_employee)
    query = query.where(_T.thread_id.in_(sorted(others)), _is_visible(reader))
    return _read(tx, organization_id, reader, query.order_by(_T.rank, _T.thread_id).limit(limit))


def count_each(tx: Connection, organization_id: int, reader: Reader, wanted: Iterable[Wanted]) -> Mapping[Wanted, int]:
    """Count the conversations of lists with one statement, each up to ``COUNT_MAX``."""
    sizes = {}
    for each in wanted:
        conditions = (_T.organization_id == organization_id, *_conditions(organization_id, reader, each))
        some = select(_T.thread_id).where(*conditions).limit(COUNT_MAX)
        sizes[each] = select(func.count()).select_from(some.subquery()).scalar_subquery()
    return dict(zip(sizes, tx.execute(select(*sizes.values())).one(), strict=True)) if sizes else {}


def count(tx: Connection, organization_id: int, reader: Reader) -> Counts:
    """Count the conversations of each view that the reader sees.

    Raises:
        NotFound: 404; the organization has no such active employee.
    """
    check_reader(tx, organization_id, reader)
    part = _T.rank // literal(RANKS, BigInteger)
    is_free = _T.assignee_id.is_(None)
    open_ones = (
        _T.organization_id == organization_id,
        _T.rank < _OPEN_END,
        _is_visible(reader),
    )
    groups = tx.execute(
        select(_T.business_id, part.label("part"), is_free.label("is_free"), func.count().label("size"))
        .where(*open_ones)
        .group_by(_T.business_id, part, is_free)
    ).all()
    views: dict[View, int] = {"needs-reply": 0, "mine": 0, "unassigned": 0, "mentions": 0, "snoozed": 0, "open": 0}
    needs_reply: dict[int, int] = {}
    for group in groups:
        views["open"] += group.size
        if group.part == 0:
            views["needs-reply"] += group.size
            views["unassigned"] += group.size if group.is_free else 0
            needs_reply[group.business_id] = needs_reply.get(group.business_id, 0) + group.size
        elif group.part == 2:
            views["snoozed"] += group.size
    if reader.employee_id is not None:
        for view in ("mine", "mentions"):
            conditions = _conditions(organization_id, reader, Wanted(view))
            of_view = select(func.count()).where(_T.organization_id == organization_id, *conditions)
            views[view] = tx.scalar(of_view) or 0
    return Counts(views, needs_reply)


def _conditions(
    organization_id: int, reader: Reader, wanted: Wanted, rank: ColumnElement[int] = _T.rank
) -> list[ColumnElement[bool]]:
    """The conditions for wanted conversations that the reader may see.

    Args:
        rank: the column, or an expression that hides it from the query planner.
    """
    exact = ((_T.business_id, wanted.business_id), (_T.assignee_id, wanted.assignee_id), (_T.channel, wanted.channel))
    conditions = [column == value for column, value in exact if value is not None]
    if wanted.tag_id is not None:
        g = thread_tags.c
        tagged = select(g.thread_id).where(g.tag_id == wanted.tag_id, g.organization_id == organization_id)
        conditions.append(_T.thread_id.in_(tagged))
    if wanted.thread_ids is None:
        conditions += _of_view(organization_id, reader, wanted.view, rank)
    else:
        conditions.append(_T.thread_id.in_(wanted.thread_ids))
    return [*conditions, _is_visible(reader)]


def _is_visible(reader: Reader) -> ColumnElement[bool]:
    return is_among(_T.business_id, reader.businesses)


def _of_view(organization_id: int, reader: Reader, view: View, rank: ColumnElement[int]) -> list[ColumnElement[bool]]:
    if view in ("mine", "mentions") and reader.employee_id is None:
        return [false()]
    if view == "mentions":
        m = mentions.c
        unread = (m.employee_id == reader.employee_id, m.organization_id == organization_id, m.read_at_ms.is_(None))
        return [_T.thread_id.in_(select(m.thread_id).where(*unread))]
    begin, end = _RANKS_OF[view]
    conditions = [] if begin is None else [rank >= begin]
    conditions += [] if end is None else [rank < end]
    if view == "mine":
        conditions.append(_T.assignee_id == reader.employee_id)
    elif view == "unassigned":
        conditions.append(_T.assignee_id.is_(None))
    return conditions


_ORGANIZATION = bindparam("reader_organization_id", type_=BigInteger)
_READER = bindparam("reader_id", type_=BigInteger)


@cache  # building them takes longer than executing them
def _entries(*, of_employee: bool, are_present: bool = False) -> Select[Any]:
    """The columns of entries, for ``_read``.

    Args:
        of_employee: whether an employee reads; for a program, nothing is unread.
        are_present: whether the entries are derived now instead of read from the table.
    """
    source = projection.PRESENT.subquery("present") if are_present else inbox_threads
    t = source.c
    columns = [t[name] for name in Entry.__dataclass_fields__ if name in t]
    if not of_employee:
        return select(*columns, false(), false()).where(t.organization_id == _ORGANIZATION)
    r, m = employee_reads.c, mentions.c
    mine = and_(
        r.organization_id == t.organization_id,
        r.employee_id == _READER,
        r.thread_id == t.thread_id,
    )
    is_mentioned = (
        select(m.message_id)
        .where(
            m.employee_id == _READER,
            m.organization_id == t.organization_id,
            m.thread_id == t.thread_id,
            m.read_at_ms.is_(None),
        )
        .exists()
    )
    is_unread = or_(
        func.coalesce(r.marked_unread, False),
        # A reply means that its author has read everything before it.
        and_(
            t.last_customer_sequence > func.coalesce(r.sequence, 0),
            t.last_author_id.is_distinct_from(_READER),
        ),
    )
    return (
        select(*columns, is_unread, is_mentioned)
        .select_from(source.outerjoin(employee_reads, mine))
        .where(t.organization_id == _ORGANIZATION)
    )


def _read(
    tx: Connection,
    organization_id: int,
    reader: Reader,
    query: Select[Any],
    parameters: Mapping[str, Any] = MappingProxyType({}),
) -> list[Entry]:
    given = {"reader_organization_id": organization_id, "reader_id": reader.employee_id, **parameters}
    rows = tx.execute(query, given).all()
    tagged = tags.of_threads(tx, organization_id, [row.thread_id for row in rows])
    return [Entry(*(*row, tagged[row.thread_id])) for row in rows]
