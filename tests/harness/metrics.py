"""The metrics that ``docs/metrics.md`` describes, and those that a server exports."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from harness import ROOT

PAGE = (ROOT / "docs" / "metrics.md").read_text()


@dataclass(frozen=True)
class Documented:
    """What the page says about a metric.

    Args:
        type: ``counter``, ``gauge`` or ``histogram``.
        labels: the values of each label; none where the page lists none.
    """

    type: str
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)


def documented() -> dict[str, Documented]:
    """The rows of the page by the metric's name, without the endings of a histogram's series."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| .+? \| .+ \| .+ \|$", PAGE, re.MULTILINE)
    return {name: Documented(kind, {} if labels == "none" else _labels(labels)) for name, kind, labels in rows}


def _labels(cell: str) -> dict[str, frozenset[str]]:
    """The labels of a cell such as "`a`, `b`" or "`a`: `first`, `second`; `b`: `third`"."""
    found: dict[str, frozenset[str]] = {}
    for part in cell.split("; "):
        names, _, values = part.partition(": ")
        found |= {name: frozenset(re.findall(r"`(\w+)`", values)) for name in re.findall(r"`(\w+)`", names)}
    return found


def metric_of(series: str, known: Mapping[str, Documented]) -> str | None:
    """The metric of a series; None if no metric has it."""
    if series in known and known[series].type != "histogram":
        return series
    base = re.sub(r"_(bucket|sum|count)$", "", series)
    return base if base != series and base in known and known[base].type == "histogram" else None


def exported(text: str) -> dict[str, str]:
    """The type of each metric in a response of ``/metrics``, by its name on the page."""
    return {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in text_string_to_metric_families(text)
    }


def labels_in_code() -> dict[str, set[str]]:
    """The labels of the metrics that this process has defined, by their names on the page."""
    found = (each for each in set(REGISTRY._names_to_collectors.values()) if isinstance(each, MetricWrapperBase))
    return {each._name + ("_total" if each._type == "counter" else ""): set(each._labelnames) for each in found}


def value(text: str, series: str, **labels: str) -> float | None:
    """The value of a series in a response of ``/metrics``; None if it is not there."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == series and sample.labels == labels:
                return sample.value
    return None
