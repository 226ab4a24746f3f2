"""Conversations: their status, their details, their lists, who looks after them."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field

from shopbell import threads
from shopbell.http.api.access import WritesThreads
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, Id
from shopbell.http.api.results import Ok

router = APIRouter(tags=["threads"])


class UpdateStatus(Fields):
    """The new status of a conversation."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12345"])
    status: Literal["waiting", "replied", "resolved"] = Field(description="The new status.", examples=["waiting"])


@router.post("/api/update-thread-status", openapi_extra=described(UpdateStatus))
async def update_thread_status(caller: WritesThreads, body: Annotated[Body[UpdateStatus], takes(UpdateStatus)]) -> Ok:
    """Set the status of a conversation. The customer's next message sets it to `waiting` again."""
    await caller.write(threads.update_status, body.fields.customer_thread_id, body.fields.status)
    return Ok()
