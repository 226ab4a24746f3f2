"""The tables that `make bench` prints: what was measured, and which goals were reached."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

from rich.table import Table

from bench.contest import Result
from bench.inbox import WORKER_US
from bench.inbox_page import CODE_KB, COLD, ECHO, GROWTH_MB, PREFETCHED, name_of

Results = Mapping[str, Sequence[Result]]


@dataclass(frozen=True)
class Goal:
    """A goal.

    Args:
        what: its name.
        figure: computes it from the measurements.
        limit: the minimum; with ``at_most``, the maximum.
    """

    what: str
    figure: Callable[[Results], float]
    limit: float
    at_most: bool = False
    unit: str = ""

    def row(self, results: Results) -> tuple[str, str, str, str]:
        """The result in the table."""
        measured = self.figure(results)
        reached = measured <= self.limit if self.at_most else measured >= self.limit
        digits = 0 if measured >= 100 else 1 if measured >= 10 else 2
        sign = "≤" if self.at_most else "≥"
        verdict = "[green]reached[/]" if reached else "[red]missed[/]"
        return self.what, f"{measured:.{digits}f}{self.unit}", f"{sign} {self.limit:g}{self.unit}", verdict


def ratio(of: str, to: str) -> Callable[[Results], float]:
    """The ratio of two rows' throughputs in the same round; median of all rounds."""
    return lambda results: median(a.load.per_s / b.load.per_s for a, b in zip(results[of], results[to], strict=True))


def cpu_ratio(of: str, to: str) -> Callable[[Results], float]:
    """The ratio of two rows' CPU time per response in the same round.

    The median over all rounds.
    """
    return lambda results: median(
        (a.cpu_us or 0.0) / (b.cpu_us or 1.0) for a, b in zip(results[of], results[to], strict=True)
    )


def slowest_p99_ms(*rows: str) -> Callable[[Results], float]:
    """The highest median 99th percentile of these rows."""
    return lambda results: max(_median(result.load.p99_ms for result in results[row]) or 0.0 for row in rows)


def slowest_p50_ms(*rows: str) -> Callable[[Results], float]:
    """The highest median latency of these rows."""
    return lambda results: max(_median(result.load.p50_ms for result in results[row]) or 0.0 for row in rows)


def least_delivered(row: str) -> Callable[[Results], float]:
    """The median share of a row's events that were delivered during the measurement."""
    return lambda results: _median(result.delivered for result in results[row]) or 0.0


def least_per_s(*rows: str) -> Callable[[Results], float]:
    """The worst of the rows' medians per second."""
    return lambda results: min(_median(result.load.per_s for result in results[row]) or 0.0 for row in rows)


def most_resident_mb(*rows: str) -> Callable[[Results], float]:
    """The highest memory use of these rows in any round."""
    return lambda results: max(result.resident_mb or 0.0 for row in rows for result in results[row])


def most_stream_kb(*rows: str) -> Callable[[Results], float]:
    """The highest median memory per open stream of these rows."""
    return lambda results: max(_median(result.stream_kb for result in results[row]) or 0.0 for row in rows)


def middle(row: str, name: str) -> Callable[[Results], float]:
    """The median of a row's figure."""
    return lambda results: median(result.figures[name] for result in results[row])


GOALS = (
    Goal("durable ÷ the same server without storage, SQLite, 64 connections", ratio("sqlite 64", "no storage 64"), 0.4),
    Goal("PostgreSQL ÷ pgbench, several statements per message", ratio("postgresql 64", "statements 64"), 2.0),
    Goal("PostgreSQL ÷ pgbench, one function call per message", ratio("postgresql 64", "function 64"), 0.9),
    Goal("PostgreSQL ÷ FastAPI + ORM session per request", ratio("postgresql 64", "orm postgresql 64"), 25),
    Goal("SQLite ÷ FastAPI + ORM session per request", ratio("sqlite 64", "orm sqlite 64"), 70),
    Goal("p99, SQLite, 64 connections", slowest_p99_ms("sqlite 64"), 30, at_most=True, unit=" ms"),
    Goal("p99, PostgreSQL, 64 connections", slowest_p99_ms("postgresql 64"), 30, at_most=True, unit=" ms"),
    Goal("10,000,000 messages ÷ empty, SQLite, 256 connections", ratio("sqlite full 256", "sqlite 256"), 0.85),
    Goal("the same, CPU time of a message", cpu_ratio("sqlite full 256", "sqlite 256"), 1.25, at_most=True),
    Goal(
        "last messages of a conversation, not cached, p99", slowest_p99_ms("sqlite cold"), 20, at_most=True, unit=" ms"
    ),
    Goal("10,000,000 messages ÷ empty, PostgreSQL, 256", ratio("postgresql full 256", "postgresql 256"), 0.9),
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
    Goal("intake while it delivers ÷ intake alone, SQLite", ratio("sqlite delivered", "sqlite 64"), 0.8),
    Goal("intake while it delivers ÷ intake alone, PostgreSQL", ratio("postgresql delivered", "postgresql 64"), 0.8),
    *(
        goal
        for name, row in (("SQLite", "sqlite"), ("PostgreSQL", "postgresql"))
        for goal in (
            Goal(f"{name} now ÷ before, 64 connections", ratio(f"{row} 64", f"{row} before 64"), 2),
            Goal("the same, CPU time of the server", cpu_ratio(f"{row} 64", f"{row} before 64"), 0.5, at_most=True),
            Goal(f"events delivered at half the rate, {name}", least_delivered(f"{row} half"), 0.95),
            Goal(
                f"from commit to receipt at 100 events/s, p50, {name}",
                slowest_p50_ms(f"paced {row}"),
                10,
                at_most=True,
                unit=" ms",
            ),
            Goal(f"an open stream, {name}", most_stream_kb(f"streams {row}"), 8, at_most=True, unit=" kB"),
            Goal(f"opening streams, {name}", least_per_s(f"streams {row}"), 1_000, unit="/s"),
            Goal(
                f"p99 of replies into 15,000 streams, {name}",
                slowest_p99_ms(f"stream latency {row}"),
                20,
                at_most=True,
                unit=" ms",
            ),
        )
    ),
    Goal("resident memory, SQLite, 256 connections", most_resident_mb("sqlite 256"), 100, at_most=True, unit=" MB"),
    Goal(
        "resident memory, PostgreSQL, 256 connections",
        most_resident_mb("postgresql 256"),
        100,
        at_most=True,
        unit=" MB",
    ),
    *(
        goal
        for name, row in (("SQLite", "sqlite"), ("PostgreSQL", "postgresql"))
        for goal in (
            *(
                Goal(f"{what}, p75, {name}", middle(f"inbox page {row}", name_of(what, 75)), limit_ms, True, " ms")
                for what, limit_ms in ((PREFETCHED, 50), (COLD, 100), (ECHO, 30))
            ),
            Goal(
                f"list of the inbox, CPU time of a message, {name}",
                middle(f"inbox list {row}", WORKER_US),
                15,
                True,
                " µs",
            ),
        )
    ),
    Goal("inbox, code of the first load, gzip", middle("inbox page sqlite", CODE_KB), 40, at_most=True, unit=" kB"),
    Goal("inbox, growth of the JavaScript heap", middle("inbox memory", GROWTH_MB), 5, at_most=True, unit=" MB"),
)


def measured(results: Results, labels: Mapping[str, str]) -> Table:
    """The table of all rows.

    Medians over the rounds, the range of the throughput, and the highest memory use.
    """
    table = Table(title="Measured", title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in (
        "requests/s",
        "from – to",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "MB",
        "kB a stream",
        "CPU µs",
        "delivered",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, rounds in results.items():
        if rounds[0].figures:
            continue  # see ``inbox``
        rates = [result.load.per_s for result in rounds]
        times = [_median(getattr(result.load, name) for result in rounds) for name in ("p50_ms", "p95_ms", "p99_ms")]
        memory = [result.resident_mb for result in rounds if result.resident_mb is not None]
        each_kb, cpu_us, delivered = (
            _median(getattr(result, name) for result in rounds) for name in ("stream_kb", "cpu_us", "delivered")
        )
        table.add_row(
            labels[row] + _fault(rounds),
            f"{median(rates):,.0f}",
            f"{min(rates):,.0f} – {max(rates):,.0f}",
            *(f"{time:,.1f}" if time is not None else "" for time in times),
            f"{max(memory):.0f}" if memory else "",
            f"{each_kb:.1f}" if each_kb is not None else "",
            f"{cpu_us:.0f}" if cpu_us is not None else "",
            f"{delivered:.0%}" if delivered is not None else "",
        )
    return table


def inbox(results: Results, labels: Mapping[str, str]) -> Table:
    """The table of the rows about the inbox: each figure's median over the rounds, and its range."""
    table = Table(title="Inbox, 10,000 conversations", title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("median", "from – to"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, rounds in results.items():
        for name in rounds[0].figures:
            values = [result.figures[name] for result in rounds]
            spread = f"{min(values):,.1f} – {max(values):,.1f}"
            table.add_row(f"{labels[row]}: {name}{_fault(rounds)}", f"{median(values):,.1f}", spread)
    return table


def goals(results: Results) -> Table:
    """The table of goals, each reached or missed."""
    table = Table(title="Goals", title_justify="left")
    for heading in ("", "measured", "goal"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    table.add_column("")
    for goal in GOALS:
        with suppress(KeyError):  # a goal without measured rows has no result
            table.add_row(*goal.row(results))
    return table


def is_valid(results: Results) -> bool:
    """Whether all measurements are valid."""
    return not any(result.load.fault for rounds in results.values() for result in rounds)


def _fault(rounds: Sequence[Result]) -> str:
    """Why a row is invalid, as its label says it."""
    faults = [result.load.fault for result in rounds if result.load.fault]
    return f" [red]INVALID: {faults[0]}[/]" if faults else ""


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
