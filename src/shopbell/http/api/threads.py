"""Conversations: their status, how they stand, and lists of them."""

import time
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from shopbell import threads
from shopbell.http.api.access import ReadsThreads, WritesThreads
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, Id
from shopbell.http.api.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.api.results import Ok
from shopbell.replies import is_window_open
from shopbell.threads import Seen, Wanted

router = APIRouter(tags=["threads"])

Status = Literal["waiting", "replied", "resolved"]
Channel = Literal["WEB", "EMAIL", "SMS", "WHATSAPP"]
ThreadOfQuery = Annotated[Id, Query(alias="customerThreadId", description="The conversation.", examples=["12347"])]

_TIME_MS_MAX = 2**53 - 1


class UpdateStatus(Fields):
    """The new status of a conversation."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12345"])
    status: Status = Field(description="The new status.", examples=["waiting"])


class CustomerThread(Fields):
    """How a conversation stands. Times are Unix milliseconds."""

    customer_thread_id: str = Field(examples=["12347"])
    business_id: str = Field(examples=["12345"])
    customer_id: str = Field(
        description="The customer; where the one who began it was merged into another, that other one.",
        examples=["12346"],
    )
    customer_channel: Channel = Field(description="How the customer is reached.", examples=["WEB"])
    status: Status = Field(examples=["waiting"])
    is_messaging_window_open: bool = Field(
        description="Whether free text may be sent now. Always, but for WhatsApp: for 24 hours after the customer's "
        "last message by WhatsApp; later only templates.",
        examples=[True],
    )
    assignee_user_id: str | None = Field(description="The employee who looks after it, or `null`.", examples=[None])
    created_at: int = Field(examples=[1700000000000])
    updated_at: int = Field(
        description="When a message, its status, its business or its assignee last changed.", examples=[1700000000000]
    )
    last_sequence: int = Field(description="The sequence of its last message.", examples=[1])
    last_customer_message_at: int | None = Field(
        description="When the customer last wrote, or `null`.", examples=[1700000000000]
    )


class CustomerThreads(Fields):
    """A page of conversations, the newest first."""

    threads: list[CustomerThread]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.post("/api/update-thread-status", openapi_extra=described(UpdateStatus), summary="Set a conversation's status")
async def update_thread_status(caller: WritesThreads, body: Annotated[Body[UpdateStatus], takes(UpdateStatus)]) -> Ok:
    """Set the status of a conversation. The customer's next message sets it to `waiting` again."""
    await caller.write(threads.update_status, body.fields.customer_thread_id, body.fields.status)
    return Ok()


@router.get("/api/get-customer-thread-details", summary="Read how a conversation stands")
async def get_customer_thread_details(caller: ReadsThreads, customer_thread_id: ThreadOfQuery) -> CustomerThread:
    """Read how a conversation stands: its channel, its status, and whether free text may be sent in it now."""
    return _shown(await caller.read(threads.find, customer_thread_id))


@router.get("/api/threads", summary="List conversations")
async def list_threads(
    caller: ReadsThreads,
    business_id: Annotated[Id | None, Query(alias="businessId", description="Only with this business.")] = None,
    customer_id: Annotated[
        Id | None,
        Query(alias="customerId", description="Only of this customer, and of those that were merged with it."),
    ] = None,
    assignee_user_id: Annotated[
        Id | None, Query(alias="assigneeUserId", description="Only those that this employee looks after.")
    ] = None,
    status: Annotated[Status | None, Query(description="Only of this status.")] = None,
    channel: Annotated[Channel | None, Query(description="Only of this channel.")] = None,
    updated_since: Annotated[
        int | None,
        Query(
            alias="updatedSince",
            ge=0,
            le=_TIME_MS_MAX,
            description="Only those whose `updatedAt` is this time, in Unix milliseconds, or later.",
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> CustomerThreads:
    """List the organization's conversations, the newest first.

    Filters go together. One that names nothing of the organization finds nothing. A conversation that begins while the
    pages are read stands before the first of them: none is read twice, and none is left out.
    """
    wanted = Wanted(
        business_id=business_id,
        customer_id=customer_id,
        assignee_id=assignee_user_id,
        status=status,
        channel=channel,
        updated_since_ms=updated_since,
    )
    place = place_of(cursor, int)
    before_id = None if place is None else int(place[0])
    found = await caller.read(threads.find_page, wanted, before_id=before_id, limit=limit + 1)
    page = found[:limit]
    more = len(found) > limit
    return CustomerThreads(
        threads=[_shown(each) for each in page], next_cursor=cursor_of(page[-1].thread.id) if more else None
    )


def _shown(seen: Seen) -> CustomerThread:
    thread, now_ms = seen.thread, time.time_ns() // 1_000_000
    return CustomerThread(
        customer_thread_id=str(thread.id),
        business_id=str(thread.business_id),
        customer_id=str(seen.customer_id),
        customer_channel=thread.channel,  # type: ignore[arg-type]  # the table takes no other
        status=thread.status,  # type: ignore[arg-type]  # the table takes no other
        is_messaging_window_open=is_window_open(thread.channel, seen.last_by_whatsapp_ms, now_ms),
        assignee_user_id=None if seen.assignee_id is None else str(seen.assignee_id),
        created_at=thread.created_at_ms,
        updated_at=thread.updated_at_ms,
        last_sequence=thread.last_sequence,
        last_customer_message_at=thread.last_customer_message_at_ms,
    )
