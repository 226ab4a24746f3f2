"""Send notifications.

The sender decides from the feed what to send, sends it and stores the outcome.

One task consumes the feeds, and one per channel sends what is due. Each attempt is a task of its own. If the
database fails, outcomes are kept until it works again.
"""

import asyncio
import time
from collections import Counter as Tally
from collections.abc import Sequence
from functools import partial

import structlog
from prometheus_client import Counter as Count
from sqlalchemy import Connection

from shopbell.db.clock_changes import ClockChanges
from shopbell.db.database import Database
from shopbell.errors import StorageError
from shopbell.notifications import feed_consumer, limits, outbox
from shopbell.notifications.channel import Channel
from shopbell.notifications.outcomes import Outcome, Sent, Unknown
from shopbell.notifications.prepare import Done, Prepared, Preparer
from shopbell.notifications.schedule import DecisionOutdated
from shopbell.realtime.hub import Listener, PubSub
from shopbell.realtime.news_worker import NewsWorker
from shopbell.realtime.signals import Signal
from shopbell.runtime import clock
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings

SLOTS = 8
"""Most messages of one channel that one worker sends at once."""

_LOOKING_SHARE = 11
"""Consuming feeds takes at most a twelfth of the time: each turn is followed by a pause of so many times its length."""
_PAUSE_MAX_S = 1
"""The longest such pause: a slow moment of the machine must not delay emails for long."""
_PACKING_SHARE = 5
"""Preparing takes at most a sixth of the time: thousands of invitations must not delay inbound messages."""
_AGAIN_S = 0.02

ATTEMPTS = Count(
    "shopbell_outbound_messages", "Outbound messages, by channel and by outcome of the attempt.", ["channel", "outcome"]
)

log = structlog.get_logger()


class NotificationSender(NewsWorker):
    """Sends emails and text messages until it is closed.

    Args:
        settings: those of this process.
        database: the database.
        keys: the installation's keys.
        pubsub: publishes news; must be started.
        channels: all channels. This object closes them.
    """

    def __init__(
        self, settings: Settings, database: Database, keys: Keys, pubsub: PubSub, channels: Sequence[Channel]
    ) -> None:
        super().__init__("send notifications", pubsub, settings.shutdown_timeout_s)
        self._settings = settings
        self._database = database
        self._preparer = Preparer(settings, keys, channels)
        self._rules = self._preparer.rules
        self._channels = channels
        self._due = {channel: Listener() for channel in channels}
        self._sending: dict[asyncio.Task[None], tuple[Channel, int]] = {}
        self._unsettled: list[tuple[Prepared, Outcome]] = []
        self._clock_changes = ClockChanges(database, "outbound_messages", move_up)
        self._last_organization_id = 0
        self._is_held_back = False

    def _wake(self) -> None:
        for listener in (self._news, *self._due.values()):
            listener.wake()

    async def _work(self) -> None:
        sends = [
            (f"send {'/'.join(channel.names)}", partial(self._send_due, channel), listener.wait)
            for channel, listener in self._due.items()
        ]
        await self._repeat_all([("decide notifications", self._decide, self._wait_for_news), *sends])
        await self._finish(self._sending, self._settle)
        for channel in self._channels:
            await channel.close()

    async def _decide(self) -> float:
        """Consume new events; returns the seconds to wait unless there is news."""
        begun_s = time.monotonic()
        if await self._clock_changes.follow():
            for listener in self._due.values():
                listener.wake()
        organization_ids = await self._database.read(feed_consumer.find_news, self._last_organization_id)
        self._note_held_back(organization_ids is None)
        for organization_id in organization_ids or ():
            self._last_organization_id = organization_id
            await self._decide_for(organization_id)
            if self._ending.is_set():
                break
        # Emails may wait a moment, and inbound messages must not wait for them.
        await self._pause(min(_LOOKING_SHARE * (time.monotonic() - begun_s), _PAUSE_MAX_S))
        return 0 if organization_ids else self._settings.poll_interval_s

    async def _decide_for(self, organization_id: int) -> None:
        now_ms = clock.now_ms()
        read = (organization_id, self._rules, self._preparer.opt_outs)
        decided = await self._database.read(feed_consumer.read_and_decide, *read, now_ms=now_ms)
        if decided is None:
            return
        try:
            written = await self._database.write(feed_consumer.write_decided, decided, self._rules, now_ms=now_ms)
        except DecisionOutdated:  # the next turn decides again
            return
        plans = decided.plans.values()
        if not written or not any(plan.sends or plan.records or plan.auto_reply_period or plan.asks for plan in plans):
            return
        self._pubsub.publish([organization_id])
        for thread_id, plan in decided.plans.items():
            if plan.asks:
                self._pubsub.signal(Signal(organization_id, thread_id, 0, "survey", {"from": "store"}))
        for listener in self._due.values():
            listener.wake()

    async def _send_due(self, channel: Channel) -> float:
        """Send everything that is due while slots are free; returns the seconds to wait."""
        await self._settle()
        while self._free(channel) > 0 and not self._ending.is_set():
            await self._settle()  # in each round: a long loop would exceed the leases
            due_at_ms = await self._database.read(outbox.next_due_ms, channel.names)
            if due_at_ms is None:
                break
            if due_at_ms > clock.now_ms():
                return min((due_at_ms - clock.now_ms()) / 1_000 + _AGAIN_S, self._settings.poll_interval_s)
            begun_s = time.monotonic()
            prepared = await self._prepare(channel)
            if prepared is None:  # another worker has locked it
                return _AGAIN_S
            if isinstance(prepared, Prepared):
                task = asyncio.create_task(self._send(channel, prepared))
                self._sending[task] = (channel, prepared.started.organization_id)
                task.add_done_callback(self._sent)
            await self._pause(min(_PACKING_SHARE * (time.monotonic() - begun_s), _PAUSE_MAX_S))
        return self._settings.poll_interval_s

    async def _prepare(self, channel: Channel) -> Prepared | Done | None:
        busy = self._busy(channel)
        try:
            return await self._database.write(self._preparer.prepare, channel.names, busy, now_ms=clock.now_ms())
        except StorageError:
            raise
        except Exception as error:  # one that cannot be rendered must not block all others
            log.error("bug", job="prepare a message", exc_info=error)
            await self._database.write(outbox.put_off_first, channel.names, busy, now_ms=clock.now_ms())
            return Done()

    def _free(self, channel: Channel) -> int:
        return SLOTS - sum(channel is held for held, _ in self._sending.values())

    def _busy(self, channel: Channel) -> frozenset[int]:
        """Organizations that hold half of the slots: others go first."""
        tally = Tally(organization_id for held, organization_id in self._sending.values() if held is channel)
        return frozenset(organization_id for organization_id, count in tally.items() if count >= SLOTS // 2)

    def _sent(self, task: asyncio.Task[None]) -> None:
        channel, _ = self._sending.pop(task)
        self._due[channel].wake()

    async def _send(self, channel: Channel, prepared: Prepared) -> None:
        outcome = await self._attempt(channel, prepared)
        self._unsettled.append((prepared, outcome))
        started = prepared.started
        ATTEMPTS.labels(started.channel.name, type(outcome).__name__.lower()).inc()
        if not isinstance(outcome, Sent):
            where = {
                "organization": started.organization_id,
                "outbound_message": started.id,
                "channel": started.channel.name,
            }
            log.warning("not sent", **where, attempt=started.attempt, reason=outcome.reason)

    async def _attempt(self, channel: Channel, prepared: Prepared) -> Outcome:
        try:
            return await channel.send(prepared.item)
        except Exception as error:  # it may have been sent or not
            log.error("bug", job="send a message", exc_info=error)
            return Unknown("bug")

    async def _settle(self) -> None:
        while self._unsettled:
            prepared, outcome = self._unsettled.pop(0)
            try:
                await self._database.write(
                    outbox.settle, prepared.started, outcome, self._preparer.opt_outs, now_ms=clock.now_ms()
                )
            except StorageError:
                self._unsettled.insert(0, (prepared, outcome))
                raise
            except Exception as error:  # another worker claims it after its lease
                log.error("bug", job="store an outcome", exc_info=error)
            self._pubsub.publish([prepared.started.organization_id])

    def _note_held_back(self, is_held_back: bool) -> None:
        if is_held_back and not self._is_held_back:
            log.warning("held back: no notification is sent until `shopbell webhooks resume`")
        self._is_held_back = is_held_back


def move_up(tx: Connection, by_ms: int, *, now_ms: int) -> None:
    """Make outbound messages due ``by_ms`` earlier, and their limits with them."""
    outbox.move_up(tx, by_ms, now_ms=now_ms)
    limits.move_up(tx, by_ms)
