"""``/api/webhooks/{webHookId}/deliveries``: the delivery log of a webhook, replays and tests."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from shopbell.events.record import DeliveredType
from shopbell.http.api.webhooks import WebhookOfPath
from shopbell.http.request.caller import ManagesWebhooks
from shopbell.http.request.fields import Fields, Id, PathId
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.request.results import Ok
from shopbell.runtime.clock import now_ms
from shopbell.webhooks import delivery_log
from shopbell.webhooks.delivery_log import REPLAY_MAX, Settled, State

router = APIRouter(tags=["webhooks"])

DeliveryOfPath = Annotated[PathId, Path(alias="deliveryId", description="The delivery.", examples=["4711"])]

TIME_MAX_MS = 2**53 - 1
TimeMs = Annotated[int, Field(ge=0, le=TIME_MAX_MS)]


class AttemptOut(Fields):
    """The result of an attempt."""

    number: int = Field(description="1 for the first attempt.", examples=[1])
    at: int = Field(description="When it started, in Unix ms.", examples=[1_700_000_000_123])
    duration_ms: int = Field(description="How long it took, in ms.", examples=[87])
    status: int | None = Field(description="The HTTP status of the response, if there was one.", examples=[503])
    error: str | None = Field(
        description="The reason if there was none: `address_denied`, `dns_failed`, `connect_timeout`, "
        "`connect_refused`, `tls_failed`, `timeout`, `connection_lost` or `protocol_error`.",
        examples=[None],
    )


class FullAttempt(AttemptOut):
    """The result of an attempt, with the body of the response."""

    answer: str | None = Field(description="The first 4 KiB of the body of the response, as text.", examples=["Later."])


class DeliveryOut(Fields):
    """One event for one webhook."""

    id: str = Field(description="The position of the event in the feed; unique within the webhook.", examples=["4711"])
    event_type: DeliveredType | None = Field(
        description="The type of the event; `null` if the event is no longer in the feed.", examples=["message"]
    )
    customer_thread_id: str | None = Field(description="The conversation; `null` for a test.", examples=["12350"])
    thread_sequence: int | None = Field(description="The position in the conversation.", examples=[1])
    message_id: str | None = Field(description="Of `message` and `message-delivery`: the message.", examples=["12351"])
    state: State = Field(
        description="`waiting`: will be attempted. `delivered`: the receiver responded 2xx. `exhausted`: failed, and "
        "will not be attempted again. `skipped`: the webhook was disabled, or the message was deleted.",
        examples=["delivered"],
    )
    attempts: int = Field(description="The number of attempts.", examples=[1])
    created_at: int = Field(description="When the event happened, in Unix ms.", examples=[1_700_000_000_000])
    next_attempt_at: int | None = Field(
        description="When the next attempt is due, in Unix ms; `null` if the delivery is settled or waits for an "
        "earlier event of its conversation.",
        examples=[None],
    )
    settled_at: int | None = Field(description="When it was settled, in Unix ms.", examples=[1_700_000_000_210])
    last_attempt: AttemptOut | None = Field(description="The result of the last attempt.")


class FullDelivery(DeliveryOut):
    """One event for one webhook, with all attempts."""

    attempt_log: list[FullAttempt] = Field(description="All attempts, the first one first.")


class Deliveries(Fields):
    """A page of deliveries."""

    deliveries: list[DeliveryOut] = Field(description="The newest event first.")
    next_cursor: str | None = Field(description="`cursor` of the next page; `null` on the last one.", examples=[None])


class ReplayDeliveries(Fields):
    """Which deliveries to send again."""

    since: TimeMs = Field(description="Of events from this time on, in Unix ms.", examples=[1_700_000_000_000])
    until: TimeMs | None = Field(None, description="Of events before this time, in Unix ms.")
    state: Settled | None = Field(None, description="Of this state; `exhausted` unless given.", examples=["exhausted"])


class ReplayStarted(Fields):
    """The deliveries will be sent again."""

    result: Literal["ok"] = Field("ok", examples=["ok"])
    replayed: int = Field(description="The number of deliveries.", examples=[17])
    more: bool = Field(
        description=f"Whether there are more than {REPLAY_MAX:,}. If so, repeat the request.", examples=[False]
    )


class SentTest(Fields):
    """The test will be sent."""

    result: Literal["ok"] = Field("ok", examples=["ok"])
    delivery_id: str = Field(description="Its delivery, which shows the result.", examples=["4712"])


@router.post("/api/webhooks/{webHookId}/test", summary="Send a test to a webhook")
async def test_webhook(caller: ManagesWebhooks, webhook_id: WebhookOfPath) -> SentTest:
    """Send an event of type `webhook-test` to a webhook, signed and retried like any other event."""
    position = await caller.write(delivery_log.send_test, webhook_id, actor=caller.actor(), now_ms=now_ms())
    return SentTest(delivery_id=str(position))


@router.get("/api/webhooks/{webHookId}/deliveries", summary="List a webhook's deliveries")
async def list_deliveries(
    caller: ManagesWebhooks,
    webhook_id: WebhookOfPath,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    state: Annotated[State | None, Query(description="Only deliveries in this state.")] = None,
    since: Annotated[
        int | None, Query(ge=0, le=TIME_MAX_MS, description="Only events since this time, in Unix ms.")
    ] = None,
    customer_thread_id: Annotated[
        Id | None, Query(alias="customerThreadId", description="Only events of this conversation.")
    ] = None,
    event_type: Annotated[
        DeliveredType | None, Query(alias="eventType", description="Only events of this type.")
    ] = None,
) -> Deliveries:
    """List the deliveries of a webhook, the newest event first. The log is kept for 30 days."""
    place = place_of(cursor, int)
    found = await caller.read(
        delivery_log.find,
        webhook_id,
        before=None if place is None else int(place[0]),
        limit=limit + 1,
        state=state,
        since_ms=since,
        thread_id=customer_thread_id,
        event_type=event_type,
    )
    page = found[:limit]
    return Deliveries(
        deliveries=[DeliveryOut(**_members(each)) for each in page],
        next_cursor=cursor_of(page[-1].position) if len(found) > limit else None,
    )


@router.get("/api/webhooks/{webHookId}/deliveries/{deliveryId}", summary="Read a delivery")
async def get_delivery(caller: ManagesWebhooks, webhook_id: WebhookOfPath, delivery_id: DeliveryOfPath) -> FullDelivery:
    """Read one delivery with all its attempts."""
    found, attempts = await caller.read(delivery_log.get, webhook_id, delivery_id)
    log = [FullAttempt(**_attempt(each), answer=each.answer) for each in attempts]
    return FullDelivery(**_members(found), attempt_log=log)


@router.post(
    "/api/webhooks/{webHookId}/deliveries/replay",
    summary="Send deliveries again",
    openapi_extra=body_schema(ReplayDeliveries),
)
async def replay_deliveries(
    caller: ManagesWebhooks,
    webhook_id: WebhookOfPath,
    body: Annotated[Body[ReplayDeliveries], json_body(ReplayDeliveries)],
) -> ReplayStarted:
    """Send all deliveries of a state and a period again, in order within each conversation.

    They keep their `webhook-id` and body, and are sent before other waiting events of their conversation.
    """
    count, after, more = 0, 0, True
    while more and count < REPLAY_MAX:
        done = await caller.write(
            delivery_log.replay_all,
            webhook_id,
            state=body.fields.state or "exhausted",
            since_ms=body.fields.since,
            until_ms=body.fields.until,
            after=after,
            actor=caller.name,
            now_ms=now_ms(),
        )
        count, after, more = count + done.count, done.last, done.more
    return ReplayStarted(replayed=count, more=more)


@router.post("/api/webhooks/{webHookId}/deliveries/{deliveryId}/replay", summary="Send a delivery again")
async def replay_delivery(caller: ManagesWebhooks, webhook_id: WebhookOfPath, delivery_id: DeliveryOfPath) -> Ok:
    """Send a delivery again immediately, with the same `webhook-id` and body. Other events do not wait for it.

    A delivery that waits for its next attempt is attempted now.
    """
    await caller.write(delivery_log.replay, webhook_id, delivery_id, actor=caller.name, now_ms=now_ms())
    return Ok()


def _members(delivery: delivery_log.Delivery) -> dict[str, Any]:
    return {
        "id": str(delivery.position),
        "event_type": delivery.event_type,
        "customer_thread_id": _id(delivery.thread_id),
        "thread_sequence": delivery.thread_sequence,
        "message_id": _id(delivery.message_id),
        "state": delivery.state,
        "attempts": delivery.attempts,
        "created_at": delivery.created_at_ms,
        "next_attempt_at": delivery.next_attempt_at_ms,
        "settled_at": delivery.settled_at_ms,
        "last_attempt": None if delivery.last is None else AttemptOut(**_attempt(delivery.last)),
    }


def _attempt(attempt: delivery_log.Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "at": attempt.at_ms,
        "duration_ms": attempt.duration_ms,
        "status": attempt.status,
        "error": attempt.error,
    }


def _id(number: int | None) -> str | None:
    return None if number is None else str(number)
