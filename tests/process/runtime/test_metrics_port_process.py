"""The port for metrics of real servers and workers."""

import os
import signal
import socket
from dataclasses import replace

import httpx2
import pytest

from harness import metrics
from harness.installation import Installation, ServerProcess
from harness.ports import free_port
from harness.shop import WIDGET, Shop
from harness.waiting import TIMEOUT_S, wait_until
from harness.workers import WorkerProcess
from harness.world import World

one_engine = pytest.mark.parametrize("engine", ["sqlite"])
MESSAGES = 12
WAITING = "shopbell_delivery_waiting_seconds"


@pytest.fixture
def installation(installation: Installation) -> Installation:
    """One whose processes start from nothing: a forked one would have the metrics of all modules."""
    return replace(installation, server_program=("-c", "from shopbell.cli import main; main()"))


def read(port: int) -> str:
    answer = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=TIMEOUT_S)
    assert answer.status_code == 200
    return answer.text


def stored(text: str) -> float | None:
    return metrics.value(text, "shopbell_http_requests_total", route=WIDGET, status="200")


def is_open(port: int, host: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((host, port), timeout=TIMEOUT_S).close()
    except ConnectionError:
        return False
    return True


@one_engine
def test_metrics_are_on_their_own_port_on_loopback_alone(installation: Installation, people: World) -> None:
    port = free_port()
    with installation.serving(metrics_port=port) as server:
        assert isinstance(server, ServerProcess)
        assert server.client.get("/metrics").status_code == 404
        assert "/metrics" not in server.client.get("/openapi.json").json()["paths"]
        assert server.client.get("/healthz").status_code == 200
        assert not is_open(port, "127.0.0.2")
        Shop(server, people).send()
        wait_until(lambda: stored(read(port)) == 1, lambda: "the message is not counted")
        wait_until(lambda: WAITING in read(port), lambda: "the metrics of the worker process are missing")
        assert server.terminate() == 0
        assert not is_open(port)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_the_port_has_the_sums_of_several_servers_even_after_one_has_died(
    installation: Installation, people: World
) -> None:
    port = free_port()
    with installation.serving("--workers", 2, metrics_port=port) as server:
        shop = Shop(server, people)
        assert isinstance(server, ServerProcess)
        for _ in range(MESSAGES):
            shop.send()
            server.client.close()  # the next message may go to the other process
            server.client = httpx2.Client(base_url=server.url, trust_env=False, timeout=TIMEOUT_S)
        wait_until(lambda: stored(read(port)) == MESSAGES, lambda: f"{stored(read(port))} messages are counted")
        wait_until(lambda: WAITING in read(port), lambda: "the metrics of the worker processes are missing")
        assert server.client.get("/metrics").status_code == 404
        first, _ = server.children
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: len(set(server.children) - {first}) == 2, lambda: "the dead process is not replaced")
        assert stored(read(port)) == MESSAGES
        assert server.terminate() == 0
        assert not is_open(port)


@one_engine
def test_metrics_can_be_read_while_a_server_drains(installation: Installation) -> None:
    port = free_port()
    with installation.serving(metrics_port=port, drain_delay_s=300) as server:
        assert isinstance(server, ServerProcess)
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: server.client.get("/readyz").status_code == 503, lambda: "the server does not drain")
        assert 'status="503"' in read(port)
        server.kill()


@one_engine
def test_a_separate_worker_has_its_own_port_and_refuses_one_that_is_in_use(installation: Installation) -> None:
    ports = [free_port(), free_port()]
    with installation.serving(metrics_port=ports[0], run_worker=False):
        assert WAITING not in read(ports[0])
        refused = WorkerProcess(installation, 1, metrics_port=ports[0])
        wait_until(lambda: "choose another with SHOPBELL_METRICS_PORT" in refused.log, lambda: refused.log)
        worker = WorkerProcess(installation, 2, metrics_port=ports[1])
        try:
            worker.wait_until_started()
            assert WAITING in read(ports[1])
            assert worker.terminate() == 0
        finally:
            worker.stop()
        assert not is_open(ports[1])
        refused.kill()
