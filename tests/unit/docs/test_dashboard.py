"""The dashboard and the alerts use metrics and labels that exist, and each alert is explained."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from harness import ROOT, metrics
from shopbell.http.widget import ROUTE

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "shopbell.json").read_text())
RULES = (ROOT / "deploy" / "prometheus" / "shopbell.rules.yml").read_text()
OF_PROMETHEUS = {"job", "instance"}
ALERTS = re.findall(r"- alert: (\w+)", RULES)


def expressions() -> Iterator[tuple[str, str]]:
    """All expressions of PromQL, with the texts that use their labels."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"], target["legendFormat"]
    for rule in RULES.split("- alert: ")[1:]:
        yield rule.partition("expr:")[2].partition("labels:")[0], rule.partition("annotations:")[2]


def series_of(expression: str) -> list[tuple[str, str]]:
    """Each series of an expression with its label matchers."""
    return re.findall(r"\b((?:shopbell|process|python)_\w+)(?:\{([^}]*)\})?", expression)


def test_every_expression_reads_metrics_with_their_labels() -> None:
    known = metrics.documented()
    count = 0
    for expression, texts in expressions():
        used = re.findall(r"\bby \(([^)]+)\)", expression)
        named = {label.strip() for part in used for label in part.split(",")}
        named |= set(re.findall(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}", texts.replace("$value", ""))) - {
            "humanizeDuration"
        }
        existing = set(OF_PROMETHEUS)
        for series, matchers in series_of(expression):
            name = metrics.metric_of(series, known)
            assert name, series
            labels = known[name].labels
            matched = re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers)
            assert {label for label, _, _ in matched} <= OF_PROMETHEUS | set(labels), expression
            for label, operator, value in matched:
                if label in labels and labels[label] and operator in ("=", "!="):
                    assert value in labels[label], expression
            assert 'job="shopbell"' in matchers, expression
            existing |= set(labels) | ({"le"} if series.endswith("_bucket") else set())
            count += 1
        assert named <= existing, expression
    assert count > 40


def test_the_alert_for_slow_messages_names_the_route() -> None:
    routes = {route for expression, _ in expressions() for route in re.findall(r'route="([^"]+)"', expression)}
    assert routes == {ROUTE}


def test_every_alert_is_explained_and_tested() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    assert re.findall(r"^\| `(Shopbell\w+)` \| .+ \|$", page, re.MULTILINE) == ALERTS
    tested = (ROOT / "tests" / "system" / "alerts.yml").read_text()
    assert set(re.findall(r"alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:", tested)) == set(ALERTS)


def test_panels_have_their_own_ids_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("variable", ["datasource", "instance"])
def test_every_panel_uses_the_variables_of_the_dashboard(variable: str) -> None:
    assert variable in {each["name"] for each in DASHBOARD["templating"]["list"]}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            assert f"${variable}" in json.dumps(target).replace("{", "").replace("}", ""), panel["title"]
