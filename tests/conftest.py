"""Real databases and real servers for every test, on both engines."""

import fcntl
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine, make_url, text

from harness import preloaded, world
from harness.installation import Database, Installation, Server, copy_sqlite
from harness.nats import Nats
from harness.pgbouncer import Pgbouncer
from harness.post_office import open_post as open_post
from harness.post_office import post as post
from harness.postgres import START_TIMEOUT_S, Postgres, new_folder
from harness.shop import Shop

ENGINES = ("sqlite", "postgresql")
_FOLDER = pytest.StashKey[Path]()
_KEEPER = "keeper.pid"
# How long an example takes is the machine's affair. Which are tried is decided by chance in `make test-long` alone, so
# that a change is not refused for what it has nothing to do with.
settings.register_profile(
    "shopbell",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=preloaded.PLAIN_STARTS not in os.environ,
)
settings.load_profile("shopbell")
_keepers: "list[subprocess.Popen[bytes]]" = []  # held: a forgotten process warns


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that all workers of a session share."""
    given = getattr(config, "workerinput", {}).get("shared_folder")
    config.stash[_FOLDER] = Path(given) if given else Path(tempfile.mkdtemp(prefix="shopbell-tests-"))
    # What runs in the background of a shell ignores Ctrl-C, and all that the tests start would inherit that.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where that folder is."""
    node.workerinput["shared_folder"] = str(node.config.stash[_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """End PostgreSQL with the session; where the session is killed, its keeper sees to that."""
    preloaded.stop()
    for keeper in _keepers:
        keeper.returncode = 0  # it ends with the session; that it still runs when this worker ends is no mistake
    if hasattr(config, "workerinput"):
        return
    folder = config.stash[_FOLDER]
    if (folder / _KEEPER).exists():
        keeper = int((folder / _KEEPER).read_text())
        os.kill(keeper, signal.SIGTERM)
        _wait_until(lambda: not (folder / "postgres.json").exists(), "PostgreSQL did not end")
    shutil.rmtree(folder)


def _wait_until(done: Callable[[], bool], otherwise: str) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not done():
        assert time.monotonic() < deadline_s, otherwise
        time.sleep(0.02)


@contextmanager
def _locked(folder: Path, name: str) -> Iterator[None]:
    """One worker at a time."""
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
    """Makes databases: empty ones that are migrated, and ones with the world in them."""

    folder: Path
    worker: str
    postgres: Callable[[], SharedPostgres]
    _numbers: "itertools.count[int]"

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
        with _locked(self.folder, "create-database"):
            self.postgres().command(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return Database(self.postgres().url(name))

    def drop(self, database: Database) -> None:
        """Drop a database that nobody uses any more."""
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
            database = Database(self.postgres().url(name))
        made = self.folder / f"{engine}-{name}.made"
        with _locked(self.folder, f"{engine}-{name}"):
            if not made.exists():
                if engine == "sqlite":
                    (self.folder / name).mkdir()
                else:
                    self.postgres().command(f'CREATE DATABASE "{name}"')
                installation = Installation(database, self.folder)
                if name == "world":
                    self._build_world(installation, self.world_file(engine))
                else:
                    installation.cli("migrate")
                made.touch()
        return database

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

    def world_file(self, engine: str) -> Path:
        """Where the ids and tokens of the template ``world`` are."""
        return self.folder / f"{engine}-world.json"


@pytest.fixture(scope="session")
def shared_folder(pytestconfig: pytest.Config) -> Path:
    """The folder that all workers of a session share."""
    return pytestconfig.stash[_FOLDER]


@pytest.fixture(scope="session")
def databases(shared_folder: Path) -> Databases:
    """Makes databases for this worker."""

    def postgres() -> SharedPostgres:
        state = shared_folder / "postgres.json"
        with _locked(shared_folder, "postgres"):
            if not state.exists():
                _start_keeper(shared_folder, state)
        facts = json.loads(state.read_text())
        return SharedPostgres(facts["url"], Path(facts["binaries"]))

    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return Databases(shared_folder, worker, postgres, itertools.count(1))


def _start_keeper(folder: Path, state: Path) -> None:
    # Under pytest-xdist the session is the process above this one.
    session_pid = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    with (folder / "keeper.log").open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "harness.postgres", str(state), str(session_pid)],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _keepers.append(keeper)
    (folder / _KEEPER).write_text(str(keeper.pid))

    def started() -> bool:
        assert keeper.poll() is None, f"PostgreSQL did not start:\n{(folder / 'keeper.log').read_text()}"
        return state.exists()

    _wait_until(started, "PostgreSQL did not start in time")


@pytest.fixture
def shared_postgres(databases: Databases) -> SharedPostgres:
    """The PostgreSQL server of this session, where a test needs its binaries or a database of its own making."""
    return databases.postgres()


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for one test alone, to be stopped and started."""
    folder = new_folder()
    server = Postgres(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def pgbouncer(databases: Databases) -> Iterator[Callable[..., Pgbouncer]]:
    """Starts a pgbouncer in front of the session's PostgreSQL, in transaction mode unless told otherwise."""
    with ExitStack() as stack:

        def start(server_url: str | None = None, **settings: Any) -> Pgbouncer:
            folder = new_folder()
            stack.callback(shutil.rmtree, folder)
            pooler = Pgbouncer(folder, server_url or databases.postgres().url("postgres"), **settings)
            stack.callback(pooler.stop)
            pooler.start()
            return pooler

        yield start


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[Nats]:
    """A NATS server for one test alone, to be stopped and started."""
    server = Nats(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine: every test that asks for it runs on both."""
    name: str = request.param
    return name


@pytest.fixture
def fresh_installation(engine: str, databases: Databases, tmp_path: Path) -> Iterator[Installation]:
    """A migrated database with nothing in it, and its command line."""
    database = databases.copy(engine, "migrated")
    yield Installation(database, tmp_path)
    databases.drop(database)


@pytest.fixture
def installation(engine: str, databases: Databases, tmp_path: Path) -> Iterator[Installation]:
    """A database of its own with the world in it, and its command line; no server runs yet."""
    database = databases.copy(engine, "world")
    yield Installation(database, tmp_path)
    databases.drop(database)


@pytest.fixture
def people(engine: str, databases: Databases) -> world.World:
    """The ids and tokens of the world in ``installation``."""
    databases.template(engine, "world")
    return world.World.load(databases.world_file(engine))


@pytest.fixture(scope="session")
def shops(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Shop]]:
    """Gives the running shop of an engine and of settings, started when it is first asked for."""
    running: dict[object, Shop] = {}
    with ExitStack() as stack:

        def shop(engine: str, **settings: object) -> Shop:
            key = (engine, *sorted(settings.items()))
            if key not in running:
                database = databases.copy(engine, "world")
                installation = Installation(database, tmp_path_factory.mktemp(f"shop-{engine}"))
                server = stack.enter_context(installation.serving(**settings))
                running[key] = Shop(server, world.World.load(databases.world_file(engine)))
            return running[key]

        yield shop


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Iterator[Shop]:
    """A running server with the world in it, shared by the tests of one worker: each brings customers of its own."""
    shop = shops(engine)
    yield shop
    assert shop.server.is_running(), f"the server ended meanwhile:\n{shop.server.log}"


@pytest.fixture
def slow_shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A shared server with a low rate: 1 request per second and token, 10 at once. Each test takes a spare token."""
    return shops(engine, rate_limit_per_s=1, rate_limit_burst=10)


@pytest.fixture
def strict_shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A shared server with small limits and deadlines."""
    return shops(engine, body_limit_bytes=1_024, body_timeout_s=2, write_timeout_s=3)


@pytest.fixture
def own_shop(installation: Installation, people: world.World) -> Iterator[Shop]:
    """A running server with the world in it, for one test alone."""
    with installation.serving() as server:
        yield Shop(server, people)


class Acme:
    """Acme's tokens, and installations that begin alike; its Boston shop has the id of the documentation's example."""

    def __init__(self, databases: Databases, folder: Path) -> None:
        self._databases = databases
        self.installation = self.new_installation(folder)
        people = world.World.load(databases.world_file("sqlite"))
        assert people.boston == "12345"
        self.token = people.token
        self.other_token = people.second_token
        self.reading_token = people.reading_token

    def new_installation(self, folder: Path) -> Installation:
        """One that nobody else uses."""
        return Installation(self._databases.copy("sqlite", "world"), folder)


@pytest.fixture(scope="session")
def acme(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Acme:
    """Acme, on SQLite: the reference is the same on both engines."""
    return Acme(databases, tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def acme_server(acme: Acme) -> Iterator[Server]:
    """A server with the limits that the reference names."""
    with acme.installation.serving() as server:
        yield server


@pytest.fixture(scope="module")
def document(acme_server: Server) -> dict[str, Any]:
    """The reference as a client gets it."""
    answer = acme_server.client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    got: dict[str, Any] = answer.json()
    return got
