"""The service manager, such as systemd: the socket that it passes on, and where the service reports its state.

The protocols are those of sd_listen_fds(3) and sd_notify(3).
"""

import os
import socket
import time
from collections.abc import Callable, MutableMapping

import structlog

from shopbell.errors import CommandError

FIRST_FD = 3
_LISTEN = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_ONE_SOCKET = "the service manager must pass exactly one listening TCP socket; write one ListenStream= with a port"

log = structlog.get_logger()


def passed_listener(
    environment: MutableMapping[str, str] = os.environ, *, first_fd: int = FIRST_FD
) -> socket.socket | None:
    """Take the listening socket that the service manager passed to this process, or None if it passed none.

    The socket and its queue outlive the process: a client that connects during a restart waits for the next process.

    Args:
        environment: loses the variables, so that child processes do not see them.
        first_fd: the file descriptor of the first socket.

    Raises:
        CommandError: what was passed is not one listening TCP socket.
    """
    pid, count, _ = (environment.pop(name, "") for name in _LISTEN)
    if pid != str(os.getpid()):  # for another process
        return None
    if count != "1":
        raise CommandError(_ONE_SOCKET)
    try:
        listener = socket.socket(fileno=first_fd)
        is_listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        raise CommandError(_ONE_SOCKET) from None
    if not is_listening or listener.family not in (socket.AF_INET, socket.AF_INET6):
        listener.close()
        raise CommandError(_ONE_SOCKET)
    listener.set_inheritable(False)
    return listener


class ServiceManager:
    """Reports the state of this process, if it has a service manager that wants to know.

    Args:
        environment: loses the variables, so that child processes do not report in place of this one.
        clock: a monotonic time in seconds.
    """

    def __init__(
        self, environment: MutableMapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        address = environment.pop("NOTIFY_SOCKET", "")
        # A name that begins with @ has no file (unix(7)).
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        interval_us = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        is_watched = interval_us.isdigit() and pid in ("", str(os.getpid()))
        self._every_s = int(interval_us) / 2_000_000 if is_watched else None
        self._next_s = 0.0
        self._clock = clock

    def ready(self) -> None:
        """Report that the service answers."""
        self._report("READY=1")

    def stopping(self, at_most_s: float) -> None:
        """Report that the service is about to end.

        Args:
            at_most_s: seconds that this may take, also if that is more than the service manager would wait.
        """
        self._report(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={at_most_s * 1_000_000:.0f}")

    def alive(self) -> None:
        """Report that the service is alive, if that is due. Call it several times a second."""
        if self._every_s is not None and self._clock() >= self._next_s:
            self._next_s = self._clock() + self._every_s
            self._report("WATCHDOG=1")

    def _report(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reports:
                reports.setblocking(False)
                reports.sendto(state.encode(), self._address)
        except OSError as error:  # serve even if the service manager does not listen
            log.warning("the service manager cannot be reached", state=state.partition("=")[0], exc_info=error)
