"""Live streams with slow clients, floods and outages."""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from harness.databases import Databases, SharedPostgres
from harness.installation import Installation
from harness.shop import Shop
from harness.streams import (
    CUSTOMER_STREAM,
    NOTE,
    REPLY,
    SOON_S,
    deaf,
    places,
    post,
    reply,
    somebody,
    until,
    visible,
    watching,
)
from harness.visitors import Site, acmes_site
from harness.waiting import wait_until
from harness.world import World

DEAF = 8
LONG_MESSAGES = 3_000
LONG = 4_000
BEAT_S = 22
"""Longer than between two heartbeats."""

ROOM_BYTES = 4_000_000
"""A third of a conversation of so many long messages, and far more than a stream holds of it."""

PER_MIN = 6

only_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
only_postgresql = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


@pytest.fixture
def site(shop: Shop) -> Site:
    """Acme's website."""
    return acmes_site(shop)


@only_sqlite
def test_a_client_that_reads_nothing_is_disconnected_and_delays_no_other(own_shop: Shop) -> None:
    site = acmes_site(own_shop)
    carol, thread_id = somebody(site)
    _lengthen(own_shop, thread_id)
    dave, daves_thread = somebody(site)
    with watching(dave) as daves:
        daves.until_ready()
        for _ in range(2):  # what reading it takes at all is not the deaf ones' doing
            with watching(carol) as carols:
                carols.until_ready()
        before_bytes = _resident_bytes(own_shop.server.pid)
        with ExitStack() as stack:
            wires = [stack.enter_context(deaf(carol)) for _ in range(DEAF)]
            wait_until(lambda: _open_streams(own_shop) == 1 + DEAF, lambda: "not all streams are open")
            until_s = time.monotonic() + BEAT_S
            said = 0
            # Notes, of which customers hear nothing, do not put the heartbeat off.
            while time.monotonic() < until_s or not daves.beats:
                assert time.monotonic() < until_s + SOON_S, "there was no heartbeat"
                said += 1
                reply(own_shop, daves_thread, NOTE, internal=True)
                reply(own_shop, thread_id, f"late {said}")
                time.sleep(1)
            grown_bytes = _resident_bytes(own_shop.server.pid) - before_bytes
            reply(own_shop, daves_thread, "to dave")
            assert [event["data"].get("text") for event in until(daves, "to dave")][-1] == "to dave"
            wait_until(lambda: _open_streams(own_shop) == 1, lambda: "they are still open", timeout_s=60)
            assert all(_rest_bytes(wire) < LONG_MESSAGES * LONG for wire in wires)
    assert grown_bytes < DEAF * ROOM_BYTES


def _lengthen(shop: Shop, thread_id: str) -> None:
    """Make a conversation longer than all that lies between two programs holds."""
    shop.database.change(
        "INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, body, created_at_ms)"
        " WITH RECURSIVE s(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM s WHERE i < :last)"
        " SELECT organization_id, thread_id, i, 4000000000000000 + i, from_customer, :body, created_at_ms"
        " FROM messages, s WHERE thread_id = :id AND sequence = 1",
        last=LONG_MESSAGES,
        body="x" * LONG,
        id=int(thread_id),
    )
    shop.database.change(
        "UPDATE threads SET last_sequence = :last WHERE id = :id", last=LONG_MESSAGES, id=int(thread_id)
    )


def _open_streams(shop: Shop) -> int:
    (line,) = re.findall(r"^shopbell_open_streams (\S+)$", shop.server.client.get("/metrics").text, re.MULTILINE)
    return int(float(line))


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _rest_bytes(wire: socket.socket) -> int:
    """How much there still is to be read, and then the end."""
    count = 0
    with suppress(ConnectionError):
        while got := wire.recv(65_536):
            count += len(got)
    return count


@pytest.fixture
def two(databases: Databases, engine: str, tmp_path: Path) -> Iterator[tuple[Shop, Shop]]:
    """Two servers on one database."""
    database = databases.copy(engine, "world")
    people = databases.world(engine)
    installation = Installation(database, tmp_path)
    with ExitStack() as stack:
        stack.callback(databases.drop, database)
        here, there = (Shop(stack.enter_context(installation.serving(run_worker=False)), people) for _ in range(2))
        yield here, there


@only_postgresql
def test_events_reach_streams_of_other_processes_and_survive_their_writer(two: tuple[Shop, Shop]) -> None:
    here, there = two
    carol, thread_id = somebody(acmes_site(here))
    heard: list[dict[str, Any]] = []
    with watching(carol, shop=there) as stream:
        heard += stream.until_ready()
        reply(here, thread_id)
        heard.append(stream.next("message"))
        post(here, "/api/update-typing", customerThreadId=thread_id)
        stream.next("typing")
        with watching(carol) as dying:
            dying.until_ready()
            here.server.kill()
            assert dying.ends()
            assert not dying.is_whole
        reply(there, thread_id, "still here")
        heard.append(stream.next("message"))
    with watching(carol, after=1, shop=there) as stream:
        assert stream.until_ready() == heard[1:]


@only_postgresql
def test_ending_a_session_ends_its_streams_in_other_processes(two: tuple[Shop, Shop]) -> None:
    here, there = two
    carol, _ = somebody(acmes_site(here))
    with watching(carol, shop=there) as stream:
        stream.until_ready()
        assert carol.post("sign-out").status_code == 200
        assert stream.ends()


@only_postgresql
def test_a_database_outage_leaves_no_gap(
    shared_postgres: SharedPostgres, installation: Installation, people: World
) -> None:
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        carol, thread_id = somebody(acmes_site(shop))
        heard: list[dict[str, Any]] = []
        with watching(carol) as stream:
            heard += stream.until_ready()
            _shut(shared_postgres, installation, is_shut=True)
            body = {"customerThreadId": thread_id, "text": "lost"}
            assert shop.post(body, path=REPLY).status_code == 503
            _shut(shared_postgres, installation, is_shut=False)
            wait_until(lambda: shop.post(body | {"text": "back"}, path=REPLY).status_code == 200, lambda: server.log)
            heard += [event for event in stream.so_far() if event["event"] == "message"]
        with watching(carol, after=places(heard)[-1]) as stream:
            heard += stream.until_ready()
            reply(shop, thread_id, "again")
            heard.append(stream.next("message"))
        assert places(heard) == visible(shop, thread_id)


def _shut(server: SharedPostgres, installation: Installation, *, is_shut: bool) -> None:
    name = make_url(installation.database.url).database
    server.command(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {not is_shut}')
    if is_shut:
        server.command(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def test_reopening_streams_repeatedly_is_refused_without_affecting_others(
    engine: str, shops: Callable[..., Shop]
) -> None:
    shop = shops(engine, run_worker=False, visitor_rate_per_min=PER_MIN)
    flood, dave = (somebody(acmes_site(shop))[0] for _ in range(2))
    answers = []
    while b"HTTP/1.1 429" not in answers:
        with deaf(flood) as wire:
            answers.append(wire.recv(12))
        assert len(answers) < PER_MIN * 40, "nothing is refused"
    assert set(answers[:-1]) == {b"HTTP/1.1 200"}
    with watching(dave) as stream:
        stream.until_ready()
        dave.say("still here")
        assert stream.next("message")["data"]["text"] == "still here"


def test_a_thousand_half_open_streams_delay_no_client(site: Site) -> None:
    carol, thread_id = somebody(site)
    with ExitStack() as stack, watching(carol) as stream:
        stream.until_ready()
        for _ in range(1_000):
            wire = stack.enter_context(socket.create_connection(("127.0.0.1", site.shop.server.port), timeout=SOON_S))
            wire.sendall(f"GET {CUSTOMER_STREAM} HTTP/1.1\r\nHost: a\r\n".encode())
        for number in range(10):
            reply(site.shop, thread_id, f"answer {number}")
            assert stream.next("message")["data"]["text"] == f"answer {number}"
        with watching(carol) as another:
            assert places(another.until_ready()) == list(range(1, 12))
