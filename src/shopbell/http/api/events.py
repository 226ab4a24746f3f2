"""``GET /api/events``: the durable log of all events, readable from any position."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from shopbell.conversations import visible_events
from shopbell.events import feed
from shopbell.events.actors import ActorType
from shopbell.events.record import EventType
from shopbell.http.request.caller import ReadsSomeThreads
from shopbell.http.request.fields import Fields, field_error
from shopbell.http.request.paging import LIMIT_DEFAULT, Limit

WAIT_MAX_S = 30
_LATEST = "latest"
_TYPES_MAX = 50

router = APIRouter(tags=["events"])


class EventMessage(Fields):
    """The message of an event, in its current state."""

    text: str = Field(description="Its text; empty if it was deleted.", examples=["Where is my order?"])
    deleted: bool = Field(description="Whether it has been deleted.", examples=[False])
    from_customer: bool | None = Field(description="Whether the customer wrote it.", examples=[True])
    internal: bool | None = Field(description="Whether only employees see it.", examples=[False])
    employee_user_id: str | None = Field(description="The employee who wrote it.", examples=[None])
    attachment_id: str | None = Field(description="Its file.", examples=[None])
    content_sid: str | None = Field(description="Its template.", examples=[None])
    external_id: str | None = Field(description="Its id at the provider of the channel.", examples=[None])


class EventActor(Fields):
    """Who caused an event."""

    type: ActorType = Field(
        description="`system` is Shopbell itself, or its operator on the command line.", examples=["employee"]
    )
    id: str | None = Field(
        description="The id of the employee, token or customer; `null` for the system, and for an employee who is not "
        "known: an email or a link does not say which employee of the business replies.",
        examples=["12352"],
    )


class Event(Fields):
    """One event."""

    position: int = Field(ge=1, description="Its position in the feed: 1, 2, 3, … without gaps.", examples=[4711])
    type: EventType = Field(description="What happened.", examples=["message"])
    created_at: int = Field(description="When, in Unix ms.", examples=[1_700_000_000_000])
    actor: EventActor = Field(description="Who did it.")
    customer_thread_id: str | None = Field(description="Its conversation.", examples=["12350"])
    business_id: str | None = Field(description="Its business.", examples=["12345"])
    customer_id: str | None = Field(description="Its customer.", examples=["12349"])
    message_id: str | None = Field(description="Of `message` and `message-delivery`: the message.", examples=["12351"])
    thread_sequence: int | None = Field(
        description="The last message of the conversation at that time; for `message`, this message.", examples=[1]
    )
    message: EventMessage | None = Field(description="Of `message`: the message in its current state.")
    data: dict[str, Any] = Field(
        description="Further data of a type, such as the new and the previous status of `status`."
    )


class EventPage(Fields):
    """A page of the feed."""

    events: list[Event] = Field(description="In the order of their positions, in which they happened.")
    last_position: int = Field(
        ge=0, description="The feed was read up to here. Use it as `after` of the next request.", examples=[4711]
    )
    has_more: bool = Field(
        description="Whether there are more events now. If so, request them immediately.", examples=[False]
    )
    truncated: bool = Field(
        description="Whether events after the requested position are missing: they are older than the organization "
        "keeps events, or the server was restored from an older backup. Read again the conversations and customers "
        "that you store, then continue from `lastPosition`.",
        examples=[False],
    )


def _types(given: object) -> object:
    """Split types at commas. The parameter may also be repeated."""
    return [part for each in given for part in str(each).split(",")] if isinstance(given, list) else given


AFTER_FORMAT = "must be a position (the lastPosition of an earlier response) or latest"
_AFTER = r"latest|0|[1-9][0-9]{0,15}"


def _after(text: str) -> str:
    if not re.fullmatch(_AFTER, text, re.ASCII):
        raise field_error("invalid_format", AFTER_FORMAT)
    return text


After = Annotated[
    Annotated[str, AfterValidator(_after), WithJsonSchema({"type": "string", "pattern": f"^({_AFTER})$"})] | None,
    Query(
        description="The `lastPosition` of the previous response. Without it, the feed starts at the oldest event "
        "that is kept. `latest` skips all past events.",
    ),
]
Types = Annotated[
    # The limit is on the list itself: otherwise pydantic would check every entry first.
    Annotated[list[EventType], Field(max_length=_TYPES_MAX)] | None,
    BeforeValidator(_types),
    Query(description="Only these types, at most 50: separate them by commas, or repeat the parameter."),
]
WaitSeconds = Annotated[
    int,
    Query(
        alias="waitSeconds",
        ge=0,
        le=WAIT_MAX_S,
        description="Seconds to wait if there is no event: the response comes as soon as there is one. At most "
        "16 requests of a token may wait at once; more get 429.",
    ),
]


@router.get("/api/events", summary="Read the event feed")
async def list_events(
    caller: ReadsSomeThreads,
    request: Request,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
    types: Types = None,
    wait_seconds: WaitSeconds = 0,
) -> EventPage:
    """Read the log of all events in the organization, in order, from any position.

    Every message, transfer, status change and so on is logged in its own transaction, so no event is missing or out of
    order. If you continue from `lastPosition`, you see each event exactly once. Store `lastPosition` together with your
    results, and send it as the next `after`, whether the page was empty or not. With `waitSeconds`, events arrive
    within moments, without frequent polling.
    """
    read = partial(_read, caller, limit, types)
    position = None if after is None else await _position(caller, after)
    long_polling = caller.services.long_polling
    return _shown(
        await long_polling.page(caller.organization_id, caller.id, read, position, request.receive, wait_seconds)
    )


async def _position(caller: ReadsSomeThreads, after: str) -> int:
    return await caller.read(feed.last_position) if after == _LATEST else int(after)


async def _read(caller: ReadsSomeThreads, limit: int, types: list[EventType] | None, after: int | None) -> feed.Page:
    return await caller.read(visible_events.read, after, limit=limit, types=types, businesses=caller.businesses)


def _shown(page: feed.Page) -> EventPage:
    return EventPage(
        events=[event_out(event) for event in page.events],
        last_position=page.last_position,
        has_more=page.has_more,
        truncated=page.truncated,
    )


def event_out(event: feed.Event) -> Event:
    """Return an event as clients see it, in the feed and in streams."""
    return Event(
        position=event.position,
        type=event.type,
        created_at=event.created_at_ms,
        actor=EventActor(type=event.actor.type, id=_id(event.actor.id)),
        customer_thread_id=_id(event.thread_id),
        business_id=_id(event.business_id),
        customer_id=_id(event.customer_id),
        message_id=_id(event.message_id),
        thread_sequence=event.thread_sequence,
        message=_message(event.message) if event.type == "message" else None,
        data=details_out(event.details),
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


def details_out(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the details of an event as clients see them: ids are strings."""
    return {name: _shown_detail(name, value) for name, value in details.items()}


def _shown_detail(name: str, value: Any) -> Any:
    if name.endswith("Ids") and isinstance(value, list):
        return [_shown_detail("Id", each) for each in value]
    return str(value) if name.endswith("Id") and type(value) is int else value
