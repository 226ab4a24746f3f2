"""What the customer of a conversation sees of the people behind the counter: that they read, and that they type."""

import time
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection

from shopbell import employees, reading, threads
from shopbell.errors import NotFound
from shopbell.http.api.access import WritesThreads
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, Id
from shopbell.http.api.results import Ok
from shopbell.threads import Thread
from shopbell.wakes.signals import Signal

router = APIRouter(tags=["threads"])


class UpdateTyping(Fields):
    """Somebody types an answer."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])
    employee_user_id: Id | None = Field(None, description="Who types; the customer sees the first name.")


class UpdateThreadRead(Fields):
    """The store has read a conversation."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])
    sequence: int = Field(
        ge=0, le=2**31 - 1, description="Up to which message; never less than was read before.", examples=[1]
    )


@router.post("/api/update-typing", openapi_extra=described(UpdateTyping), summary="Show that somebody types")
async def update_typing(caller: WritesThreads, body: Annotated[Body[UpdateTyping], takes(UpdateTyping)]) -> Ok:
    """Let the customer see for some seconds that somebody writes to him. Nothing of it is kept: say it again every few
    seconds, as long as it is so."""
    fields = body.fields
    thread, name = await caller.read(_look_up, fields.customer_thread_id, fields.employee_user_id)
    data = {"from": "store", "employeeName": name}
    signal = Signal(caller.organization_id, thread.id, thread.business_id, "typing", data)
    caller.api.wakes.signal(signal)
    return Ok()


@router.post(
    "/api/update-thread-read", openapi_extra=described(UpdateThreadRead), summary="Note what the store has read"
)
async def update_thread_read(
    caller: WritesThreads, body: Annotated[Body[UpdateThreadRead], takes(UpdateThreadRead)]
) -> Ok:
    """Let the customer see up to which of his messages the store has read. This is not answering: the conversation's
    status stays."""
    fields = body.fields
    thread, _ = await caller.read(_look_up, fields.customer_thread_id, None)
    now_ms = time.time_ns() // 1_000_000
    marked = await caller.write(reading.mark, thread.id, "store", fields.sequence, now_ms=now_ms)
    if marked is not None:
        data = {"from": "store", "sequence": marked}
        caller.api.wakes.signal(Signal(caller.organization_id, thread.id, thread.business_id, "read", data))
    return Ok()


def _look_up(
    tx: Connection, organization_id: int, thread_id: int, employee_id: int | None
) -> tuple[Thread, str | None]:
    """The conversation, and the first name of who types.

    Raises:
        NotFound: 404; one of them is not the organization's.
    """
    thread = threads.find(tx, organization_id, thread_id).thread
    if employee_id is None:
        return thread, None
    if not employees.is_active(tx, organization_id, employee_id):
        raise NotFound("employeeUserId")
    return thread, employees.get(tx, employee_id).name.split()[0]
