"""Processes started without the preloaded process of the test suite.

What a command forgets to import would be there for it in such a fork, so here each command, and each thing that serves,
is started as its user starts it.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import preloaded
from harness.installation import Database, Installation
from harness.workers import WorkerProcess

COMMANDS = (
    ("organization", "list"),
    ("business", "list"),
    ("token", "list"),
    ("employee", "list", "--organization", "1"),
    ("template", "list", "--organization", "1"),
    ("threads", "list"),
    ("threads", "show", "1"),
    ("customers", "show", "1"),
    ("webhooks", "list"),
    ("doctor",),
    ("organization", "export", "1", "file.zip"),
)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """One on SQLite whose processes are all started from nothing."""
    folder: Path = tmp_path_factory.mktemp("starts")
    made = Installation(Database(f"sqlite:///{folder}/shopbell.db"), folder)
    assert plainly(made, "migrate").returncode == 0
    return made


@pytest.fixture
def without_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts every process of the harness from nothing."""
    monkeypatch.setenv(preloaded.PLAIN_STARTS, "1")


def plainly(installation: Installation, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, *preloaded.PROGRAM, *arguments],
        cwd=installation.folder,
        env=installation.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_command_prints_the_same_started_fresh_or_forked(
    installation: Installation, arguments: tuple[str, ...]
) -> None:
    forked, plain = installation.run(*arguments), plainly(installation, *arguments)
    assert "Traceback" not in plain.stderr
    assert _said(plain) == _said(forked)


def _said(done: "subprocess.CompletedProcess[str]") -> tuple[object, ...]:
    """What a command said, but for the time and the room on the disk."""
    return done.returncode, *(re.sub(r"\d+", "#", text) for text in (done.stdout, done.stderr))


def test_a_server_and_a_worker_start_without_the_preloaded_process(
    installation: Installation, without_forks: None
) -> None:
    with installation.serving() as server:
        assert server.client.get("/healthz").status_code == 200
        assert server.client.get("/openapi.json").status_code == 200
    worker = WorkerProcess(installation)
    worker.wait_until_started()
    assert worker.terminate() == 0


def test_a_forked_process_exits_like_any_other(installation: Installation) -> None:
    with installation.serving() as server:
        pid = server.pid
        assert server.is_running()
        server.kill()
        assert not server.is_running()
        assert not Path(f"/proc/{pid}").exists()
        server.start()
        assert server.terminate() == 0
        server.start()
    assert installation.run("nonsense").returncode == 2
    assert installation.run("threads", "show", "1").returncode == 1
