"""Keep the list of conversations up to date with the event feed.

One transaction stores the new rows and the new position (``events/cursors.py``).

Events are missing if they were deleted or the organization was imported. Then all rows are derived again once the rest
of the feed is consumed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Integer, Row, bindparam, case, func, literal_column, select

from shopbell.customers import canonical, customers
from shopbell.db.schema.core import threads
from shopbell.db.schema.inbox import inbox_cursors
from shopbell.db.schema.webhooks import events
from shopbell.events import cursors, feed
from shopbell.events.record import KINDS
from shopbell.inbox import projection
from shopbell.inbox.projection import Touched

BATCH = {"sqlite": 500, "postgresql": 2_000}
"""The maximum number of events, or of threads to derive again, in one transaction. On SQLite, other writers wait for
it."""

_UNRELATED = frozenset[str](type_ for type_, kind in KINDS.items() if not kind.changes_inbox)
"""Events that change no row."""

_Event = Row[int, Any, Any, Any, Any, Any]
"""Position, thread, and the type, last sequence of the thread, customer and details, which are None for a message."""

_C, _E = inbox_cursors.c, events.c
_EVENTS = (
    select(
        _E.position,
        _E.thread_id,
        *(
            case((_E.type != literal_column("'message'"), column)).label(column.name)
            for column in (_E.type, _E.thread_sequence, _E.customer_id, _E.details)
        ),
    )
    .where(
        _E.organization_id == bindparam("organization_id"),
        _E.position > bindparam("after"),
        _E.position <= bindparam("to"),
    )
    .order_by(_E.position)
    .limit(bindparam("limit", type_=Integer))
)


class Cursor(NamedTuple):
    """What was consumed: the columns of the table. The default is that nothing was."""

    position: int = 0
    rebuilt_to_id: int | None = 0


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a feed.

    Args:
        organization_id: the organization.
        begin: the cursor before it.
        end: the cursor after it.
        size: how many events it has.
        touched: the threads whose rows it changes.
        left: the businesses that threads left, by thread.
    """

    organization_id: int
    begin: Cursor
    end: Cursor
    size: int
    touched: list[Touched]
    left: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Changed:
    """Rows that changed, by business; a transferred thread is in both businesses."""

    organization_id: int
    thread_ids: Mapping[int, list[int]]


def find_news(tx: Connection, after_id: int) -> list[int]:
    """Find organizations with events that are not consumed yet, starting after an id."""
    position = case((_C.rebuilt_to_id.is_not(None), -1), else_=func.coalesce(_C.position, 0))
    return cursors.find_behind(tx, inbox_cursors, position, after_id)


def read_section(tx: Connection, organization_id: int) -> Section | None:
    """Read the next section of a feed; None if there is nothing to do."""
    row = tx.execute(select(_C.position, _C.rebuilt_to_id).where(_C.organization_id == organization_id)).first()
    begin = Cursor() if row is None else Cursor(*row)
    position, rebuilt_to_id = begin
    # Read first. Positions are in the order of commits, so all events up to this one are committed.
    last = feed.last_position(tx, organization_id)
    batch = BATCH[tx.dialect.name]
    asked = {"organization_id": organization_id, "after": position, "to": last, "limit": batch}
    found = tx.execute(_EVENTS, asked).all()
    end = found[-1].position if len(found) == batch else last
    if rebuilt_to_id is None and len(found) != end - position:  # positions have no gaps: events were deleted
        rebuilt_to_id = 0
    touched = _touched(tx, organization_id, found)
    if end == last and rebuilt_to_id is not None:
        rebuilt = _next_threads(tx, organization_id, rebuilt_to_id, batch)
        touched |= {id_: Touched(id_, end) for id_ in rebuilt if id_ not in touched}
        rebuilt_to_id = rebuilt[-1] if len(rebuilt) == batch else None
    cursor = Cursor(end, rebuilt_to_id)
    if cursor == begin:
        return None
    return Section(organization_id, begin, cursor, len(found), [*touched.values()], _left(found))


def write_section(tx: Connection, section: Section) -> Changed | None:
    """Derive the rows that a section changes, and store the new position.

    Returns:
        None if another worker was first; then nothing is written.
    """
    organization_id, begin, end = section.organization_id, section.begin, section.end
    if not cursors.move(tx, inbox_cursors, organization_id, begin._asdict(), end._asdict()):
        return None
    if end.rebuilt_to_id != begin.rebuilt_to_id:
        projection.delete_absent(tx, organization_id, begin.rebuilt_to_id or 0, end.rebuilt_to_id)
    thread_ids: dict[int, list[int]] = {}
    for thread_id, business_id in projection.derive(tx, organization_id, section.touched):
        thread_ids.setdefault(business_id, []).append(thread_id)
    for thread_id, business_id in section.left.items():
        thread_ids.setdefault(business_id, []).append(thread_id)
    return Changed(organization_id, thread_ids)


def _touched(tx: Connection, organization_id: int, found: Sequence[_Event]) -> dict[int, Touched]:
    """The threads of events, and those of the customers of events."""
    positions: dict[int, int] = {}
    settled: dict[int, int] = {}
    customer_ids: dict[int, int] = {}
    for position, thread_id, type_, sequence, customer_id, details in found:
        if type_ in _UNRELATED:
            continue
        if thread_id is not None:
            positions[thread_id] = position
            if type_ in ("status", "import"):
                # If it is reopened, the wait began at the first message without a reply.
                settled[thread_id] = 0 if json.loads(details)["status"] == "waiting" else sequence
        elif customer_id is not None:
            customer_ids[customer_id] = position
            if merged_id := json.loads(details or "{}").get("mergedCustomerId"):
                customer_ids[int(merged_id)] = position
    if customer_ids:
        families = canonical.all_with_merged(tx, organization_id, customer_ids)
        position_of = {id_: customer_ids[one] for one, family in families.items() for id_ in family}
        for thread in customers.threads_of(tx, organization_id, list(position_of)):
            positions[thread.id] = position_of[thread.customer_id]
    return {id_: Touched(id_, position, settled.get(id_)) for id_, position in positions.items()}


def _next_threads(tx: Connection, organization_id: int, after_id: int, limit: int) -> list[int]:
    c = threads.c
    query = select(c.id).where(c.organization_id == organization_id, c.id > after_id).order_by(c.id).limit(limit)
    return list(tx.scalars(query))


def _left(found: Sequence[_Event]) -> dict[int, int]:
    transfers = (row for row in found if row.type == "transfer")
    return {row.thread_id: int(json.loads(row.details)["fromBusinessId"]) for row in transfers}
