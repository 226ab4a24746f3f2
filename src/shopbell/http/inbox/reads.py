"""What employees have read, and which conversations they have open."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection

from shopbell.conversations import threads
from shopbell.conversations.threads import Thread
from shopbell.errors import NotFound
from shopbell.http.inbox.person import ActingAs, person
from shopbell.http.request.caller import Caller, ReadsSomeThreads
from shopbell.http.request.fields import Id
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.results import Ok
from shopbell.inbox import reads
from shopbell.inbox.presence import State
from shopbell.organizations import employees
from shopbell.realtime.signals import Signal
from shopbell.runtime.clock import now_ms

router = APIRouter(tags=["inbox"])


class MarkRead(ActingAs):
    """The last message that an employee has read."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])
    sequence: int = Field(
        ge=0, le=2**31 - 1, description="The last message that was read. The mark never moves back.", examples=[1]
    )


class MarkUnread(ActingAs):
    """The conversation to mark as unread."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])


class ShowPresence(ActingAs):
    """What an employee does in a conversation."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])
    state: State = Field(
        description="`viewing`: it is open. `writing`: a message to the customer or a note is being written. `left`: "
        "it is closed.",
        examples=["viewing"],
    )


@router.post("/api/inbox/read", openapi_extra=body_schema(MarkRead), summary="Mark a conversation as read")
async def mark_read(caller: ReadsSomeThreads, body: Annotated[Body[MarkRead], json_body(MarkRead)]) -> Ok:
    """Record which messages an employee has read.

    Customers and other employees do not see this.

    To show the customer what the business has read, use `POST /api/update-thread-read`.
    """
    fields = body.fields
    employee_id = person(caller, fields.employee_user_id)
    await caller.check_thread(fields.customer_thread_id)
    changed = await caller.services.database.write(
        reads.mark_read,
        caller.organization_id,
        employee_id,
        fields.customer_thread_id,
        fields.sequence,
        now_ms=now_ms(),
    )
    if changed is not None:
        _tell(caller, employee_id, changed)
    return Ok()


@router.post("/api/inbox/unread", openapi_extra=body_schema(MarkUnread), summary="Mark a conversation as unread")
async def mark_unread(caller: ReadsSomeThreads, body: Annotated[Body[MarkUnread], json_body(MarkUnread)]) -> Ok:
    """Mark a conversation as unread for an employee until they read it again."""
    fields = body.fields
    employee_id = person(caller, fields.employee_user_id)
    await caller.check_thread(fields.customer_thread_id)
    changed = await caller.services.database.write(
        reads.mark_unread, caller.organization_id, employee_id, fields.customer_thread_id, now_ms=now_ms()
    )
    if changed is not None:
        _tell(caller, employee_id, changed)
    return Ok()


@router.post("/api/inbox/presence", openapi_extra=body_schema(ShowPresence), summary="Show who has a conversation open")
async def show_presence(caller: ReadsSomeThreads, body: Annotated[Body[ShowPresence], json_body(ShowPresence)]) -> Ok:
    """Show other employees that an employee has a conversation open, or writes in it.

    Repeat the request every 8 seconds: after 15 seconds without one, the employee counts as gone. `GET /api/stream`
    sends the signals `viewing` and `writing`. Nothing is stored, and customers see nothing. To show them that an
    employee is typing, use `POST /api/update-typing`.
    """
    fields = body.fields
    employee_id = person(caller, fields.employee_user_id)
    await caller.check_thread(fields.customer_thread_id)
    thread, name = await caller.read(_look_up, fields.customer_thread_id, employee_id)
    caller.services.presence.tell(
        caller.organization_id, thread.id, thread.business_id, employee_id, name, fields.state
    )
    return Ok()


def _look_up(tx: Connection, organization_id: int, thread_id: int, employee_id: int) -> tuple[Thread, str]:
    """Return the conversation and the name of the employee.

    Raises:
        NotFound: 404; one of them does not belong to the organization.
    """
    thread = threads.find(tx, organization_id, thread_id).thread
    if not employees.is_active(tx, organization_id, employee_id):
        raise NotFound("employeeUserId")
    return thread, employees.names_of(tx, organization_id, [employee_id])[employee_id]


def _tell(caller: Caller, employee_id: int, thread: Thread) -> None:
    """Tell the employee's other devices that an entry of their list changed."""
    data = {"customerThreadIds": [str(thread.id)], "employeeUserId": str(employee_id)}
    caller.services.pubsub.signal(Signal(caller.organization_id, 0, thread.business_id, "inbox", data))
