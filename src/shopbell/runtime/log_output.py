"""Standard error for log lines: never raises into the caller and never makes it wait.

Whatever can make a writer wait, such as a pipe, is written to by a thread. A full pipe therefore stops no event loop. A
closed one or a full disk is no error of what was logged: lines that cannot be written are counted, and their number is
logged once writing works again.
"""

import atexit
import os
import select
import stat
import sys
import threading
from contextlib import suppress
from queue import SimpleQueue

import structlog
from prometheus_client import Counter

from shopbell.runtime.supervision import supervise_thread

WAITING_MAX_BYTES = 4 * 1_048_576
"""Most bytes of lines that wait to be written; further lines are lost."""
LAST_WAIT_S = 1.0
"""Seconds that a process which ends waits for its last lines to be written."""
_LOOK_AGAIN_MS = 1_000

LOST = Counter("shopbell_log_lines_lost", "Log lines that could not be written.")

log = structlog.get_logger()


class LogOutput:
    """Writes text to a file descriptor: to a regular file at once, to anything else from a thread.

    Args:
        descriptor: where to write; None loses everything.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._is_regular_file = descriptor is not None and stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._queue: SimpleQueue[bytes | threading.Event] = SimpleQueue()
        # Reentrant: a signal handler that logs may interrupt a thread that holds it.
        self._lock = threading.RLock()
        self._waiting_bytes = 0
        self._lost = 0
        self._is_inside_a_line = False
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> None:
        """Write whole lines, now or soon, or lose them."""
        lines = text.encode("utf-8", "backslashreplace")
        with self._lock:
            if self._is_regular_file:
                self._hand_over(lines)
                return
            if self._descriptor is None or self._waiting_bytes + len(lines) > WAITING_MAX_BYTES:
                self.note_lost(lines.count(b"\n"))
                return
            self._waiting_bytes += len(lines)
            self._queue.put(lines)
            if self._thread is None:
                with suppress(RuntimeError):  # no thread can be started now: the next line tries again
                    self._thread = supervise_thread("write the log", self._write_on)

    def note_lost(self, count: int = 1) -> None:
        """Count lines that are lost."""
        with self._lock:
            self._lost += count
            LOST.inc(count)

    def flush(self) -> None:
        """Do nothing: what was written is on its way. Loggers call this after each line."""

    def drain(self, timeout_s: float = LAST_WAIT_S) -> None:
        """Wait until everything written so far has been handed to the system, but no longer than so many seconds."""
        if self._thread is not None:
            done = threading.Event()
            self._queue.put(done)
            done.wait(timeout_s)

    def _write_on(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            try:
                self._hand_over(item)
            finally:
                with self._lock:
                    self._waiting_bytes -= len(item)

    def _hand_over(self, lines: bytes) -> None:
        assert self._descriptor is not None  # noqa: S101 - nothing is queued without one
        left = memoryview(b"\n" + lines if self._is_inside_a_line else lines)
        while left:
            try:
                written = os.write(self._descriptor, left)
            except BlockingIOError:  # another process that has the pipe open made it non-blocking
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll(_LOOK_AGAIN_MS)
                continue
            except OSError:
                self.note_lost(max(1, bytes(left).count(b"\n")))
                return
            self._is_inside_a_line = left[written - 1] != ord("\n")
            left = left[written:]
        with self._lock:
            lost, self._lost = self._lost, 0
        if lost:
            log.warning("log lines were lost", count=lost)


_output: LogOutput | None = None


def output() -> LogOutput:
    """The standard error of this process."""
    global _output
    if _output is None:
        _output = LogOutput(_own_descriptor())
        atexit.register(_output.drain)
    return _output


def _own_descriptor() -> int | None:
    """A descriptor of standard error that nothing else in this process closes."""
    try:
        return os.dup(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # there is none, it is closed, or it is no file
        return None
