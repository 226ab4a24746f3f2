"""Wake-ups go from process to process, by NATS and by PostgreSQL's NOTIFY; what carries them may go and come back."""

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

from conftest import Databases
from harness.installation import Database
from harness.listening import STRANGER, WAYS
from harness.nats import Nats
from harness.postgres import Postgres
from harness.waiting import wait_until
from shopbell.wakes import relay
from shopbell.wakes.hub import Wakes
from shopbell.wakes.relay import LONGEST_PAYLOAD_BYTES, TOGETHER_S, Heard, Relay
from shopbell.wakes.signals import Signal

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
    connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shopbell wake-ups'"
    # Whom PostgreSQL has told good-bye it still counts for a moment.
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


def test_another_process_is_woken(carrier: Carrier) -> None:
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
            wakes = Wakes(carrier.relay())
            await wakes.start()
            wakes.announce([ACME])
            assert await asyncio.to_thread(listening.stdout.readline) == "woken\n"  # type: ignore[union-attr]
            await wakes.close()

        run(test)
        assert listening.stdout.read() == ""
    assert listening.returncode == 0


def test_signals_reach_who_hears_them_in_another_process_whole_and_in_order(carrier: Carrier) -> None:
    typed = [Signal(ACME, thread_id, 0, "typing", {"from": "store", "employeeName": "Zoë"}) for thread_id in range(500)]

    async def test() -> None:
        here, there = Wakes(carrier.relay()), Wakes(carrier.relay())
        of_acme: list[Signal] = []
        of_globex: list[Signal] = []
        with there.hear(ACME, of_acme.append), there.hear(GLOBEX, of_globex.append):
            await here.start()
            await there.start()
            for each in typed:
                here.signal(each)
            here.announce([GLOBEX])
            await until(lambda: len(of_acme) == len(typed))
        assert (of_acme, of_globex) == (typed, [])
        await here.close()
        await there.close()

    run(test)


def test_no_listener_of_another_organization_is_woken(carrier: Carrier) -> None:
    async def test() -> None:
        here, there = Wakes(carrier.relay()), Wakes(carrier.relay())
        with there.listen(ACME) as alice, there.listen(GLOBEX) as bob, there.listen(STRANGER) as stranger:
            await here.start()
            await there.start()
            assert [await each.wait(0) for each in (alice, bob, stranger)] == [True, True, True]
            here.announce([GLOBEX])
            assert await bob.wait(SOON_S)
            here.announce([ACME])
            assert await alice.wait(SOON_S)
            assert not await stranger.wait(0)
            assert not await bob.wait(0)
        await here.close()
        await there.close()

    run(test)


def test_the_last_announcement_of_a_process_is_told_before_it_ends(carrier: Carrier) -> None:
    async def test() -> None:
        here, there = carrier.relay(), carrier.relay()
        heardings = Heardings()
        await there.start(heardings.heard)
        await here.start(lambda _: None)
        here.announce([ACME])
        await asyncio.sleep(0)
        here.announce([GLOBEX])
        await here.close()
        await until(lambda: heardings.ids == {ACME, GLOBEX})
        await there.close()

    run(test)


def test_a_process_does_not_hear_itself(carrier: Carrier) -> None:
    async def test() -> None:
        here, there = carrier.relay(), carrier.relay()
        ours, theirs = Heardings(), Heardings()
        await here.start(ours.heard)
        await there.start(theirs.heard)
        here.announce([ACME])
        await until(lambda: theirs.ids == {ACME})
        there.announce([GLOBEX])
        await until(lambda: GLOBEX in ours.ids)
        assert ours.ids == {GLOBEX}
        await here.close()
        await there.close()

    run(test)


def test_ten_thousand_announcements_are_few_messages(carrier: Carrier) -> None:
    async def test() -> None:
        here, there = carrier.relay(), carrier.relay()
        heardings = Heardings()
        await there.start(heardings.heard)
        await here.start(lambda _: None)
        began_s = time.monotonic()
        for number in range(10_000):
            here.announce([number % 100])
            if number % 10 == 0:
                await asyncio.sleep(0)
        await here.close()
        took_s = time.monotonic() - began_s
        await until(lambda: heardings.ids == set(range(100)))
        assert len(heardings.messages) <= 3 + took_s / TOGETHER_S
        await there.close()

    run(test)


def test_more_organizations_than_fit_into_a_message_wake_everybody(carrier: Carrier) -> None:
    async def test() -> None:
        for ids in (range(10**18, 10**18 + 999), range(5_000)):
            here, there = Wakes(carrier.relay()), Wakes(carrier.relay())
            assert len(",".join(map(str, ids))) > LONGEST_PAYLOAD_BYTES
            await here.start()
            await there.start()
            with there.listen(9_999) as listener:
                here.announce(ids)
                assert await listener.wait(SOON_S)
            await here.close()
            await there.close()

    run(test)


def test_what_others_say_is_no_news(carrier: Carrier) -> None:
    """Whoever may write there can wake us, at most; what is no message of ours does not even do that."""

    async def test() -> None:
        here, there = carrier.relay(), carrier.relay()
        heardings = Heardings()
        await there.start(heardings.heard)
        await here.start(lambda _: None)
        async with carrier.relay()._connect(lambda _: None) as link:
            for payload in ("", " ", "x", "x y", "x 1,", "x " + "9" * 5_000, "x *\x7f", "x 1 2"):
                await link.send(payload)
        here.announce([ACME])
        await until(lambda: heardings.ids == {ACME})
        assert heardings.messages == [None, [ACME]]
        await here.close()
        await there.close()

    run(test)


def test_while_the_way_is_lost_local_listeners_wake_and_it_comes_back_by_itself(own_carrier: Carrier) -> None:
    heardings = Heardings()

    async def test() -> None:
        here, there = Wakes(own_carrier.relay()), own_carrier.relay()
        with here.listen(ACME) as near:
            await here.start()
            await there.start(heardings.heard)
            await asyncio.to_thread(own_carrier.stop)
            await until(lambda: said("wake-ups are lost; polling goes on") == 2)
            for _ in range(1_000):
                here.announce([ACME])
                assert await near.wait(0)
            await asyncio.to_thread(own_carrier.start)
            await until(lambda: said("wake-ups are back") == 2)
            here.announce([GLOBEX])
            await until(lambda: GLOBEX in heardings.ids)
        await here.close()
        await there.close()

    with capture_logs() as lines:

        def said(event: str) -> int:
            return [line["event"] for line in lines].count(event)

        asyncio.run(test())
        gc.collect()
    # Whoever was cut off looks when the way is back: nobody knows what was missed.
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


def test_a_link_on_which_nothing_is_sent_any_more_is_made_again() -> None:
    @asynccontextmanager
    async def connect(heard: Callable[[str], None]) -> AsyncIterator[_MuteLink]:
        yield _MuteLink()

    async def test() -> None:
        relay = Relay("nothing", connect)
        await relay.start(lambda _: None)
        relay.announce([ACME])
        await until(lambda: len(_MuteLink.made) > 1 and bool(_MuteLink.made[1].sent))
        await relay.close()

    run(test)


def test_news_of_a_gap_is_told_to_those_who_did_not_notice_it(databases: Databases) -> None:
    """Only one connection of one process is cut, and what it says next does not arrive."""
    database = databases.empty()
    carrier = Carrier("notify", database.url)

    async def test() -> None:
        here, there = carrier.relay(), carrier.relay()
        heardings = Heardings()
        await there.start(heardings.heard)
        theirs = _talking(database)
        await here.start(lambda _: None)
        here.announce([ACME])
        await until(lambda: heardings.ids == {ACME})
        (cut,) = _talking(database) - theirs
        database.value(f"SELECT pg_terminate_backend({cut})")
        here.announce([GLOBEX])
        await until(lambda: heardings.messages[-1] is None and len(heardings.messages) > 2)
        await here.close()
        await there.close()

    lines = run(test)
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["wake-ups are lost; polling goes on"]
    databases.drop(database)


def _talking(database: Database) -> set[int]:
    """The connections by which messages are sent."""
    rows = database.rows(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'shopbell wake-ups' AND query NOT LIKE 'LISTEN%'"
    )
    return {row["pid"] for row in rows}


def test_a_crash_of_nats_is_survived(own_nats: Nats) -> None:
    async def test() -> None:
        here, there = Wakes(WAYS["nats"](own_nats.url)), Wakes(WAYS["nats"](own_nats.url))
        with there.listen(ACME) as listener:
            await here.start()
            await there.start()
            assert await listener.wait(0)
            await asyncio.to_thread(own_nats.stop, signal.SIGKILL)
            here.announce([ACME])
            await asyncio.to_thread(own_nats.start)
            assert await listener.wait(LONG_S)
        await here.close()
        await there.close()

    run(test)
