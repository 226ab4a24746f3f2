"""Read the delivery log of a webhook, replay deliveries, and send test events."""

from dataclasses import dataclass, field
from typing import Literal

from shopbell_client.call import Call, Done, Id, Pages, Response, get, pages, path_segment, post
from shopbell_client.shape import json_field, read

State = Literal["waiting", "delivered", "exhausted", "skipped"]
FinalState = Literal["delivered", "exhausted", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt to deliver an event.

    Args:
        number: 1 for the first attempt.
        at_ms: the start, in Unix milliseconds.
        status: the HTTP status of the receiver's response, if there was one.
        error: why there was no response.
        answer: the beginning of the response body. Only ``delivery`` returns it.
    """

    number: int
    at_ms: int = json_field("at")
    duration_ms: int
    status: int | None
    error: str | None
    answer: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The delivery of one event to one webhook. Times are Unix milliseconds.

    Args:
        state: ``waiting``, ``delivered``, ``exhausted`` (no attempts left) or ``skipped``.
        attempts: the number of attempts so far.
        next_attempt_at_ms: None if the state is final, or if the delivery waits for an earlier event of its
            conversation.
        settled_at_ms: when the state became final.
        attempt_log: all attempts. Only ``delivery`` returns them.
    """

    id: str
    event_type: str | None
    thread_id: str | None = json_field("customerThreadId")
    thread_sequence: int | None
    message_id: str | None
    state: str
    attempts: int
    created_at_ms: int = json_field("createdAt")
    next_attempt_at_ms: int | None = json_field("nextAttemptAt")
    settled_at_ms: int | None = json_field("settledAt")
    last_attempt: Attempt | None
    attempt_log: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The result of ``replay_deliveries``.

    Args:
        replayed: the number of deliveries that will be sent again.
        more: whether further deliveries match. If so, repeat the call.
    """

    replayed: int
    more: bool


def deliveries(
    webhook_id: Id,
    *,
    state: State | None = None,
    since_ms: int | None = None,
    thread_id: Id | None = None,
    event_type: str | None = None,
    page_size: int | None = None,
) -> Pages[Delivery]:
    """List the deliveries to a webhook, newest first. Each argument narrows the list.

    Args:
        since_ms: deliveries created at or after this time, in Unix milliseconds.
        event_type: deliveries of events of this type, such as ``message``.
        page_size: deliveries per request, 1 to 200. The default is the server's.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure, raised while iterating.
    """
    return pages(
        _path(webhook_id),
        "deliveries",
        Delivery,
        state=state,
        since=since_ms,
        customerThreadId=thread_id,
        eventType=event_type,
        limit=page_size,
    )


def delivery(webhook_id: Id, delivery_id: Id) -> Call[Delivery]:
    """Get a delivery with all its attempts.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return get(f"{_path(webhook_id)}/{path_segment(delivery_id)}", Delivery)


def replay_delivery(webhook_id: Id, delivery_id: Id) -> Call[Done]:
    """Send an event again, immediately.

    Raises:
        NotFound: 404.
        Conflict: 409, the webhook is disabled, or the event no longer exists.
        ShopbellError: any other failure.
    """
    return post(f"{_path(webhook_id)}/{path_segment(delivery_id)}/replay", Done)


def replay_deliveries(
    webhook_id: Id, *, since_ms: int, until_ms: int | None = None, state: FinalState | None = None
) -> Call[ReplayResult]:
    """Send the events of a period again. Each conversation's events keep their order.

    Args:
        since_ms: the start of the period, in Unix milliseconds.
        until_ms: the end of the period (exclusive), in Unix milliseconds. The default is now.
        state: only deliveries in this state. The default is ``exhausted``.

    Raises:
        NotFound: 404.
        Conflict: 409, the webhook is disabled.
        ShopbellError: any other failure.
    """
    return post(f"{_path(webhook_id)}/replay", ReplayResult, since=since_ms, until=until_ms, state=state)


def test_webhook(webhook_id: Id) -> Call[str]:
    """Send a ``webhook-test`` event, and return the id of its delivery.

    Raises:
        NotFound: 404.
        Conflict: 409, the webhook is disabled.
        ShopbellError: any other failure.
    """

    def parse(response: Response) -> str:
        return read(str, response.json().get("deliveryId"), "#/deliveryId")

    return Call(method="POST", path=f"/api/webhooks/{path_segment(webhook_id)}/test", parse=parse)


def _path(webhook_id: Id) -> str:
    return f"/api/webhooks/{path_segment(webhook_id)}/deliveries"
