"""Claims: what is due is leased, fairly, and its attempt counted, before anything is sent."""

import secrets
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from shopbell.clock import TOLERANCE_MS
from shopbell.outbox.pushes import PUSH, PictureUrl, push_for
from shopbell.outbox.queues import (
    FINISH,
    LEASE,
    OPEN,
    QUEUE_KEY,
    RELEASE,
    START,
    START_WITH_BODY,
    THESE_QUEUES,
    THESE_WEBHOOKS,
    WEBHOOK_KEY,
    DeliveryKey,
    Parameters,
    Q,
    QueueKey,
    W,
    advance,
    due_queues,
    of_delivery,
    of_queue,
    run,
    under_way,
)
from shopbell.outbox.telling import body_for, can_be_told, read
from shopbell.schedule import WebhookKey, share
from shopbell.storage.delivery_schema import webhooks

RUN = 16
"""How many deliveries a slot takes at once, to send one after the other, when the webhook is quick."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say about claiming and settling.

    Args:
        lease_ms: how long a claim holds, in ms.
        per_webhook: most deliveries sent at once to one webhook, whichever workers do: its slots.
        first_pause_ms: between an event and its first attempt, in ms.
        order_wait_ms: how long others of a thread wait for one that does not get through, in ms.
        failure_days: days without a success after which a webhook is switched off,
        failure_attempts: with at least so many failures.
        picture_url: makes links to the pictures of pushes.
    """

    lease_ms: int
    per_webhook: int
    first_pause_ms: int
    order_wait_ms: int
    failure_days: float
    failure_attempts: int
    picture_url: PictureUrl | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is this worker's until its lease ends.

    Args:
        queue: where it stands.
        position: of its event in the organization's feed.
        number: which attempt this is, from 1: the fence.
        slot: all of the webhook's that have it are sent one after the other.
        step: how many attempts of the present schedule came before.
        leased_until_ms: when it is no longer this worker's, in Unix ms.
        created_at_ms: when its event happened, in Unix ms.
        body: what to send.
        url: where to.
        sealed_secrets: what signs, the present one first.
        sealed_extra_headers: what goes with it, if anything.
        is_failing: whether the webhook has failed since its last success.
        is_push: whether it goes to a push URL.
    """

    queue: QueueKey
    position: int
    number: int
    slot: int
    step: int
    leased_until_ms: int
    created_at_ms: int
    body: str
    url: str
    sealed_secrets: tuple[str, ...]
    sealed_extra_headers: str | None
    is_failing: bool
    is_push: bool = False

    @property
    def is_health_check(self) -> bool:
        """Whether it only asks whether the push URL answers."""
        return self.is_push and not self.body

    @property
    def webhook(self) -> WebhookKey:
        """Whose delivery it is."""
        return self.queue[:2]

    @property
    def delivery(self) -> DeliveryKey:
        """Which one it is."""
        return (*self.queue[:2], self.position)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What there is to do.

    Args:
        webhooks: how many webhooks deliveries can go to now.
        room: how many more slots each webhook that has some due may hold.
        oldest_due_ms: the due time of the delivery that waits longest, in Unix ms; None when none is due.
        next_due_ms: when the next one that is not due yet will be; None when there is none.
    """

    webhooks: int
    room: Mapping[WebhookKey, int]
    oldest_due_ms: int | None
    next_due_ms: int | None

    @property
    def has_work(self) -> bool:
        """Whether something could be claimed now."""
        return any(room > 0 for room in self.room.values())


@dataclass(frozen=True, slots=True)
class Taken:
    """What a claim brought.

    Args:
        claimed: what is this worker's now.
        outlook: what there was to do before it.
        again: whether there may be more at once: another worker had its hands on it, or something was put aside.
    """

    claimed: list[Claimed]
    outlook: Outlook
    again: bool = False


_FIRST_DUE = select(
    *WEBHOOK_KEY,
    select(Q.due_at_ms)
    .where(Q.organization_id + 0 == W.organization_id, Q.webhook_id == W.id)  # as in `due_queues`
    .order_by(Q.due_at_ms)
    .limit(1)
    .scalar_subquery(),
).where(*OPEN)
_OPEN_WEBHOOKS = select(webhooks).where(THESE_WEBHOOKS, *OPEN).with_for_update(key_share=True, skip_locked=True)
_DUE_HEADS = (
    select(*QUEUE_KEY, Q.position)
    .where(THESE_QUEUES, Q.due_at_ms <= bindparam("now_ms"))
    .with_for_update(skip_locked=True)
)


def look(tx: Connection, rules: Rules, *, now_ms: int) -> Outlook:
    """See what there is to do; changes nothing.

    Args:
        tx: a transaction that may only read.
        rules: how many slots a webhook may hold.
        now_ms: the time in Unix ms.
    """
    found = [((row[0], row[1]), row[2]) for row in tx.execute(_FIRST_DUE)]
    due = {key: at_ms for key, at_ms in found if at_ms is not None and at_ms <= now_ms}
    busy = under_way(tx, now_ms) if due else {}
    return Outlook(
        webhooks=len(found),
        room={key: max(0, rules.per_webhook - busy.get(key, 0)) for key in due},
        oldest_due_ms=min(due.values(), default=None),
        next_due_ms=min((at_ms for _, at_ms in found if at_ms is not None and at_ms > now_ms), default=None),
    )


def claim(
    tx: Connection,
    rules: Rules,
    *,
    free: int,
    busy: Mapping[int, int],
    last_served: int,
    now_ms: int,
    quick: Collection[WebhookKey] = (),
) -> Taken:
    """Lease what is due, fairly, and count an attempt of each; commit before anything is sent.

    What can no longer be told, because its message was erased or deleted, is settled as ``skipped`` here.

    Args:
        tx: the transaction; the claim is its last part.
        rules: lease and caps.
        free: the worker's free slots.
        busy: how many slots each organization holds at this worker.
        last_served: the organization that was served last.
        now_ms: the time in Unix ms.
        quick: the webhooks of which a slot takes a run of deliveries, unless they are failing.
    """
    outlook = look(tx, rules, now_ms=now_ms)
    chosen = share(outlook.room, free=free, busy=busy, last_served=last_served)
    if not chosen:
        return Taken([], outlook)
    locked = {(row.organization_id, row.id): row for row in tx.execute(_OPEN_WEBHOOKS, {"keys": sorted(chosen)})}
    # Counted anew under the webhooks' locks: since the first look another worker may have claimed.
    leased = under_way(tx, now_ms)
    rooms = {key: min(chosen[key], rules.per_webhook - leased.get(key, 0)) for key in locked}
    slots = {key: count for key, count in rooms.items() if count > 0}
    runs = {key: RUN if key in quick and locked[key].failing_since_ms is None else 1 for key in slots}
    heads = _lock_heads(tx, {key: slots[key] * runs[key] for key in slots}, now_ms)
    claimed, again = _take(tx, rules, heads, locked, slots, now_ms)
    return Taken(claimed, outlook, again or len(locked) < len(chosen))


def _lock_heads(tx: Connection, wanted: Mapping[WebhookKey, int], now_ms: int) -> dict[DeliveryKey, QueueKey]:
    """The queues that are due longest, of each webhook so many, locked; those in others' hands left out."""
    if not wanted:
        return {}
    keys = [tuple(row) for row in tx.execute(*due_queues(wanted, now_ms))]
    if not keys:
        return {}
    rows = tx.execute(_DUE_HEADS, {"keys": sorted(keys), "now_ms": now_ms})
    return {(row[0], row[1], row[4]): (row[0], row[1], row[2], row[3]) for row in rows}


def _take(
    tx: Connection,
    rules: Rules,
    heads: Mapping[DeliveryKey, QueueKey],
    locked: Mapping[WebhookKey, Row[Any]],
    slots: Mapping[WebhookKey, int],
    now_ms: int,
) -> tuple[list[Claimed], bool]:
    """Lease those of the heads that can be sent; whether others left room for what stands behind them."""
    rows = read(tx, list(heads))
    claimed: list[Claimed] = []
    leases: list[Parameters] = []
    started: list[Parameters] = []
    started_with_body: list[Parameters] = []
    skipped: list[Parameters] = []
    left: dict[QueueKey, int] = {}
    released: list[Parameters] = []
    first_slot = secrets.randbits(62)  # no two claims have one in common
    taken: Counter[WebhookKey] = Counter()
    for key, queue in sorted(heads.items()):
        row, webhook = rows.get(key), locked[key[:2]]
        ripe_at_ms = 0 if row is None or row.attempts else _ripe_at_ms(row.created_at_ms, rules, now_ms)
        if row is None or row.state != "waiting":
            left[queue] = now_ms
        elif not can_be_told(row):
            skipped.append(of_delivery(key, state="skipped", settled_at_ms=now_ms))
            left[queue] = now_ms
        elif ripe_at_ms > now_ms:
            released.append(of_queue(queue, due_at_ms=ripe_at_ms, leased_until_ms=None))
        else:
            version = PUSH if webhook.is_push else row.payload_version or webhook.payload_version
            body = row.body or (push_for(tx, row, rules.picture_url) if webhook.is_push else body_for(row, version))
            if body is None:
                skipped.append(of_delivery(key, state="skipped", settled_at_ms=now_ms))
                left[queue] = now_ms
                continue
            until_ms = now_ms + rules.lease_ms
            slot = first_slot + taken[queue[:2]] % slots[queue[:2]]
            taken[queue[:2]] += 1
            claimed.append(_claimed(row, webhook, queue, slot, body, until_ms, now_ms))
            leases.append(of_queue(queue, due_at_ms=until_ms, leased_until_ms=until_ms, slot=slot))
            counted = {"attempts": row.attempts + 1, "first_attempt_at_ms": row.first_attempt_at_ms or now_ms}
            if row.body is None:
                started_with_body.append(of_delivery(key, **counted, payload_version=version, body=body))
            else:
                started.append(of_delivery(key, **counted))
    run(tx, (RELEASE, released), (LEASE, leases), (START, started), (START_WITH_BODY, started_with_body))
    run(tx, (FINISH, skipped))
    advance(tx, left)
    return claimed, bool(left)


def _ripe_at_ms(created_at_ms: int, rules: Rules, now_ms: int) -> int:
    """When the first attempt may be made: not later because the clock was set back since the event."""
    if created_at_ms > now_ms + TOLERANCE_MS:
        return now_ms
    return created_at_ms + rules.first_pause_ms


def _claimed(
    row: Row[Any], webhook: Row[Any], queue: QueueKey, slot: int, body: str, until_ms: int, now_ms: int
) -> Claimed:
    secrets: tuple[str, ...] = (webhook.sealed_secret,)
    if webhook.sealed_old_secret is not None and (webhook.old_secret_expires_at_ms or 0) > now_ms:
        secrets += (webhook.sealed_old_secret,)
    return Claimed(
        queue=queue,
        position=row.position,
        number=row.attempts + 1,
        slot=slot,
        step=row.step,
        leased_until_ms=until_ms,
        created_at_ms=row.created_at_ms,
        body=body,
        url=webhook.url,
        sealed_secrets=secrets,
        sealed_extra_headers=webhook.sealed_extra_headers,
        is_failing=webhook.failing_since_ms is not None,
        is_push=webhook.is_push,
    )
