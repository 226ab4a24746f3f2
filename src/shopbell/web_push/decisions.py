"""Decide from the event feed which employees to notify.

An employee is notified when a conversation is assigned to them, when a note mentions them, and when the customer of a
conversation that is assigned to them writes. Only feeds of organizations with subscriptions are read.

One transaction stores the notifications and the new position (``events/cursors.py``).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, and_, exists, select

from shopbell.db import installation
from shopbell.db.schema.core import assignments
from shopbell.db.schema.web_push import push_cursors, push_subscriptions, pushes
from shopbell.db.schema.webhooks import events
from shopbell.events import cursors, feed
from shopbell.events.record import upsert

POSITIONS_MAX = 1_000
"""The maximum number of events that one transaction covers."""

OLD_MS = 10 * 60 * 1_000
"""No notifications are sent for older events, which are from a time without workers."""

DELAY_MS = 2_000
"""The delay of a notification: an employee who has the conversation open reads the message in this time."""

_C, _E, _S = push_cursors.c, events.c, push_subscriptions.c
_RANKS = {"message": 0, "assigned": 1, "mentioned": 2}


@dataclass(frozen=True, slots=True)
class Notice:
    """Why an employee is notified of a thread.

    Args:
        kind: ``message``, ``assigned`` or ``mentioned``.
        position: the event.
        sequence: the place of its message; None for an assignment.
        message_id: its message.
    """

    kind: str
    position: int
    sequence: int | None
    message_id: int | None


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a feed.

    Args:
        begin: the position before it.
        end: its last position.
        notices: by employee and thread.
    """

    organization_id: int
    begin: int
    end: int
    notices: Mapping[tuple[int, int], Notice] = field(default_factory=dict)


def find_news(tx: Connection, after_id: int) -> list[int]:
    """Find organizations with subscriptions and undecided events, after an id.

    None are found after a restore or a move, until deliveries resume.
    """
    return [] if installation.pause_reason(tx) else cursors.find_behind(tx, push_cursors, _C.position, after_id)


def read(tx: Connection, organization_id: int, *, now_ms: int) -> Section | None:
    """Read the next section of a feed, and decide.

    Returns:
        None at the end of the feed.
    """
    begin = tx.scalar(select(_C.position).where(_C.organization_id == organization_id))
    newest = feed.last_position(tx, organization_id)
    if begin is None or newest <= begin:
        return None
    if tx.execute(select(_S.id).where(_S.organization_id == organization_id).limit(1)).first() is None:
        return Section(organization_id, begin, newest)
    end = min(newest, begin + POSITIONS_MAX)
    in_section = (
        _E.organization_id == organization_id,
        _E.position > begin,
        _E.position <= end,
        _E.created_at_ms > now_ms - OLD_MS,
    )
    notices: dict[tuple[int, int], Notice] = {}

    def note(employee_id: int, event: Any, kind: str) -> None:
        place = employee_id, event.thread_id
        if place not in notices or _RANKS[notices[place].kind] <= _RANKS[kind]:
            sequence = None if kind == "assigned" else event.thread_sequence
            notices[place] = Notice(kind, event.position, sequence, event.message_id)

    a = assignments.c
    mine = and_(
        a.organization_id == _E.organization_id,
        a.thread_id == _E.thread_id,
        a.assigned_at_ms <= _E.created_at_ms,  # the employee saw earlier messages when the conversation was assigned
    )
    columns = (_E.position, _E.thread_id, _E.thread_sequence, _E.message_id)
    # Only customers' messages have no actor.
    written = select(*columns, a.employee_id).join(assignments, mine)
    written = written.where(*in_section, _E.type == "message", _E.actor_type.is_(None), _subscribes(a.employee_id))
    for message in tx.execute(written.order_by(_E.position)):
        note(message.employee_id, message, "message")
    named = select(*columns, _E.type, _E.actor_type, _E.actor_id, _E.details)
    named = named.where(*in_section, _E.type.in_(("assignment", "mention")))
    for event in tx.execute(named.order_by(_E.position)):
        actor_id = event.actor_id if event.actor_type == "employee" else None
        for employee_id in _named(event):
            if employee_id != actor_id:
                note(employee_id, event, "assigned" if event.type == "assignment" else "mentioned")
    return Section(organization_id, begin, end, notices)


def write(tx: Connection, section: Section, *, now_ms: int) -> bool:
    """Store the notifications, and the new position.

    Returns:
        Whether there is something to send; also False if another worker was first, and nothing is written.
    """
    organization_id = section.organization_id
    if not cursors.move(tx, push_cursors, organization_id, {"position": section.begin}, {"position": section.end}):
        return False
    employee_ids = {employee_id for employee_id, _ in section.notices}
    query = select(_S.id, _S.employee_id).where(_S.organization_id == organization_id, _S.employee_id.in_(employee_ids))
    rows = [
        {
            "organization_id": organization_id,
            "subscription_id": subscription_id,
            "thread_id": thread_id,
            "kind": notice.kind,
            "position": notice.position,
            "sequence": notice.sequence,
            "message_id": notice.message_id,
            "created_at_ms": now_ms,
            "due_at_ms": now_ms + DELAY_MS,
            "attempts": 0,
        }
        for subscription_id, employee_id in tx.execute(query.order_by(_S.id)).all()
        for (of_employee, thread_id), notice in sorted(section.notices.items())
        if of_employee == employee_id
    ]
    if rows:
        new = upsert(tx, pushes).values(rows)
        changed = {name: new.excluded[name] for name in rows[0] if name not in pushes.primary_key.columns}
        tx.execute(new.on_conflict_do_update(index_elements=list(pushes.primary_key.columns), set_=changed))
    return bool(rows)


def _subscribes(employee_id: Any) -> Any:
    return exists().where(_S.employee_id == employee_id, _S.organization_id == _E.organization_id)


def _named(event: Any) -> list[int]:
    """The employees that an assignment or a mention concerns."""
    details = json.loads(event.details or "{}")
    if event.type == "assignment":
        employee_id = details.get("employeeUserId")
        return [] if employee_id is None else [int(employee_id)]
    return [int(employee_id) for employee_id in details.get("mentionedUserIds", ())]
