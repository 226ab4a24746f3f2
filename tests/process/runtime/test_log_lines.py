"""All log lines of all processes have the time in one form, and none is part of a command's result."""

import json
import re
import subprocess
import sys

import pytest

from harness.installation import COMMAND_TIMEOUT_S, Installation
from harness.waiting import wait_until
from harness.workers import WorkerProcess

TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
LOGS_IN_A_COMMAND = """
import logging
import structlog
from shopbell.cli import main
from shopbell.db.database import Database

def log_and_read(self, fn, *args, **kwargs):
    structlog.get_logger().warning("a line of the program")
    logging.getLogger("library").warning("a line of a library")
    return read_now(self, fn, *args, **kwargs)

read_now, Database.read_now = Database.read_now, log_and_read
main()
"""
both_formats = pytest.mark.parametrize("log_format", ["console", "json"])
one_engine = pytest.mark.parametrize("engine", ["sqlite"])


def times(log: str, log_format: str) -> list[str]:
    """The time of each line; what a process prints once it runs is no log line."""
    lines = log.splitlines()
    if log_format == "json":
        return [json.loads(line)["timestamp"] for line in lines]
    return [line.split()[0] for line in lines if not line.startswith(("Shopbell ", "Warning: "))]


def assert_one_form(log: str, log_format: str, *expected: str) -> None:
    """Each line has the time in the one form, and each of these texts is in the log."""
    assert [text for text in expected if text not in log] == [], log
    found = times(log, log_format)
    assert len(found) >= len(expected), log
    assert [time for time in found if not TIME.fullmatch(time)] == [], log


@one_engine
@both_formats
def test_requests_and_other_lines_of_a_server_have_one_form_of_time(
    installation: Installation, log_format: str
) -> None:
    with installation.serving(log_format=log_format, misspelt="x") as server:
        assert server.client.get("/healthz").status_code == 200
        server.terminate()
        assert_one_form(server.log, log_format, "/healthz", "unknown setting", "stopped")


@one_engine
@both_formats
def test_the_lines_of_a_worker_have_the_same_form_of_time(installation: Installation, log_format: str) -> None:
    worker = WorkerProcess(installation, log_format=log_format, misspelt="x")
    try:
        wait_until(lambda: re.search("deliver", worker.log), lambda: f"the worker does not start: {worker.log}")
    finally:
        worker.stop()
    assert_one_form(worker.log, log_format, "unknown setting")


@one_engine
@both_formats
def test_the_lines_of_a_command_have_the_same_form_of_time_and_go_to_standard_error(
    installation: Installation, log_format: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGS_IN_A_COMMAND, "organization", "list", "--json"],
        cwd=installation.folder,
        env=installation.environment | {"SHOPBELL_LOG_FORMAT": log_format},
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=True,
    )
    assert len(json.loads(done.stdout)) > 1
    assert_one_form(done.stderr, log_format, "a line of the program", "a line of a library")
