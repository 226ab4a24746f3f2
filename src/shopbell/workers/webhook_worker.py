"""Deliver webhooks: claim due deliveries, send them, store the outcomes.

Any number of workers share the work on PostgreSQL. One task settles finished deliveries and then claims the next ones,
in two transactions: messages wait for a worker's locks, so each must be short. Each slot is a task that sends its
deliveries one after the other, after the claim is committed. If the database fails, outcomes are kept until it works
again.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import structlog
from prometheus_client import Counter as Count
from prometheus_client import Gauge, Histogram
from sqlalchemy import Connection

from shopbell.conversations.pushes import PushBodies
from shopbell.db import installation
from shopbell.db.clock_changes import ClockChanges
from shopbell.db.database import Database
from shopbell.errors import StorageError
from shopbell.operations import retention
from shopbell.realtime.hub import PubSub
from shopbell.realtime.news_worker import NewsWorker
from shopbell.runtime import clock
from shopbell.runtime.supervision import supervise
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.client import OutboundClient
from shopbell.security.encryption import Cipher
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings
from shopbell.webhooks import log_cleanup
from shopbell.webhooks.batches import QUICK_MS, RUN_S, Run, runs_of
from shopbell.webhooks.claim import Claimed, Outlook, Rules, Taken, claim, look
from shopbell.webhooks.endpoints import SEALING_PURPOSE, skip_waiting
from shopbell.webhooks.queues import move_up
from shopbell.webhooks.retry_policy import (
    Attempt,
    Delivered,
    GiveUp,
    NotSent,
    Outcome,
    TryAgain,
    WebhookKey,
    decide,
)
from shopbell.webhooks.send import WebhookChannel
from shopbell.webhooks.settle import Finished, earlier, settle

SWEEP_EVERY_S = 600
_AGAIN_S = 0.02
"""The wait before the next look at rows that another worker has locked."""
_NOBODY_S = 0.5
"""The wait between looks while there is no webhook: the first one must work within a second."""
_LOOKING_SHARE = 5
"""Looking takes at most a sixth of the time: each look is followed by a pause of so many times its length,"""
_PAUSE_MAX_S = 0.05
"""but at most this long. A look on a busy machine says little about the next one."""

ATTEMPTS = Count("shopbell_delivery_attempts", "Attempts to deliver to a webhook, by outcome.", ["outcome"])
# Looked up once: the library takes a lock for it.
_ATTEMPTS_WITH = {kind: ATTEMPTS.labels(kind.__name__.lower()) for kind in (Delivered, TryAgain, GiveUp, NotSent)}
ATTEMPT_SECONDS = Histogram(
    "shopbell_delivery_attempt_seconds",
    "Seconds per attempt.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
WAITING_SECONDS = Gauge(
    "shopbell_delivery_waiting_seconds",
    "Seconds since the oldest due delivery became due.",
    multiprocess_mode="livemax",
)

log = structlog.get_logger()


class WebhookWorker(NewsWorker):
    """Delivers webhooks until it is closed.

    Args:
        settings: those of this process.
        database: has the deliveries.
        keys: the installation's keys.
        pubsub: publishes news; must be started.
        open_channel: creates what sends the deliveries.

    Raises:
        SettingsError: ``SHOPBELL_OUTBOUND_ALLOW`` is not valid.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        keys: Keys,
        pubsub: PubSub,
        open_channel: Callable[..., WebhookChannel] = WebhookChannel,
    ) -> None:
        super().__init__("deliver", pubsub, settings.shutdown_timeout_s)
        self._open_channel = open_channel
        self._settings = settings
        self._database = database
        self._cipher = Cipher(keys, SEALING_PURPOSE)
        self._allow = AllowList.parse(settings.outbound_allow)
        self._rules = Rules(
            lease_ms=round(settings.delivery_lease_s * 1_000),
            per_webhook=settings.deliveries_per_webhook,
            first_pause_ms=round(settings.delivery_schedule_s[0] * 1_000),
            order_wait_ms=round(settings.delivery_order_wait_s * 1_000),
            failure_days=settings.webhook_failure_days,
            failure_attempts=settings.webhook_failure_attempts,
            push_body=PushBodies(settings, keys).body_for,
        )
        self._sending: dict[asyncio.Task[None], Run] = {}
        self._quick: set[WebhookKey] = set()
        self._finished: list[Finished] = []
        self._last_served = 0
        self._looks_at_s = 0.0
        self._has_claimed = False
        self._is_held_back = False
        self._clock_changes = ClockChanges(database, "deliveries", move_up)

    async def _work(self) -> None:
        if self._ending.is_set():
            return
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                OutboundClient(self._allow, dns_timeout_s=self._settings.delivery_dns_timeout_s)
            )
            self._channel = self._open_channel(
                client,
                self._cipher,
                timeout_s=self._settings.delivery_timeout_s,
                connect_timeout_s=self._settings.delivery_connect_timeout_s,
            )
            sweeps = supervise("delete old data", self._sweep_now_and_then)
            stack.callback(sweeps.cancel)
            await self._repeat(self._name, self._turn, self._wait_for_news)
            for run in self._sending.values():
                self._put_back(run)
            await self._finish(self._sending, self._settle)

    async def _turn(self) -> float:
        """Settle finished deliveries and claim due ones.

        Returns the seconds to wait unless there is news.
        """
        set_back_ms = await self._clock_changes.follow()
        self._finished = [earlier(one, set_back_ms) for one in self._finished]
        # If the last turn found work, there is probably more: a claim looks for itself.
        outlook = None
        if not self._finished and not (self._has_claimed and self._free > 0):
            outlook = await self._look()
            if not outlook.webhooks:
                # There are no webhooks, so news of messages does not matter.
                await self._pause(min(_NOBODY_S, self._settings.poll_interval_s))
                return 0
            if not outlook.has_work or self._free <= 0:
                return self._until(outlook, 0)
        taken = await self._settle_and_claim(outlook)
        self._has_claimed = bool(taken.claimed)
        _measure(taken.outlook)
        for run in runs_of(taken.claimed):
            self._last_served = run.webhook[0]
            self._send(run)
        return _AGAIN_S if taken.again else self._until(taken.outlook, len(taken.claimed))

    async def _settle_and_claim(self, seen: Outlook | None) -> Taken:
        await self._settle()
        free = 0 if self._ending.is_set() else self._free
        if free <= 0:
            return Taken([], await self._database.read(look, self._rules, now_ms=clock.now_ms()))
        busy = Counter(run.webhook[0] for run in self._sending.values())
        return await self._database.write(
            claim,
            self._rules,
            free=free,
            busy=busy,
            last_served=self._last_served,
            now_ms=clock.now_ms(),
            quick=frozenset(self._quick),
            seen=seen,
        )

    async def _settle(self) -> None:
        finished, self._finished = self._finished, []
        if not finished:
            return
        try:
            await self._database.write(settle, self._rules, finished, now_ms=clock.now_ms())
        except BaseException as error:
            self._finished = finished + self._finished
            if isinstance(error, Exception) and not isinstance(error, StorageError):
                # One of these may always fail: the others must not wait for it.
                await self._settle_each()
            raise

    async def _settle_each(self) -> None:
        """Settle one by one.

        One that cannot be settled is dropped: it is tried again after its lease.
        """
        while self._finished:
            one = self._finished[0]
            try:
                await self._database.write(settle, self._rules, [one], now_ms=clock.now_ms())
            except StorageError:
                raise
            except Exception as error:
                organization_id, webhook_id = one.claimed.webhook
                where = {"organization": organization_id, "webhook": webhook_id, "position": one.claimed.position}
                log.error("bug", job="settle", **where, exc_info=error)
            del self._finished[0]

    async def _look(self) -> Outlook:
        """Look for work, but spend only a part of the time on looking."""
        await self._pause(self._looks_at_s - time.monotonic())
        begun_s = time.monotonic()
        outlook = await self._database.read(_look_unless_held_back, self._rules, now_ms=clock.now_ms())
        if outlook is None:
            if not self._is_held_back:
                log.warning("held back: no webhook is delivered until `shopbell webhooks resume`", job="deliver")
            outlook = Outlook(0, {}, None, None)
            self._is_held_back = True
        else:
            self._is_held_back = False
        looked_at_s = time.monotonic()
        self._looks_at_s = looked_at_s + min(_LOOKING_SHARE * (looked_at_s - begun_s), _PAUSE_MAX_S)
        _measure(outlook)
        return outlook

    def _until(self, outlook: Outlook, claimed: int) -> float:
        if outlook.next_due_ms is None or claimed:
            return self._settings.poll_interval_s
        return min(max(outlook.next_due_ms - clock.now_ms(), 1) / 1_000, self._settings.poll_interval_s)

    @property
    def _free(self) -> int:
        return self._settings.deliveries_per_worker - len(self._sending)

    def _send(self, run: Run) -> None:
        task = asyncio.create_task(self._deliver_run(run))
        self._sending[task] = run
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        del self._sending[task]
        self._news.wake()

    async def _deliver_run(self, run: Run) -> None:
        put_back = asyncio.get_running_loop().call_later(RUN_S, self._put_back, run)
        try:
            while run.left and await self._deliver(run.left.popleft()):
                pass
        finally:
            put_back.cancel()
            self._put_back(run)

    def _put_back(self, run: Run) -> None:
        """Return deliveries that a slot has not begun, for other slots."""
        if run.left:
            self._finished += [Finished(claimed, None, NotSent()) for claimed in run.left]
            run.left.clear()
            self._news.wake()

    async def _deliver(self, claimed: Claimed) -> bool:
        """Send one delivery; returns whether the slot continues with the next one."""
        left_ms = claimed.leased_until_ms - clock.now_ms()
        if self._ending.is_set() or left_ms < self._settings.delivery_timeout_s * 1_000:
            # The claim took so long that its lease could end during the attempt.
            self._finished.append(Finished(claimed, None, NotSent()))
            return False
        attempt = await self._channel.send(claimed)
        outcome = decide(
            attempt,
            claimed.step,
            now_ms=clock.now_ms(),
            pauses_s=self._settings.delivery_schedule_s,
            jitter=self._settings.delivery_jitter,
            chance=random.random(),  # noqa: S311 - spreads retries, guards nothing
        )
        self._finished.append(Finished(claimed, attempt, outcome))
        _note(claimed, attempt, outcome)
        if isinstance(outcome, Delivered) and attempt.duration_ms <= QUICK_MS:
            self._quick.add(claimed.webhook)
        else:
            self._quick.discard(claimed.webhook)
        return isinstance(outcome, Delivered)

    async def _sweep_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            await _safely(
                "delete old deliveries", sweep(self._database, self._settings.delivery_log_days, now_ms=clock.now_ms())
            )
            await _safely("delete old messages", retention.sweep(self._database, now_ms=clock.now_ms()))


def _look_unless_held_back(tx: Connection, rules: Rules, *, now_ms: int) -> Outlook | None:
    # Checked before the first claim only: deliveries are held back while no worker runs.
    return None if installation.pause_reason(tx) else look(tx, rules, now_ms=now_ms)


async def _safely(job: str, work: Awaitable[object]) -> None:
    """Do one of several jobs; an error ends neither the others nor its next run."""
    try:
        await work
    except StorageError as error:
        log.warning("postponed", job=job, reason=str(error))
    except Exception as error:
        log.error("bug", job=job, exc_info=error)


async def sweep(database: Database, log_days: int, *, now_ms: int) -> None:
    """Clean up deliveries, in small transactions.

    Skips those of disabled and deleted webhooks, gives up those that were held back for too long, and deletes old ones
    from the log.

    Args:
        database: has the deliveries.
        log_days: days to keep.
        now_ms: the time in Unix ms.

    Raises:
        StorageError: the database failed; finished parts stay.
    """
    before_ms = now_ms - log_days * log_cleanup.DAY_MS
    for organization_id, webhook_id in await database.read(log_cleanup.unwanted):
        while await database.write(skip_waiting, organization_id, webhook_id, now_ms=now_ms):
            pass
    while await database.write(log_cleanup.give_up_held, before_ms=before_ms, now_ms=now_ms):
        pass
    for webhook in await database.read(log_cleanup.webhooks_with_a_log, before_ms=before_ms, now_ms=now_ms):
        after: int | None = 0
        while after is not None:
            after = await database.write(log_cleanup.forget, webhook, after, before_ms=before_ms, now_ms=now_ms)
    await database.write(log_cleanup.forget_webhooks, before_ms=before_ms)


def _note(claimed: Claimed, attempt: Attempt, outcome: Outcome) -> None:
    """Count an attempt, and log a failure, without address or text."""
    _ATTEMPTS_WITH[type(outcome)].inc()
    ATTEMPT_SECONDS.observe(attempt.duration_ms / 1_000)
    if isinstance(outcome, Delivered):
        return
    organization_id, webhook_id = claimed.webhook
    say = log.warning if isinstance(outcome, GiveUp) else log.debug
    say(
        "not delivered",
        organization=organization_id,
        webhook=webhook_id,
        position=claimed.position,
        attempt=claimed.number,
        status=attempt.status,
        error=attempt.error,
        outcome=type(outcome).__name__,
    )


def _measure(outlook: Outlook) -> None:
    oldest_ms = outlook.oldest_due_ms
    WAITING_SECONDS.set(0 if oldest_ms is None else max(0, clock.now_ms() - oldest_ms) / 1_000)
