"""What became of each event for a webhook; sending it again; sending a test."""

from dataclasses import dataclass, field
from typing import Literal

from shopbell.client.call import Answer, Call, Done, Id, Pages, get, pages, part, post
from shopbell.client.shape import named, read

State = Literal["waiting", "delivered", "exhausted", "skipped"]
Settled = Literal["delivered", "exhausted", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of one attempt.

    Args:
        number: 1 is the first.
        at_ms: when it began, in Unix milliseconds.
        duration_ms: how long it took.
        status: the HTTP status of the receiver's answer, if there was one.
        error: why there was none.
        answer: how the answer began; only where one delivery is read.
    """

    number: int
    at_ms: int = named("at")
    duration_ms: int
    status: int | None
    error: str | None
    answer: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one webhook. Times are Unix milliseconds.

    Args:
        state: ``waiting``, ``delivered``, ``exhausted`` after the last attempt, or ``skipped``.
        attempts: how many were begun.
        next_attempt_at_ms: None when it is settled, or waits for an earlier event of its conversation.
        attempt_log: all attempts; only where one delivery is read.
    """

    id: str
    event_type: str | None
    thread_id: str | None = named("customerThreadId")
    thread_sequence: int | None
    message_id: str | None
    state: str
    attempts: int
    created_at_ms: int = named("createdAt")
    next_attempt_at_ms: int | None = named("nextAttemptAt")
    settled_at_ms: int | None = named("settledAt")
    last_attempt: Attempt | None
    attempt_log: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Replayed:
    """Deliveries wait again.

    Args:
        replayed: how many.
        more: whether some are left: then do it again.
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
    """What became of each event for a webhook, the newest first.

    Args:
        webhook_id: the webhook.
        state: of this state.
        since_ms: of events from this time on, in Unix milliseconds.
        thread_id: of this conversation.
        event_type: of this type, such as ``message``.
        page_size: how many to ask for at once, 1 to 200; the server's choice unless given.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason, at any step.
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
    """What became of one event for a webhook, attempt by attempt.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return get(f"{_path(webhook_id)}/{part(delivery_id)}", Delivery)


def replay_delivery(webhook_id: Id, delivery_id: Id) -> Call[Done]:
    """Send one event again, at once.

    Raises:
        NotFound: 404.
        Conflict: 409, the webhook is switched off, or the event is forgotten.
        ShopbellError: any other reason.
    """
    return post(f"{_path(webhook_id)}/{part(delivery_id)}/replay", Done)


def replay_deliveries(
    webhook_id: Id, *, since_ms: int, until_ms: int | None = None, state: Settled | None = None
) -> Call[Replayed]:
    """Send all events of a time again, those of each conversation in their order.

    Args:
        webhook_id: the webhook.
        since_ms: of events from this time on, in Unix milliseconds.
        until_ms: of events before this time.
        state: of this state; ``exhausted`` unless given.

    Raises:
        NotFound: 404.
        Conflict: 409, the webhook is switched off.
        ShopbellError: any other reason.
    """
    return post(f"{_path(webhook_id)}/replay", Replayed, since=since_ms, until=until_ms, state=state)


def test_webhook(webhook_id: Id) -> Call[str]:
    """Send a webhook an event of type ``webhook-test``, and return the id of its delivery.

    Raises:
        NotFound: 404.
        Conflict: 409, the webhook is switched off.
        ShopbellError: any other reason.
    """

    def parse(answer: Answer) -> str:
        return read(str, answer.json().get("deliveryId"), "#/deliveryId")

    return Call(method="POST", path=f"/api/webhooks/{part(webhook_id)}/test", parse=parse)


def _path(webhook_id: Id) -> str:
    return f"/api/webhooks/{part(webhook_id)}/deliveries"
