"""A conversation as its customer sees it: without notes, and employees by their first names."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, false, select

from shopbell import attachments
from shopbell.attachments import Attachment
from shopbell.storage.customer_schema import surveys, thread_reads
from shopbell.storage.schema import employees, messages, threads


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
    m, e = messages.c, employees.c
    query = (
        select(
            *(m.id, m.sequence, m.body, m.from_customer, m.channel, m.attachment_id, m.created_at_ms),
            e.name.label("employee_name"),
        )
        .outerjoin(employees, and_(e.organization_id == m.organization_id, e.id == m.employee_id))
        .where(
            *(m.organization_id == organization_id, m.thread_id == thread_id, m.sequence > after_sequence),
            m.internal == false(),
        )
        .order_by(m.sequence)
        .limit(limit)
    )
    rows = tx.execute(query).all()
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
    t, r = threads.c, thread_reads.c
    query = (
        select(t.id, t.business_id, t.status, t.last_sequence, r.store_sequence, r.customer_sequence)
        .outerjoin(thread_reads, and_(r.organization_id == t.organization_id, r.thread_id == t.id))
        .where(t.organization_id == organization_id, t.id == thread_id)
    )
    row = tx.execute(query).first()
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


def _open_survey(tx: Connection, organization_id: int, thread_id: int) -> Any:
    """The question that was asked last in a thread, unless it is answered."""
    s = surveys.c
    # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
    query = (
        select(s.id, s.kind, s.answered_at_ms)
        .where(s.organization_id + 0 == organization_id, s.thread_id == thread_id)
        .order_by(s.id.desc())
        .limit(1)
    )
    row = tx.execute(query).first()
    return None if row is None or row.answered_at_ms is not None else row


def _first_name(name: str | None) -> str | None:
    return name.split()[0] if name and name.split() else None
