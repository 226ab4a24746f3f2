"""Real databases and real servers for every test, on both engines."""

import itertools
import os
import shutil
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from harness import failures, preloaded, session, suites
from harness.databases import Acme, Databases, SharedPostgres
from harness.installation import CONNECT_TIMEOUT, Installation, Server
from harness.mail_organization import open_post as open_post
from harness.mail_organization import post as post
from harness.nats import Nats
from harness.pgbouncer import Pgbouncer
from harness.postgres import Postgres, new_folder
from harness.session import Session
from harness.shop import Shop
from harness.world import World

pytest_plugins = ["harness.limits"]
_SESSION = pytest.StashKey[Session]()
# How long an example takes is the machine's affair. Chance decides which are tried in `make test-long` alone, so that a
# change is not refused for what it has nothing to do with.
settings.register_profile(
    "shopbell",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=preloaded.PLAIN_STARTS not in os.environ,
)
settings.load_profile("shopbell")


def pytest_configure(config: pytest.Config) -> None:
    """Begin the session, which all workers share."""
    # Starting hundreds of processes at once, a busy machine lets connections wait.
    os.environ[CONNECT_TIMEOUT] = "60"
    if not hasattr(config, "workerinput"):
        config.stash[_SESSION] = Session.begin()
    # What runs in the background of a shell ignores Ctrl-C, and all that the tests start would inherit that.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what a worker or the session has started."""
    preloaded.stop()
    if _SESSION in config.stash:
        config.stash[_SESSION].end()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make test-all` run what `make test` leaves."""
    parser.addoption("--rest", action="store_true", help=suites.REST_HELP)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on its engines, and with its kinds of store."""
    own = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    chosen = {name.strip() for each in own for name in (each.split(",") if isinstance(each, str) else each)}
    for fixture in suites.VARIANTS:
        definitions = metafunc._arg2fixturedefs.get(fixture, ())
        # Where a module has a fixture of this name, it overrides this one and chooses for itself.
        if fixture in metafunc.fixturenames and fixture not in chosen and len(definitions) == 1:
            is_rest = metafunc.config.getoption("--rest")
            kinds = suites.variants_of(fixture, metafunc.definition.path, is_rest=is_rest)
            metafunc.parametrize(fixture, kinds, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what `make test` has run in the same way."""
    if config.getoption("--rest"):
        left = [item for item in items if not suites.ran_before(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in left])
        items[:] = left


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Choose between threads and processes for the servers of a test, before its fixtures start any."""
    suites.in_process = suites.is_in_process(item.path, is_rest=item.config.getoption("--rest"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the servers had to say to the report of a failure."""
    report = yield
    if report.failed:
        report.sections.extend(failures.sections())
    return report


@pytest.fixture(scope="session")
def databases() -> Databases:
    """Makes databases for this worker."""
    return Databases(session.folder(), os.environ.get("PYTEST_XDIST_WORKER", "main"), itertools.count(1))


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


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine; on which of them a test runs, ``harness/suites.py`` decides."""
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
def people(engine: str, databases: Databases) -> World:
    """The ids and tokens of the world in ``installation``."""
    return databases.world(engine)


@pytest.fixture(scope="session")
def shops(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Shop]]:
    """Gives the running shop of an engine and of settings, started when it is first asked for."""
    running: dict[object, Shop] = {}
    with ExitStack() as stack:

        def shop(engine: str, **settings: object) -> Shop:
            key = (suites.in_process, engine, *sorted(settings.items()))
            if key not in running:
                database = databases.copy(engine, "world")
                installation = Installation(database, tmp_path_factory.mktemp(f"shop-{engine}"))
                server = stack.enter_context(installation.serving(**settings))
                running[key] = Shop(server, databases.world(engine))
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
def own_shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A running server with the world in it, for one test alone."""
    with installation.serving() as server:
        yield Shop(server, people)


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
