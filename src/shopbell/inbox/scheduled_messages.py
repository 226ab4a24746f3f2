"""Scheduled messages: replies that are sent later. Owns their table.

``inbox/scheduled_sending.py`` sends them. It refuses a message if the reply is no longer allowed when it is due. A
refused message keeps its text until an employee changes it, which schedules it again, or cancels it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, delete, exists, insert, or_, select, tuple_, update

from shopbell.attachments import attachments
from shopbell.conversations import idempotency, reply_checks, threads
from shopbell.conversations.erasure import Place
from shopbell.conversations.replies import Reply, check_reply
from shopbell.conversations.side_effects import IdempotencyKey
from shopbell.customers.erasure import Person
from shopbell.db.businesses import Businesses, is_among
from shopbell.db.ids import take_id
from shopbell.db.program import run_in
from shopbell.db.schema.core import threads as threads_table
from shopbell.db.schema.inbox_actions import scheduled_messages
from shopbell.errors import Conflict, FieldError, Invalid, NotFound
from shopbell.events.actors import Actor
from shopbell.runtime.clock import now_ms

State = Literal["scheduled", "sent", "cancelled", "refused"]
Reason = Literal["answered", "window-closed", "customer-erased", "not-permitted", "elsewhere", "error"]
"""Why a message was refused. ``answered``: another author has replied. ``not-permitted``: the employee has left or
may not write in this business, or the token was revoked. ``elsewhere``: another installation may have sent it, after an
import, a restore or a move. ``error``: a bug."""

DELAY_MAX_MS = 30_000
AHEAD_MAX_MS = 366 * 24 * 60 * 60 * 1_000
KEPT_MS = 24 * 60 * 60 * 1_000
"""How long a message is kept after it was sent or cancelled, as long as its idempotency key."""

_BATCH_ROWS = 1_000
_OPEN_STATES = ("scheduled", "refused")
_C = scheduled_messages.c


class AlreadySettled(Conflict):
    """409: the message was sent or cancelled."""

    def __init__(self, state: str) -> None:
        detail = {
            "sent": "The message was already sent. It can no longer be cancelled or changed.",
            "cancelled": "The message was cancelled. Schedule a new one.",
        }[state]
        super().__init__(detail, f"The scheduled message is in state '{state}'")


@dataclass(frozen=True, slots=True)
class ScheduledMessage:
    """A row of the table, described there."""

    organization_id: int
    id: int
    thread_id: int
    caller_id: int
    employee_id: int | None
    body: str = field(repr=False)
    content_sid: str | None
    attachment_id: int | None
    channel: str | None
    last_seen_message_id: int | None
    resolves: bool
    created_at_ms: int
    send_at_ms: int
    state: State = "scheduled"
    reason: Reason | None = None
    message_id: int | None = None
    settled_at_ms: int | None = None

    @property
    def place(self) -> tuple[int, int]:
        """The organization and the thread."""
        return self.organization_id, self.thread_id

    @property
    def actor(self) -> Actor:
        """Who sends it."""
        return Actor("token", self.caller_id) if self.employee_id is None else Actor("employee", self.employee_id)

    @property
    def reply(self) -> Reply:
        """The reply that it becomes."""
        return Reply(
            organization_id=self.organization_id,
            actor=self.actor,
            thread_id=self.thread_id,
            body=self.body,
            content_sid=self.content_sid,
            attachment_id=self.attachment_id,
            channel=self.channel,
            last_seen_message_id=self.last_seen_message_id,
        )


@dataclass(frozen=True, slots=True)
class Changed:
    """A scheduled message after a change, and the business of its thread."""

    message: ScheduledMessage
    business_id: int


@dataclass(frozen=True, slots=True)
class When:
    """A time to send at: a time in Unix ms, or a delay from now."""

    at_ms: int | None = None
    delay_ms: int | None = None

    def due_at_ms(self, now_ms: int) -> int:
        """The time in Unix ms.

        Raises:
            Invalid: 400; it is in the past, or more than 366 days ahead.
        """
        if self.at_ms is None:
            return now_ms + (self.delay_ms or 0)
        if not now_ms < self.at_ms <= now_ms + AHEAD_MAX_MS:
            rule = "must be in the future, at most 366 days ahead"
            raise Invalid([FieldError("sendAt", "invalid_value", rule)])
        return self.at_ms


@dataclass(frozen=True, slots=True)
class NewScheduledMessage:
    """A message to schedule.

    Args:
        thread_id: the id of a thread, which is checked later.
        caller_id: the token, or the employee who is signed in.
        employee_id: the author; None for a program.
        text: the text; None for a template or a file alone.
        when: the time to send it at.
        content_sid: the id of a template.
        attachment_id: the id of a file.
        channel: as in ``Reply``.
        last_seen_message_id: as in ``Reply``.
        resolves: whether to resolve the thread after sending it.
    """

    thread_id: int
    caller_id: int
    employee_id: int | None
    text: str | None
    when: When
    content_sid: str | None = None
    attachment_id: int | None = None
    channel: str | None = None
    last_seen_message_id: int | None = None
    resolves: bool = False


def schedule(
    tx: Connection,
    organization_id: int,
    new: NewScheduledMessage,
    key: IdempotencyKey | None = None,
    body_hash: str = "",
    *,
    now_ms: int,
) -> tuple[Changed, bool]:
    """Schedule a message, if it could be sent now.

    Args:
        key: the idempotency key; the message is scheduled once, however often the request arrives.
        body_hash: SHA-256 of the request as 64 hexadecimal digits, if there is a key.
        now_ms: the time in Unix ms.

    Returns:
        The message, and whether an earlier request with this key scheduled it.

    Raises:
        NotFound: 404; the thread, the employee, the file or the template.
        Conflict: 409; as for a reply.
        Invalid: 400; the time, or ``lastSeenMessageId``.
        IdempotencyKeyReused: 422.
    """
    id_ = take_id(tx)
    if key is not None:
        former_id = idempotency.claim(tx, key, body_hash, id_, now_ms=now_ms)
        if former_id is not None:
            message = _one(tx, organization_id, former_id)
            return Changed(message, threads.lock(tx, organization_id, message.thread_id).business_id), True
    text = reply_checks.resolve_text(
        tx,
        organization_id,
        text=new.text,
        content_sid=new.content_sid,
        employee_id=new.employee_id,
        attachment_id=new.attachment_id,
    )
    message = ScheduledMessage(
        organization_id=organization_id,
        id=id_,
        thread_id=new.thread_id,
        caller_id=new.caller_id,
        employee_id=new.employee_id,
        body=text,
        content_sid=new.content_sid,
        attachment_id=new.attachment_id,
        channel=new.channel,
        last_seen_message_id=new.last_seen_message_id,
        resolves=new.resolves,
        created_at_ms=now_ms,
        send_at_ms=new.when.due_at_ms(now_ms),
    )
    business_id = _check(tx, message)
    tx.execute(insert(scheduled_messages).values(asdict(message)))
    return Changed(message, business_id), False


def check_within(tx: Connection, organization_id: int, scheduled_message_id: int, businesses: Businesses) -> None:
    """Check that a message is in a thread with one of these businesses.

    Raises:
        NotFound: 404; it is in another one, or there is none.
    """
    message = _one(tx, organization_id, scheduled_message_id)
    threads.check_within(tx, organization_id, message.thread_id, businesses, field="scheduledMessageId")


def cancel(tx: Connection, organization_id: int, scheduled_message_id: int, *, now_ms: int) -> Changed:
    """Cancel a message that was not sent; a cancelled one stays as it is.

    Raises:
        NotFound: 404.
        AlreadySettled: 409; it was sent.
    """
    message = _one(tx, organization_id, scheduled_message_id, lock=True)
    if message.state == "sent":
        raise AlreadySettled(message.state)
    if message.state in _OPEN_STATES:
        message = _set(tx, message, state="cancelled", reason=None, settled_at_ms=now_ms)
    return Changed(message, threads.lock(tx, organization_id, message.thread_id).business_id)


def change(
    tx: Connection,
    organization_id: int,
    scheduled_message_id: int,
    changes: Mapping[str, Any],
    when: When | None,
    *,
    caller_id: int,
    employee_id: int | None,
    now_ms: int,
) -> Changed:
    """Change a message that was not sent, and schedule it again if it was refused.

    Args:
        changes: new values of ``body``, ``attachment_id``, ``channel``, ``last_seen_message_id`` and ``resolves``. A
            new text replaces a template.
        when: the new time; None keeps the former one. If that has passed, the message is sent at once.
        caller_id: the token, or the employee who is signed in.
        employee_id: the employee who changes it, who becomes its author; None keeps the author.
        now_ms: the time in Unix ms.

    Raises:
        NotFound: 404; the message, the employee or the file.
        AlreadySettled: 409; it was sent or cancelled.
        Conflict: 409; as for a reply.
        Invalid: 400; the time, or ``lastSeenMessageId``.
    """
    message = _one(tx, organization_id, scheduled_message_id, lock=True)
    if message.state not in _OPEN_STATES:
        raise AlreadySettled(message.state)
    reply_checks.resolve_text(
        tx,
        organization_id,
        text=None,
        content_sid=None,
        employee_id=employee_id,
        attachment_id=changes.get("attachment_id"),
    )
    columns = {**changes, "state": "scheduled", "reason": None, "settled_at_ms": None}
    if "body" in changes:
        columns["content_sid"] = None
    if when is not None:
        columns["send_at_ms"] = when.due_at_ms(now_ms)
    if employee_id is not None:
        columns |= {"caller_id": caller_id, "employee_id": employee_id}
    message = _set(tx, message, **columns)
    return Changed(message, _check(tx, message))


def find_page(
    tx: Connection,
    organization_id: int,
    businesses: Businesses,
    *,
    thread_id: int | None = None,
    state: State | None = None,
    before_id: int | None = None,
    limit: int,
) -> list[ScheduledMessage]:
    """List scheduled messages, the newest first.

    Messages that were sent or cancelled are listed for a day.

    Args:
        businesses: only of threads with these businesses.
        thread_id: only of this thread.
        state: only messages in this state.
        before_id: only messages with a smaller id.
    """
    query = select(scheduled_messages).where(_C.organization_id == organization_id).order_by(_C.id.desc()).limit(limit)
    if thread_id is not None:
        query = query.where(_C.thread_id == thread_id)
    if state is not None:
        query = query.where(_C.state == state)
    if before_id is not None:
        query = query.where(_C.id < before_id)
    if businesses is not None:
        t = threads_table.c
        of_message = (t.organization_id == _C.organization_id, t.id == _C.thread_id)
        query = query.where(exists().where(*of_message, is_among(t.business_id, businesses)))
    return [ScheduledMessage(**row) for row in tx.execute(query).mappings()]


def unsent_in_thread(tx: Connection, organization_id: int, thread_id: int) -> list[ScheduledMessage]:
    """The scheduled and refused messages of a thread, in the order of their times."""
    of_thread = (_C.organization_id == organization_id, _C.thread_id == thread_id)
    query = select(scheduled_messages).where(*of_thread, _C.state.in_(("scheduled", "refused")))
    return [ScheduledMessage(**row) for row in tx.execute(query.order_by(_C.send_at_ms, _C.id)).mappings()]


def erase(tx: Connection, organization_id: int, person: Person, _: Place) -> Place | None:
    """Cancel the messages to an erased customer, and delete their texts and files.

    ``operations/erasure.py`` calls this.
    """
    of_threads = (_C.organization_id == organization_id, _C.thread_id.in_(person.thread_ids))
    files = tx.scalars(select(_C.attachment_id).where(*of_threads, _C.attachment_id.is_not(None))).all()
    tx.execute(update(scheduled_messages).where(*of_threads).values(body="", attachment_id=None))
    these = (*of_threads, _C.state.in_(_OPEN_STATES))
    tx.execute(update(scheduled_messages).where(*these).values(state="cancelled", reason=None, settled_at_ms=now_ms()))
    attachments.remove_unused(tx, organization_id, files, now_ms=now_ms())
    return None


def refuse_imported(tx: Connection, organization_id: int, *, now_ms: int) -> None:
    """Refuse all messages that wait in an organization that was just imported.

    The other installation may send them, too, so an employee must decide.
    """
    these = (_C.organization_id == organization_id, _C.state == "scheduled")
    values = {"state": "refused", "reason": "elsewhere", "settled_at_ms": now_ms}
    tx.execute(update(scheduled_messages).where(*these).values(values))


def delete_refused(tx: Connection, organization_id: int, *, before_ms: int) -> None:
    """Delete messages of an organization that were refused before a time in Unix ms."""
    these = (_C.organization_id == organization_id, _C.state == "refused", _C.settled_at_ms < before_ms)
    tx.execute(delete(scheduled_messages).where(*these))


def forget_old(tx: Connection, now_ms: int) -> bool:
    """Delete some messages that were sent or cancelled a day ago.

    Returns:
        Whether more are left.
    """
    old = (
        select(_C.organization_id, _C.id)
        .where(_C.settled_at_ms <= now_ms - KEPT_MS, or_(_C.state == "sent", _C.state == "cancelled"))
        .limit(_BATCH_ROWS)
    )
    these = delete(scheduled_messages).where(tuple_(_C.organization_id, _C.id).in_(old))
    return tx.execute(these).rowcount == _BATCH_ROWS


def _check(tx: Connection, message: ScheduledMessage) -> int:
    """Lock the thread, and check that the message could be sent now.

    Returns the business of the thread.
    """
    thread = threads.lock(tx, message.organization_id, message.thread_id)
    run_in(tx, check_reply(message.reply))
    return thread.business_id


def _one(tx: Connection, organization_id: int, id_: int, *, lock: bool = False) -> ScheduledMessage:
    query = select(scheduled_messages).where(_C.organization_id == organization_id, _C.id == id_)
    row = tx.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise NotFound("scheduledMessageId")
    return ScheduledMessage(**row)


def _set(tx: Connection, message: ScheduledMessage, **columns: Any) -> ScheduledMessage:
    is_this = (_C.organization_id == message.organization_id, _C.id == message.id)
    changed = update(scheduled_messages).where(*is_this).values(**columns).returning(*scheduled_messages.columns)
    return ScheduledMessage(**tx.execute(changed).mappings().one())
