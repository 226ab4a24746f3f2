"""An interrupted test run leaves no process and no folder behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import ROOT, TESTS, session
from harness.waiting import wait_until

START_TIMEOUT_S = 240
WAITS = """
import time
from pathlib import Path

def test_a_server_runs(fresh_installation):
    with fresh_installation.serving("--workers", "1") as server:
        (Path({folder!r}) / str(server.pid)).touch()
        time.sleep(600)
"""


def to_the_group(run: "subprocess.Popen[bytes]") -> None:
    """Press Ctrl-C: a terminal sends SIGINT to all processes of the group."""
    os.killpg(run.pid, signal.SIGINT)


def to_the_first_process(run: "subprocess.Popen[bytes]") -> None:
    """Interrupt the first process alone, as a CI runner does."""
    run.send_signal(signal.SIGINT)


def kill_the_first_process(run: "subprocess.Popen[bytes]") -> None:
    """Leave it no time to end anything."""
    run.kill()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("interrupt", [to_the_group, to_the_first_process, kill_the_first_process])
def test_an_interrupted_run_leaves_nothing(
    interrupt: "Callable[[subprocess.Popen[bytes]], None]", tmp_path: Path
) -> None:
    started = tmp_path / "started"
    started.mkdir()
    (tmp_path / "test_waits.py").write_text(WAITS.format(folder=str(started)))
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-c", str(ROOT / "pyproject.toml")]
    log_path = tmp_path / "log"
    with log_path.open("wb") as log:
        run = subprocess.Popen(
            [*command, "--rootdir", str(tmp_path), "--numprocesses", "2", str(tmp_path)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(TESTS)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def servers() -> list[int]:
        assert run.poll() is None, log_path.read_text()
        return [int(each.name) for each in started.iterdir()]

    wait_until(lambda: len(servers()) == 2, log_path.read_text, START_TIMEOUT_S)  # one on each engine
    folder = session.folder_of(servers()[0])
    assert folder != session.folder()
    assert len(list(session.processes(folder))) >= 4, "the servers, PostgreSQL and the workers"
    interrupt(run)
    run.wait()
    wait_until(lambda: not folder.exists(), lambda: f"{folder} is still there")
    assert list(session.processes(folder)) == []
