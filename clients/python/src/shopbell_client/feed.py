"""Read the event feed: everything that happens in an organization, in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from shopbell_client.actors import Actor
from shopbell_client.call import Call, Page, Pages, Response, query_string
from shopbell_client.errors import EventsMissed
from shopbell_client.shape import json_field, read


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedMessage:
    """The message of an event, in its current state.

    Args:
        text: empty if the message has been deleted.
    """

    text: str = field(repr=False)
    deleted: bool
    from_customer: bool | None
    internal: bool | None
    employee_user_id: str | None
    attachment_id: str | None
    content_sid: str | None
    external_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEvent:
    """An event in the feed.

    Args:
        position: the event's place in the feed. Store it to continue from there.
        type: such as ``message``, ``transfer`` or ``status``. Ignore types that you do not know.
        created_at_ms: in Unix milliseconds.
        message: for events of type ``message``.
        data: further fields, which depend on the type.
        actor: who caused it; None if the server does not tell.
    """

    position: int
    type: str
    created_at_ms: int = json_field("createdAt")
    thread_id: str | None = json_field("customerThreadId")
    business_id: str | None
    customer_id: str | None
    message_id: str | None
    thread_sequence: int | None
    message: FeedMessage | None
    data: Mapping[str, Any] = field(repr=False)
    actor: Actor | None = None


@dataclass(frozen=True, slots=True)
class _FeedPage:
    events: tuple[FeedEvent, ...]
    last_position: int
    has_more: bool
    truncated: bool


def events(
    after: int | Literal["latest"] | None = None,
    *,
    types: Sequence[str] | None = None,
    wait_s: int = 0,
    page_size: int | None = None,
) -> Pages[FeedEvent]:
    """Iterate over the event feed, in order.

    With ``wait_s``, the iterator also waits for future events.

    Args:
        after: the position of the last event that you have read; ``latest`` for future events only; None for all
            events that are kept.
        types: only events of these types.
        wait_s: 0 to stop at the end of the feed; 1 to 30 to wait for new events and never stop. It is the duration of
            each long-polling request, in seconds.
        page_size: events per request. The default is the server's.

    Raises:
        EventsMissed: events after ``after`` no longer exist.
        ShopbellError: any other failure, raised while iterating. Continue from the last position that you stored.
    """

    def parse(response: Response) -> Page[FeedEvent]:
        page = read(_FeedPage, response.json())
        if page.truncated:
            raise EventsMissed(page.last_position)
        continues = page.has_more or wait_s > 0
        return Page(page.events, str(page.last_position) if continues else None)

    def call(cursor: str | None) -> Call[Page[FeedEvent]]:
        query = query_string(
            {
                "after": after if cursor is None else cursor,
                "types": None if types is None else ",".join(types),
                "waitSeconds": wait_s or None,
                "limit": page_size,
            }
        )
        return Call(method="GET", path="/api/events", parse=parse, query=query, server_wait_s=wait_s)

    return Pages(call)
