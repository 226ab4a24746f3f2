"""Open a conversation: one request for everything that the inbox shows of it."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field
from sqlalchemy import Connection

from shopbell.accounts.roles import Grants
from shopbell.attachments.attachments import Attachment
from shopbell.conversations.replies import is_window_open
from shopbell.conversations.threads import Message
from shopbell.customers.customers import Profile
from shopbell.http.api.events import details_out
from shopbell.http.api.thread_messages import SEQUENCE_MAX, Found, ThreadMessage, message_out, with_details
from shopbell.http.inbox.customer import InboxCustomer, look_up_customer
from shopbell.http.inbox.drafts import DraftOut, draft_out
from shopbell.http.inbox.files import read_files
from shopbell.http.inbox.person import ActingEmployee
from shopbell.http.inbox.scheduled_messages import ScheduledMessageOut, scheduled_message_out
from shopbell.http.inbox.threads import InboxThread, reader_of, thread_out
from shopbell.http.request.base_url import base_url
from shopbell.http.request.caller import ReadsSomeThreads
from shopbell.http.request.fields import Fields, PathId
from shopbell.http.request.results import json_response
from shopbell.inbox import conversation, conversation_list, drafts, scheduled_messages
from shopbell.inbox.conversation import ACTIVITIES_MAX, MESSAGES, Activity, Earlier, Opened
from shopbell.inbox.conversation_list import Reader
from shopbell.inbox.drafts import Draft
from shopbell.inbox.scheduled_messages import ScheduledMessage
from shopbell.runtime.clock import now_ms

router = APIRouter(tags=["inbox"])

InboxThreadOfPath = Annotated[
    PathId, Path(alias="customerThreadId", description="The conversation.", examples=["12347"])
]


class ActivityOut(Fields):
    """Something that happened to the conversation, other than a message."""

    type: str = Field(description="The type of the event.", examples=["assignment"])
    at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])
    after_sequence: int = Field(description="The last message before it.", examples=[1])
    actor_user_id: str | None = Field(description="The employee who did it, or `null`.", examples=[None])
    actor_name: str | None = Field(examples=[None])
    details: dict[str, Any] = Field(description="The `data` of the event.", examples=[{}])


class ViewerOut(Fields):
    """An employee who has the conversation open."""

    employee_user_id: str = Field(examples=["12351"])
    state: Literal["viewing", "writing"] = Field(examples=["viewing"])


class PossibleSame(Fields):
    """A customer who may be the same person."""

    customer_id: str = Field(examples=["12349"])
    display_name: str = Field(examples=["C. Jones"])


class OpenedConversation(Fields):
    """A conversation."""

    thread: InboxThread
    customer: InboxCustomer | None = Field(
        description="As `GET /api/customers/{customerId}/profile`, with further data; `null` without the permission "
        "`customers:read`."
    )
    messages: list[ThreadMessage] = Field(description=f"The last {MESSAGES} messages, in their order.")
    has_more: bool = Field(
        description="Whether there are earlier ones: `GET /api/inbox/threads/{customerThreadId}/earlier`.",
        examples=[False],
    )
    read_sequence: int = Field(description="The last message that the employee has read, or 0.", examples=[1])
    customer_read_sequence: int = Field(description="The last message that the customer has read, or 0.", examples=[0])
    drafts: list[DraftOut] = Field(description="Of the employee, and those that programs suggest.")
    scheduled_messages: list[ScheduledMessageOut] = Field(description="Those that are not sent, or were refused.")
    activities: list[ActivityOut] = Field(
        description=f"What happened since the first of these messages, in order; the last {ACTIVITIES_MAX}."
    )
    viewers: list[ViewerOut] = Field(description="Other employees who have it open.")
    is_messaging_window_open: bool = Field(
        description="Whether free text may be sent now; as in `GET /api/get-customer-thread-details`.",
        examples=[True],
    )
    other_threads: list[InboxThread] = Field(description="Other conversations of the customer.")
    possible_duplicates: list[PossibleSame] = Field(
        description="Customers who may be the same person; none without the permission `customers:read`."
    )
    stream_position: int = Field(
        description="All events up to this position are included: open `GET /api/stream` with it as `after`.",
        examples=[4711],
    )


class EarlierMessages(Fields):
    """Earlier messages of a conversation."""

    messages: list[ThreadMessage] = Field(description=f"At most {MESSAGES} messages, in their order.")
    has_more: bool = Field(description="Whether there are messages before these.", examples=[False])
    activities: list[ActivityOut] = Field(
        description=f"What happened in the time of these messages, in order; the last {ACTIVITIES_MAX}."
    )


@router.get("/api/inbox/threads/{customerThreadId}", summary="Open a conversation", response_model=OpenedConversation)
async def open_inbox_thread(
    request: Request, caller: ReadsSomeThreads, thread_id: InboxThreadOfPath, employee_user_id: ActingEmployee = None
) -> Response:
    """Read everything that the inbox shows of a conversation.

    Reading does not mark it as read: `POST /api/inbox/read` does.
    """
    reader = reader_of(caller, employee_user_id)
    read = await caller.read(_look_up, reader, thread_id, caller.grants)
    opened, customer = read.opened, read.customer
    services, base = caller.services, base_url(request, caller.services.settings)
    seen, at_ms = opened.seen, now_ms()
    viewers = services.presence.of_thread(caller.organization_id, thread_id)
    return json_response(
        {
            "thread": thread_out(opened.entry),
            "customer": None if customer is None else customer.model_dump(),
            "messages": [message_out(each, read.found, base, services.links) for each in opened.messages],
            "hasMore": _has_more(opened.messages),
            "readSequence": opened.read_sequence,
            "customerReadSequence": opened.customer_read_sequence,
            "drafts": [draft_out(request, caller, each, read.files).model_dump() for each in read.drafts],
            "scheduledMessages": [scheduled_message_out(each).model_dump() for each in read.scheduled],
            "activities": [_activity_out(each) for each in opened.activities],
            "viewers": [
                {"employeeUserId": str(each.employee_id), "state": each.state}
                for each in viewers
                if each.employee_id != reader.employee_id
            ],
            "isMessagingWindowOpen": is_window_open(seen.thread.channel, seen.last_by_whatsapp_ms, at_ms),
            "otherThreads": [thread_out(each) for each in opened.others],
            "possibleDuplicates": [
                {"customerId": str(each.customer.id), "displayName": each.display_name} for each in read.duplicates
            ],
            "streamPosition": opened.position,
        }
    )


@router.get(
    "/api/inbox/threads/{customerThreadId}/earlier", summary="Read earlier messages", response_model=EarlierMessages
)
async def read_earlier(
    request: Request,
    caller: ReadsSomeThreads,
    thread_id: InboxThreadOfPath,
    before_sequence: Annotated[
        int,
        Query(
            alias="beforeSequence",
            ge=1,
            le=SEQUENCE_MAX,
            description="Only messages before this one, and of these the last. Without it, the last of all.",
        ),
    ] = SEQUENCE_MAX,
) -> Response:
    """Read the messages before those of an opened conversation, with what happened in their time."""
    await caller.check_thread(thread_id)
    earlier, found = await caller.read(_look_up_earlier, thread_id, before_sequence)
    services, base = caller.services, base_url(request, caller.services.settings)
    return json_response(
        {
            "messages": [message_out(each, found, base, services.links) for each in earlier.messages],
            "hasMore": _has_more(earlier.messages),
            "activities": [_activity_out(each) for each in earlier.activities],
        }
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """What one transaction reads. ``found`` is of the messages, ``files`` of drafts."""

    opened: Opened
    found: Found
    drafts: list[Draft]
    scheduled: list[ScheduledMessage]
    files: dict[int, Attachment]
    customer: InboxCustomer | None
    duplicates: list[Profile]


def _look_up(tx: Connection, organization_id: int, reader: Reader, thread_id: int, grants: Grants) -> _Read:
    conversation_list.check_reader(tx, organization_id, reader)
    opened = conversation.open_conversation(tx, organization_id, reader, thread_id)
    seen = drafts.in_thread(tx, organization_id, thread_id, reader.employee_id)
    customer, duplicates, customer_id = None, [], opened.entry.customer_id
    if "customers:read" in grants.within(opened.entry.business_id):
        customer = look_up_customer(tx, organization_id, customer_id)
        duplicates = conversation.find_duplicates(tx, organization_id, reader, customer_id)
    return _Read(
        opened=opened,
        found=with_details(tx, organization_id, opened.messages),
        drafts=seen,
        scheduled=scheduled_messages.unsent_in_thread(tx, organization_id, thread_id),
        files=read_files(tx, organization_id, seen),
        customer=customer,
        duplicates=duplicates,
    )


def _look_up_earlier(
    tx: Connection, organization_id: int, thread_id: int, before_sequence: int
) -> tuple[Earlier, Found]:
    earlier = conversation.find_earlier(tx, organization_id, thread_id, before_sequence)
    return earlier, with_details(tx, organization_id, earlier.messages)


def _has_more(messages: list[Message]) -> bool:
    return bool(messages) and messages[0].sequence > 1


def _activity_out(activity: Activity) -> dict[str, Any]:
    return {
        "type": activity.type,
        "at": activity.at_ms,
        "afterSequence": activity.after_sequence,
        "actorUserId": None if activity.actor_id is None else str(activity.actor_id),
        "actorName": activity.actor_name,
        "details": details_out(activity.details),
    }
