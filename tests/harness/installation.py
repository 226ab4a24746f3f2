"""One installation of Shopbell: its database, its command line, its server process."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url, text

from harness import failures, preloaded, suites
from harness.ports import free_port
from harness.processes import wait_for_end

if TYPE_CHECKING:
    from harness import in_process

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 25
COMMAND_TIMEOUT_S = 120
LONG_COMMANDS = ("serve", "demo", "worker")
"""They run until a signal ends their process."""
CONNECT_TIMEOUT = "PGCONNECT_TIMEOUT"
"""The variable with the seconds that connecting to PostgreSQL may take; ``conftest.py`` sets it."""

SECRET_KEY = "only-for-tests-" + "0123456789abcdef" * 4
PLENTY = {"SHOPBELL_RATE_LIMIT_PER_S": "1000000", "SHOPBELL_RATE_LIMIT_BURST": "1000000"} | {
    "SHOPBELL_VISITOR_RATE_PER_MIN": "1000000"
}


@dataclass(frozen=True)
class Database:
    """A database of either engine, looked at from outside."""

    url: str
    is_shared: bool = False
    """Whether its PostgreSQL serves all tests, and so may take long to accept a connection."""

    @property
    def is_sqlite(self) -> bool:
        """Whether it is the embedded engine."""
        return self.url.startswith("sqlite")

    def rows(self, sql: str, **values: object) -> list[dict[str, Any]]:
        """The rows of a query, in a transaction of its own."""
        with self.connection() as connection:
            return [dict(row) for row in connection.execute(text(sql), values).mappings()]

    def value(self, sql: str, **values: object) -> Any:
        """The only value of a query."""
        (row,) = self.rows(sql, **values)
        (value,) = row.values()
        return value

    def change(self, sql: str, **values: object) -> int:
        """Change rows behind the server's back; returns how many."""
        with self.connection() as connection:
            return connection.execute(text(sql), values).rowcount

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection inside a transaction that ends with the block."""
        with _engine(self.url).begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """As ``connection``, for a transaction that reads before it writes.

        SQLite refuses the write if another process, such as a server, has written since the read.
        """
        with self.connection() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("UPDATE ids SET next_id = next_id")
            yield connection


@lru_cache(maxsize=64)
def _engine(url: str) -> Engine:
    """Connects to a database, and knows what it learnt of it before; no connection outlives its transaction."""
    if not url.startswith("sqlite"):
        return create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        from pysqlite3 import dbapi2 as sqlite
    except ImportError:  # no wheel for this platform
        from sqlite3 import dbapi2 as sqlite
    engine = create_engine(url, module=sqlite, poolclass=NullPool, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def own_transactions(connection: Any, record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


@dataclass
class Installation:
    """The command line and the server on one database, as their user sees them.

    Args:
        database: where everything is kept.
        folder: where its processes run and log.
        settings: environment variables beside the database's address and the secret key.
        server_program: what Python runs as the server; another one where a test breaks it on purpose.
    """

    database: Database
    folder: Path
    settings: Mapping[str, str] = field(default_factory=lambda: dict(PLENTY))
    server_program: tuple[str, ...] = preloaded.PROGRAM

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes: this one's, with none of Shopbell's settings but its own."""
        left_out = ("SHOPBELL_",) if self.database.is_shared else ("SHOPBELL_", CONNECT_TIMEOUT)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        own = {"SHOPBELL_DATABASE_URL": self.database.url, "SHOPBELL_SECRET_KEY": SECRET_KEY}
        return inherited | own | dict(self.settings)

    def run(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Run a command, whatever comes of it."""
        command, environment = [str(argument) for argument in arguments], self.environment
        if (
            suites.in_process
            and command[0] not in LONG_COMMANDS
            and threading.current_thread() is threading.main_thread()  # others run commands at the same moment
            and preloaded.for_the_interpreter(environment) == preloaded.for_the_interpreter(os.environ)
        ):
            from harness import in_process  # see ServerThread.start

            return in_process.run_command(command, self.folder, environment)
        return preloaded.run(
            preloaded.PROGRAM,
            command,
            cwd=self.folder,
            env=environment,
            timeout_s=COMMAND_TIMEOUT_S,
        )

    def cli(self, *arguments: object) -> Any:
        """Run a command with ``--json``, which must succeed, and return what it printed."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, f"shopbell {arguments} ended with {done.returncode}:\n{done.stderr}"
        return json.loads(done.stdout)

    @contextmanager
    def serving(self, *arguments: object, **settings: object) -> Iterator["Server"]:
        """A server on this database while the block runs: a process, or a thread where the suite says so.

        Args:
            arguments: of the command, beside host and port; with any the server is a process.
            settings: by their names without the prefix, in lower case; they win over the installation's.
        """
        is_thread = suites.in_process and not arguments and self.server_program == preloaded.PROGRAM
        server = ServerThread(self, **settings) if is_thread else ServerProcess(self, *arguments, **settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()


class Server(ABC):
    """A running Shopbell.

    Args:
        installation: whose database it serves.
        settings: by their names without the prefix, in lower case; they win over the installation's.
    """

    def __init__(self, installation: Installation, **settings: object) -> None:
        self.installation = installation
        self.port = free_port()
        self._settings = {f"SHOPBELL_{name.upper()}": str(value) for name, value in settings.items()}
        # Without TLS nothing is verified; loading all certificates would take longer than most tests.
        self.client = httpx2.Client(base_url=self.url, trust_env=False, verify=False, timeout=30)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def public_origin(self) -> str:
        """The origin of its own pages, as browsers see it."""
        public = self._settings.get("SHOPBELL_PUBLIC_URL", self.url)
        return "/".join(public.split("/")[:3])

    @property
    @abstractmethod
    def log(self) -> str:
        """All that it has logged so far."""

    @abstractmethod
    def start(self) -> None:
        """Start it, again on the same port when it ran before, and wait until it is ready."""

    @abstractmethod
    def is_running(self) -> bool:
        """Whether it serves."""

    @abstractmethod
    def stop(self) -> None:
        """End it, whatever its state."""


class ServerThread(Server):
    """A server in the process of the tests."""

    _thread: "in_process.ServerThread | None" = None

    @property
    def log(self) -> str:
        assert self._thread is not None, "the server has not started"
        return self._thread.log

    def start(self) -> None:
        from harness import in_process  # the application takes a second to import: tests without a server do not wait

        environment = self.installation.environment | self._settings
        self._thread = in_process.ServerThread(self.port, environment, self.installation.folder)
        failures.STARTED.add(self)

    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_running()

    def stop(self) -> None:
        self.client.close()
        if self._thread is not None:
            self._thread.stop()


class ServerProcess(Server):
    """A ``shopbell serve`` process.

    Args:
        installation: whose database it serves.
        arguments: of the command, beside host and port.
        settings: by their names without the prefix, in lower case; they win over the installation's.
    """

    def __init__(self, installation: Installation, *arguments: object, **settings: object) -> None:
        super().__init__(installation, **settings)
        self._arguments = [str(argument) for argument in arguments]
        self._log_path = installation.folder / f"serve-{self.port}.log"
        self._process: preloaded.Preloaded | subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id; with several workers, of the process above them."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def children(self) -> list[int]:
        """The ids of the processes that it has started, and that have not ended."""
        return [int(child) for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    @property
    def log(self) -> str:
        return self._log_path.read_text(errors="replace")

    def start(self) -> None:
        with self._log_path.open("ab") as log:
            self._process = preloaded.start(
                self.installation.server_program,
                ["serve", "--host", "127.0.0.1", "--port", str(self.port), *self._arguments],
                cwd=self.installation.folder,
                env=self.installation.environment | self._settings,
                output=log,
                errors=subprocess.STDOUT,
            )
        failures.STARTED.add(self)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            assert self._process.poll() is None, f"the server ended with {self._process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline_s, f"the server is not ready after {START_TIMEOUT_S} s:\n{self.log}"
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def terminate(self) -> int:
        """Ask it to end (SIGTERM) and return its exit code."""
        assert self._process is not None, "the server is not running"
        self._process.send_signal(signal.SIGTERM)
        return self._wait()

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        assert self._process is not None, "the server is not running"
        self._process.kill()
        self._wait()

    def stop(self) -> None:
        self.client.close()
        if self.is_running():
            self.terminate()

    def _wait(self) -> int:
        assert self._process is not None
        return wait_for_end(self._process, STOP_TIMEOUT_S, lambda: self.log)


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database that nothing has open."""
    for suffix in ("", "-wal"):
        if source.with_name(source.name + suffix).exists():
            shutil.copyfile(source.with_name(source.name + suffix), target.with_name(target.name + suffix))
