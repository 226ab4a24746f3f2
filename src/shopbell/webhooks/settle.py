"""Stores the outcomes of attempts, and makes the next deliveries of the queues due."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, insert, select, text, update

from shopbell.db.json_rows import json_rows
from shopbell.db.last_writes import last_writes
from shopbell.db.schema.webhooks import delivery_attempts, delivery_queues, webhooks
from shopbell.events import audit
from shopbell.events.record import upsert
from shopbell.webhooks.claim import Claimed, Rules
from shopbell.webhooks.queues import (
    DELIVERY_KEY,
    FINISH,
    QUEUE_KEY,
    RELEASE,
    STEP_ON,
    THESE_DELIVERIES,
    THESE_QUEUES,
    THESE_WEBHOOKS,
    WEBHOOK_KEY,
    D,
    Q,
    QueueKey,
    Values,
    W,
    advance,
)
from shopbell.webhooks.retry_policy import (
    Attempt,
    Delivered,
    GiveUp,
    NotSent,
    Outcome,
    TryAgain,
    WebhookKey,
    is_to_be_disabled,
)

ACTOR = "delivery"
"""The actor in audit entries of webhooks that Shopbell disabled."""


@dataclass(slots=True)
class Finished:
    """A claimed delivery with its outcome; ``attempt`` is None if nothing was sent."""

    claimed: Claimed
    attempt: Attempt | None
    outcome: Outcome


def earlier(finished: Finished, by_ms: int) -> Finished:
    """Make the next attempt due ``by_ms`` earlier, after the clock was set back."""
    if by_ms and isinstance(finished.outcome, TryAgain):
        return replace(finished, outcome=TryAgain(finished.outcome.due_at_ms - by_ms))
    return finished


def settle(tx: Connection, rules: Rules, finished: Sequence[Finished], *, now_ms: int) -> None:
    """Store the outcomes of attempts. Doing it again with the same outcomes changes nothing.

    Args:
        tx: the transaction; nothing may follow in it.
        rules: how long other deliveries wait, and when a webhook is disabled.
        finished: each delivery at most once.
    """
    if not finished:
        return
    noted = _lock_webhooks(tx, finished)
    waiting_since = _still_ours(tx, finished)
    # Responses of a former URL of the webhook say nothing about the current one.
    counting = [
        one
        for one in finished
        if not isinstance(one.outcome, NotSent)
        and one.claimed.queue in waiting_since
        and one.claimed.webhook in noted
        and one.claimed.url == noted[one.claimed.webhook].url
    ]
    _note_webhooks(tx, rules, noted, counting, now_ms)
    final: list[Values] = []
    steps: list[Values] = []
    dues: list[Values] = []
    alone: list[dict[str, int | None]] = []
    left: dict[QueueKey, int] = {}
    for one in finished:
        claimed = one.claimed
        if claimed.queue not in waiting_since:
            continue
        match one.outcome:
            case Delivered():
                final.append((*claimed.delivery, "delivered", now_ms))
                left[claimed.queue] = now_ms
            case GiveUp(is_gone=True) if one not in counting:  # the webhook has a new URL: send to that one at once
                dues.append((*claimed.queue, now_ms, None))
            case GiveUp(state=state):
                final.append((*claimed.delivery, state, now_ms))
                left[claimed.queue] = now_ms
            case NotSent():
                dues.append((*claimed.queue, now_ms, None))
            case TryAgain(due_at_ms=due_at_ms):
                steps.append((*claimed.delivery, claimed.step + 1))
                # A first attempt in the future was made before the clock was set back.
                others_wait_until_ms = min(waiting_since[claimed.queue], now_ms) + rules.order_wait_ms
                if claimed.queue[3] or due_at_ms < others_wait_until_ms:
                    dues.append((*claimed.queue, due_at_ms, None))
                else:  # the others would wait too long for the next attempt
                    alone.append(_alone(claimed, due_at_ms))
                    left[claimed.queue] = others_wait_until_ms
    with last_writes(tx):
        _log(tx, finished, waiting_since)
        FINISH.of(tx, final)
        STEP_ON.of(tx, steps)
        RELEASE.of(tx, dues)
        if alone:
            tx.execute(insert(delivery_queues), alone)
        advance(tx, left, now_ms=now_ms)


def _alone(claimed: Claimed, due_at_ms: int) -> dict[str, int | None]:
    organization_id, webhook_id, thread_id, _ = claimed.queue
    return {
        "organization_id": organization_id,
        "webhook_id": webhook_id,
        "thread_id": thread_id,
        "background": claimed.position,
        "position": claimed.position,
        "due_at_ms": due_at_ms,
        "leased_until_ms": None,
    }


_WEBHOOKS = (
    select(webhooks)
    .where(THESE_WEBHOOKS, W.deleted_at_ms.is_(None))
    .order_by(*WEBHOOK_KEY)
    .with_for_update(key_share=True)
)
_QUEUES = select(*QUEUE_KEY, Q.position, Q.leased_until_ms).where(THESE_QUEUES).order_by(*QUEUE_KEY).with_for_update()
_DELIVERIES = select(*DELIVERY_KEY, D.state, D.attempts, D.first_attempt_at_ms).where(THESE_DELIVERIES)
# Without the condition, SQLite cannot parse the statement.
_ATTEMPTS = select(*json_rows("rows", delivery_attempts.columns)).where(text("true"))


def _still_ours(tx: Connection, finished: Sequence[Finished]) -> dict[QueueKey, int]:
    """Lock the queues. Returns those whose claim is valid, with the time of the head's first attempt in Unix ms."""
    ours = {one.claimed.queue: one.claimed for one in finished}
    locked = {row[:4]: row[4:] for row in tx.execute(_QUEUES, {"keys": sorted(ours)}).all()}
    # Read after locking: the previous holder of a lock may have changed these rows.
    keys = sorted(claimed.delivery for claimed in ours.values())
    rows = {row[:3]: row[3:] for row in tx.execute(_DELIVERIES, {"keys": keys}).all()}
    waiting_since: dict[QueueKey, int] = {}
    for queue, claimed in ours.items():
        state, attempts, first_attempt_at_ms = rows.get(claimed.delivery, (None, 0, None))
        is_leased = locked.get(queue) == (claimed.position, claimed.leased_until_ms)
        if is_leased and (state, attempts) == ("waiting", claimed.number):
            waiting_since[queue] = first_attempt_at_ms or 0
    return waiting_since


def _log(tx: Connection, finished: Sequence[Finished], ours: Mapping[QueueKey, int]) -> None:
    """Add attempts to the log, without the response if the claim was lost: its customer may be erased by now."""
    rows = [
        (
            *one.claimed.delivery,
            one.claimed.number,
            one.attempt.at_ms,
            one.attempt.duration_ms,
            one.attempt.status,
            one.attempt.error,
            one.attempt.answer if one.claimed.queue in ours else None,
        )
        for one in finished
        if one.attempt is not None
    ]
    if rows:
        new = upsert(tx, delivery_attempts).from_select(delivery_attempts.columns.keys(), _ATTEMPTS)
        tx.execute(new.on_conflict_do_nothing(), {"rows": rows})


def _lock_webhooks(tx: Connection, finished: Sequence[Finished]) -> dict[WebhookKey, Row[Any]]:
    """Lock the webhooks of the outcomes, before the queues as everywhere. Returns those that still exist."""
    changing = {
        one.claimed.webhook
        for one in finished
        if isinstance(one.outcome, TryAgain | GiveUp) or (isinstance(one.outcome, Delivered) and one.claimed.is_failing)
    }
    if not changing:
        return {}
    return {(row.organization_id, row.id): row for row in tx.execute(_WEBHOOKS, {"keys": sorted(changing)})}


def _note_webhooks(
    tx: Connection, rules: Rules, locked: Mapping[WebhookKey, Row[Any]], counting: Sequence[Finished], now_ms: int
) -> None:
    """Count consecutive failures, and disable webhooks that are gone or have failed for too long."""
    outcomes: dict[WebhookKey, list[Outcome]] = {}
    for one in counting:
        outcomes.setdefault(one.claimed.webhook, []).append(one.outcome)
    for key, of_webhook in outcomes.items():
        row = locked[key]
        failures = sum(isinstance(outcome, TryAgain | GiveUp) for outcome in of_webhook)
        is_gone = any(isinstance(outcome, GiveUp) and outcome.is_gone for outcome in of_webhook)
        values: dict[str, Any] = {"failing_since_ms": None, "failures": 0}
        if failures and not any(isinstance(outcome, Delivered) for outcome in of_webhook):
            values = {"failing_since_ms": row.failing_since_ms or now_ms, "failures": row.failures + failures}
        reason = _reason(rules, is_gone, values, now_ms) if row.enabled else None
        if reason is not None:
            values |= {"enabled": False, "disabled_reason": reason}
            audit.record(tx, row.organization_id, ACTOR, "webhook.disable", f"webhook {row.id}", now_ms=now_ms)
        tx.execute(update(webhooks).where(W.organization_id == row.organization_id, W.id == row.id).values(**values))


def _reason(rules: Rules, is_gone: bool, values: Mapping[str, Any], now_ms: int) -> str | None:
    if is_gone:
        return "gone"
    if values["failing_since_ms"] is not None and is_to_be_disabled(
        values["failing_since_ms"],
        values["failures"],
        now_ms=now_ms,
        after_days=rules.failure_days,
        after_failures=rules.failure_attempts,
    ):
        return "failing"
    return None
