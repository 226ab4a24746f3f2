"""Misspelt setting variables cause a warning that names the setting."""

import json

import pytest

from harness.installation import Installation
from harness.waiting import wait_until
from harness.workers import WorkerProcess

MISSPELT = {"SHOPBELL_PROT": "canary", "shopbell_databse_url": "canary", "SHOPBELL_XYZ": "canary"}
WARNINGS = [
    "unknown setting SHOPBELL_PROT; did you mean SHOPBELL_PORT?",
    "unknown setting SHOPBELL_XYZ",
    "unknown setting shopbell_databse_url; did you mean SHOPBELL_DATABASE_URL?",
]


def test_a_command_warns_of_misspelt_variables_and_does_its_work(fresh_installation: Installation) -> None:
    fresh_installation.settings = {**fresh_installation.settings, **MISSPELT}
    done = fresh_installation.run("threads", "list", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    assert done.stderr.splitlines() == [f"shopbell: {line}" for line in WARNINGS]


@pytest.mark.parametrize("engine", ["postgresql"])
def test_a_server_and_a_worker_warn_once_of_misspelt_variables(fresh_installation: Installation) -> None:
    fresh_installation.settings = {**fresh_installation.settings, **MISSPELT, "SHOPBELL_LOG_FORMAT": "json"}
    with fresh_installation.serving("--workers", "2") as server:
        worker = WorkerProcess(fresh_installation)
        wait_until(lambda: "delivering" in worker.log, lambda: worker.log)
        worker.stop()
    for log in (server.log, worker.log):
        lines = [json.loads(line) for line in log.splitlines()]
        assert [line["event"] for line in lines if line["event"].startswith("unknown setting")] == WARNINGS
        assert "canary" not in log
