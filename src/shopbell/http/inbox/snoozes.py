"""Snooze conversations."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from shopbell.http.request.caller import WritesSomeThreads
from shopbell.http.request.fields import Fields, Id
from shopbell.http.request.ids import MAX_ID
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.results import Ok
from shopbell.inbox import snoozes
from shopbell.runtime.clock import now_ms

router = APIRouter(tags=["inbox"])


class SnoozeThread(Fields):
    """Until when to hide a conversation."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])
    until: int = Field(
        ge=0, le=MAX_ID, description="A time in the future, in Unix milliseconds.", examples=[4102444800000]
    )
    keep: bool = Field(default=False, description="Whether it stays hidden if the customer writes.", examples=[False])
    employee_user_id: Id | None = Field(None, description="The employee who snoozes it. Absent if a program does.")


class UnsnoozeThread(Fields):
    """The conversation to show again."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12347"])
    employee_user_id: Id | None = Field(None, description="The employee who does it. Absent if a program does.")


@router.post("/api/inbox/snooze", openapi_extra=body_schema(SnoozeThread), summary="Snooze a conversation")
async def snooze_thread(caller: WritesSomeThreads, body: Annotated[Body[SnoozeThread], json_body(SnoozeThread)]) -> Ok:
    """Hide a conversation from the lists of those that need a reply.

    An earlier snooze is replaced.

    When the snooze ends at its time, the status `replied` becomes `waiting`. It ends earlier if the customer writes
    (unless `keep` is true), or if the conversation is resolved or transferred. Each end is recorded as an event. 409 if
    the conversation is resolved.
    """
    fields = body.fields
    await caller.check_thread(fields.customer_thread_id)
    await caller.write(
        snoozes.snooze,
        fields.customer_thread_id,
        fields.until,
        keep=fields.keep,
        actor=caller.actor(fields.employee_user_id),
        now_ms=now_ms(),
    )
    return Ok()


@router.post("/api/inbox/unsnooze", openapi_extra=body_schema(UnsnoozeThread), summary="End a snooze")
async def unsnooze_thread(
    caller: WritesSomeThreads, body: Annotated[Body[UnsnoozeThread], json_body(UnsnoozeThread)]
) -> Ok:
    """Show a conversation again. Nothing happens if it is not snoozed."""
    fields = body.fields
    await caller.check_thread(fields.customer_thread_id)
    actor = caller.actor(fields.employee_user_id)
    await caller.write(snoozes.unsnooze, fields.customer_thread_id, actor=actor, now_ms=now_ms())
    return Ok()
