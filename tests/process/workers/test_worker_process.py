"""The worker process of a server."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.failing_receivers import Receivers
from harness.installation import Installation, ServerProcess
from harness.preloaded_worker import PLAIN_WORKER
from harness.several import delivered, subscribe
from harness.shop import Shop
from harness.waiting import TIMEOUT_S, wait_until
from harness.world import World
from shopbell.workers.line import LOOK, WAIT, Line, ServerLine
from shopbell.workers.worker_process import PROGRAM

SETTINGS = {"outbound_allow": "127.0.0.0/8", "log_format": "json"}
NICER = 5
ARENA_BYTES = 64 * 1024 * 1024


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    """Receivers on loopback."""
    receivers = Receivers(tmp_path)
    yield receivers
    receivers.close()


@pytest.fixture
def installation(installation: Installation) -> Installation:
    """One whose servers start their worker process from nothing."""
    return replace(installation, settings={**installation.settings, PLAIN_WORKER: "1"})


@pytest.fixture
def shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A server that delivers."""
    with installation.serving(**SETTINGS) as server:
        yield Shop(server, people)


def _worker(shop: Shop) -> int:
    """The id of the worker process, once there is one."""
    assert isinstance(shop.server, ServerProcess)
    server = shop.server
    wait_until(lambda: server.children, lambda: "the server has no worker process")
    (worker,) = server.children
    return worker


def _is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_worker_process_that_dies_is_replaced(shop: Shop, receivers: Receivers) -> None:
    hook = subscribe(shop, receivers.add())
    first = _worker(shop)
    shop.send()
    delivered(shop, hook, 1)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: '"exit_code":-9' in shop.server.log, lambda: "the log does not tell of it")
    assert shop.server.client.get("/readyz").status_code == 503
    shop.send()
    delivered(shop, hook, 2)
    assert _worker(shop) != first
    wait_until(lambda: shop.server.client.get("/readyz").status_code == 200, lambda: "the server stays unready")


def test_a_killed_server_leaves_no_worker_process(shop: Shop) -> None:
    assert isinstance(shop.server, ServerProcess)
    worker = _worker(shop)
    shop.server.kill()
    wait_until(lambda: _is_gone(worker), lambda: "the worker process goes on")


def test_a_worker_process_whose_server_is_killed_takes_its_gauges_along(
    installation: Installation, tmp_path: Path
) -> None:
    """With several servers, a file that stays would report for ever how long deliveries waited at that moment."""
    environment = installation.environment | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    here, there = socket.socketpair()
    with here, there:
        command = [sys.executable, *PROGRAM, str(there.fileno())]
        process = subprocess.Popen(command, env=environment, cwd=installation.folder, pass_fds=[there.fileno()])
    try:
        assert process.wait(timeout=TIMEOUT_S) == 1
    finally:
        process.kill()
    assert list(tmp_path.glob("counter_*")), "it has no metrics"
    assert not list(tmp_path.glob("gauge_live*"))


def test_a_server_ends_after_its_worker_process(shop: Shop, receivers: Receivers) -> None:
    assert isinstance(shop.server, ServerProcess)
    receiver = receivers.add()
    subscribe(shop, receiver)
    worker = _worker(shop)
    receivers.refuse(receiver)
    receivers.accept(receiver)
    shop.send()
    wait_until(lambda: receiver.requests, lambda: "nothing arrives")
    assert shop.server.terminate() == 0
    assert _is_gone(worker)
    assert shop.database.value("SELECT state FROM deliveries") == "delivered", "what was sent is not stored"
    assert "died" not in shop.server.log


def test_signals_to_all_processes_let_the_worker_finish_with_its_server(shop: Shop) -> None:
    """systemd signals each process of a service."""
    worker = _worker(shop)
    os.kill(worker, signal.SIGTERM)
    os.kill(worker, signal.SIGINT)
    assert isinstance(shop.server, ServerProcess)
    assert shop.server.terminate() == 0
    assert "died" not in shop.server.log
    assert _is_gone(worker)


def test_a_file_in_the_working_directory_is_not_imported(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    (installation.folder / "email.py").write_text("raise RuntimeError('imported')")
    with installation.serving(**SETTINGS) as server:
        hook = subscribe(shop := Shop(server, people), receivers.add())
        shop.send()
        delivered(shop, hook, 1)
        assert "died" not in server.log


def test_messages_come_before_deliveries(shop: Shop) -> None:
    worker = _worker(shop)
    wait_until(lambda: os.getpriority(os.PRIO_PROCESS, worker) >= NICER, lambda: "the worker process is as important")


def test_the_threads_of_a_worker_process_share_one_arena(shop: Shop, receivers: Receivers) -> None:
    hook = subscribe(shop, receivers.add())
    shop.send()
    delivered(shop, hook, 1)
    maps = [line.split() for line in Path(f"/proc/{_worker(shop)}/maps").read_text().splitlines()]
    # glibc reserves 64 MiB for the arena of a thread, and makes a part of it accessible.
    ends = {row[0].split("-")[1]: row[0].split("-")[0] for row in maps if row[1].startswith("rw-p")}
    unused = [row[0].split("-") for row in maps if row[1].startswith("---p") and len(row) == 5]
    assert not [begin for begin, end in unused if begin in ends and int(end, 16) - int(ends[begin], 16) == ARENA_BYTES]


def test_a_server_that_delivers_nothing_has_no_worker_process(installation: Installation) -> None:
    with installation.serving(run_worker=False) as server:
        assert isinstance(server, ServerProcess)
        assert server.children == []


def test_a_setting_that_only_the_worker_process_uses_stops_the_server(installation: Installation) -> None:
    with pytest.raises(AssertionError, match="SHOPBELL_OUTBOUND_ALLOW"), installation.serving(outbound_allow="x y"):
        pass


def _between(test: Callable[[Line, list[str], ServerLine, list[object]], Awaitable[None]]) -> None:
    """Run a test with both ends of a line.

    It gets the server's end, what that receives, the worker's end, and what that receives.
    """

    async def run() -> None:
        here, there = socket.socketpair()
        got: list[str] = []
        heard: list[object] = []
        async with asyncio.timeout(60):
            server = await Line.open(here, got.append, lambda: None)
            worker = ServerLine(there, lambda: None, lambda: None)
            await worker.start(heard.append, lambda _: None)
            await test(server, got, worker, heard)
            await worker.close()
            server.close()
            await asyncio.sleep(0)

    asyncio.run(run())


async def _until(is_so: Callable[[], object]) -> None:
    while not is_so():  # noqa: ASYNC110 - what is waited for is inside what is tested
        await asyncio.sleep(0.001)


def test_a_worker_asks_once_for_its_next_news() -> None:
    async def test(server: Line, got: list[str], worker: ServerLine, heard: list[object]) -> None:
        for _ in range(3):
            worker.expect()
        worker.publish([7, 8])
        await _until(lambda: len(got) == 2)
        assert got == [WAIT, "ids 7,8"]
        server.send(LOOK)
        await _until(lambda: heard == [None])
        worker.expect()
        await _until(lambda: len(got) == 3)

    _between(test)
