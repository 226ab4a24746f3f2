"""``/api/webhooks/:webHookId/deliveries``: what became of each event for a webhook; send it again, or send a test."""

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field
from sqlalchemy import Connection

from shopbell import delivery_log
from shopbell.delivery_log import REPLAY_MAX, Replayed
from shopbell.http.api.access import ManagesWebhooks
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, Id, PathId
from shopbell.http.api.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.api.results import Ok
from shopbell.http.api.webhooks import WebhookOfPath, note

router = APIRouter(tags=["webhooks"])

DeliveryOfPath = Annotated[PathId, Path(alias="deliveryId", description="The delivery.", examples=["4711"])]

State = Literal["waiting", "delivered", "exhausted", "skipped"]
Settled = Literal["delivered", "exhausted", "skipped"]
DeliveryEvent = Literal["message", "transfer", "webhook-test"]
TIME_MAX_MS = 2**53 - 1
TimeMs = Annotated[int, Field(ge=0, le=TIME_MAX_MS)]


class ShownAttempt(Fields):
    """What came of an attempt."""

    number: int = Field(description="1 is the first.", examples=[1])
    at: int = Field(description="When it began, in Unix ms.", examples=[1_700_000_000_123])
    duration_ms: int = Field(description="How long it took, in ms.", examples=[87])
    status: int | None = Field(description="The HTTP status of the answer, if there was one.", examples=[503])
    error: str | None = Field(
        description="Why there was none: `address_denied`, `dns_failed`, `connect_timeout`, `connect_refused`, "
        "`tls_failed`, `timeout`, `connection_lost` or `protocol_error`.",
        examples=[None],
    )


class FullAttempt(ShownAttempt):
    """What came of an attempt, with the receiver's words."""

    answer: str | None = Field(description="How the answer's body began, at most 4 KiB, as text.", examples=["Later."])


class ShownDelivery(Fields):
    """One event for one webhook."""

    id: str = Field(description="Unique among the webhook's: the event's position in the feed.", examples=["4711"])
    event_type: DeliveryEvent | None = Field(
        description="What happened; `null` when the feed has forgotten it.", examples=["message"]
    )
    customer_thread_id: str | None = Field(description="The conversation; `null` for a test.", examples=["12350"])
    thread_sequence: int | None = Field(description="The place in the conversation.", examples=[1])
    message_id: str | None = Field(description="Of `message`: the message.", examples=["12351"])
    state: State = Field(
        description="`waiting`: will be tried, or tried again. `delivered`: the receiver answered 2xx. `exhausted`: "
        "given up after the last attempt. `skipped`: the webhook was switched off, or what it told of is gone.",
        examples=["delivered"],
    )
    attempts: int = Field(description="How many attempts were begun.", examples=[1])
    created_at: int = Field(description="When the event happened, in Unix ms.", examples=[1_700_000_000_000])
    next_attempt_at: int | None = Field(
        description="When it is tried next, in Unix ms; `null` when it is settled, or waits for an earlier event of "
        "its conversation.",
        examples=[None],
    )
    settled_at: int | None = Field(description="When it was settled, in Unix ms.", examples=[1_700_000_000_210])
    last_attempt: ShownAttempt | None = Field(description="What came of the last attempt.")


class FullDelivery(ShownDelivery):
    """One event for one webhook, with all attempts."""

    attempt_log: list[FullAttempt] = Field(description="All attempts, the first one first.")


class Deliveries(Fields):
    """A page of deliveries."""

    deliveries: list[ShownDelivery] = Field(description="The newest event first.")
    next_cursor: str | None = Field(description="`cursor` of the next page; `null` on the last one.", examples=[None])


class ReplayDeliveries(Fields):
    """Which deliveries to send again."""

    since: TimeMs = Field(description="Of events from this time on, in Unix ms.", examples=[1_700_000_000_000])
    until: TimeMs | None = Field(None, description="Of events before this time, in Unix ms.")
    state: Settled | None = Field(None, description="Of this state; `exhausted` unless given.", examples=["exhausted"])


class ReplayStarted(Fields):
    """The deliveries wait again."""

    result: Literal["ok"] = Field("ok", examples=["ok"])
    replayed: int = Field(description="How many of them.", examples=[17])
    more: bool = Field(
        description=f"Whether there are more than {REPLAY_MAX:,}: then send the request again.", examples=[False]
    )


class SentTest(Fields):
    """A test is on its way."""

    result: Literal["ok"] = Field("ok", examples=["ok"])
    delivery_id: str = Field(description="Its delivery, to see what becomes of it.", examples=["4712"])


@router.post("/api/webhooks/{webHookId}/test", summary="Send a test to a webhook")
async def test_webhook(caller: ManagesWebhooks, webhook_id: WebhookOfPath) -> SentTest:
    """Send a webhook an event of type `webhook-test`, in the way that all events go: signed, and tried again."""

    def work(tx: Connection, organization_id: int, now_ms: int) -> int:
        note(tx, caller, "webhook.test", webhook_id, None, now_ms)
        return delivery_log.send_test(tx, organization_id, webhook_id, now_ms=now_ms)

    return SentTest(delivery_id=str(await caller.write(work, _now_ms())))


@router.get("/api/webhooks/{webHookId}/deliveries", summary="List a webhook's deliveries")
async def list_deliveries(
    caller: ManagesWebhooks,
    webhook_id: WebhookOfPath,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    state: Annotated[State | None, Query(description="Only of this state.")] = None,
    since: Annotated[
        int | None, Query(ge=0, le=TIME_MAX_MS, description="Only of events from this time on, in Unix ms.")
    ] = None,
    customer_thread_id: Annotated[
        Id | None, Query(alias="customerThreadId", description="Only of this conversation.")
    ] = None,
    event_type: Annotated[
        DeliveryEvent | None, Query(alias="eventType", description="Only of events of this type.")
    ] = None,
) -> Deliveries:
    """List what became of each event for a webhook, the newest event first. The log is kept for 30 days."""
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
        deliveries=[ShownDelivery(**_members(each)) for each in page],
        next_cursor=cursor_of(page[-1].position) if len(found) > limit else None,
    )


@router.get("/api/webhooks/{webHookId}/deliveries/{deliveryId}", summary="Read a delivery")
async def get_delivery(caller: ManagesWebhooks, webhook_id: WebhookOfPath, delivery_id: DeliveryOfPath) -> FullDelivery:
    """Read what became of an event for a webhook, attempt by attempt."""
    found, attempts = await caller.read(delivery_log.get, webhook_id, delivery_id)
    log = [FullAttempt(**_attempt(each), answer=each.answer) for each in attempts]
    return FullDelivery(**_members(found), attempt_log=log)


@router.post(
    "/api/webhooks/{webHookId}/deliveries/replay",
    summary="Send deliveries again",
    openapi_extra=described(ReplayDeliveries),
)
async def replay_deliveries(
    caller: ManagesWebhooks,
    webhook_id: WebhookOfPath,
    body: Annotated[Body[ReplayDeliveries], takes(ReplayDeliveries)],
) -> ReplayStarted:
    """Send all deliveries of a state and a time again, those of each conversation in their order.

    They keep their `webhook-id` and their body, and go before what else waits in their conversation.
    """
    fields = body.fields

    def work(tx: Connection, organization_id: int, after: int, now_ms: int) -> Replayed:
        if not after:
            note(tx, caller, "webhook.replay", webhook_id, None, now_ms)
        return delivery_log.replay_all(
            tx,
            organization_id,
            webhook_id,
            state=fields.state or "exhausted",
            since_ms=fields.since,
            until_ms=fields.until,
            after=after,
            now_ms=now_ms,
        )

    done = await caller.write(work, 0, _now_ms())
    count = done.count
    while done.more and count < REPLAY_MAX:
        done = await caller.write(work, done.last, _now_ms())
        count += done.count
    return ReplayStarted(replayed=count, more=done.more)


@router.post("/api/webhooks/{webHookId}/deliveries/{deliveryId}/replay", summary="Send a delivery again")
async def replay_delivery(caller: ManagesWebhooks, webhook_id: WebhookOfPath, delivery_id: DeliveryOfPath) -> Ok:
    """Send a delivery again, at once, with the same `webhook-id` and body; nothing else of its conversation waits.

    One that waits for its next attempt is tried now.
    """

    def work(tx: Connection, organization_id: int, now_ms: int) -> None:
        note(tx, caller, "webhook.replay", webhook_id, None, now_ms)
        delivery_log.replay(tx, organization_id, webhook_id, delivery_id, now_ms=now_ms)

    await caller.write(work, _now_ms())
    return Ok()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


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
        "last_attempt": None if delivery.last is None else ShownAttempt(**_attempt(delivery.last)),
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
