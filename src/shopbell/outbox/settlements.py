"""Settlements: what came of attempts is written down, and what comes next is due."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from shopbell import audit
from shopbell.outbox.claims import Claimed, Rules
from shopbell.outbox.queues import (
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
    Parameters,
    Q,
    QueueKey,
    W,
    advance,
    of_delivery,
    of_queue,
    run,
)
from shopbell.schedule import Attempt, Delivered, GiveUp, NotSent, Outcome, TryAgain, WebhookKey, is_to_be_disabled
from shopbell.storage.delivery_schema import delivery_attempts, delivery_queues, webhooks

ACTOR = "delivery"
"""How the audit names whoever switches off a webhook whose receiver fails."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A claimed delivery with what came of it; ``attempt`` is None when nothing was sent."""

    claimed: Claimed
    attempt: Attempt | None
    outcome: Outcome


def settle(tx: Connection, rules: Rules, finished: Sequence[Finished], *, now_ms: int) -> None:
    """Write down what came of attempts; with the same ones once more it changes nothing.

    Args:
        tx: the transaction.
        rules: how long others wait, and when a webhook is switched off.
        finished: no delivery twice.
        now_ms: the time in Unix ms.
    """
    if not finished:
        return
    noted = _lock_webhooks(tx, finished)
    waiting_since = _still_ours(tx, finished)
    # What a former address of the webhook answered says nothing about the present one.
    counting = [
        one
        for one in finished
        if not isinstance(one.outcome, NotSent)
        and one.claimed.queue in waiting_since
        and one.claimed.webhook in noted
        and one.claimed.url == noted[one.claimed.webhook].url
    ]
    _note_webhooks(tx, rules, noted, counting, now_ms)
    _log(tx, finished, waiting_since)
    final: list[Parameters] = []
    steps: list[Parameters] = []
    dues: list[Parameters] = []
    alone: list[Parameters] = []
    left: dict[QueueKey, int] = {}
    for one in finished:
        claimed = one.claimed
        if claimed.queue not in waiting_since:
            continue
        match one.outcome:
            case Delivered():
                final.append(of_delivery(claimed.delivery, state="delivered", settled_at_ms=now_ms))
                left[claimed.queue] = now_ms
            case GiveUp(is_gone=True) if one not in counting:  # the webhook leads elsewhere now: told there at once
                dues.append(of_queue(claimed.queue, due_at_ms=now_ms, leased_until_ms=None))
            case GiveUp(state=state):
                final.append(of_delivery(claimed.delivery, state=state, settled_at_ms=now_ms))
                left[claimed.queue] = now_ms
            case NotSent():
                dues.append(of_queue(claimed.queue, due_at_ms=now_ms, leased_until_ms=None))
            case TryAgain(due_at_ms=due_at_ms):
                steps.append(of_delivery(claimed.delivery, step=claimed.step + 1))
                # A first attempt in the future was made before the clock was set back.
                others_wait_until_ms = min(waiting_since[claimed.queue], now_ms) + rules.order_wait_ms
                if claimed.queue[3] or due_at_ms < others_wait_until_ms:
                    dues.append(of_queue(claimed.queue, due_at_ms=due_at_ms, leased_until_ms=None))
                else:  # before it is tried again, the others have waited long enough
                    alone.append(_alone(claimed, due_at_ms))
                    left[claimed.queue] = others_wait_until_ms
    run(tx, (FINISH, final), (STEP_ON, steps), (RELEASE, dues))
    if alone:
        tx.execute(insert(delivery_queues), alone)
    advance(tx, left)


def _alone(claimed: Claimed, due_at_ms: int) -> Parameters:
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
_ADD_TO_LOG: dict[str, Any] = {
    "sqlite": sqlite_insert(delivery_attempts).on_conflict_do_nothing(),
    "postgresql": postgresql_insert(delivery_attempts).on_conflict_do_nothing(),
}


def _still_ours(tx: Connection, finished: Sequence[Finished]) -> dict[QueueKey, int]:
    """Lock the queues. Those whose claim still holds, with the time of the head's first attempt in Unix ms."""
    ours = {one.claimed.queue: one.claimed for one in finished}
    locked = {
        (row[0], row[1], row[2], row[3]): (row.position, row.leased_until_ms)
        for row in tx.execute(_QUEUES, {"keys": sorted(ours)})
    }
    # Read after the locks were got: whoever held them may have changed what is read here.
    keys = sorted(claimed.delivery for claimed in ours.values())
    rows = {(row[0], row[1], row[2]): row for row in tx.execute(_DELIVERIES, {"keys": keys})}
    return {
        queue: rows[claimed.delivery].first_attempt_at_ms or 0
        for queue, claimed in ours.items()
        if locked.get(queue) == (claimed.position, claimed.leased_until_ms)
        and claimed.delivery in rows
        and rows[claimed.delivery].state == "waiting"
        and rows[claimed.delivery].attempts == claimed.number
    }


def _log(tx: Connection, finished: Sequence[Finished], ours: Mapping[QueueKey, int]) -> None:
    """Add to the log. Of an attempt that was overtaken not its answer: it may be the customer who was erased."""
    rows = [
        {
            "organization_id": one.claimed.queue[0],
            "webhook_id": one.claimed.queue[1],
            "position": one.claimed.position,
            "number": one.claimed.number,
            "at_ms": one.attempt.at_ms,
            "duration_ms": one.attempt.duration_ms,
            "status": one.attempt.status,
            "error": one.attempt.error,
            "answer": one.attempt.answer if one.claimed.queue in ours else None,
        }
        for one in finished
        if one.attempt is not None
    ]
    if rows:
        tx.execute(_ADD_TO_LOG[tx.dialect.name], rows)


def _lock_webhooks(tx: Connection, finished: Sequence[Finished]) -> dict[WebhookKey, Row[Any]]:
    """Lock the webhooks that outcomes may change: before the queues, as everybody does. Those of them that are left."""
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
    """Count failures in a row, and switch off who is gone or has failed for too long."""
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
