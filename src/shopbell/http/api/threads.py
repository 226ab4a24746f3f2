"""List and read conversations, and set their status."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from shopbell.conversations import threads
from shopbell.conversations.replies import is_window_open
from shopbell.conversations.threads import Seen, Status, Wanted
from shopbell.formats.channels import ChannelName
from shopbell.http.request.caller import ReadsSomeThreads, WritesSomeThreads
from shopbell.http.request.fields import Fields, Id
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.request.results import Ok
from shopbell.runtime import clock

router = APIRouter(tags=["threads"])

ThreadOfQuery = Annotated[Id, Query(alias="customerThreadId", description="The conversation.", examples=["12347"])]

_TIME_MS_MAX = 2**53 - 1


class UpdateStatus(Fields):
    """The new status of a conversation."""

    customer_thread_id: Id = Field(description="The conversation.", examples=["12345"])
    status: Status = Field(description="The new status.", examples=["waiting"])


class CustomerThread(Fields):
    """A conversation. Times are Unix milliseconds."""

    customer_thread_id: str = Field(examples=["12347"])
    business_id: str = Field(examples=["12345"])
    customer_id: str = Field(
        description="The customer. If it was merged, the customer that it was merged into.",
        examples=["12346"],
    )
    customer_channel: ChannelName = Field(description="The channel of the customer.", examples=["WEB"])
    status: Status = Field(examples=["waiting"])
    is_messaging_window_open: bool = Field(
        description="Whether free text may be sent now. On WhatsApp, only for 24 hours after the customer's last "
        "message there; later only templates may be sent.",
        examples=[True],
    )
    assignee_user_id: str | None = Field(description="The assigned employee, or `null`.", examples=[None])
    created_at: int = Field(examples=[1700000000000])
    updated_at: int = Field(
        description="When a message, its status, its business or its assignee last changed.", examples=[1700000000000]
    )
    last_sequence: int = Field(description="The sequence of the last message.", examples=[1])
    last_customer_message_at: int | None = Field(
        description="When the customer last wrote, or `null`.", examples=[1700000000000]
    )


class CustomerThreads(Fields):
    """A page of conversations, the newest first."""

    threads: list[CustomerThread]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.post(
    "/api/update-thread-status", openapi_extra=body_schema(UpdateStatus), summary="Set a conversation's status"
)
async def update_thread_status(
    caller: WritesSomeThreads, body: Annotated[Body[UpdateStatus], json_body(UpdateStatus)]
) -> Ok:
    """Set the status of a conversation. The customer's next message sets it to `waiting` again."""
    await caller.check_thread(body.fields.customer_thread_id)
    await caller.write(threads.update_status, body.fields.customer_thread_id, body.fields.status, actor=caller.actor())
    return Ok()


@router.get("/api/get-customer-thread-details", summary="Read a conversation")
async def get_customer_thread_details(caller: ReadsSomeThreads, customer_thread_id: ThreadOfQuery) -> CustomerThread:
    """Read the channel and status of a conversation, and whether free text may be sent now."""
    await caller.check_thread(customer_thread_id)
    return _shown(await caller.read(threads.find, customer_thread_id))


@router.get("/api/threads", summary="List conversations")
async def list_threads(
    caller: ReadsSomeThreads,
    business_id: Annotated[
        Id | None, Query(alias="businessId", description="Only conversations with this business.")
    ] = None,
    customer_id: Annotated[
        Id | None,
        Query(alias="customerId", description="Only conversations of this customer, including merged ones."),
    ] = None,
    assignee_user_id: Annotated[
        Id | None, Query(alias="assigneeUserId", description="Only conversations assigned to this employee.")
    ] = None,
    status: Annotated[Status | None, Query(description="Only conversations with this status.")] = None,
    channel: Annotated[ChannelName | None, Query(description="Only conversations on this channel.")] = None,
    updated_since: Annotated[
        int | None,
        Query(
            alias="updatedSince",
            ge=0,
            le=_TIME_MS_MAX,
            description="Only conversations with an `updatedAt` of this time or later, in Unix milliseconds.",
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> CustomerThreads:
    """List the organization's conversations, the newest first.

    Filters are combined. An id that does not belong to the organization finds nothing. Conversations that begin while
    you read pages come before the first page: you read none twice and miss none.
    """
    wanted = Wanted(
        business_id=business_id,
        customer_id=customer_id,
        assignee_id=assignee_user_id,
        status=status,
        channel=channel,
        updated_since_ms=updated_since,
        businesses=caller.businesses,
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
    thread, now_ms = seen.thread, clock.now_ms()
    return CustomerThread(
        customer_thread_id=str(thread.id),
        business_id=str(thread.business_id),
        customer_id=str(seen.customer_id),
        customer_channel=thread.channel,
        status=thread.status,  # type: ignore[arg-type]  # the table takes no other
        is_messaging_window_open=is_window_open(thread.channel, seen.last_by_whatsapp_ms, now_ms),
        assignee_user_id=None if seen.assignee_id is None else str(seen.assignee_id),
        created_at=thread.created_at_ms,
        updated_at=thread.updated_at_ms,
        last_sequence=thread.last_sequence,
        last_customer_message_at=thread.last_customer_message_at_ms,
    )
