"""The socket that a service manager passes, and the states that are reported to it."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shopbell.errors import CommandError
from shopbell.runtime.service_manager import ServiceManager, passed_listener


def _passing(count: int = 1, *, pid: int | None = None) -> dict[str, str]:
    own = str(os.getpid() if pid is None else pid)
    return {"LISTEN_PID": own, "LISTEN_FDS": str(count), "LISTEN_FDNAMES": "a", "HOME": "/"}


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.setblocking(False)
        yield end


def _reporting(reports: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": reports.getsockname(), "HOME": "/"} | more


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_passed_socket_is_taken(family: socket.AddressFamily, host: str) -> None:
    environment = _passing()
    with socket.create_server((host, 0), family=family) as passed:
        passed.set_inheritable(True)
        taken = passed_listener(environment, first_fd=os.dup(passed.fileno()))
        assert taken is not None
        with taken:
            assert taken.getsockname() == passed.getsockname()
            assert not taken.get_inheritable()
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize("environment", [{}, _passing(pid=1), {"LISTEN_FDS": "1"}], ids=["none", "another's", "no id"])
def test_a_process_that_was_passed_nothing_takes_nothing(environment: dict[str, str]) -> None:
    assert passed_listener(environment) is None
    assert environment.keys() <= {"HOME"}


@pytest.mark.parametrize("count", [0, 2])
def test_none_or_several_sockets_are_refused(count: int) -> None:
    with pytest.raises(CommandError, match="exactly one listening TCP socket"):
        passed_listener(_passing(count))


def test_what_is_no_listening_tcp_socket_is_refused(tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket() as idle,
        (tmp_path / "file").open("w") as file,
    ):
        unix.bind(str(tmp_path / "socket"))
        unix.listen()
        for wrong in (unix, datagrams, idle, file):
            with pytest.raises(CommandError, match="exactly one listening TCP socket"):
                passed_listener(_passing(), first_fd=os.dup(wrong.fileno()))


def test_states_are_reported(reports: socket.socket) -> None:
    environment = _reporting(reports)
    manager = ServiceManager(environment)
    manager.ready()
    manager.alive()
    manager.stopping(12.5)
    assert reports.recv(100) == b"READY=1"
    assert reports.recv(100) == b"STOPPING=1\nEXTEND_TIMEOUT_USEC=12500000"
    assert environment == {"HOME": "/"}


def test_a_name_without_a_file_works_too() -> None:
    name = f"shopbell-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0{name}")
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert end.recv(100) == b"READY=1"


@pytest.mark.parametrize("pid", [{}, {"WATCHDOG_PID": str(os.getpid())}], ids=["any process", "this process"])
def test_a_watched_process_reports_twice_in_each_interval(reports: socket.socket, pid: dict[str, str]) -> None:
    now_s = 1_000.0
    manager = ServiceManager(_reporting(reports, WATCHDOG_USEC="60000000", **pid), lambda: now_s)
    for _ in range(61):
        manager.alive()
        now_s += 1
    for _ in range(3):
        assert reports.recv(100) == b"WATCHDOG=1"
    with pytest.raises(BlockingIOError):
        reports.recv(100)


def test_a_process_that_is_not_watched_does_not_report_that_it_lives(reports: socket.socket) -> None:
    ServiceManager(_reporting(reports, WATCHDOG_USEC="1", WATCHDOG_PID="1")).alive()
    with pytest.raises(BlockingIOError):
        reports.recv(100)


def test_a_service_manager_that_does_not_listen_is_logged_and_delays_nothing(tmp_path: Path) -> None:
    with capture_logs() as lines:
        ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "none")}).ready()
    assert [(line["event"], line["state"]) for line in lines] == [("the service manager cannot be reached", "READY")]


def test_without_a_service_manager_nothing_is_reported() -> None:
    with capture_logs() as lines:
        ServiceManager({}).ready()
    assert lines == []
