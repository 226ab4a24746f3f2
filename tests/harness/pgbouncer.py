"""A real PgBouncer (Debian: ``apt-get install pgbouncer``)."""

import os
import pwd
import signal
import subprocess
import time
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from harness.ports import free_port
from harness.processes import wait_for_end
from harness.programs import program

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
POOL_SIZE = 4


class Pgbouncer:
    """One pgbouncer on a free port of 127.0.0.1, in front of all databases of a server.

    Args:
        folder: an empty folder that another user may enter.
        server_url: any address of the server; its user and password are the pooler's, too.
        port: where it listens; a free one unless given.
        settings: lines of its configuration that replace these.
    """

    def __init__(self, folder: Path, server_url: str, port: int | None = None, **settings: object) -> None:
        self.port = port or free_port()
        self._server = make_url(server_url)
        self._folder = folder
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self._folder / "log").read_text()

    def url(self, database: str) -> str:
        """The address of a database through it."""
        url = self._server.set(port=self.port, database=database)
        return url.render_as_string(hide_password=False)

    def start(self) -> None:
        """Start it, again on the same port when it ran before, and wait until it answers."""
        user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None  # it refuses to run as root
        self._configure()
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program("pgbouncer", "pgbouncer"), str(self._folder / "pgbouncer.ini")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user and user.pw_uid,
                group=user and user.pw_gid,
                extra_groups=[] if user else None,
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"pgbouncer did not start:\n{self.log[-2_000:]}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it at once, whatever goes through it: SIGTERM is an immediate shutdown, SIGKILL a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            process, self._process = self._process, None
            wait_for_end(process, STOP_TIMEOUT_S, lambda: self.log)

    def _configure(self) -> None:
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": self._folder / "users.txt",
            "admin_users": self._server.username,
            "pool_mode": "transaction",
            "default_pool_size": POOL_SIZE,
            "max_client_conn": 400,
            # A server that is away is tried again soon.
            "server_login_retry": 1,
        } | self._settings
        server = f"host={self._server.host} port={self._server.port}"
        lines = ["[databases]", f"* = {server}", "[pgbouncer]", *(f"{name} = {settings[name]}" for name in settings)]
        (self._folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        (self._folder / "users.txt").write_text(f'"{self._server.username}" "{self._server.password}"\n')

    def _answers(self) -> bool:
        """Whether its own console, which needs no server behind it, takes a connection."""
        try:
            psycopg.connect(self.url("pgbouncer"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
