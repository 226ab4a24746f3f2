"""Publish/subscribe between processes, by NATS and PostgreSQL's NOTIFY."""

import asyncio
import gc
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, NoReturn

import pytest
from structlog.testing import capture_logs

from harness.databases import Databases
from harness.installation import Database
from harness.listening import STRANGER, WAYS
from harness.nats import Nats
from harness.postgres import Postgres
from harness.waiting import wait_until
from shopbell.realtime import relay
from shopbell.realtime.hub import PubSub
from shopbell.realtime.relay import BATCH_DELAY_S, LONGEST_PAYLOAD_BYTES, Heard, Relay
from shopbell.realtime.signals import Signal

ACME, GLOBEX = 1, 2
SOON_S = 30
LONG_S = 60


@pytest.fixture(autouse=True)
def _however_busy_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who starts waits until there is a link, and who ends until all is told: a server does so for a second."""
    for name in ("START_TIMEOUT_S", "LAST_TIMEOUT_S"):
        monkeypatch.setattr(relay, name, LONG_S)


class Carrier:
    """What carries wake-ups, and how to reach it."""

    def __init__(self, way: str, address: str, server: Nats | Postgres | None = None) -> None:
        self.way = way
        self.address = address
        self._server = server

    def relay(self) -> Relay:
        """A relay of a process of its own."""
        return WAYS[self.way](self.address)

    def stop(self) -> None:
        """Stop it."""
        assert self._server is not None
        self._server.stop()

    def start(self) -> None:
        """Start it again."""
        assert self._server is not None
        self._server.start()


@pytest.fixture(params=["nats", "notify"])
def carrier(request: pytest.FixtureRequest) -> Iterator[Carrier]:
    """Each way; PostgreSQL's server is shared, with a database for this test alone."""
    if request.param == "nats":
        yield Carrier("nats", request.getfixturevalue("own_nats").url)
        return
    databases: Databases = request.getfixturevalue("databases")
    database = databases.empty()
    yield Carrier("notify", database.url)
    connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shopbell notifications'"
    # PostgreSQL still counts a closed connection for a moment.
    wait_until(lambda: not database.value(f"{connected} AND datname = current_database()"), lambda: "one is left open")
    databases.drop(database)


@pytest.fixture(params=["nats", "notify"])
def own_carrier(request: pytest.FixtureRequest) -> Carrier:
    """Each way, with a server to be stopped and started."""
    if request.param == "nats":
        nats: Nats = request.getfixturevalue("own_nats")
        return Carrier("nats", nats.url, nats)
    postgres: Postgres = request.getfixturevalue("own_postgres")
    return Carrier("notify", postgres.url(), postgres)


def run(test: Callable[[], Awaitable[None]]) -> list[MutableMapping[str, Any]]:
    """Run a test, and notice all that it left open; returns what was logged."""
    with capture_logs() as lines:
        asyncio.run(test())  # type: ignore[arg-type]
    gc.collect()
    return lines


async def until(done: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(LONG_S):
        while True:
            if done():
                return
            await asyncio.sleep(0.01)


class Heardings:
    """What a relay heard."""

    def __init__(self) -> None:
        self.messages: list[Collection[int] | None] = []

    @property
    def heard(self) -> Heard:
        """To be called by the relay."""
        return self.messages.append

    @property
    def ids(self) -> set[int]:
        """All organizations that were named."""
        return {each for ids in self.messages if ids is not None for each in ids}


def test_a_listener_in_another_process_is_notified(carrier: Carrier) -> None:
    listening = subprocess.Popen(
        [sys.executable, "-m", "harness.listening", carrier.way, carrier.address, str(ACME)],
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with listening:
        assert listening.stdout is not None
        assert listening.stdout.readline() == "ready\n"

        async def test() -> None:
            pubsub = PubSub(carrier.relay())
            await pubsub.start()
            pubsub.publish([ACME])
            assert await asyncio.to_thread(listening.stdout.readline) == "woken\n"  # type: ignore[union-attr]
            await pubsub.close()

        run(test)
        assert listening.stdout.read() == ""
    assert listening.returncode == 0


def test_signals_reach_other_processes_complete_and_in_order(carrier: Carrier) -> None:
    typed = [Signal(ACME, thread_id, 0, "typing", {"from": "store", "employeeName": "Zoë"}) for thread_id in range(500)]

    async def test() -> None:
        here, there = PubSub(carrier.relay()), PubSub(carrier.relay())
        of_acme: list[Signal] = []
        of_globex: list[Signal] = []
        with there.subscribe_to_signals(ACME, of_acme.append), there.subscribe_to_signals(GLOBEX, of_globex.append):
            await here.start()
            await there.start()
            for each in typed:
                here.signal(each)
            here.publish([GLOBEX])
            await until(lambda: len(of_acme) == len(typed))
        assert (of_acme, of_globex) == (typed, [])
        await here.close()
        await there.close()

    run(test)


def test_listeners_of_other_organizations_are_not_notified(carrier: Carrier) -> None:
    async def test() -> None:
        here, there = PubSub(carrier.relay()), PubSub(carrier.relay())
        with there.listen(ACME) as alice, there.listen(GLOBEX) as bob, there.listen(STRANGER) as stranger:
            await here.start()
            await there.start()
            assert [await each.wait(0) for each in (alice, bob, stranger)] == [True, True, True]
            here.publish([GLOBEX])
            assert await bob.wait(SOON_S)
            here.publish([ACME])
            assert await alice.wait(SOON_S)
            assert not await stranger.wait(0)
            assert not await bob.wait(0)
        await here.close()
        await there.close()

    run(test)


def test_the_last_publication_is_sent_before_a_process_ends(carrier: Carrier) -> None:
    async def test() -> None:
        here, there = carrier.relay(), carrier.relay()
        heardings = Heardings()
        await there.start(heardings.heard)
        await here.start(lambda _: None)
        here.publish([ACME])
        await asyncio.sleep(0)
        here.publish([GLOBEX])
        await here.close()
        await until(lambda: heardings.ids == {ACME, GLOBEX})
        await there.close()

    run(test)


def test_a_process_does_not_receive_its_own_messages(carrier: Carrier) -> None:
    async def test() -> None:
        here, there = carrier.relay(), carrier.relay()
        ours, theirs = Heardings(), Heardings()
        await here.start(ours.heard)
        await there.start(theirs.heard)
        here.publish([ACME])
        await until(lambda: theirs.ids == {ACME})
        there.publish([GLOBEX])
        await until(lambda: GLOBEX in ours.ids)
        assert ours.ids == {GLOBEX}
        await here.close()
        await there.close()

    run(test)


def test_ten_thousand_publications_are_sent_in_few_messages(carrier: Carrier) -> None:
    async def test() -> None:
        here, there = carrier.relay(), carrier.relay()
        heardings = Heardings()
        await there.start(heardings.heard)
        await here.start(lambda _: None)
        began_s = time.monotonic()
        for number in range(10_000):
            here.publish([number % 100])
            if number % 10 == 0:
                await asyncio.sleep(0)
        await here.close()
        took_s = time.monotonic() - began_s
        await until(lambda: heardings.ids == set(range(100)))
        assert len(heardings.messages) <= 3 + took_s / BATCH_DELAY_S
        await there.close()

    run(test)


def test_more_organizations_than_fit_into_a_message_notify_every_listener(carrier: Carrier) -> None:
    async def test() -> None:
        for ids in (range(10**18, 10**18 + 999), range(5_000)):
            here, there = PubSub(carrier.relay()), PubSub(carrier.relay())
            assert len(",".join(map(str, ids))) > LONGEST_PAYLOAD_BYTES
            await here.start()
            await there.start()
            with there.listen(9_999) as listener:
                here.publish(ids)
                assert await listener.wait(SOON_S)
            await here.close()
            await there.close()

    run(test)


def test_unknown_messages_are_ignored(carrier: Carrier) -> None:
    """A stranger's message can at most wake a process; an unknown one cannot."""

    async def test() -> None:
        here, there = carrier.relay(), carrier.relay()
        heardings = Heardings()
        await there.start(heardings.heard)
        await here.start(lambda _: None)
        async with carrier.relay()._connect(lambda _: None) as link:
            for payload in ("", " ", "x", "x y", "x 1,", "x " + "9" * 5_000, "x *\x7f", "x 1 2"):
                await link.send(payload)
        here.publish([ACME])
        await until(lambda: heardings.ids == {ACME})
        assert heardings.messages == [None, [ACME]]
        await here.close()
        await there.close()

    run(test)


def test_while_disconnected_local_listeners_are_notified_and_it_reconnects(own_carrier: Carrier) -> None:
    heardings = Heardings()

    async def test() -> None:
        here, there = PubSub(own_carrier.relay()), own_carrier.relay()
        with here.listen(ACME) as near:
            await here.start()
            await there.start(heardings.heard)
            await asyncio.to_thread(own_carrier.stop)
            await until(lambda: said("disconnected from the other processes; polling continues") == 2)
            for _ in range(1_000):
                here.publish([ACME])
                assert await near.wait(0)
            await asyncio.to_thread(own_carrier.start)
            await until(lambda: said("reconnected to the other processes") == 2)
            here.publish([GLOBEX])
            await until(lambda: GLOBEX in heardings.ids)
        await here.close()
        await there.close()

    with capture_logs() as lines:

        def said(event: str) -> int:
            return [line["event"] for line in lines].count(event)

        asyncio.run(test())
        gc.collect()
    # A process that was cut off looks once the link is back, because it may have missed messages.
    assert heardings.messages.count(None) >= 2
    # Each process: there, lost, back.
    assert [line["log_level"] for line in lines] == ["info"] * 2 + ["warning"] * 2 + ["info"] * 2


class _MuteLink:
    """A link whose first one can send nothing: what that waits for was cancelled."""

    made: ClassVar[list["_MuteLink"]] = []

    def __init__(self) -> None:
        self.made.append(self)
        self.sent: list[str] = []

    async def send(self, payload: str) -> None:
        if self is self.made[0]:
            raise asyncio.CancelledError
        self.sent.append(payload)

    async def until_lost(self) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError


def test_a_connection_that_no_longer_sends_is_replaced() -> None:
    @asynccontextmanager
    async def connect(heard: Callable[[str], None]) -> AsyncIterator[_MuteLink]:
        yield _MuteLink()

    async def test() -> None:
        relay = Relay("nothing", connect)
        await relay.start(lambda _: None)
        relay.publish([ACME])
        await until(lambda: len(_MuteLink.made) > 1 and bool(_MuteLink.made[1].sent))
        await relay.close()

    run(test)


def test_a_gap_is_reported_to_processes_that_did_not_notice_it(databases: Databases) -> None:
    """Only one connection of one process is cut, and what it says next does not arrive."""
    database = databases.empty()
    carrier = Carrier("notify", database.url)

    async def test() -> None:
        here, there = carrier.relay(), carrier.relay()
        heardings = Heardings()
        await there.start(heardings.heard)
        theirs = _talking(database)
        await here.start(lambda _: None)
        here.publish([ACME])
        await until(lambda: heardings.ids == {ACME})
        (cut,) = _talking(database) - theirs
        database.value(f"SELECT pg_terminate_backend({cut})")
        here.publish([GLOBEX])
        await until(lambda: heardings.messages[-1] is None and len(heardings.messages) > 2)
        await here.close()
        await there.close()

    lines = run(test)
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "disconnected from the other processes; polling continues"
    ]
    databases.drop(database)


def _talking(database: Database) -> set[int]:
    """The connections by which messages are sent."""
    rows = database.rows(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'shopbell notifications' AND query NOT LIKE 'LISTEN%'"
    )
    return {row["pid"] for row in rows}


def test_a_crash_of_nats_is_survived(own_nats: Nats) -> None:
    async def test() -> None:
        here, there = PubSub(WAYS["nats"](own_nats.url)), PubSub(WAYS["nats"](own_nats.url))
        with there.listen(ACME) as listener:
            await here.start()
            await there.start()
            assert await listener.wait(0)
            await asyncio.to_thread(own_nats.stop, signal.SIGKILL)
            here.publish([ACME])
            await asyncio.to_thread(own_nats.start)
            assert await listener.wait(LONG_S)
        await here.close()
        await there.close()

    run(test)
