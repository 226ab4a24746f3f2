"""The port for metrics responds to requests for metrics only, and no client can occupy it."""

import socket
from collections.abc import Iterator

import httpx2
import pytest

from harness.ports import free_port
from harness.waiting import TIMEOUT_S, wait_until
from shopbell.errors import CommandError
from shopbell.runtime import metrics_port
from shopbell.runtime.metrics_port import CONNECTIONS_MAX, open_port
from shopbell.settings.settings import Settings, load

CANARY = "canary"


def with_port(port: int | None) -> Settings:
    return load(metrics_port=port, database_url="sqlite:///unused.db")


@pytest.fixture
def port() -> Iterator[int]:
    """A port that responds."""
    number = free_port()
    with open_port(with_port(number))():
        yield number


def get(port: int, path: str = "/metrics", method: str = "GET") -> httpx2.Response:
    return httpx2.request(method, f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=TIMEOUT_S)


def test_it_responds_with_the_metrics(port: int) -> None:
    answer = get(port)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["cache-control"] == "no-store"
    assert "shopbell_build_info{" in answer.text
    assert get(port, "/metrics?x=1").status_code == 200
    head = get(port, method="HEAD")
    assert (head.status_code, head.text) == (200, "")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", f"/{CANARY}", 404), ("GET", "/", 404), ("POST", "/metrics", 501), (CANARY.upper(), f"/{CANARY}", 501)],
)
def test_it_refuses_everything_else_and_repeats_nothing(port: int, method: str, path: str, status: int) -> None:
    answer = get(port, path, method)
    assert answer.status_code == status
    assert CANARY not in (answer.text + str(answer.headers)).lower()


def test_what_is_no_http_is_refused_without_being_repeated(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as client:
        client.sendall(f"{CANARY}\x1b[31m {CANARY} {CANARY}\r\n\r\n".encode())
        answer = client.makefile("rb").read()
    assert answer == b"Bad Request\n"


def test_a_client_that_sends_or_reads_slowly_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_port, "DEADLINE_S", 0.2)
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
        assert slow.recv(1) == b""


def test_further_clients_are_refused_while_too_many_are_connected(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_port, "DEADLINE_S", 600)
    idle = [socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) for _ in range(CONNECTIONS_MAX)]
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as further:
            assert further.recv(1) == b""
    finally:
        for each in idle:
            each.close()
    wait_until(lambda: responds(port), lambda: "it does not respond again")


def responds(port: int) -> bool:
    try:
        return get(port).status_code == 200
    except httpx2.TransportError:
        return False


def test_a_port_that_is_in_use_is_an_error_that_names_the_setting(port: int) -> None:
    with pytest.raises(CommandError, match="choose another with SHOPBELL_METRICS_PORT"):
        open_port(with_port(port))


def test_without_the_setting_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_port, "listen", lambda *_, **__: pytest.fail("it listens"))
    with open_port(with_port(None))():
        pass
