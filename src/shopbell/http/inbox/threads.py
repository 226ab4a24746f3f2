"""The list of conversations in the inbox, and the counts of its views."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field
from sqlalchemy import Connection

from shopbell.conversations.threads import Status
from shopbell.formats.channels import ChannelName
from shopbell.http.inbox.person import ActingEmployee, person
from shopbell.http.request.caller import Caller, ReadsSomeThreads
from shopbell.http.request.fields import Fields, Id
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, WrongCursor, cursor_of, place_of
from shopbell.http.request.results import json_response
from shopbell.inbox import conversation_list, saved_views
from shopbell.inbox.conversation_list import COUNT_MAX, Counts, Entry, Reader, Sort, View, Wanted
from shopbell.inbox.projection import PREVIEW_CHARACTERS

LIMIT_MAX = 100
_PERSONAL: tuple[View, ...] = ("mine", "mentions")

router = APIRouter(tags=["inbox"])


class InboxThread(Fields):
    """A conversation in the list. Times are Unix milliseconds."""

    customer_thread_id: str = Field(examples=["12347"])
    business_id: str = Field(examples=["12345"])
    customer_id: str = Field(
        description="The customer; if they were merged, the customer that they became.", examples=["12346"]
    )
    customer_name: str | None = Field(
        description="The first of these that is known: name, company, email address, phone number. Otherwise `null`.",
        examples=["Carol Jones"],
    )
    channel: ChannelName = Field(description="The channel of the customer.", examples=["WEB"])
    status: Status = Field(examples=["waiting"])
    assignee_user_id: str | None = Field(description="The assigned employee, or `null`.", examples=[None])
    waiting_since: int | None = Field(
        description="The customer's first message without a reply; if there is none, when the status was set to "
        "`waiting`. `null` for other statuses.",
        examples=[1700000000000],
    )
    last_message_at: int = Field(
        description="The last message that is not a note. The next two fields also describe it.",
        examples=[1700000000000],
    )
    preview: str = Field(
        description=f"The start of its text on one line, at most {PREVIEW_CHARACTERS} characters; empty for a file.",
        examples=["Hello, I need help with my order."],
    )
    last_author: Literal["customer", "employee", "program"] = Field(examples=["customer"])
    last_sequence: int = Field(description="The sequence of the last message, notes included.", examples=[1])
    unread: bool = Field(
        description="Whether the customer wrote messages that the employee has not read, or the employee marked the "
        "conversation as unread.",
        examples=[True],
    )
    mentioned: bool = Field(description="Whether an unread note mentions the employee.", examples=[False])
    snoozed_until: int | None = Field(examples=[None])
    tag_ids: list[str] = Field(examples=[[]])
    position: int = Field(description="The position of the last event that changed the entry.", examples=[4711])


class InboxThreads(Fields):
    """A page of the list."""

    threads: list[InboxThread]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


class BusinessCount(Fields):
    """How many conversations of a business need a reply."""

    business_id: str = Field(examples=["12345"])
    needs_reply: int = Field(examples=[7])


class ViewCounts(Fields):
    """How many conversations each view has."""

    needs_reply: int = Field(alias="needs-reply", examples=[7])
    mine: int = Field(examples=[4])
    unassigned: int = Field(examples=[2])
    mentions: int = Field(examples=[1])
    snoozed: int = Field(examples=[3])
    open: int = Field(examples=[12])


class SavedViewCount(Fields):
    """How many conversations a saved view has."""

    saved_view_id: str = Field(examples=["12390"])
    count: int = Field(description=f"At most {COUNT_MAX:,}.", examples=[5])


class InboxCounts(Fields):
    """How many conversations there are. Resolved ones are not counted."""

    views: ViewCounts
    businesses: list[BusinessCount] = Field(description="Businesses with conversations that need a reply.")
    saved_views: list[SavedViewCount] = Field(description="Of the employee, and shared ones.")


@router.get("/api/inbox/threads", summary="List conversations in the inbox", response_model=InboxThreads)
async def list_inbox_threads(
    caller: ReadsSomeThreads,
    view: Annotated[
        View,
        Query(
            description="`needs-reply`: `waiting` and not snoozed. `mine`: assigned to the employee, neither resolved "
            "nor snoozed. `unassigned`: need a reply and have no assignee. `mentions`: an unread note mentions the "
            "employee. `open`: all that are not resolved."
        ),
    ] = "needs-reply",
    business_id: Annotated[
        Id | None, Query(alias="businessId", description="Only conversations with this business.")
    ] = None,
    assignee_user_id: Annotated[
        Id | None, Query(alias="assigneeUserId", description="Only conversations assigned to this employee.")
    ] = None,
    tag_id: Annotated[Id | None, Query(alias="tagId", description="Only conversations with this tag.")] = None,
    channel: Annotated[ChannelName | None, Query(description="Only conversations on this channel.")] = None,
    customer_thread_id: Annotated[
        list[Id] | None,
        Query(
            alias="customerThreadId",
            max_length=LIMIT_MAX,
            description="These conversations, whatever the view: repeat the parameter. Those that are missing from the "
            "response do not match the other filters.",
        ),
    ] = None,
    sort: Annotated[
        Sort,
        Query(
            description="`waiting`: first those that need a reply, the longest waiting first; then those with a reply, "
            "the newest first; then snoozed ones. `recent`: by the last message, the newest first. Resolved "
            "conversations are always listed by the last message."
        ),
    ] = "waiting",
    employee_user_id: ActingEmployee = None,
    cursor: Cursor = None,
    limit: Annotated[
        int, Query(ge=1, le=LIMIT_MAX, description="The maximum number of entries on a page.")
    ] = LIMIT_DEFAULT,
) -> Response:
    """List conversations as employees see them in the inbox.

    Filters are combined. The list follows changes within moments. The signal `inbox` of `GET /api/stream` names the
    conversations that changed: read them with `customerThreadId`. Without an employee, nothing is unread.
    """
    reader = reader_of(caller, employee_user_id, is_personal=view in _PERSONAL and customer_thread_id is None)
    wanted = Wanted(view, business_id, assignee_user_id, tag_id, channel, customer_thread_id)
    order = conversation_list.order_of(wanted, sort)
    after = None
    if (place := place_of(cursor, str, int, int)) is not None:
        if place[0] != order:
            raise WrongCursor
        after = int(place[1]), int(place[2])
    if customer_thread_id is not None:
        limit = LIMIT_MAX
    found = await caller.read(conversation_list.find_page, reader, wanted, sort=order, after=after, limit=limit + 1)
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    return json_response(
        {
            "threads": [thread_out(each) for each in page],
            "nextCursor": None if last is None else cursor_of(order, last.place(order), last.thread_id),
        }
    )


@router.get("/api/inbox/counts", summary="Count conversations in the inbox", response_model=InboxCounts)
async def count_inbox_threads(caller: ReadsSomeThreads, employee_user_id: ActingEmployee = None) -> Response:
    """Count the conversations of each view, and those that need a reply per business."""
    counts, of_saved_views = await caller.read(_count, reader_of(caller, employee_user_id))
    businesses = sorted(counts.needs_reply.items())
    return json_response(
        {
            "views": counts.views,
            "businesses": [{"businessId": str(id_), "needsReply": size} for id_, size in businesses],
            "savedViews": [{"savedViewId": str(id_), "count": size} for id_, size in of_saved_views.items()],
        }
    )


def _count(tx: Connection, organization_id: int, reader: Reader) -> tuple[Counts, dict[int, int]]:
    """Count the conversations of all views, and of the reader's saved views by id."""
    counts = conversation_list.count(tx, organization_id, reader)
    visible = saved_views.find_visible(tx, organization_id, reader.employee_id, businesses=reader.businesses)
    wanted = {view.id: Wanted.of_query(view.query) for view in visible}
    sizes = conversation_list.count_each(tx, organization_id, reader, wanted.values())
    return counts, {id_: sizes[each] for id_, each in wanted.items()}


def reader_of(caller: Caller, employee_id: int | None, *, is_personal: bool = False) -> Reader:
    """Return who reads.

    Args:
        employee_id: the employee that a token names, if any.
        is_personal: whether the list depends on an employee.

    Raises:
        Invalid: 400; the list depends on an employee, and a token names none.
        ActsAsAnother: 403; an employee who is signed in names another one.
    """
    if is_personal:
        person(caller, employee_id, source="query")
    return Reader(caller.acting(employee_id), caller.businesses)


def thread_out(entry: Entry) -> dict[str, Any]:
    """Return an entry as clients see it: an ``InboxThread``.

    Pydantic would take most of the time of the request.
    """
    return {
        "customerThreadId": str(entry.thread_id),
        "businessId": str(entry.business_id),
        "customerId": str(entry.customer_id),
        "customerName": entry.customer_name,
        "channel": entry.channel,
        "status": entry.status,
        "assigneeUserId": None if entry.assignee_id is None else str(entry.assignee_id),
        "waitingSince": entry.waiting_since_ms,
        "lastMessageAt": entry.last_at_ms,
        "preview": " ".join(entry.preview.split())[:PREVIEW_CHARACTERS],
        "lastAuthor": entry.last_author,
        "lastSequence": entry.last_sequence,
        "unread": entry.is_unread,
        "mentioned": entry.is_mentioned,
        "snoozedUntil": entry.snoozed_until_ms,
        "tagIds": [str(id_) for id_ in entry.tag_ids],
        "position": entry.position,
    }
