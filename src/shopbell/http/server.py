"""The server process: listens, serves, drains, ends. uvicorn does the work; this is how it starts and stops."""

import asyncio
import contextlib
import errno
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

import structlog
import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp
from uvicorn._types import LifespanScope
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

from shopbell import logs
from shopbell.deadline import LAST_WAIT_S, end_after
from shopbell.errors import CommandError, ShopbellError
from shopbell.http.connection import Connections, Limits
from shopbell.http.protocol import Protocol
from shopbell.http.workers import READY, Supervisor
from shopbell.log_output import output
from shopbell.settings import PREFIX, Settings, load

FACTORY = "shopbell.app:create_app"
BACKLOG = 2_048
FORCED = 130
_OTHER_FILES = 256
"""File handles beside those of connections."""

log = structlog.get_logger()


def _nothing() -> None:
    """Do nothing: for what a server need not be told, and an application need not do."""


class Lifespan(LifespanOn):
    """The application's start and end. What goes wrong is raised where the server was started, and not printed here."""

    failure: BaseException | None = None

    async def main(self) -> None:
        """Run the application's lifespan."""
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
        """Note how far the application has come, without the traceback that a failure sends."""
        if message["type"] in ("lifespan.startup.failed", "lifespan.shutdown.failed"):
            message["message"] = ""
        await super().send(message)


class Server(uvicorn.Server):
    """One server process.

    After SIGTERM or SIGINT it is draining (``is_draining`` of a request's scope): for ``drain_delay_s`` it goes on as
    before but that answers close their connections; then it accepts no more, and has ``shutdown_timeout_s`` to finish
    what it took. A second SIGINT ends it at once. The application's lifespan state may hold ``end_waits``, a function
    that is called when the draining begins.

    Args:
        settings: the settings.
        app: the application.
        on_started: called in the running loop once requests are accepted.
        on_stopping: called in the running loop when the draining begins.
    """

    lifespan: Lifespan
    server_state: Connections

    def __init__(
        self,
        settings: Settings,
        app: ASGIApp,
        on_started: Callable[[], None],
        on_stopping: Callable[[], None] = _nothing,
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

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accept.

        Raises:
            ShopbellError: the application says why it cannot start.
        """
        try:
            await super().startup(sockets)
        except SystemExit:
            raise (self.lifespan.failure or CommandError("the server could not start")) from None
        self.server_state.sweep(asyncio.get_running_loop())
        # What was made for good until now is never garbage: the collector need not look at it again and again. And a
        # request leaves nothing for it behind, so it need not come as often.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        if not self.should_exit:
            self._on_started()

    async def main_loop(self) -> None:
        """Serve until a signal comes, and then for as long as a load balancer needs to notice."""
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

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT, and do not raise them again: having ended in order is a success."""
        former = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End in order; at once when SIGINT comes again."""
        super().handle_exit(sig, frame)
        if self.force_exit:
            output().drain()
            os._exit(FORCED)


def run(
    settings: Settings,
    factory: str | Callable[[], ASGIApp] = FACTORY,
    on_listening: Callable[[str, int], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    The settings are put into the environment, where the factory finds them, in this process and in workers.

    Args:
        settings: the settings; ``workers`` above 1 makes this process the supervisor of so many.
        factory: makes the application; for workers it must be named, as ``module:function``.
        on_listening: called with host and port once requests are answered.

    Raises:
        CommandError: the address cannot be listened on, or a worker could not start or had to be killed.
        ShopbellError: the application says why it cannot start.
    """
    logs.configure(settings)
    logs.warn_of_unknown_variables()
    _allow_files(settings.connection_limit + _OTHER_FILES)
    _put_into_environment(settings)

    def on_started() -> None:
        if on_listening is not None:
            with contextlib.suppress(OSError):  # that it cannot be said is no reason not to serve
                on_listening(settings.host, port)

    def on_stopping() -> None:
        log.info("stopping", at_most_s=settings.drain_delay_s + settings.shutdown_timeout_s)

    with listen(settings.host, settings.port) as listener:
        port: int = listener.getsockname()[1]
        if settings.workers == 1:
            app = resolve_name(factory)() if isinstance(factory, str) else factory()
            Server(settings, app, on_started, on_stopping).run([listener])
        elif isinstance(factory, str):
            Supervisor(listener, factory, settings, on_started, on_stopping).run()
        else:
            raise TypeError("workers are other processes: they need the factory's name")
    log.info("stopped")


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address.

    Args:
        host: name or address.
        port: TCP port; 0 takes a free one.

    Returns:
        The listening socket.

    Raises:
        CommandError: it is in use, not ours, or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise CommandError(f"{host} is not an address of this machine") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # At once, and not when the application is ready: until then another server could take the port too.
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise CommandError(f"port {port} on {host} is in use; choose another with --port or {PREFIX}PORT") from None
        raise CommandError(f"cannot listen on {host}, port {port}: {error.strerror}") from None
    return listener


def _allow_files(count: int) -> None:
    """Raise this process's limit of open files, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _put_into_environment(settings: Settings) -> None:
    """Let whoever reads the settings, in this process or in a worker, read these ones."""
    found = load(workers=settings.workers, database_url=settings.database_url, secret_key=settings.secret_key)
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if value != getattr(found, name) or name in ("workers", "database_url", "secret_key"):
            os.environ[f"{PREFIX}{name.upper()}"] = _as_text(value)


def _as_text(value: object) -> str:
    if value is None:
        return ""  # an empty variable counts as absent
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _work(factory: str, listener: socket.socket, line: socket.socket) -> None:
    """Be a worker: serve on the supervisor's socket until told to end, or until the supervisor is gone."""
    settings = load()
    logs.configure(settings)

    def on_started() -> None:
        line.send(READY)
        asyncio.get_running_loop().add_reader(line, on_line_broken)

    def on_line_broken() -> None:
        asyncio.get_running_loop().remove_reader(line)
        server.handle_exit(signal.SIGTERM, None)

    server = Server(settings, resolve_name(factory)(), on_started)
    server.run([listener])


if __name__ == "__main__":
    try:
        _work(sys.argv[1], *(socket.socket(fileno=int(handle)) for handle in sys.argv[2:]))
    except ShopbellError as reason:
        print(f"shopbell: {reason}", file=sys.stderr)  # noqa: T201 - a worker's standard error is the command's
        sys.exit(1)
