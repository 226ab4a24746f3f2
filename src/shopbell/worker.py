"""The worker: claims what is due, sends it, settles it. Any number of them share the work on PostgreSQL.

One task looks, claims and settles, and one transaction does both: what finished meanwhile is settled together with the
next claim. Each slot is a task of its own, which sends what it was given, one after the other, after the claim is
committed. When the database fails, what came of attempts is kept until it is back.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Collection
from contextlib import AsyncExitStack, suppress

import structlog
from prometheus_client import Counter as Count
from prometheus_client import Gauge, Histogram
from sqlalchemy import Connection

from shopbell import installation, retention
from shopbell.channels.webhook import WebhookChannel
from shopbell.clock import now_ms as _now_ms
from shopbell.errors import StorageError
from shopbell.keys import Keys
from shopbell.outbound.addresses import AllowList
from shopbell.outbound.client import OutboundClient
from shopbell.outbox import clock_changes
from shopbell.outbox import log as delivery_log
from shopbell.outbox.claims import Claimed, Outlook, Rules, Taken, claim, look
from shopbell.outbox.pushes import picture_urls
from shopbell.outbox.runs import QUICK_MS, RUN_S, Run, runs_of
from shopbell.outbox.settlements import Finished, settle
from shopbell.schedule import Attempt, Delivered, GiveUp, NotSent, Outcome, WebhookKey, decide
from shopbell.sealing import Seals
from shopbell.settings import Settings
from shopbell.storage.database import Database
from shopbell.supervision import SupervisedTask, supervise
from shopbell.wakes.hub import Listener, Wakes
from shopbell.webhooks import SEALING_PURPOSE, skip_waiting

SWEEP_EVERY_S = 600
_AGAIN_S = 0.02
"""After which to look once more at what another worker had its hands on."""
_NOBODY_S = 0.5
"""After which to look whether there is a webhook now: the first one must work within a second."""
_LOOKING_SHARE = 5
"""Looking takes at most a sixth of the time: after each look so many times as long is waited."""
_PAUSE_AFTER_FAILURE_S = 0.5

ATTEMPTS = Count("shopbell_delivery_attempts", "Attempts to deliver to a webhook, by what came of them.", ["outcome"])
ATTEMPT_SECONDS = Histogram(
    "shopbell_delivery_attempt_seconds",
    "How long attempts took.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
WAITING_SECONDS = Gauge(
    "shopbell_delivery_waiting_seconds",
    "For how long the oldest delivery that is due has been due.",
    multiprocess_mode="livemax",
)

log = structlog.get_logger()


class Worker:
    """Delivers webhooks until it is closed.

    Args:
        settings: those of this process.
        database: where the outbox is.
        keys: the installation's keys.
        wakes: tells of news; must be started.

    Raises:
        SettingsError: ``SHOPBELL_OUTBOUND_ALLOW`` cannot be read.
    """

    def __init__(self, settings: Settings, database: Database, keys: Keys, wakes: Wakes) -> None:
        self._settings = settings
        self._database = database
        self._wakes = wakes
        self._seals = Seals(keys, SEALING_PURPOSE)
        self._allow = AllowList.parse(settings.outbound_allow)
        self._rules = Rules(
            lease_ms=round(settings.delivery_lease_s * 1_000),
            per_webhook=settings.deliveries_per_webhook,
            first_pause_ms=round(settings.delivery_schedule_s[0] * 1_000),
            order_wait_ms=round(settings.delivery_order_wait_s * 1_000),
            failure_days=settings.webhook_failure_days,
            failure_attempts=settings.webhook_failure_attempts,
            picture_url=picture_urls(settings, keys),
        )
        self._sending: dict[asyncio.Task[None], Run] = {}
        self._quick: set[WebhookKey] = set()
        self._finished: list[Finished] = []
        self._listener = Listener()
        self._ending = asyncio.Event()
        self._last_served = 0
        self._looks_at_s = 0.0
        self._is_failing = False
        self._is_held_back = False
        self._clock_changes = clock_changes.ClockChanges(database)
        self._task: SupervisedTask | None = None

    def start(self) -> None:
        """Begin to deliver; needs a running event loop."""
        self._task = supervise("deliver", self._run)

    def end(self) -> None:
        """Claim nothing more; what is under way goes on for as long as ``shutdown_timeout_s``."""
        self._ending.set()
        self._listener.wake()

    async def close(self) -> None:
        """End, and settle what is done. What is still under way after the deadline is another worker's once its lease
        ends: nobody knows whether it was received."""
        self.end()
        await self.ended()

    async def ended(self) -> None:
        """Wait until it has ended."""
        if self._task is not None:
            await self._task.ended()

    async def _run(self) -> None:
        async with AsyncExitStack() as stack:
            self._listener = stack.enter_context(self._wakes.listen(None))
            if self._ending.is_set():
                return
            client = await stack.enter_async_context(
                OutboundClient(self._allow, dns_timeout_s=self._settings.delivery_dns_timeout_s)
            )
            self._channel = WebhookChannel(
                client,
                self._seals,
                timeout_s=self._settings.delivery_timeout_s,
                connect_timeout_s=self._settings.delivery_connect_timeout_s,
            )
            sweeps = supervise("delete what is old", self._sweep_now_and_then)
            stack.callback(sweeps.cancel)
            while not self._ending.is_set():
                await self._listener.wait(await self._safely_turn())
            await self._finish()

    async def _safely_turn(self) -> float:
        """One turn, after which the worker goes on, whatever happens; gives the seconds to wait then."""
        try:
            wait_s = await self._turn()
        except StorageError as error:
            if not self._is_failing:
                log.warning("put off", job="deliver", reason=str(error))
            self._is_failing = True
        except Exception as error:  # a bug in one turn must not be the end of all later ones
            log.error("bug", job="deliver", exc_info=error)
        else:
            if self._is_failing:
                log.info("delivers again")
            self._is_failing = False
            return wait_s
        await self._pause(_PAUSE_AFTER_FAILURE_S)
        return 0

    async def _turn(self) -> float:
        """Settle what is done, and claim; gives the seconds after which to look again unless something happens."""
        set_back_ms = await self._clock_changes.follow()
        self._finished = [clock_changes.earlier(one, set_back_ms) for one in self._finished]
        if not self._finished:
            outlook = await self._look()
            if not outlook.webhooks:
                # Nobody is to be told: messages come and go, and nothing needs to be looked at.
                await self._pause(min(_NOBODY_S, self._settings.poll_interval_s))
                return 0
            if not outlook.has_work or self._free <= 0:
                return self._until(outlook, 0)
        taken = await self._settle_and_claim()
        _measure(taken.outlook)
        for run in runs_of(taken.claimed):
            self._last_served = run.webhook[0]
            self._send(run)
        return _AGAIN_S if taken.again else self._until(taken.outlook, len(taken.claimed))

    async def _settle_and_claim(self) -> Taken:
        finished, self._finished = self._finished, []
        free = 0 if self._ending.is_set() else self._free
        busy, quick = Counter(run.webhook[0] for run in self._sending.values()), frozenset(self._quick)
        try:
            return await self._database.write(
                _settle_and_claim, self._rules, finished, free, busy, self._last_served, _now_ms(), quick
            )
        except BaseException as error:
            self._finished = finished + self._finished
            if finished and isinstance(error, Exception) and not isinstance(error, StorageError):
                # One of these may fail whenever it is tried: the others are not to wait for it.
                await self._settle_each()
            raise

    async def _settle_each(self) -> None:
        """Settle one by one. One that cannot be settled is let go: once its lease ends, it is tried again."""
        while self._finished:
            one = self._finished[0]
            try:
                await self._database.write(settle, self._rules, [one], now_ms=_now_ms())
            except StorageError:
                raise
            except Exception as error:
                organization_id, webhook_id = one.claimed.webhook
                where = {"organization": organization_id, "webhook": webhook_id, "position": one.claimed.position}
                log.error("bug", job="settle", **where, exc_info=error)
            del self._finished[0]

    async def _look(self) -> Outlook:
        """See what there is to do, but not so often that looking is all that is done."""
        await self._pause(self._looks_at_s - time.monotonic())
        begun_s = time.monotonic()
        outlook = await self._database.read(_look_unless_held_back, self._rules, now_ms=_now_ms())
        if outlook is None:
            if not self._is_held_back:
                log.warning("held back: nothing is delivered until `shopbell webhooks resume`", job="deliver")
            outlook = Outlook(0, {}, None, None)
            self._is_held_back = True
        else:
            self._is_held_back = False
        self._looks_at_s = time.monotonic() + _LOOKING_SHARE * (time.monotonic() - begun_s)
        _measure(outlook)
        return outlook

    def _until(self, outlook: Outlook, claimed: int) -> float:
        if outlook.next_due_ms is None or claimed:
            return self._settings.poll_interval_s
        return min(max(outlook.next_due_ms - _now_ms(), 1) / 1_000, self._settings.poll_interval_s)

    @property
    def _free(self) -> int:
        return self._settings.deliveries_per_worker - len(self._sending)

    def _send(self, run: Run) -> None:
        task = asyncio.create_task(self._deliver_run(run))
        self._sending[task] = run
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        del self._sending[task]
        self._listener.wake()

    async def _deliver_run(self, run: Run) -> None:
        put_back = asyncio.get_running_loop().call_later(RUN_S, self._put_back, run)
        try:
            while run.left and await self._deliver(run.left.popleft()):
                pass
        finally:
            put_back.cancel()
            self._put_back(run)

    def _put_back(self, run: Run) -> None:
        """Let somebody else send what a slot has not begun."""
        if run.left:
            self._finished += [Finished(claimed, None, NotSent()) for claimed in run.left]
            run.left.clear()
            self._listener.wake()

    async def _deliver(self, claimed: Claimed) -> bool:
        """Send one; whether the next one is to follow in the same slot."""
        left_ms = claimed.leased_until_ms - _now_ms()
        if self._ending.is_set() or left_ms < self._settings.delivery_timeout_s * 1_000:
            # The claim took so long that another worker could have it before the attempt ends.
            self._finished.append(Finished(claimed, None, NotSent()))
            return False
        attempt = await self._channel.send(claimed)
        outcome = decide(
            attempt,
            claimed.step,
            now_ms=_now_ms(),
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

    async def _finish(self) -> None:
        """Let what is under way end, within the deadline, and settle it."""
        for run in self._sending.values():
            self._put_back(run)
        deadline_s = time.monotonic() + self._settings.shutdown_timeout_s
        while self._finished or (self._sending and time.monotonic() < deadline_s):
            try:
                if self._finished:
                    await self._settle_and_claim()
            except StorageError as error:
                log.warning("put off", job="deliver", reason=str(error))
                break
            except Exception as error:  # what could be settled is
                log.error("bug", job="deliver", exc_info=error)
            if self._sending:
                left_s = max(0, deadline_s - time.monotonic())
                await asyncio.wait(self._sending, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        cut = list(self._sending)
        for task in cut:
            task.cancel()
        await asyncio.gather(*cut, return_exceptions=True)

    async def _sweep_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            await _safely(
                "delete old deliveries", sweep(self._database, self._settings.delivery_log_days, now_ms=_now_ms())
            )
            await _safely("delete old messages", retention.sweep(self._database, now_ms=_now_ms()))

    async def _pause(self, seconds: float) -> None:
        """Wait, whatever the news, but not when the worker is to end."""
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._ending.wait()


def _look_unless_held_back(tx: Connection, rules: Rules, *, now_ms: int) -> Outlook | None:
    # It is enough to ask before the first claim: what holds deliveries back does so while no worker runs.
    return None if installation.held_back(tx) else look(tx, rules, now_ms=now_ms)


def _settle_and_claim(
    tx: Connection,
    rules: Rules,
    finished: list[Finished],
    free: int,
    busy: dict[int, int],
    last_served: int,
    now_ms: int,
    quick: Collection[WebhookKey] = (),
) -> Taken:
    settle(tx, rules, finished, now_ms=now_ms)
    if free <= 0:
        return Taken([], look(tx, rules, now_ms=now_ms))
    return claim(tx, rules, free=free, busy=busy, last_served=last_served, now_ms=now_ms, quick=quick)


async def _safely(job: str, work: Awaitable[object]) -> None:
    """Do one of several jobs; what goes wrong with it is no other's end, and not the end of its own next time."""
    try:
        await work
    except StorageError as error:
        log.warning("put off", job=job, reason=str(error))
    except Exception as error:
        log.error("bug", job=job, exc_info=error)


async def sweep(database: Database, log_days: int, *, now_ms: int) -> None:
    """Delete the delivery log's old part, give up what was held for as long, skip what nobody wants; in small pieces.

    Args:
        database: where it is.
        log_days: days to keep.
        now_ms: the time in Unix ms.

    Raises:
        StorageError: the database failed; what was done is done.
    """
    before_ms = now_ms - log_days * delivery_log.DAY_MS
    for organization_id, webhook_id in await database.read(delivery_log.unwanted):
        while await database.write(skip_waiting, organization_id, webhook_id, now_ms=now_ms):
            pass
    while await database.write(delivery_log.give_up_held, before_ms=before_ms, now_ms=now_ms):
        pass
    for webhook in await database.read(delivery_log.webhooks_with_a_log, before_ms=before_ms):
        after: int | None = 0
        while after is not None:
            after = await database.write(delivery_log.forget, webhook, after, before_ms=before_ms)
    await database.write(delivery_log.forget_webhooks, before_ms=before_ms)


def _note(claimed: Claimed, attempt: Attempt, outcome: Outcome) -> None:
    """Count an attempt, and say in the log what did not get through, without address or text."""
    ATTEMPTS.labels(type(outcome).__name__.lower()).inc()
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
    WAITING_SECONDS.set(0 if oldest_ms is None else max(0, _now_ms() - oldest_ms) / 1_000)
