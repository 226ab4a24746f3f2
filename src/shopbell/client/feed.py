"""The event feed: all that happens in an organization, in order, from any position on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from shopbell.client.call import Answer, Call, Page, Pages, present
from shopbell.client.errors import EventsMissed
from shopbell.client.shape import named, read


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedMessage:
    """The message of an event, as it is now.

    Args:
        text: what it says; empty when it was deleted since.
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
    """Something that has happened.

    Args:
        position: its place in the feed: keep it with what you made of the event, and go on from there.
        type: such as ``message``, ``transfer``, ``status``; there will be more.
        created_at_ms: when, in Unix milliseconds.
        message: of ``message``: the message as it is now.
        data: what a type has beside.
    """

    position: int
    type: str
    created_at_ms: int = named("createdAt")
    thread_id: str | None = named("customerThreadId")
    business_id: str | None
    customer_id: str | None
    message_id: str | None
    thread_sequence: int | None
    message: FeedMessage | None
    data: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Piece:
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
    """All that has happened, in order; with ``wait_s`` also what will, for ever.

    Args:
        after: the position of the last event that was read; ``latest`` for only what is new; None for all that is kept.
        types: only of these types.
        wait_s: 1 to 30: at the end, wait for what comes next, asking again each time that so many seconds have passed;
            0 stops there.
        page_size: how many to ask for at once, 1 to 200; the server's choice unless given.

    Raises:
        EventsMissed: what followed ``after`` is not kept any more.
        ShopbellError: any other reason, at any step; go on from the last position that you have kept.
    """

    def parse(answer: Answer) -> Page[FeedEvent]:
        piece = read(_Piece, answer.json())
        if piece.truncated:
            raise EventsMissed(piece.last_position)
        goes_on = piece.has_more or wait_s > 0
        return Page(piece.events, str(piece.last_position) if goes_on else None)

    def call(cursor: str | None) -> Call[Page[FeedEvent]]:
        asked = {
            "after": cursor if cursor is not None or after is None else str(after),
            "types": None if types is None else ",".join(types),
            "waitSeconds": str(wait_s) if wait_s else None,
            "limit": None if page_size is None else str(page_size),
        }
        query = {name: str(value) for name, value in present(asked).items()}
        return Call(method="GET", path="/api/events", parse=parse, query=query, server_waits_s=wait_s)

    return Pages(call)
