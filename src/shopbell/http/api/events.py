"""``GET /api/events``: the durable log of all that happens, to be followed from any position."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from shopbell import feed
from shopbell.events import EventType
from shopbell.http.api.access import ReadsThreads
from shopbell.http.api.fields import Fields, wrong
from shopbell.http.api.paging import LIMIT_DEFAULT, Limit

WAIT_MAX_S = 30
_LATEST = "latest"
_TYPES_MAX = 50

router = APIRouter(tags=["events"])


class EventMessage(Fields):
    """The message of an event, as it is now."""

    text: str = Field(description="What it says; empty when it was deleted.", examples=["Where is my order?"])
    deleted: bool = Field(description="Whether it was deleted since.", examples=[False])
    from_customer: bool | None = Field(description="Whether the customer wrote it.", examples=[True])
    internal: bool | None = Field(description="Whether only employees see it.", examples=[False])
    employee_user_id: str | None = Field(description="The employee who wrote it.", examples=[None])
    attachment_id: str | None = Field(description="The file that it carries.", examples=[None])
    content_sid: str | None = Field(description="The template that it was made from.", examples=[None])
    external_id: str | None = Field(description="What its channel's provider calls it.", examples=[None])


class Event(Fields):
    """Something that has happened."""

    position: int = Field(ge=1, description="Its place in the feed: 1, 2, 3, … without a gap.", examples=[4711])
    type: EventType = Field(description="What happened.", examples=["message"])
    created_at: int = Field(description="When, in Unix ms.", examples=[1_700_000_000_000])
    customer_thread_id: str | None = Field(description="The conversation that it is of.", examples=["12350"])
    business_id: str | None = Field(description="The business that it is of.", examples=["12345"])
    customer_id: str | None = Field(description="The customer whom it is about.", examples=["12349"])
    message_id: str | None = Field(description="Of `message` and `message-delivery`: the message.", examples=["12351"])
    thread_sequence: int | None = Field(
        description="The conversation's last message when it happened; of `message` this very one.", examples=[1]
    )
    message: EventMessage | None = Field(description="Of `message`: the message as it is now.")
    data: dict[str, Any] = Field(description="What a type has beside: of `status` the new one and the one before.")


class EventPage(Fields):
    """A piece of the feed."""

    events: list[Event] = Field(description="In the order of their positions, which is that in which they happened.")
    last_position: int = Field(
        ge=0, description="Up to here the feed was looked through: the next request's `after`.", examples=[4711]
    )
    has_more: bool = Field(description="Whether there is more now: then ask again at once.", examples=[False])
    truncated: bool = Field(
        description="Whether events after the asked position are not there any more, so that some were missed: they "
        "were older than the organization keeps, or the server was restored from an older backup. Read anew what you "
        "keep of conversations and customers, then go on from `lastPosition`.",
        examples=[False],
    )


def _types(given: object) -> object:
    """Several types may stand in one parameter, separated by commas, and the parameter several times."""
    return [part for each in given for part in str(each).split(",")] if isinstance(given, list) else given


AFTER_FORMAT = "must be a position (the lastPosition of an earlier answer) or latest"
_AFTER = r"latest|0|[1-9][0-9]{0,15}"


def _after(text: str) -> str:
    if not re.fullmatch(_AFTER, text, re.ASCII):
        raise wrong("invalid_format", AFTER_FORMAT)
    return text


After = Annotated[
    Annotated[str, AfterValidator(_after), WithJsonSchema({"type": "string", "pattern": f"^({_AFTER})$"})] | None,
    Query(
        description="The `lastPosition` of the answer before. Without it the feed is read from the oldest event that "
        "is kept; `latest` skips all that has happened until now.",
    ),
]
Types = Annotated[
    # The maximum stands at the list itself: for the whole of it pydantic would look at every entry first.
    Annotated[list[EventType], Field(max_length=_TYPES_MAX)] | None,
    BeforeValidator(_types),
    Query(description="Only these types, at most 50; several by commas, or by repeating the parameter."),
]
WaitSeconds = Annotated[
    int,
    Query(
        alias="waitSeconds",
        ge=0,
        le=WAIT_MAX_S,
        description="While there is nothing new, wait so long for it: the answer comes as soon as something happens. "
        "At most 16 requests of a token may wait at once; more are answered 429.",
    ),
]


@router.get("/api/events", summary="Follow all that happens")
async def list_events(
    caller: ReadsThreads,
    request: Request,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
    types: Types = None,
    wait_seconds: WaitSeconds = 0,
) -> EventPage:
    """Read the log of all that has happened in the organization, in order, from any position on.

    Every message, transfer, change of status and so on is written here in the transaction in which it happens, so that
    nothing is ever missing, and never out of order: who goes on from `lastPosition` sees each event exactly once. Store
    `lastPosition` together with what you made of the events, and ask again with it as `after`, whether the answer was
    empty or not. With `waitSeconds` an answer comes within moments of an event, without asking all the time.
    """
    read = partial(_read, caller, limit, types)
    position = None if after is None else await _position(caller, after)
    waiting = caller.api.waiting
    return _shown(await waiting.page(caller.token, read, position, request.receive, wait_seconds))


async def _position(caller: ReadsThreads, after: str) -> int:
    return await caller.read(feed.last_position) if after == _LATEST else int(after)


async def _read(caller: ReadsThreads, limit: int, types: list[EventType] | None, after: int | None) -> feed.Page:
    return await caller.read(feed.read, after, limit=limit, types=types)


def _shown(page: feed.Page) -> EventPage:
    return EventPage(
        events=[shown_event(event) for event in page.events],
        last_position=page.last_position,
        has_more=page.has_more,
        truncated=page.truncated,
    )


def shown_event(event: feed.Event) -> Event:
    """An event as clients see it, in the feed and in streams."""
    return Event(
        position=event.position,
        type=event.type,
        created_at=event.created_at_ms,
        customer_thread_id=_id(event.thread_id),
        business_id=_id(event.business_id),
        customer_id=_id(event.customer_id),
        message_id=_id(event.message_id),
        thread_sequence=event.thread_sequence,
        message=_message(event.message) if event.type == "message" else None,
        data=_with_ids_as_strings(event.details),
    )


def _message(message: feed.Message | None) -> EventMessage:
    return EventMessage(
        text=message.text if message else "",
        deleted=message is None,
        from_customer=message.from_customer if message else None,
        internal=message.internal if message else None,
        employee_user_id=_id(message.employee_id) if message else None,
        attachment_id=_id(message.attachment_id) if message else None,
        content_sid=message.content_sid if message else None,
        external_id=message.external_id if message else None,
    )


def _id(number: int | None) -> str | None:
    return None if number is None else str(number)


def _with_ids_as_strings(details: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) if _is_id(name, value) else value for name, value in details.items()}


def _is_id(name: str, value: object) -> bool:
    return name.endswith("Id") and type(value) is int
