"""A server shuts down in order, in time and without losing a response."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.installation import Installation, Server
from harness.raw_connection import Wire, request
from harness.shop import Shop
from harness.waiting import wait_until
from harness.world import World

END_WITHIN_S = 20
SENDERS = 8
# What is on its way has a second to arrive, and a busy machine may take longer to send it.
PATIENT = "import shopbell.http.server.connection as c; c.GRACE_S = 8; from shopbell.cli import main; main()"

# The third process cannot be had, once.
FORKS_TWICE = """
import subprocess

class Popen(subprocess.Popen):
    made = 0

    def __init__(self, *arguments, **named):
        Popen.made += 1
        if Popen.made == 3:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        super().__init__(*arguments, **named)

subprocess.Popen = Popen
from shopbell.cli import main
main()
"""


def end(server: Server) -> float:
    """Send SIGTERM; the exit code must be 0; returns after how many seconds it came."""
    began_s = time.monotonic()
    assert server.terminate() == 0, server.log
    return time.monotonic() - began_s


class Load:
    """Senders that send as fast as they are answered, each on a connection that it keeps."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        self.statuses: list[int] = []
        self.torn: list[bytes] = []

    def _send(self) -> None:
        while not self._stop.is_set():
            try:
                with Wire(self._shop.server.port) as wire:
                    while not self._stop.is_set():
                        body = json.dumps(self._shop.body()).encode()
                        wire.send(request(body, token=self._shop.world.token))
                        try:
                            answer = wire.answer()
                        except AssertionError:
                            self.torn.append(wire.rest())
                            return
                        self.statuses.append(answer.status)
                        if answer.header("connection") == "close":
                            break
            except ConnectionRefusedError:
                return
            except ConnectionError:
                self.torn.append(b"")
                return

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send while the block runs."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()


def wait_for(condition: object, what: str) -> None:
    """Wait until something is so."""
    deadline_s = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline_s, what
        time.sleep(0.01)


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")], ids=["one process", "two workers"])
def test_a_shutdown_is_logged(engine: str, installation: Installation, arguments: tuple[str, ...]) -> None:
    if engine == "sqlite":
        arguments = ()  # as below
    with installation.serving(*arguments, log_format="json") as server:
        wait_until(lambda: '"listening"' in server.log, lambda: server.log)  # once all workers are ready
        end(server)
        events = [json.loads(line)["event"] for line in server.log.splitlines()]
    told = ("listening", "stopping", "stopped")
    assert [event for event in events if event in told] == [*told]


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")], ids=["one process", "two workers"])
def test_sigterm_under_load_loses_no_response(
    engine: str, installation: Installation, people: World, arguments: tuple[str, ...]
) -> None:
    if engine == "sqlite":
        arguments = ()  # one writer: more workers are refused, which other tests see to
    with installation.serving(*arguments) as server:
        shop = Shop(server, people)
        load = Load(shop)
        with load.running():
            wait_for(lambda: len(load.statuses) > 200, "the load does not begin")
            took_s = end(server)
        assert took_s < END_WITHIN_S
        assert set(load.statuses) == {200}
        assert not any(load.torn), "an answer was cut off"
        # A message without a response was not stored: the client knows what happened.
        assert shop.count("messages") == len(load.statuses)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_request_still_arriving_at_sigterm_is_answered(installation: Installation, people: World) -> None:
    installation.server_program = ("-c", PATIENT)
    with installation.serving(shutdown_timeout_s=60) as server:
        shop = Shop(server, people)
        whole = request(json.dumps(shop.body()).encode(), token=people.token)
        with Wire(server.port) as arriving, Wire(server.port) as idle, Wire(server.port) as late:
            idle.send(request(method="GET", path="/healthz"))
            assert idle.answer().status == 200
            late.send(request(method="GET", path="/healthz"))
            assert late.answer().status == 200
            arriving.send(whole[:-10])
            os.kill(server.pid, signal.SIGTERM)
            wait_for(lambda: _is_refused(server.port), "it goes on accepting")
            arriving.send(whole[-10:])
            late.send(whole)  # it was about to send this, and could not know
            for wire in (arriving, late):
                answer = wire.answer()
                assert answer.status == 200
                assert answer.header("connection") == "close"
            assert idle.is_closed()
        wait_for(lambda: not server.is_running(), "it does not end")  # a signal would end it in the middle of that
        assert server.terminate() == 0
        assert shop.count("messages") == 2


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_slow_clients_do_not_delay_the_shutdown(installation: Installation, people: World) -> None:
    installation.server_program = ("-c", PATIENT)
    patience = {"header_timeout_s": 60, "body_timeout_s": 60, "shutdown_timeout_s": 60}
    with (
        installation.serving(**patience) as server,
        Wire(server.port) as silent,
        Wire(server.port) as in_headers,
        Wire(server.port) as in_body,
        Wire(server.port) as late,
    ):
        in_headers.send(b"GET / HTTP/1.1\r\n")
        in_body.send(request(b"", "Content-Length: 100", token=people.token))
        assert late.send(request(method="GET", path="/healthz")).answer().status == 200
        os.kill(server.pid, signal.SIGTERM)
        wait_for(lambda: _is_refused(server.port), "it goes on accepting")
        late.send(b"GET / HTTP/1.1\r\n")
        assert end(server) < END_WITHIN_S
        assert silent.is_closed()
        for slow in (in_headers, in_body, late):
            assert slow.answer().status == 408


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_draining_server_reports_it_and_keeps_answering(installation: Installation, people: World) -> None:
    with installation.serving(drain_delay_s=20) as server:
        shop = Shop(server, people)
        assert server.client.get("/readyz").status_code == 200
        os.kill(server.pid, signal.SIGTERM)
        wait_for(lambda: server.client.get("/readyz").status_code == 503, "/readyz does not change")
        for _ in range(20):
            answer = shop.post(shop.body())
            assert answer.status_code == 200
            assert answer.headers["connection"] == "close"
            assert server.client.get("/readyz").status_code == 503
            assert server.client.get("/healthz").status_code == 200
        assert server.terminate() == 0
        assert shop.count("messages") == 20


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_ctrl_c_stops_a_server_like_sigterm(installation: Installation) -> None:
    with installation.serving() as server:
        os.kill(server.pid, signal.SIGINT)
        wait_for(lambda: not server.is_running(), "it does not end")
        assert server.terminate() == 0
        assert "Traceback" not in server.log


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_port_in_use_is_reported_in_one_line(installation: Installation) -> None:
    with installation.serving() as server:
        second = installation.run("serve", "--port", server.port)
    assert second.returncode == 1
    assert second.stdout == ""
    (line,) = second.stderr.splitlines()
    assert f"port {server.port} on 127.0.0.1 is in use" in line


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_dead_worker_is_replaced_and_its_metrics_folder_is_deleted(
    installation: Installation, people: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with installation.serving("--workers", "2") as server:
        assert len(list(tmp_path.glob("shopbell-metrics-*"))) == 1
        shop = Shop(server, people)
        first = server.children
        assert len(first) == 2
        os.kill(first[0], signal.SIGKILL)
        wait_for(lambda: len(server.children) == 2 and first[0] not in server.children, "it is not replaced")
        for _ in range(50):
            shop.send()
        workers = server.children
        assert end(server) < END_WITHIN_S
        assert not any(_is_alive(pid) for pid in workers)
        assert not list(tmp_path.glob("shopbell-metrics-*"))


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_failed_replacement_does_not_stop_other_workers(installation: Installation) -> None:
    installation.server_program = ("-c", FORKS_TWICE)
    with installation.serving("--workers", "2") as server:
        first = server.children
        os.kill(first[0], signal.SIGKILL)
        wait_for(lambda: len(server.children) == 2 and first[0] not in server.children, "it is not replaced")
        assert first[1] in server.children
        assert "could not start a worker" in server.log
        assert server.terminate() == 0


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_workers_exit_when_their_parent_is_killed(installation: Installation) -> None:
    with installation.serving("--workers", "2") as server:
        workers = server.children
        server.kill()
        wait_for(lambda: not any(_is_alive(pid) for pid in workers), "they live on")
        assert _is_refused(server.port)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_workers_that_cannot_start_are_an_error_and_not_a_loop(installation: Installation) -> None:
    settings = installation.environment | {"SHOPBELL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    done = subprocess.run(
        [sys.executable, "-m", "shopbell", "serve", "--port", "0", "--workers", "2"],
        cwd=installation.folder,
        env=settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "could not start" in done.stderr


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _is_refused(port: int) -> bool:
    try:
        with Wire(port):
            return False
    except ConnectionError:
        return True
