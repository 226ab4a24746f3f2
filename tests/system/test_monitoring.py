"""Prometheus and Grafana accept the files in ``deploy/``, and each alert fires when it should."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import ROOT
from harness.installation import Installation
from harness.ports import free_port
from harness.prometheus import TIMEOUT_S, Prometheus, prometheus, promtool
from harness.shop import Shop
from harness.waiting import wait_until
from harness.workers import WorkerProcess
from harness.world import World

HERE = Path(__file__).parent
DEPLOY = ROOT / "deploy"
DASHBOARD = DEPLOY / "grafana" / "shopbell.json"
RULES = "shopbell.rules.yml"
_TYPES = """\
import type { Dashboard } from '@grafana/schema';
// In JSON, a value of an enumeration is its text.
type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
"""
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the files for Prometheus."""
    return Path(shutil.copytree(DEPLOY / "prometheus", tmp_path / "prometheus"))


def expressions() -> Iterator[str]:
    """The expressions of the dashboard, as Grafana sends them."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield expression


def test_promtool_accepts_the_configuration_and_the_rules(folder: Path) -> None:
    checked = promtool("check", "config", "--lint-fatal", "prometheus.yml", cwd=folder)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES, cwd=folder)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (folder / RULES).write_text((folder / RULES).read_text().replace("rate(", "rat("))
    assert promtool("check", "rules", RULES, cwd=folder).returncode != 0


def test_each_alert_fires_when_it_should(folder: Path) -> None:
    shutil.copy(HERE / "alerts.yml", folder)
    tested = promtool("test", "rules", "alerts.yml", cwd=folder)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", re.findall(r"- alert: (\w+)", (DEPLOY / "prometheus" / RULES).read_text()))
def test_the_tests_of_alerts_notice_a_rule_that_never_fires(folder: Path, alert: str) -> None:
    shutil.copy(HERE / "alerts.yml", folder)
    rules = (folder / RULES).read_text()
    broken = re.sub(rf"(- alert: {alert}\n)(.*?)( +labels:)", r"\1        expr: up > 9\n\3", rules, flags=re.DOTALL)
    (folder / RULES).write_text(broken)
    assert promtool("check", "rules", RULES, cwd=folder).returncode == 0
    tested = promtool("test", "rules", "alerts.yml", cwd=folder)
    assert tested.returncode != 0
    assert f"alertname: {alert}" in tested.stdout + tested.stderr


@pytest.mark.parametrize("engine", ["sqlite"])
def test_prometheus_reads_a_server_and_a_worker_with_the_example(
    installation: Installation, people: World, folder: Path
) -> None:
    configuration = folder / "prometheus.yml"
    ports = {9108: free_port(), 9109: free_port()}
    text = configuration.read_text().replace("scrape_interval: 15s", "scrape_interval: 1s")
    for shown, real in ports.items():
        assert str(shown) in text
        text = text.replace(str(shown), str(real))
    configuration.write_text(text)
    server_port, worker_port = ports.values()
    with installation.serving(metrics_port=server_port, run_worker=False) as server:
        worker = WorkerProcess(installation, metrics_port=worker_port)
        try:
            worker.wait_until_started()
            with prometheus(configuration) as running:
                shop = Shop(server, people)
                wait_until(lambda: _is_drawn(shop, running), lambda: "the dashboard shows no messages", TIMEOUT_S)
                up = {series["metric"]["instance"]: series["value"][1] for series in running.query("up")}
                assert up == {f"127.0.0.1:{port}": "1" for port in ports.values()}
                assert running.query("shopbell_delivery_waiting_seconds")
                for expression in expressions():
                    running.query(expression)
                wait_until(
                    lambda: all(rule["health"] == "ok" for rule in running.rules()),
                    lambda: str(running.rules()),
                    TIMEOUT_S,
                )
                assert [rule["name"] for rule in running.rules() if rule["state"] == "firing"] == []
        finally:
            worker.stop()


def _is_drawn(shop: Shop, running: Prometheus) -> bool:
    """Send a message, and tell whether the dashboard shows some."""
    shop.send()
    (messages,) = [expression for expression in expressions() if 'status="200"' in expression]
    return any(float(series["value"][1]) > 0 for series in running.query(messages))


def _type_errors(dashboard: object, folder: Path) -> str:
    """Compare a dashboard with Grafana's own types."""
    (folder / "node_modules").symlink_to(HERE / "node_modules")
    shutil.copy(HERE / "package.json", folder)
    (folder / "dashboard.ts").write_text(
        f"{_TYPES}export const dashboard: Json<Dashboard> = {json.dumps(dashboard)};\n"
    )
    options = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022")
    tsc = HERE / "node_modules" / ".bin" / "tsc"
    command = [str(tsc), *options, "dashboard.ts"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False).stdout


def test_grafanas_types_accept_the_dashboard(tmp_path: Path) -> None:
    assert _type_errors(json.loads(DASHBOARD.read_text()), tmp_path) == ""


def test_grafanas_types_notice_a_wrong_dashboard(tmp_path: Path) -> None:
    wrong = json.loads(DASHBOARD.read_text())
    wrong["panels"][0]["gridPos"]["w"] = "4"
    wrong["templating"]["list"][0]["hidden"] = True
    errors = _type_errors(wrong, tmp_path)
    assert "Type 'string' is not assignable to type 'number'" in errors
    assert "hidden\"' does not exist" in errors
