"""The part of a worker that reaches people: decides by the feed what must be sent, sends it, settles it.

One task reads the feeds, and one for mails and one for texts sends what is due; what is under way has tasks of its own.
When the database fails, what came of attempts is kept until it is back.
"""

import asyncio
import time
from collections import Counter as Tally
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from prometheus_client import Counter as Count

from shopbell.channels.channel import Channel, Outcome, Sent, Unknown
from shopbell.channels.mails import open_mails
from shopbell.channels.texts import open_texts
from shopbell.errors import StorageError
from shopbell.keys import Keys
from shopbell.mail.outgoing import OutgoingMail
from shopbell.outbox.clock_changes import ClockChanges
from shopbell.outreach import clock_changes, cursor, dispatches
from shopbell.outreach.counter import Counter, Done, Packed
from shopbell.outreach.plans import Overtaken
from shopbell.outreach.rules import rules_of
from shopbell.settings import Settings
from shopbell.storage.database import Database
from shopbell.supervision import SupervisedTask, supervise
from shopbell.wakes.hub import Listener, Wakes
from shopbell.wakes.signals import Signal

SLOTS = 8
"""Most mails, and most texts, of one worker at once."""

_LOOKING_SHARE = 11
"""Reading feeds takes at most a twelfth of the time: after each turn so many times as long is waited."""
_PAUSE_MAX_S = 1
"""A machine that is slow for a moment must not keep mails waiting for many."""
_PACKING_SHARE = 5
"""Packing takes at most a sixth of it: thousands of invitations must not keep messages waiting."""
_PAUSE_AFTER_FAILURE_S = 0.5
_AGAIN_S = 0.02
_MS = 1_000_000

DISPATCHES = Count(
    "shopbell_dispatches", "Mails and texts, by channel and by what came of the attempt.", ["channel", "outcome"]
)

log = structlog.get_logger()


class Outreach:
    """Sends mails and texts until it is closed.

    Args:
        settings: those of this process.
        database: where everything is.
        keys: the installation's keys.
        wakes: tells of news; must be started.

    Raises:
        SettingsError: a header of the operator's may not be sent.
    """

    def __init__(self, settings: Settings, database: Database, keys: Keys, wakes: Wakes) -> None:
        self._settings = settings
        self._database = database
        self._wakes = wakes
        self._counter = Counter(settings, keys)
        self._texts = open_texts(settings)
        self._rules = rules_of(settings)
        self._mails = open_mails(settings)
        self._news = Listener()
        self._due = {dispatches.MAILS: Listener(), dispatches.TEXTS: Listener()}
        self._sending: dict[asyncio.Task[None], tuple[tuple[str, ...], int]] = {}
        self._unsettled: list[tuple[Packed, Outcome]] = []
        self._ending = asyncio.Event()
        self._clock_changes = ClockChanges(database, clock_changes.move_up)
        self._last_organization_id = 0
        self._is_held_back = False
        self._task: SupervisedTask | None = None

    def start(self) -> None:
        """Begin to decide and to send; needs a running event loop."""
        self._task = supervise("reach people", self._run)

    def end(self) -> None:
        """Send nothing more; what is under way goes on for as long as ``shutdown_timeout_s``."""
        self._ending.set()
        for listener in (self._news, *self._due.values()):
            listener.wake()

    async def close(self) -> None:
        """End, and settle what is done. What is still under way after the deadline may have gone out: the next worker
        sees that once its lease ends."""
        self.end()
        await self.ended()

    async def ended(self) -> None:
        """Wait until it has ended."""
        if self._task is not None:
            await self._task.ended()

    async def _run(self) -> None:
        with self._wakes.listen(None) as self._news:
            tasks = [self._supervise("decide who is reached", self._decide, self._news)]
            for channels, listener in self._due.items():
                turn = partial(self._send_due, channels)
                tasks.append(self._supervise(f"send {'/'.join(channels)}", turn, listener))
            try:
                for task in tasks:
                    await task.ended()
            finally:
                for task in tasks:
                    task.cancel()
        await self._finish()
        for channel in (self._mails, self._texts):
            if channel is not None:
                await channel.close()

    def _supervise(self, job: str, turn: Callable[[], Awaitable[float]], listener: Listener) -> SupervisedTask:
        return supervise(job, partial(self._again_and_again, job, turn, listener))

    async def _again_and_again(self, job: str, turn: Callable[[], Awaitable[float]], listener: Listener) -> None:
        """Do turns, each after the seconds that the one before it gave or at the next wake-up, whatever happens."""
        is_failing = False  # of this task: one that has nothing to do succeeds while the others fail
        while not self._ending.is_set():
            try:
                wait_s = await turn()
            except StorageError as error:
                if not is_failing:
                    log.warning("put off", job=job, reason=str(error))
                is_failing = True
                await self._pause(_PAUSE_AFTER_FAILURE_S)
                continue
            except Exception as error:  # a bug in one turn must not be the end of all later ones
                log.error("bug", job=job, exc_info=error)
                await self._pause(_PAUSE_AFTER_FAILURE_S)
                continue
            is_failing = False
            await listener.wait(wait_s)

    async def _decide(self) -> float:
        """Look at what is new; gives the seconds after which to look again unless something happens."""
        begun_s = time.monotonic()
        if await self._clock_changes.follow():
            for listener in self._due.values():
                listener.wake()
        organization_ids = await self._database.read(cursor.find_news, self._last_organization_id)
        self._note_held_back(organization_ids is None)
        for organization_id in organization_ids or ():
            self._last_organization_id = organization_id
            await self._decide_for(organization_id)
            if self._ending.is_set():
                break
        # Whatever the news: mails may wait a moment, and messages that come in must not wait for them.
        await self._pause(min(_LOOKING_SHARE * (time.monotonic() - begun_s), _PAUSE_MAX_S))
        return 0 if organization_ids else self._settings.poll_interval_s

    async def _decide_for(self, organization_id: int) -> None:
        now_ms = _now_ms()
        read = (organization_id, self._rules, self._counter.opt_outs)
        decided = await self._database.read(cursor.read_and_decide, *read, now_ms=now_ms)
        if decided is None:
            return
        try:
            written = await self._database.write(cursor.write_decided, decided, self._rules, now_ms=now_ms)
        except Overtaken:  # it is news still, and looked at again
            return
        plans = decided.plans.values()
        if not written or not any(plan.sends or plan.records or plan.auto_reply_period or plan.asks for plan in plans):
            return
        self._wakes.announce([organization_id])
        for thread_id, plan in decided.plans.items():
            if plan.asks:
                self._wakes.signal(Signal(organization_id, thread_id, 0, "survey", {"from": "store"}))
        for listener in self._due.values():
            listener.wake()

    async def _send_due(self, channels: tuple[str, ...]) -> float:
        """Send all that is due, as far as there is room; gives the seconds after which to look again."""
        await self._settle()
        while self._free(channels) > 0 and not self._ending.is_set():
            await self._settle()  # in each round: while much is due this goes on beyond leases
            due_at_ms = await self._database.read(dispatches.next_due_ms, channels)
            if due_at_ms is None:
                break
            if due_at_ms > _now_ms():
                return min((due_at_ms - _now_ms()) / 1_000 + _AGAIN_S, self._settings.poll_interval_s)
            begun_s = time.monotonic()
            packed = await self._pack(channels)
            if packed is None:  # another worker has its hands on it
                return _AGAIN_S
            if isinstance(packed, Packed):
                task = asyncio.create_task(self._send(packed))
                self._sending[task] = (channels, packed.started.organization_id)
                task.add_done_callback(self._sent)
            await self._pause(min(_PACKING_SHARE * (time.monotonic() - begun_s), _PAUSE_MAX_S))
        return self._settings.poll_interval_s

    async def _pack(self, channels: tuple[str, ...]) -> Packed | Done | None:
        busy = self._busy(channels)
        try:
            return await self._database.write(self._counter.pack, channels, busy, now_ms=_now_ms())
        except StorageError:
            raise
        except Exception as error:  # one that cannot be written must not hold up all others
            log.error("bug", job="write", exc_info=error)
            await self._database.write(dispatches.put_off_first, channels, busy, now_ms=_now_ms())
            return Done()

    def _free(self, channels: tuple[str, ...]) -> int:
        return SLOTS - sum(channels == held for held, _ in self._sending.values())

    def _busy(self, channels: tuple[str, ...]) -> frozenset[int]:
        """Organizations that hold half of the slots: others go first."""
        tally = Tally(organization_id for held, organization_id in self._sending.values() if held == channels)
        return frozenset(organization_id for organization_id, count in tally.items() if count >= SLOTS // 2)

    def _sent(self, task: asyncio.Task[None]) -> None:
        channels, _ = self._sending.pop(task)
        self._due[channels].wake()

    async def _send(self, packed: Packed) -> None:
        outcome = await self._attempt(packed)
        self._unsettled.append((packed, outcome))
        started = packed.started
        DISPATCHES.labels(started.channel, type(outcome).__name__.lower()).inc()
        if not isinstance(outcome, Sent):
            where = {"organization": started.organization_id, "dispatch": started.id, "channel": started.channel}
            log.warning("not sent", **where, attempt=started.attempt, reason=outcome.reason)

    async def _attempt(self, packed: Packed) -> Outcome:
        item: Any = packed.item
        channel: Channel[Any] | None = self._mails if isinstance(item, OutgoingMail) else self._texts
        assert channel is not None  # noqa: S101 - the counter ends what no channel carries
        try:
            return await channel.send(item)
        except Exception as error:  # nobody knows how far it came
            log.error("bug", job="send", exc_info=error)
            return Unknown("bug")

    async def _settle(self) -> None:
        while self._unsettled:
            packed, outcome = self._unsettled.pop(0)
            try:
                await self._database.write(
                    dispatches.settle, packed.started, outcome, self._counter.opt_outs, now_ms=_now_ms()
                )
            except StorageError:
                self._unsettled.insert(0, (packed, outcome))
                raise
            except Exception as error:  # once its lease ends, it is another's
                log.error("bug", job="settle", exc_info=error)
            self._wakes.announce([packed.started.organization_id])

    async def _finish(self) -> None:
        """Let what is under way end, within the deadline, and settle it."""
        deadline_s = time.monotonic() + self._settings.shutdown_timeout_s
        if self._sending:
            await asyncio.wait(self._sending, timeout=max(0, deadline_s - time.monotonic()))
        cut = list(self._sending)
        for task in cut:
            task.cancel()
        await asyncio.gather(*cut, return_exceptions=True)
        try:
            await self._settle()
        except StorageError as error:
            log.warning("put off", job="reach people", reason=str(error))

    def _note_held_back(self, is_held_back: bool) -> None:
        if is_held_back and not self._is_held_back:
            log.warning("mails and texts wait until `shopbell webhooks resume`")
        self._is_held_back = is_held_back

    async def _pause(self, seconds: float) -> None:
        """Wait, whatever the news, but not when the end has come."""
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._ending.wait()


def _now_ms() -> int:
    return time.time_ns() // _MS
