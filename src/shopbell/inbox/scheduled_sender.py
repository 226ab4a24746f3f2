"""The task of the worker process that sends scheduled messages when they are due."""

import time
from collections.abc import Sequence

import structlog

from shopbell.db.clock_changes import ClockChanges
from shopbell.db.database import Database
from shopbell.errors import StorageError
from shopbell.inbox import scheduled_sending
from shopbell.inbox.scheduled_messages import Changed
from shopbell.inbox.scheduled_sending import BATCH_MESSAGES
from shopbell.realtime.hub import PubSub
from shopbell.realtime.news_worker import NewsWorker
from shopbell.realtime.signals import Signal
from shopbell.runtime.clock import now_ms
from shopbell.settings.settings import Settings

_LOOKING_SHARE = 11
"""Looking takes at most a twelfth of the time, because each message of a customer ends a wait."""
_PAUSE_MAX_S = 0.05
"""The longest pause for this limit: a message must not be late."""
_AGAIN_S = 0.02

log = structlog.get_logger()


def signal_of(changed: Changed) -> Signal:
    """The signal that a scheduled message has changed."""
    message = changed.message
    data = {
        "scheduledMessageId": str(message.id),
        "employeeUserId": None if message.employee_id is None else str(message.employee_id),
        "state": message.state,
        "reason": message.reason,
        "messageId": None if message.message_id is None else str(message.message_id),
    }
    return Signal(message.organization_id, message.thread_id, changed.business_id, "scheduled", data)


class ScheduledSender(NewsWorker):
    """Sends scheduled messages until it is ended.

    Args:
        settings: those of this process.
        database: the database.
        pubsub: publishes news; must be started.
    """

    def __init__(self, settings: Settings, database: Database, pubsub: PubSub) -> None:
        super().__init__("send scheduled messages", pubsub, settings.shutdown_timeout_s)
        self._poll_interval_s = settings.poll_interval_s
        self._database = database
        self._clock_changes = ClockChanges(database, "scheduled_messages", scheduled_sending.move_up)
        self._batch = BATCH_MESSAGES

    async def _work(self) -> None:
        await self._repeat(self._name, self._send_due, self._wait_for_news)

    async def _send_due(self) -> float:
        """Send what is due; returns the seconds to wait unless there is news."""
        begun_s = time.monotonic()
        await self._clock_changes.follow()
        due_at_ms = await self._database.read(scheduled_sending.next_due_ms)
        if due_at_ms is None or due_at_ms > now_ms():
            await self._pause(min(_LOOKING_SHARE * (time.monotonic() - begun_s), _PAUSE_MAX_S))
            left_s = self._poll_interval_s if due_at_ms is None else (due_at_ms - now_ms()) / 1_000
            return min(max(left_s, 0), self._poll_interval_s)
        changed = await self._send_batch()
        self._pubsub.publish({each.message.organization_id for each in changed})
        for each in changed:
            self._pubsub.signal(signal_of(each))
        return 0 if changed else _AGAIN_S  # other processes have locked what is due

    async def _send_batch(self) -> Sequence[Changed]:
        try:
            changed = await self._database.write(scheduled_sending.send_due, now_ms=now_ms(), limit=self._batch)
        except StorageError:
            raise
        except Exception as error:  # one that cannot be sent must not block all others
            log.error("bug", job=self._name, exc_info=error)
            if self._batch > 1:
                self._batch = 1  # the next turn finds the message that failed
                return ()
            changed = await self._database.write(scheduled_sending.refuse_first, now_ms=now_ms())
            self._batch = BATCH_MESSAGES
        return changed
