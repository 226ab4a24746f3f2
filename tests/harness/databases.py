"""Databases for tests, copied from templates, on both engines."""

import fcntl
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from harness.installation import Database, Installation, copy_sqlite
from harness.postgres import START_TIMEOUT_S
from harness.world import World


@contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Let one worker of the session in at a time."""
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class SharedPostgres:
    """The PostgreSQL server of this session; ``address`` has ``{}`` where the database's name goes."""

    address: str
    binaries: Path

    def url(self, database: str) -> str:
        """The address of a database."""
        return self.address.format(database)

    def command(self, sql: str) -> None:
        """Run a command that may not be in a transaction."""
        url = make_url(self.url("postgres")).set(drivername="postgresql+psycopg")
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(sql))
        finally:
            engine.dispose()


@dataclass(frozen=True)
class Databases:
    """Makes databases: empty ones that are migrated, and ones with the world in them.

    Args:
        folder: shared by the workers of a session.
        worker: the name of this one.
        fsync: the setting of the session's PostgreSQL. Each database that is dropped begins a checkpoint of a thousand
            files, which on a busy disk takes longer than Shopbell waits for a commit. What is committed survives a
            crash of PostgreSQL all the same.
    """

    folder: Path
    worker: str
    _numbers: "itertools.count[int]"
    fsync: str = "off"

    def postgres(self) -> SharedPostgres:
        """The session's PostgreSQL server, started when it is first asked for."""
        state = self.folder / "postgres.json"
        with locked(self.folder, "postgres"):
            if not state.exists():
                _start_postgres(self.folder, state, self.fsync)
        facts = json.loads(state.read_text())
        return SharedPostgres(facts["url"], Path(facts["binaries"]))

    def copy(self, engine: str, template: str) -> Database:
        """A database of its own that begins as a template is."""
        source = self.template(engine, template)
        name = f"{self.worker}_{next(self._numbers)}"
        if engine == "sqlite":
            path = self.folder / name / "shopbell.db"
            path.parent.mkdir()
            copy_sqlite(Path(make_url(source.url).database or ""), path)
            return Database(f"sqlite:///{path}")
        return self._create(name, template)

    def empty(self) -> Database:
        """A PostgreSQL database of its own with nothing in it."""
        return self._create(f"{self.worker}_{next(self._numbers)}", "template1")

    def _create(self, name: str, template: str) -> Database:
        # Two copies of one template at once fail: one looks like a user of the template to the other.
        with locked(self.folder, "create-database"):
            self.postgres().command(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return Database(self.postgres().url(name), is_shared=True)

    def drop(self, database: Database) -> None:
        """Drop a database that is not used any more."""
        name = make_url(database.url).database or ""
        if database.is_sqlite:
            shutil.rmtree(Path(name).parent)
        else:
            self.postgres().command(f'DROP DATABASE "{name}" WITH (FORCE)')

    def template(self, engine: str, name: str) -> Database:
        """The database that others are copied from; the first worker to need it makes it."""
        if engine == "sqlite":
            database = Database(f"sqlite:///{self.folder / name / 'shopbell.db'}")
        else:
            database = Database(self.postgres().url(name), is_shared=True)
        made = self.folder / f"{engine}-{name}.made"
        with locked(self.folder, f"{engine}-{name}"):
            if not made.exists():
                if engine == "sqlite":
                    (self.folder / name).mkdir()
                else:
                    self.postgres().command(f'CREATE DATABASE "{name}"')
                installation = Installation(database, self.folder)
                if name == "world":
                    self._build_world(installation, self._world_file(engine))
                else:
                    installation.cli("migrate")
                made.touch()
        return database

    def world(self, engine: str) -> World:
        """The ids and tokens of the template ``world``."""
        self.template(engine, "world")
        return World.load(self._world_file(engine))

    def _world_file(self, engine: str) -> Path:
        return self.folder / f"{engine}-world.json"

    def _build_world(self, installation: Installation, target: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "harness.world", str(target)],
            env=installation.environment | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


class Acme:
    """Acme's tokens, and installations that begin alike; its Boston shop has the id of the documentation's example."""

    def __init__(self, databases: Databases, folder: Path) -> None:
        self._databases = databases
        self.installation = self.new_installation(folder)
        people = databases.world("sqlite")
        assert people.boston == "12345"
        self.token = people.token
        self.other_token = people.second_token
        self.reading_token = people.reading_token

    def new_installation(self, folder: Path) -> Installation:
        """One that nothing else uses."""
        return Installation(self._databases.copy("sqlite", "world"), folder)


def _start_postgres(folder: Path, state: Path, fsync: str) -> None:
    """Start the process that keeps PostgreSQL until the session's keeper ends it."""
    with (folder / "postgres.log").open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "harness.postgres", str(state), fsync],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not state.exists():
        assert keeper.poll() is None, f"PostgreSQL did not start:\n{(folder / 'postgres.log').read_text()}"
        assert time.monotonic() < deadline_s, "PostgreSQL did not start in time"
        time.sleep(0.02)
    keeper.returncode = 0  # no warning when this worker ends before it


def add_postgres_programs(installation: Installation, databases: Databases) -> None:
    """Put PostgreSQL's programs into the PATH of an installation."""
    path = f"{databases.postgres().binaries}{os.pathsep}{os.environ['PATH']}"
    installation.settings = dict(installation.settings) | {"PATH": path}
