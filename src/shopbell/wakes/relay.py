"""Carries announcements between processes, over a link that may break and comes back by itself.

What is announced within a moment goes as one message: the id of the sending process, and the organizations' ids. A
message may be lost with its link; it names nothing that is not in the database. Signals (``signals.py``) go beside
them, in messages of their own.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, suppress
from typing import NoReturn, Protocol

import structlog

from shopbell.supervision import SupervisedTask, supervise
from shopbell.wakes import signals
from shopbell.wakes.signals import Hear, Signal

LONGEST_PAYLOAD_BYTES = 7_999  # what NOTIFY takes
MOST_IDS = 1_000
MOST_SIGNALS = 1_000
TOGETHER_S = 0.02
SEND_TIMEOUT_S = 5
START_TIMEOUT_S = 1
LAST_TIMEOUT_S = 1
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2
_ALL = "*"

log = structlog.get_logger()


class Link(Protocol):
    """A connection to whatever carries the messages."""

    async def send(self, payload: str) -> None:
        """Hand a message over; raises any exception when that failed."""

    async def until_lost(self) -> NoReturn:
        """Wait until the link is lost; raises by what."""


Heard = Callable[[Collection[int] | None], None]
Connect = Callable[[Callable[[str], None]], AbstractAsyncContextManager[Link]]


class Relay:
    """Announcements to the other processes of an installation, and theirs to this one.

    Args:
        way: what carries the messages, as the log names it.
        connect: makes a link that passes each message's payload on to the function given; any exception is a link that
            could not be made or broke.
    """

    def __init__(self, way: str, connect: Connect) -> None:
        self._way = way
        self._connect = connect
        self._own_id = secrets.token_hex(8)
        self._heard: Heard = lambda _: None
        self._hear: Hear = lambda _: None
        self._pending: set[int] = set()
        # The oldest go first: a signal is worth less with every moment.
        self._signals: deque[str] = deque(maxlen=MOST_SIGNALS)
        self._all_pending = False
        self._news = asyncio.Event()
        self._told = asyncio.Event()
        self._tried = asyncio.Event()
        self._told.set()
        self._is_connected = False
        self._lost_s: float | None = None
        self._task: SupervisedTask | None = None

    def announce(self, organization_ids: Collection[int]) -> None:
        """Tell the other processes, soon; never fails and never waits.

        Args:
            organization_ids: the organizations of which there is news.
        """
        if not self._all_pending:
            self._pending.update(organization_ids)
            if len(self._pending) > MOST_IDS:  # the link is lost, or they do not fit into one message
                self._forget_which()
        self._told.clear()
        self._news.set()

    def signal(self, signal: Signal) -> None:
        """Tell the other processes of a signal, soon, or never: one that cannot be told now is forgotten."""
        if self._is_connected:
            self._signals.append(signals.encode(signal))
            self._news.set()

    async def start(self, heard: Heard, hear: Hear = lambda _: None) -> None:
        """Begin; a link that cannot be made now is tried again until :meth:`close`.

        Args:
            heard: called with the ids of each message of another process, with None where they are unknown: after a
                gap, too, in which messages may have been lost.
            hear: called with each signal of another process.
        """
        self._heard = heard
        self._hear = hear
        self._task = supervise(f"wake-ups by {self._way}", self._keep_connected)
        with suppress(TimeoutError):  # whoever does not answer at all must not hold up the start
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._tried.wait()

    async def close(self) -> None:
        """End; what was announced is sent before, if that takes no longer than a second."""
        if self._task is None:
            return
        if self._is_connected:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_TIMEOUT_S):
                    await self._told.wait()
        self._task.cancel()
        await self._task.ended()
        self._task = None

    async def _keep_connected(self) -> None:
        pause_s: float = FIRST_PAUSE_S
        while True:
            began_s = time.monotonic()
            try:
                async with self._connect(self._receive) as link:
                    self._note_connected()
                    await self._carry(link)
            except Exception as error:  # noqa: BLE001 - whatever a broken link raises, the next one may hold
                self._note_lost(error)
            if time.monotonic() - began_s > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            # Not all processes at once: they lost their links at the same moment.
            await asyncio.sleep(pause_s * secrets.SystemRandom().uniform(0.5, 1))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _carry(self, link: Link) -> None:
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self._send(link))
            losing = tasks.create_task(link.until_lost())
            await asyncio.wait((sending, losing), return_when=asyncio.FIRST_COMPLETED)
            # To a group, a task that was cancelled has ended in order.
            raise ConnectionError("the link carries nothing any more")

    async def _send(self, link: Link) -> None:
        while True:
            await self._news.wait()
            payload = self._take()
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await link.send(payload)
            except BaseException:
                self._forget_which()  # it may not have arrived: the next link begins with it
                self._news.set()
                raise
            if not self._news.is_set():
                self._told.set()
            await asyncio.sleep(TOGETHER_S)

    def _take(self) -> str:
        if self._signals and not self._pending and not self._all_pending:
            return f"{self._own_id} {self._take_signals()}"
        payload = ",".join(map(str, self._pending))
        if self._all_pending or len(self._own_id) + 1 + len(payload) > LONGEST_PAYLOAD_BYTES:
            payload = _ALL
        self._pending.clear()
        self._all_pending = False
        if not self._signals:  # they go with the next message
            self._news.clear()
        return f"{self._own_id} {payload}"

    def _take_signals(self) -> str:
        room_bytes = LONGEST_PAYLOAD_BYTES - len(self._own_id) - 4
        taken: list[str] = []
        while self._signals and room_bytes > len(self._signals[0].encode()):
            taken.append(self._signals.popleft())
            room_bytes -= len(taken[-1].encode()) + 1
        if not taken:  # none fits that is as long as this one
            self._signals.popleft()
        if not self._signals:
            self._news.clear()
        return signals.join(taken)

    def _forget_which(self) -> None:
        self._pending.clear()
        self._all_pending = True

    def _receive(self, payload: str) -> None:
        sender, _, ids = payload.partition(" ")
        if sender == self._own_id or len(payload) > LONGEST_PAYLOAD_BYTES:
            return
        if ids == _ALL:
            self._heard(None)
            return
        if ids.startswith(signals.MARK):
            for each in signals.decode(ids):
                self._hear(each)
            return
        with suppress(ValueError):  # none of our messages: somebody else's are no news
            self._heard([int(each) for each in ids.split(",")])

    def _note_connected(self) -> None:
        self._is_connected = True
        self._tried.set()
        if self._lost_s is None:
            log.info("wake-ups go between processes", by=self._way)
        else:
            log.info("wake-ups are back", by=self._way, lost_for_s=round(time.monotonic() - self._lost_s, 1))
        self._lost_s = None
        self._heard(None)  # nobody knows what was missed meanwhile

    def _note_lost(self, error: Exception) -> None:
        self._is_connected = False
        self._tried.set()
        if self._lost_s is None:  # one line for all tries
            self._lost_s = time.monotonic()
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            log.warning("wake-ups are lost; polling goes on", by=self._way, error=type(error).__name__)
