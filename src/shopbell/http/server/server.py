"""The server process: how uvicorn starts, drains and stops."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pkgutil import resolve_name
from types import FrameType
from typing import cast

import structlog
import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp
from uvicorn._types import LifespanScope
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

from shopbell import logs
from shopbell.errors import CommandError, ShopbellError
from shopbell.http.server.connection import Connection, Connections, Limits
from shopbell.http.server.protocol import Protocol
from shopbell.http.server.workers import ALIVE, ALIVE_EVERY_S, Supervisor
from shopbell.runtime import metrics_port
from shopbell.runtime.deadline import LAST_WAIT_S, end_after
from shopbell.runtime.listening import BACKLOG, listen
from shopbell.runtime.log_output import output
from shopbell.runtime.service_manager import ServiceManager, passed_listener
from shopbell.settings.settings import Settings, load
from shopbell.settings.sources import PREFIX

FORCED = 130
STOP_RESERVE_S = 5.0
"""Seconds, after those for requests, that the end of a process may take."""
_OTHER_FILES = 256
"""Open files in addition to those of connections."""

log = structlog.get_logger()


def _nothing() -> None:
    """Do nothing: the default of optional callbacks."""


class Lifespan(LifespanOn):
    """The lifespan of the application. Its errors are kept for ``Server``, which raises them; they are not printed."""

    failure: BaseException | None = None

    async def main(self) -> None:
        """Run the lifespan of the application."""
        scope: LifespanScope = {
            "type": "lifespan",
            "asgi": {"version": self.config.asgi_version, "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self.config.loaded_app(scope, self.receive, self.send)
        except BaseException as error:  # noqa: BLE001 - raised again by Server
            self.error_occurred = True
            self.failure = error
        finally:
            self.startup_event.set()
            self.shutdown_event.set()

    async def send(self, message: LifespanSendMessage) -> None:
        """Pass a message on, without the traceback that a failure sends."""
        if message["type"] in ("lifespan.startup.failed", "lifespan.shutdown.failed"):
            message["message"] = ""
        await super().send(message)


class Server(uvicorn.Server):
    """One server process.

    After SIGTERM or SIGINT it drains: for ``drain_delay_s`` it serves as before, except that each response closes its
    connection and ``is_draining`` is true. Then it accepts no more connections and has ``shutdown_timeout_s`` to finish
    the accepted requests. A second SIGINT ends it at once. If the application's lifespan state has a function
    ``end_waits``, the server calls it when draining begins.

    Args:
        settings: the settings.
        app: the application.
        on_started: called in the running loop when the server accepts requests.
        on_stopping: called in the running loop when draining begins.
        on_alive: called in the running loop several times a second.
    """

    lifespan: Lifespan
    server_state: Connections

    def __init__(
        self,
        settings: Settings,
        app: ASGIApp,
        on_started: Callable[[], None],
        on_stopping: Callable[[], None] = _nothing,
        on_alive: Callable[[], None] = _nothing,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="on",
            interface="asgi3",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=settings.shutdown_timeout_s,
            workers=1,
        )
        super().__init__(config)
        config.load()
        config.lifespan_class = Lifespan
        self.server_state = Connections(Limits.of(settings))
        self._drain_delay_s = settings.drain_delay_s
        self._on_started = on_started
        self._on_stopping = on_stopping
        self._on_alive = on_alive

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accept requests.

        Raises:
            ShopbellError: the application cannot start.
        """
        try:
            await super().startup(sockets)
        except SystemExit:
            raise (self.lifespan.failure or CommandError("the server could not start")) from None
        self.server_state.sweep(asyncio.get_running_loop())
        # What exists now lives as long as the process: the garbage collector can skip it. A request leaves no garbage
        # behind that needs it, so it runs less often.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        if not self.should_exit:
            self._on_started()

    async def on_tick(self, counter: int) -> bool:
        """Do what is due, and return whether the server should end."""
        self._on_alive()
        return await super().on_tick(counter)

    async def main_loop(self) -> None:
        """Serve until a signal arrives, then as long as a load balancer needs to notice."""
        await super().main_loop()
        self.server_state.draining = True
        self.lifespan.state["draining"] = True
        self._on_stopping()
        self.lifespan.state.get("end_waits", _nothing)()
        end_after(self._drain_delay_s + (self.config.timeout_graceful_shutdown or 0) + LAST_WAIT_S)
        end_s = time.monotonic() + self._drain_delay_s
        while time.monotonic() < end_s and not self.force_exit:
            await asyncio.sleep(0.1)
            await self.on_tick(0)
        self.server_state.closing = True

    async def _wait_tasks_to_complete(self) -> None:
        """Wait for the accepted requests.

        The parent class cancels this, and the tasks of requests, when the time is over.
        """
        try:
            await super()._wait_tasks_to_complete()
        except asyncio.CancelledError:
            for connection in tuple(self.server_state.connections):
                cast("Connection", connection).cut_off()
            raise

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT without raising them again: an orderly end is a success."""
        former = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin an orderly end; at a second SIGINT, end at once."""
        super().handle_exit(sig, frame)
        if self.force_exit:
            output().drain()
            os._exit(FORCED)


def run(
    settings: Settings,
    factory: str | Callable[[], ASGIApp],
    on_listening: Callable[[str, int], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    It writes the settings into the environment, where the factory reads them, in this process and in workers. If a
    service manager passed a listening socket, that replaces host and port.

    Args:
        settings: the settings. With ``workers`` above 1, this process supervises that many worker processes.
        factory: creates the application. Workers need its name, as ``module:function``.
        on_listening: called with host and port when the server answers requests.

    Raises:
        CommandError: the server cannot listen on the address, or a worker could not start or had to be killed.
        ShopbellError: the application cannot start.
    """
    logs.configure(settings)
    logs.warn_of_unknown_variables()
    _allow_files(settings.connection_limit + _OTHER_FILES)
    _put_into_environment(settings)
    manager = ServiceManager()
    passed = passed_listener()

    def on_started() -> None:
        if on_listening is not None:
            with contextlib.suppress(OSError):  # if it cannot be printed, serve anyway
                on_listening(address if passed else settings.host, port)
        manager.ready()

    def on_stopping() -> None:
        at_most_s = settings.drain_delay_s + settings.shutdown_timeout_s
        manager.stopping(at_most_s + STOP_RESERVE_S)
        log.info("stopping", at_most_s=at_most_s)

    with passed or listen(settings.host, settings.port, remedy=f"--port or {PREFIX}PORT") as listener:
        address, port = listener.getsockname()[:2]
        serving_metrics = metrics_port.open_port(settings)
        if settings.workers == 1:
            with serving_metrics():
                app = resolve_name(factory)() if isinstance(factory, str) else factory()
                Server(settings, app, on_started, on_stopping, manager.alive).run([listener])
        elif isinstance(factory, str):
            Supervisor(listener, factory, settings, on_started, on_stopping, manager.alive, serving_metrics).run()
        else:
            raise TypeError("workers need the name of the factory, as module:function")
    log.info("stopped")


def _allow_files(count: int) -> None:
    """Raise the limit of open files of this process, as far as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _put_into_environment(settings: Settings) -> None:
    """Write the settings into the environment, for this process and its workers."""
    found = load(workers=settings.workers, database_url=settings.database_url, secret_key=settings.secret_key)
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if value != getattr(found, name) or name in ("workers", "database_url", "secret_key"):
            os.environ[f"{PREFIX}{name.upper()}"] = _as_text(value)


def _as_text(value: object) -> str:
    if value is None:
        return ""  # an empty variable means absent
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _work(factory: str, listener: socket.socket, line: socket.socket) -> None:
    """Serve as a worker on the socket of the supervisor, until a signal, or until the supervisor has died."""
    settings = load()
    logs.configure(settings)

    reports_at_s = 0.0

    def report() -> None:
        nonlocal reports_at_s
        if time.monotonic() >= reports_at_s:
            reports_at_s = time.monotonic() + ALIVE_EVERY_S
            with contextlib.suppress(OSError):  # the supervisor has died, or does not read any more: it is ending
                line.send(ALIVE, socket.MSG_DONTWAIT)

    def on_started() -> None:
        report()
        asyncio.get_running_loop().add_reader(line, on_line_broken)

    def on_line_broken() -> None:
        asyncio.get_running_loop().remove_reader(line)
        server.handle_exit(signal.SIGTERM, None)

    server = Server(settings, resolve_name(factory)(), on_started, on_alive=report)
    server.run([listener])


if __name__ == "__main__":
    try:
        _work(sys.argv[1], *(socket.socket(fileno=int(handle)) for handle in sys.argv[2:]))
    except ShopbellError as reason:
        print(f"shopbell: {reason}", file=sys.stderr)  # noqa: T201 - a worker's standard error is the command's
        sys.exit(1)
