"""The tables that `make bench` prints: what was measured, and which goals were reached."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

from rich.table import Table

from bench.contest import Result

Results = Mapping[str, Sequence[Result]]


@dataclass(frozen=True)
class Goal:
    """A figure to reach.

    Args:
        what: its name.
        figure: how it comes from the measurements.
        limit: the least that is enough, or the most with ``at_most``.
    """

    what: str
    figure: Callable[[Results], float]
    limit: float
    at_most: bool = False
    unit: str = ""

    def row(self, results: Results) -> tuple[str, str, str, str]:
        """What the table says about it."""
        measured = self.figure(results)
        reached = measured <= self.limit if self.at_most else measured >= self.limit
        digits = 0 if measured >= 100 else 1 if measured >= 10 else 2
        sign = "≤" if self.at_most else "≥"
        verdict = "[green]reached[/]" if reached else "[red]missed[/]"
        return self.what, f"{measured:.{digits}f}{self.unit}", f"{sign} {self.limit:g}{self.unit}", verdict


def ratio(of: str, to: str) -> Callable[[Results], float]:
    """The median, over all rounds, of one row's throughput divided by another's of the same round."""
    return lambda results: median(a.load.per_s / b.load.per_s for a, b in zip(results[of], results[to], strict=True))


def slowest_p99_ms(*rows: str) -> Callable[[Results], float]:
    """The worst of the rows' median 99th percentiles."""
    return lambda results: max(_median(result.load.p99_ms for result in results[row]) or 0.0 for row in rows)


def most_resident_mb(*rows: str) -> Callable[[Results], float]:
    """The most memory of any round of these rows."""
    return lambda results: max(result.resident_mb or 0.0 for row in rows for result in results[row])


def most_stream_kb(*rows: str) -> Callable[[Results], float]:
    """The worst of the rows' medians of what each open stream took."""
    return lambda results: max(_median(result.stream_kb for result in results[row]) or 0.0 for row in rows)


GOALS = (
    Goal("durable ÷ the same server without storage, SQLite, 64 connections", ratio("sqlite 64", "no storage 64"), 0.4),
    Goal("PostgreSQL ÷ pgbench, several statements per message", ratio("postgresql 64", "statements 64"), 2.0),
    Goal("PostgreSQL ÷ pgbench, one function call per message", ratio("postgresql 64", "function 64"), 0.9),
    Goal("PostgreSQL ÷ FastAPI + ORM session per request", ratio("postgresql 64", "orm postgresql 64"), 25),
    Goal("SQLite ÷ FastAPI + ORM session per request", ratio("sqlite 64", "orm sqlite 64"), 70),
    Goal("p99, SQLite, 64 connections", slowest_p99_ms("sqlite 64"), 30, at_most=True, unit=" ms"),
    Goal("p99, PostgreSQL, 64 connections", slowest_p99_ms("postgresql 64"), 30, at_most=True, unit=" ms"),
    Goal("1,000,000 messages ÷ empty, SQLite, 256 connections", ratio("sqlite million 256", "sqlite 256"), 0.9),
    Goal(
        "1,000,000 messages ÷ empty, PostgreSQL, 256 connections",
        ratio("postgresql million 256", "postgresql 256"),
        0.9,
    ),
    Goal(
        "one worker ÷ the same client in a bare loop, one webhook, SQLite", ratio("worker sqlite 1", "bare loop 8"), 0.5
    ),
    Goal(
        "one worker ÷ the same client in a bare loop, one webhook, PostgreSQL",
        ratio("worker postgresql 1", "bare loop 8"),
        0.5,
    ),
    Goal("with one webhook ÷ with none, SQLite, 64 connections", ratio("sqlite promised 1", "sqlite 64"), 0.85),
    Goal(
        "with one webhook ÷ with none, PostgreSQL, 64 connections",
        ratio("postgresql promised 1", "postgresql 64"),
        0.85,
    ),
    Goal("an open stream, SQLite, 5,000", most_stream_kb("streams sqlite"), 30, at_most=True, unit=" kB"),
    Goal("an open stream, PostgreSQL, 5,000", most_stream_kb("streams postgresql"), 30, at_most=True, unit=" kB"),
    Goal("resident memory, SQLite, 256 connections", most_resident_mb("sqlite 256"), 150, at_most=True, unit=" MB"),
    Goal(
        "resident memory, PostgreSQL, 256 connections",
        most_resident_mb("postgresql 256"),
        150,
        at_most=True,
        unit=" MB",
    ),
)


def measured(results: Results, labels: Mapping[str, str]) -> Table:
    """The table of all rows: medians over the rounds, the throughput's range, the most memory."""
    table = Table(title="Measured", title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("requests/s", "from – to", "p50 ms", "p95 ms", "p99 ms", "MB", "kB a stream"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, rounds in results.items():
        faults = [result.load.fault for result in rounds if result.load.fault]
        rates = [result.load.per_s for result in rounds]
        times = [_median(getattr(result.load, name) for result in rounds) for name in ("p50_ms", "p95_ms", "p99_ms")]
        memory = [result.resident_mb for result in rounds if result.resident_mb is not None]
        each_kb = _median(result.stream_kb for result in rounds)
        table.add_row(
            labels[row] + (f" [red]INVALID: {faults[0]}[/]" if faults else ""),
            f"{median(rates):,.0f}",
            f"{min(rates):,.0f} – {max(rates):,.0f}",
            *(f"{time:,.1f}" if time is not None else "" for time in times),
            f"{max(memory):.0f}" if memory else "",
            f"{each_kb:.1f}" if each_kb is not None else "",
        )
    return table


def goals(results: Results) -> Table:
    """The table of goals, each reached or missed."""
    table = Table(title="Goals", title_justify="left")
    for heading in ("", "measured", "goal"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    table.add_column("")
    for goal in GOALS:
        with suppress(KeyError):  # of one whose rows were not measured nothing can be said
            table.add_row(*goal.row(results))
    return table


def is_valid(results: Results) -> bool:
    """Whether no measurement was found worthless."""
    return not any(result.load.fault for rounds in results.values() for result in rounds)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
