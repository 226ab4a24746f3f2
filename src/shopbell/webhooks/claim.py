"""Claims due deliveries: leases them fairly and counts the attempt before anything is sent."""

import secrets
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, Row, select

from shopbell.db.last_writes import last_writes
from shopbell.db.schema.webhooks import webhooks
from shopbell.runtime.clock import TOLERANCE_MS
from shopbell.webhooks.payload_rows import can_be_sent, event_of, read
from shopbell.webhooks.payloads import PUSH, EventFields, body_of
from shopbell.webhooks.queues import (
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
    Q,
    QueueKey,
    Values,
    W,
    advance,
    due_queues,
    under_way,
)
from shopbell.webhooks.retry_policy import WebhookKey, share

RUN = 64
"""How many deliveries a slot claims at once if the webhook is quick (``batches.QUICK_MS``)."""
RUN_ON_SQLITE = 24
"""The same on SQLite, where messages wait until the transaction ends."""


log = structlog.get_logger()

PushBody = Callable[[Connection, EventFields], str | None]
"""Makes the body of a push, as ``conversations.pushes.PushBodies.body_for``. The worker provides it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of claims and settlements.

    Args:
        lease_ms: how long a claim is valid.
        per_webhook: most deliveries that all workers together send to one webhook at the same time: its slots.
        first_pause_ms: the time between an event and its first attempt.
        order_wait_ms: how long the deliveries of a thread wait for one that fails.
        failure_days: days without a success after which a webhook is disabled,
        failure_attempts: if it has had at least this many failures.
        push_body: makes the bodies of pushes; without it, deliveries to push URLs are skipped.
    """

    lease_ms: int
    per_webhook: int
    first_pause_ms: int
    order_wait_ms: int
    failure_days: float
    failure_attempts: int
    push_body: PushBody | None = None


@dataclass(slots=True)
class Claimed:
    """A delivery that belongs to this worker until its lease ends.

    Args:
        queue: its queue.
        position: the position of its event in the organization's feed.
        number: the number of this attempt, from 1. It shows a worker whose lease has ended that another one took over.
        slot: deliveries of a webhook with the same slot are sent one after the other.
        step: how many attempts of the current schedule were made before.
        leased_until_ms: the end of the lease, in Unix ms.
        created_at_ms: the time of its event, in Unix ms.
        sealed_secrets: the encrypted secrets, the current one first.
        sealed_extra_headers: the encrypted extra headers, if any.
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
        """Whether it only checks that the push URL responds."""
        return self.is_push and not self.body

    @property
    def webhook(self) -> WebhookKey:
        """Its webhook."""
        return self.queue[:2]

    @property
    def delivery(self) -> DeliveryKey:
        """Its key."""
        return (*self.queue[:2], self.position)


@dataclass(frozen=True, slots=True)
class Outlook:
    """The work that there is.

    Args:
        webhooks: the number of enabled webhooks.
        room: the number of free slots of each webhook with due deliveries.
        oldest_due_ms: the due time of the delivery that has waited longest, in Unix ms; None if none is due.
        next_due_ms: the due time of the next delivery that is not due yet, in Unix ms; None if there is none.
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
    """The result of a claim.

    Args:
        claimed: the claimed deliveries.
        outlook: the work before the claim.
        again: whether to claim again at once: another worker held locks, or deliveries were skipped.
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
_LOCK_QUEUES = select(*QUEUE_KEY, Q.position, Q.due_at_ms).where(THESE_QUEUES).with_for_update(skip_locked=True)


def look(tx: Connection, rules: Rules, *, now_ms: int) -> Outlook:
    """Find out what there is to do, without changing anything."""
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
    seen: Outlook | None = None,
) -> Taken:
    """Lease due deliveries fairly and count an attempt of each. Commit before sending anything.

    Deliveries whose message was erased or deleted are skipped here.

    Args:
        tx: the transaction; nothing may follow in it.
        rules: the limits.
        free: the worker's free slots.
        busy: how many slots each organization uses at this worker.
        last_served: the organization that was served last.
        quick: the webhooks that are quick; a slot takes a run of their deliveries, unless they are failing.
        seen: the result of a look just now; without it, the claim looks itself.
    """
    outlook = seen or look(tx, rules, now_ms=now_ms)
    chosen = share(outlook.room, free=free, busy=busy, last_served=last_served)
    if not chosen:
        return Taken([], outlook)
    locked = {(row.organization_id, row.id): row for row in tx.execute(_OPEN_WEBHOOKS, {"keys": sorted(chosen)})}
    # Counted again under the webhooks' locks: another worker may have claimed some since the look.
    leased = under_way(tx, now_ms)
    rooms = {key: min(chosen[key], rules.per_webhook - leased.get(key, 0)) for key in locked}
    slots = {key: count for key, count in rooms.items() if count > 0}
    run = run_length(tx)
    runs = {key: run if key in quick and locked[key].failing_since_ms is None else 1 for key in slots}
    due = _due(tx, {key: slots[key] * runs[key] for key in slots}, now_ms)
    # Messages wait for the locks of the queues, so bodies are made before. A transaction that changes a waiting
    # delivery locks its queue and changes or deletes it; then `_lock_heads` leaves the delivery out.
    rows = read(tx, [(*queue[:2], position) for queue, (position, _) in due.items()])
    bodies = _Bodies(tx, rules)
    for row in rows.values():
        if row.body is None and can_be_sent(row):
            bodies.make(row, _version(row, locked[row.organization_id, row.webhook_id]))
    claimed, again = _take(tx, rules, _lock_heads(tx, due), rows, bodies, locked, slots, now_ms)
    return Taken(claimed, outlook, again or len(locked) < len(chosen))


def run_length(tx: Connection) -> int:
    """How many deliveries a slot claims at once if the webhook is quick."""
    return RUN_ON_SQLITE if tx.dialect.name == "sqlite" else RUN


def _due(tx: Connection, wanted: Mapping[WebhookKey, int], now_ms: int) -> dict[QueueKey, tuple[int, int]]:
    """The position and due time of the queues that have been due longest, for each webhook the wanted number."""
    if not wanted:
        return {}
    return {row[:4]: row[4:] for row in tx.execute(*due_queues(wanted, now_ms)).all()}


def _lock_heads(tx: Connection, due: Mapping[QueueKey, tuple[int, int]]) -> list[tuple[DeliveryKey, QueueKey]]:
    """Lock the queues, without those that others have locked or changed. Returns their first deliveries, in order."""
    if not due:
        return []
    rows = tx.execute(_LOCK_QUEUES, {"keys": sorted(due)}).all()
    return sorted(((row[0], row[1], row[4]), row[:4]) for row in rows if due[row[:4]] == row[4:])


def _take(
    tx: Connection,
    rules: Rules,
    heads: Sequence[tuple[DeliveryKey, QueueKey]],
    rows: Mapping[DeliveryKey, Row[Any]],
    bodies: "_Bodies",
    locked: Mapping[WebhookKey, Row[Any]],
    slots: Mapping[WebhookKey, int],
    now_ms: int,
) -> tuple[list[Claimed], bool]:
    """Lease the heads of queues that can be sent. Also returns whether other heads were removed."""
    claimed: list[Claimed] = []
    leases: list[Values] = []
    started: list[Values] = []
    started_with_body: list[Values] = []
    skipped: list[Values] = []
    left: dict[QueueKey, int] = {}
    released: list[Values] = []
    first_slot = secrets.randbits(62)  # different for each claim
    taken: Counter[WebhookKey] = Counter()
    for key, queue in heads:
        row, webhook = rows.get(key), locked[key[:2]]
        ripe_at_ms = 0 if row is None or row.attempts else _ripe_at_ms(row.created_at_ms, rules, now_ms)
        if row is None or row.state != "waiting":
            left[queue] = now_ms
        elif not can_be_sent(row):
            skipped.append((*key, "skipped", now_ms))
            left[queue] = now_ms
        elif ripe_at_ms > now_ms:
            released.append((*queue, ripe_at_ms, None))
        else:
            version = _version(row, webhook)
            body = row.body or bodies.make(row, version)
            if body is None:
                skipped.append((*key, "skipped", now_ms))
                left[queue] = now_ms
                continue
            until_ms = now_ms + rules.lease_ms
            slot = first_slot + taken[queue[:2]] % slots[queue[:2]]
            taken[queue[:2]] += 1
            claimed.append(_claimed(row, webhook, queue, slot, body, until_ms, now_ms))
            leases.append((*queue, until_ms, until_ms, slot))
            counted = (*key, row.attempts + 1, row.first_attempt_at_ms or now_ms)
            if row.body is None:
                started_with_body.append((*counted, version, body))
            else:
                started.append(counted)
    with last_writes(tx):
        RELEASE.of(tx, released)
        LEASE.of(tx, leases)
        START.of(tx, started)
        START_WITH_BODY.of(tx, started_with_body)
        FINISH.of(tx, skipped)
        advance(tx, left, now_ms=now_ms)
    return claimed, bool(left)


def _version(row: Row[Any], webhook: Row[Any]) -> str:
    version: str = PUSH if webhook.is_push else row.payload_version or webhook.payload_version
    return version


class _Bodies:
    """Makes the bodies of a claim.

    Webhooks that get the same event in the same version share one.
    """

    def __init__(self, tx: Connection, rules: Rules) -> None:
        self._tx = tx
        self._rules = rules
        self._made: dict[tuple[int, int, str], str | None] = {}

    def make(self, row: Row[Any], version: str) -> str | None:
        """The body of a delivery; None if there is none.

        Also None if making it fails, which must not stop the other deliveries.
        """
        key = (row.organization_id, row.position, version)
        if key not in self._made:
            try:
                self._made[key] = self._body(event_of(row), version)
            except Exception as error:  # it would fail again the next time
                where = {"organization": row.organization_id, "webhook": row.webhook_id, "position": row.position}
                log.error("bug", job="make a body", **where, exc_info=error)
                self._made[key] = None
        return self._made[key]

    def _body(self, event: EventFields, version: str) -> str | None:
        if version != PUSH:
            return body_of(event, version)
        return self._rules.push_body(self._tx, event) if self._rules.push_body else None


def _ripe_at_ms(created_at_ms: int, rules: Rules, now_ms: int) -> int:
    """When the first attempt may be made. It is not delayed if the clock was set back since the event."""
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
