"""The tables that `make bench` prints."""

import io
from collections import defaultdict
from typing import Any, cast

import pytest
from bench import report
from bench.__main__ import label_of, plan
from bench.contest import Contest, Result
from bench.inbox import WORKER_US
from bench.inbox_page import COLD, GROWTH_MB, percentiles
from bench.load import Load
from rich.console import Console
from rich.table import Table

LOAD = Load(100, 50.0, 1.0, 2.0, 3.0)


class MeasuresNothing:
    """A contest whose attributes are all itself."""

    def __getattr__(self, name: str) -> Any:
        """Return itself."""
        return self

    def __call__(self) -> None:
        """Measure nothing."""


def lines(table: Table) -> list[list[str]]:
    """The cells of each row, as they are printed."""
    cells = [list(column.cells) for column in table.columns]
    return [
        [Console(file=io.StringIO()).render_str(str(cell)).plain for cell in row] for row in zip(*cells, strict=True)
    ]


def page(cold_ms: list[float], fault: str | None = None) -> Result:
    """The result of one round."""
    return Result(Load(len(cold_ms), 1.0, fault=fault), figures=percentiles(COLD, cold_ms))


def test_percentiles_are_those_of_the_sorted_times() -> None:
    assert list(percentiles("x", [float(number) for number in range(101, 0, -1)]).values()) == [51, 76, 96]


def test_each_figure_of_the_inbox_is_a_line_with_its_median_and_range() -> None:
    results = {"inbox memory": [Result(LOAD, figures={GROWTH_MB: value}) for value in (1.0, 3.5, 2.0)]}
    assert lines(report.inbox(results, {"inbox memory": "page"})) == [[f"page: {GROWTH_MB}", "2.0", "1.0 – 3.5"]]


def test_rows_with_figures_are_only_in_the_table_of_the_inbox() -> None:
    results = {"sqlite 64": [Result(LOAD)], "inbox list sqlite": [Result(LOAD, figures={WORKER_US: 9.0})]}
    labels = {row: row for row in results}
    assert [line[0] for line in lines(report.measured(results, labels))] == ["sqlite 64"]
    assert [line[0] for line in lines(report.inbox(results, labels))] == [f"inbox list sqlite: {WORKER_US}"]


def test_a_fault_of_the_page_is_shown_and_makes_the_run_invalid() -> None:
    results = {"inbox page sqlite": [page([10.0, 20.0]), page([10.0, 20.0], "not caught")]}
    assert lines(report.inbox(results, {"inbox page sqlite": "page"}))[0][0].endswith(" INVALID: not caught")
    assert not report.is_valid(results)


@pytest.mark.parametrize(("cold_ms", "verdict"), [(100.0, "reached"), (101.0, "missed")])
def test_a_goal_is_judged_by_the_median_of_the_rounds(cold_ms: float, verdict: str) -> None:
    results = {"inbox page sqlite": [page([each] * 4) for each in (10.0, cold_ms, 900.0)]}
    (line,) = (each for each in lines(report.goals(results)) if COLD in each[0])
    assert line[1:] == [f"{cold_ms:.0f} ms", "≤ 100 ms", verdict]


def test_all_goals_are_about_rows_of_the_benchmark() -> None:
    result = Result(LOAD, 1.0, 1.0, 1.0, 1.0, defaultdict(lambda: 1.0))
    results = {row: [result] for row in plan(cast("Contest", MeasuresNothing()))}
    assert [goal.what for goal in report.GOALS] == [goal.row(results)[0] for goal in report.GOALS]


def test_only_rows_with_connections_are_labelled_so() -> None:
    assert label_of("sqlite 64", "SQLite, 64") == "SQLite, 64 connections"
    assert label_of("inbox memory", "page") == "page"
