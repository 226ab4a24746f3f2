"""Exchange notifications between processes over a link that reconnects.

Notifications within 20 ms form one message: the id of the sending process and the ids of the organizations. A message
can be lost with its link; it contains nothing that is not in the database. Signals (``signals.py``) have separate
messages.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, suppress
from typing import NoReturn, Protocol

import structlog

from shopbell.realtime import signals
from shopbell.realtime.signals import Signal, SignalHandler
from shopbell.runtime.cancellation import cancel
from shopbell.runtime.supervision import SupervisedTask, supervise

LONGEST_PAYLOAD_BYTES = 7_999  # the limit of NOTIFY
MOST_IDS = 1_000
MOST_SIGNALS = 1_000
BATCH_DELAY_S = 0.02
SEND_TIMEOUT_S = 5
START_TIMEOUT_S = 1
LAST_TIMEOUT_S = 1
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2
_ALL = "*"

log = structlog.get_logger()


class Link(Protocol):
    """A connection to the message system."""

    async def send(self, payload: str) -> None:
        """Send a message; raise any exception on failure."""

    async def until_lost(self) -> NoReturn:
        """Wait until the link breaks, then raise the cause."""


Heard = Callable[[Collection[int] | None], None]
Connect = Callable[[Callable[[str], None]], AbstractAsyncContextManager[Link]]


class Relay:
    """Sends notifications to other processes of the installation and receives theirs.

    Args:
        way: the name of the message system in the log.
        connect: opens a link that passes the payload of each message to the given function. Any exception means that
            the link failed or broke.
    """

    def __init__(self, way: str, connect: Connect) -> None:
        self._way = way
        self._connect = connect
        self._own_id = secrets.token_hex(8)
        self._heard: Heard = lambda _: None
        self._on_signal: SignalHandler = lambda _: None
        self._pending: set[int] = set()
        # The oldest are dropped first: signals lose their value quickly.
        self._signals: deque[str] = deque(maxlen=MOST_SIGNALS)
        self._all_pending = False
        self._has_pending = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._attempted = asyncio.Event()
        self._all_sent.set()
        self._is_connected = False
        self._lost_s: float | None = None
        self._task: SupervisedTask | None = None

    def publish(self, organization_ids: Collection[int]) -> None:
        """Notify the other processes soon; never fails and never waits.

        Args:
            organization_ids: the organizations with new events.
        """
        if not self._all_pending:
            self._pending.update(organization_ids)
            if len(self._pending) > MOST_IDS:  # the link is down, or they do not fit into one message
                self._mark_all_pending()
        self._all_sent.clear()
        self._has_pending.set()

    def signal(self, signal: Signal) -> None:
        """Send a signal to the other processes soon; drop it if the link is down."""
        if self._is_connected:
            self._signals.append(signals.encode(signal))
            self._has_pending.set()

    def expect(self) -> None:
        """Do nothing: the other processes always send their notifications."""

    async def start(self, heard: Heard, on_signal: SignalHandler = lambda _: None) -> None:
        """Connect, and reconnect until :meth:`close`.

        Args:
            heard: called with the ids of each message from another process. None means any organization, for example
                after a gap in which messages may have been lost.
            on_signal: called with each signal from another process.
        """
        self._heard = heard
        self._on_signal = on_signal
        self._task = supervise(f"notifications by {self._way}", self._keep_connected)
        with suppress(TimeoutError):  # a server that does not respond must not delay the start
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._attempted.wait()

    async def close(self) -> None:
        """Disconnect, after sending pending notifications within a second."""
        if self._task is None:
            return
        if self._is_connected:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_TIMEOUT_S):
                    await self._all_sent.wait()
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
            except Exception as error:  # noqa: BLE001 - a link may raise anything; reconnect
                self._note_lost(error)
            if time.monotonic() - began_s > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            # Jitter: all processes lost their links at the same moment.
            await asyncio.sleep(pause_s * secrets.SystemRandom().uniform(0.5, 1))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _carry(self, link: Link) -> NoReturn:
        tasks = [asyncio.create_task(self._send(link)), asyncio.create_task(link.until_lost())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()
        raise ConnectionError("the link broke")

    async def _send(self, link: Link) -> None:
        while True:
            await self._has_pending.wait()
            payload = self._take()
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await link.send(payload)
            except BaseException:
                self._mark_all_pending()  # it may be lost: the next link repeats it
                self._has_pending.set()
                raise
            if not self._has_pending.is_set():
                self._all_sent.set()
            await asyncio.sleep(BATCH_DELAY_S)

    def _take(self) -> str:
        if self._signals and not self._pending and not self._all_pending:
            return f"{self._own_id} {self._take_signals()}"
        payload = ",".join(map(str, self._pending))
        if self._all_pending or len(self._own_id) + 1 + len(payload) > LONGEST_PAYLOAD_BYTES:
            payload = _ALL
        self._pending.clear()
        self._all_pending = False
        if not self._signals:  # signals follow in the next message
            self._has_pending.clear()
        return f"{self._own_id} {payload}"

    def _take_signals(self) -> str:
        room_bytes = LONGEST_PAYLOAD_BYTES - len(self._own_id) - 4
        taken: list[str] = []
        while self._signals and room_bytes > len(self._signals[0].encode()):
            taken.append(self._signals.popleft())
            room_bytes -= len(taken[-1].encode()) + 1
        if not taken:  # this one is too long for any message
            self._signals.popleft()
        if not self._signals:
            self._has_pending.clear()
        return signals.join(taken)

    def _mark_all_pending(self) -> None:
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
                self._on_signal(each)
            return
        with suppress(ValueError):  # not a Shopbell message
            self._heard([int(each) for each in ids.split(",")])

    def _note_connected(self) -> None:
        self._is_connected = True
        self._attempted.set()
        if self._lost_s is None:
            log.info("connected to the other processes", by=self._way)
        else:
            log.info(
                "reconnected to the other processes", by=self._way, lost_for_s=round(time.monotonic() - self._lost_s, 1)
            )
        self._lost_s = None
        self._heard(None)  # messages may have been lost during the gap

    def _note_lost(self, error: Exception) -> None:
        self._is_connected = False
        self._attempted.set()
        if self._lost_s is None:  # log one line for all attempts
            self._lost_s = time.monotonic()
            log.warning(
                "disconnected from the other processes; polling continues", by=self._way, error=type(error).__name__
            )
