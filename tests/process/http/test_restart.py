"""With a socket from the service manager, a restart refuses no request."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.activated import Manager, managing
from harness.installation import Installation, ServerProcess
from harness.raw_connection import Wire, request
from harness.steady_load import TIMEOUT_S, Load, wires_to
from harness.waiting import wait_until
from harness.world import World

# The deadlines of a server are no matter here, and a busy machine takes its time.
pytestmark = pytest.mark.timeout(900)
PATIENT = {
    "SHOPBELL_HEADER_TIMEOUT_S": "300",
    "SHOPBELL_SHUTDOWN_TIMEOUT_S": "60",
    "SHOPBELL_WRITE_TIMEOUT_S": "60",
    "SHOPBELL_RUN_WORKER": "false",
}


@pytest.fixture
def manager(installation: Installation, tmp_path: Path) -> Iterator[Manager]:
    with managing(installation, tmp_path) as manager:
        yield manager


def test_a_restart_refuses_no_request(engine: str, installation: Installation, people: World, manager: Manager) -> None:
    arguments = () if engine == "sqlite" else ("--workers", "2")
    load = Load(wires_to(manager.port), people.boston, people.token)
    manager.start(*arguments, **PATIENT)
    with load.running():
        for number in (1, 2):
            load.wait_until_sent(100 * number)
            manager.terminate()
            manager.start(*arguments, **PATIENT)
        load.wait_until_sent(300)
    assert load.failures == []
    assert set(load.statuses) == {200}
    assert installation.database.value("SELECT count(*) FROM messages") == len(load.statuses)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_control_a_restart_of_a_server_that_binds_refuses_requests(installation: Installation, people: World) -> None:
    server = ServerProcess(installation, **{name.removeprefix("SHOPBELL_"): value for name, value in PATIENT.items()})
    try:
        server.start()
        load = Load(wires_to(server.port), people.boston, people.token)
        with load.running():
            load.wait_until_sent(100)
            server.terminate()
            server.start()
    finally:
        server.stop()
    assert any("refused" in failure for failure in load.failures)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_client_that_connects_while_no_process_runs_is_answered_by_the_next(manager: Manager) -> None:
    manager.start(**PATIENT).terminate()
    with Wire(manager.port, timeout_s=TIMEOUT_S) as early:
        early.send(request(method="GET", path="/healthz"))
        manager.start(**PATIENT)
        assert early.answer().status == 200


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_service_manager_learns_of_each_state(manager: Manager) -> None:
    # The program replaces itself, so its process id is not known before: no WATCHDOG_PID.
    manager.start(**PATIENT, WATCHDOG_USEC="200000")
    assert f"http://127.0.0.1:{manager.port}/" in manager.log
    with Wire(manager.port) as wire:  # it was ready when it said so
        assert wire.send(request(method="GET", path="/readyz")).answer().status == 200
    wait_until(lambda: manager.states().count("WATCHDOG=1") >= 3, lambda: str(manager.states()))
    manager.terminate()
    assert manager.states()[-2:] == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=65000000"]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_worker_processes_do_not_see_the_socket_nor_the_reports(manager: Manager) -> None:
    manager.start(**PATIENT | {"SHOPBELL_RUN_WORKER": "true"})
    assert manager.children
    for child in manager.children:
        environment = Path(f"/proc/{child}/environ").read_bytes()
        assert b"LISTEN_FDS=" not in environment
        assert b"NOTIFY_SOCKET=" not in environment
