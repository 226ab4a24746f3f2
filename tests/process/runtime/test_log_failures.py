"""Log lines that cannot be written are counted and block nothing."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import structlog

from harness.installation import START_TIMEOUT_S, STOP_TIMEOUT_S, Installation
from harness.ports import free_port
from harness.raw import exchange
from harness.record import Record
from harness.waiting import wait_until
from harness.world import World
from shopbell import logs
from shopbell.runtime import log_output
from shopbell.runtime.log_output import LogOutput
from shopbell.settings.settings import load

LINE = "a line of the log\n"

# Of three batches the second finds the database locked for too long. That is a line in the log.
FAILS_ONCE = """
import shopbell.db.sqlite as sqlite
from shopbell.errors import StorageError
from shopbell.http.pages import readiness

readiness.FAILURE_COUNTS_S = 0.2

run, calls = sqlite.SqliteDatabase.run, []

async def fail_once(self, program):
    calls.append(program)
    if len(calls) == 2:
        raise StorageError("another process holds the database's write lock")
    return await run(self, program)

sqlite.SqliteDatabase.run = fail_once
"""
MAIN = "from shopbell.cli import main; main()"
# As it was: each line is written where it is logged, and a task that dies stays dead.
UNPROTECTED = """
import sys
import structlog
from shopbell import app, http, logs
from shopbell.runtime import supervision
import shopbell.http.server.server

def configure(_):
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

logs.configure = configure
supervision.SupervisedTask._note_end = lambda self, task: None
"""


@contextmanager
def _pipe(*, blocks: bool = True) -> Iterator[tuple[int, int]]:
    """A pipe: the end to read from, and a full end to write to."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, blocks)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def _read(reader: int, until: str) -> str:
    read = b""
    while until.encode() not in read:
        piece = os.read(reader, 65_536)
        assert piece, "the pipe has ended"
        read += piece
    return read.decode()


@pytest.mark.parametrize("blocks", [True, False])
def test_a_full_pipe_blocks_nothing_and_gets_its_lines_once_it_is_read(blocks: bool) -> None:
    with _pipe(blocks=blocks) as (reader, writer):
        output = LogOutput(os.dup(writer))
        output.write(LINE)
        output.write("the last line\n")
        output.drain(0)
        assert LINE + "the last line\n" in _read(reader, "the last line\n")


def test_dropped_lines_are_counted_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_output, "WAITING_MAX_BYTES", 2 * len(LINE))
    said: list[int] = []
    monkeypatch.setattr(log_output.log, "warning", lambda event, count: said.append(count), raising=False)
    with _pipe() as (reader, writer):
        output = LogOutput(os.dup(writer))
        for _ in range(5):
            output.write(LINE)
        _read(reader, LINE)
        wait_until(lambda: said, lambda: "the loss is not logged")
    assert said == [3]


def test_a_disk_gets_complete_lines_again_after_it_was_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[int] = []
    monkeypatch.setattr(log_output.log, "warning", lambda event, count: said.append(count), raising=False)
    path = tmp_path / "log"
    with path.open("wb") as file, Path("/dev/full").open("wb", buffering=0) as full:
        descriptor = os.dup(full.fileno())
        output = LogOutput(descriptor)
        output.write(LINE)
        output.drain(60)
        os.dup2(file.fileno(), descriptor)
        output.write(LINE)
        output.drain(60)
    assert path.read_text() == LINE
    assert said == [1]


def test_a_file_gets_each_line_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        LogOutput(file.fileno()).write(LINE)
        assert path.read_text() == LINE


def test_an_unwritable_file_is_not_an_error(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    with path.open("rb") as file:
        output = LogOutput(file.fileno())
        output.write(LINE)
        assert output._lost == 1


def test_a_pipe_without_a_reader_is_not_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    output = LogOutput(writer)
    output.write(LINE)
    output.drain(60)
    output.write(LINE)
    output.drain(60)


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """A log as the server configures it, in JSON; gives what was written so far."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    reader, writer = os.pipe()
    monkeypatch.setattr(log_output, "_output", LogOutput(writer))
    logs.configure(load(log_format="json", database_url="sqlite:///unused.db"))

    def written() -> str:
        for _ in range(2):  # the number of lost lines follows the line that was written before
            log_output.output().drain(60)
        os.set_blocking(reader, False)
        try:
            return os.read(reader, 65_536).decode()
        except BlockingIOError:
            return ""

    yield written
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


class _Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("a bug")


def test_a_line_that_cannot_be_formatted_raises_nothing(configured: Callable[[], str]) -> None:
    # Those of pytest raise, too.
    own = [handler for handler in logging.getLogger().handlers if isinstance(handler, logs._Handler)]
    logging.getLogger().handlers[:] = own
    log = structlog.get_logger()
    log.warning("about it", thing=_Unspeakable())
    logging.getLogger("a.library").error("about %s", _Unspeakable())
    logging.getLogger("a.library").error("one %s and nothing for the other: %s", "word")
    log.warning("said")
    lines = [json.loads(line) for line in configured().splitlines()]
    assert [(line["event"], line.get("count")) for line in lines] == [("said", None), ("log lines were lost", 3)]


@pytest.mark.parametrize("value", ["half of \ud83d", 10**30])
def test_a_value_that_is_not_json_is_still_logged(configured: Callable[[], str], value: object) -> None:
    structlog.get_logger().warning("about it", value=value)
    (line,) = configured().splitlines()
    assert json.loads(line)["value"] == value


@contextmanager
def _stderr(kind: str) -> Iterator[int | None]:
    """A standard error that takes nothing; None is a closed one."""
    if kind == "closed":
        yield None
    elif kind == "a full disk":
        with Path("/dev/full").open("wb", buffering=0) as full:
            yield full.fileno()
    elif kind == "no reader":
        reader, writer = os.pipe()
        os.close(reader)
        yield writer
        os.close(writer)
    else:
        with _pipe() as (_, writer):
            yield writer


def _statuses(
    installation: Installation, people: World, program: str, stderr: int | None, ending: int = signal.SIGTERM
) -> tuple[list[int], int]:
    """The answers to three messages to a server with this standard error and then to ``/readyz``; its exit code."""
    port, record = free_port(), Record(people.token, (people.boston, people.paris))
    shell = 'exec "$@"' if stderr is not None else 'exec "$@" 2>&-'
    command = ["sh", "-c", shell, "sh", sys.executable, "-c", program, "serve", "--port", str(port)]
    environment = installation.environment | {"SHOPBELL_WRITE_TIMEOUT_S": "20"}
    with (
        subprocess.Popen(
            command, cwd=installation.folder, env=environment, stdin=subprocess.DEVNULL, stderr=stderr
        ) as process,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False, timeout=60) as client,
    ):
        try:
            _wait_until_ready(client, process)
            statuses = [exchange(port, record.next().request, timeout_s=60).status for _ in range(3)]
            _wait_until_ready(client, process)
        finally:
            process.send_signal(ending)
            try:
                code = process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    return statuses, code


def _wait_until_ready(client: httpx2.Client, process: "subprocess.Popen[bytes]") -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        assert process.poll() is None, "the server has ended"
        assert time.monotonic() < deadline_s, "the server is not ready"
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.02)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", ["closed", "a full disk", "no reader", "a full pipe"])
def test_a_server_with_a_blocked_log_stores_messages(installation: Installation, people: World, kind: str) -> None:
    with _stderr(kind) as stderr:
        statuses, code = _statuses(installation, people, FAILS_ONCE + MAIN, stderr)
    assert statuses == [200, 503, 200]
    assert code == 0


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_control_without_protection_a_blocked_log_stops_storing_messages(
    installation: Installation, people: World
) -> None:
    """The control: without the protection no message is stored any more."""
    with _stderr("no reader") as stderr:
        # It cannot say that it stops, either, and would not.
        statuses, _ = _statuses(installation, people, UNPROTECTED + FAILS_ONCE + MAIN, stderr, signal.SIGKILL)
    assert statuses == [200, 503, 503]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_closed_standard_error_is_not_reused_as_a_file(installation: Installation, people: World) -> None:
    """Otherwise its next file, the database perhaps, becomes what libraries print their errors to."""
    looks = """
import os
from pathlib import Path
import shopbell.http.server.server as server

run = server.run

def look_and_run(*arguments, **named):
    Path("standard").write_text("\\n".join(os.readlink(f"/proc/self/fd/{number}") for number in range(3)))
    run(*arguments, **named)

server.run = look_and_run
"""
    _statuses(installation, people, looks + MAIN, None)
    assert (installation.folder / "standard").read_text().splitlines()[2] == os.devnull


def test_a_process_stops_although_its_last_line_cannot_be_logged() -> None:
    program = """
import threading
import structlog
from shopbell.runtime.deadline import end_after

def refuse(*_):
    raise OSError("the disk is full")

structlog.configure(processors=[refuse])
end_after(0)
threading.Event().wait(60)
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == 0
