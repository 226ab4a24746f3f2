"""Show the customer that the business is typing, and what it has read."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection

from shopbell.conversations import read_receipts, threads
from shopbell.conversations.threads import Thread
from shopbell.errors import NotFound
from shopbell.http.request.caller import WritesSomeThreads
from shopbell.http.request.fields import Fields, Id
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.results import Ok
from shopbell.organizations import employees
from shopbell.realtime.signals import Signal
from shopbell.runtime import clock

router = APIRouter(tags=["threads"])


class UpdateTyping(Fields):
    """An employee is typing."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])
    employee_user_id: Id | None = Field(
        None, description="The employee who is typing. The customer sees the first name."
    )


class UpdateThreadRead(Fields):
    """The last message that the business has read."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])
    sequence: int = Field(
        ge=0, le=2**31 - 1, description="The last message that was read. The mark never moves back.", examples=[1]
    )


@router.post("/api/update-typing", openapi_extra=body_schema(UpdateTyping), summary="Show that an employee is typing")
async def update_typing(caller: WritesSomeThreads, body: Annotated[Body[UpdateTyping], json_body(UpdateTyping)]) -> Ok:
    """Show the customer for some seconds that an employee is typing. Repeat the request every few seconds. Nothing is
    stored."""
    fields = body.fields
    await caller.check_thread(fields.customer_thread_id)
    thread, name = await caller.read(_look_up, fields.customer_thread_id, caller.acting(fields.employee_user_id))
    data = {"from": "store", "employeeName": name}
    signal = Signal(caller.organization_id, thread.id, thread.business_id, "typing", data)
    caller.services.pubsub.signal(signal)
    return Ok()


@router.post(
    "/api/update-thread-read",
    openapi_extra=body_schema(UpdateThreadRead),
    summary="Mark messages as read by the business",
)
async def update_thread_read(
    caller: WritesSomeThreads, body: Annotated[Body[UpdateThreadRead], json_body(UpdateThreadRead)]
) -> Ok:
    """Show the customer which messages the business has read. The status of the conversation does not change."""
    fields = body.fields
    await caller.check_thread(fields.customer_thread_id)
    thread, _ = await caller.read(_look_up, fields.customer_thread_id, None)
    now_ms = clock.now_ms()
    marked = await caller.write(read_receipts.mark, thread.id, "store", fields.sequence, now_ms=now_ms)
    if marked is not None:
        data = {"from": "store", "sequence": marked}
        caller.services.pubsub.signal(Signal(caller.organization_id, thread.id, thread.business_id, "read", data))
    return Ok()


def _look_up(
    tx: Connection, organization_id: int, thread_id: int, employee_id: int | None
) -> tuple[Thread, str | None]:
    """Return the conversation and the first name of the employee.

    Raises:
        NotFound: 404; one of them does not belong to the organization.
    """
    thread = threads.find(tx, organization_id, thread_id).thread
    if employee_id is None:
        return thread, None
    if not employees.is_active(tx, organization_id, employee_id):
        raise NotFound("employeeUserId")
    return thread, employees.get(tx, employee_id).name.split()[0]
