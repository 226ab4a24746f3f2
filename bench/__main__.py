"""The plan: all contestants in turn, round after round, so that both sides of a ratio meet the same machine."""

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from rich.console import Console

from bench import report
from bench.contest import KNOWN, KNOWN_OF_MILLION, MILLION, Contest, Result

SYNC_TRIES = 300
PAGE_BYTES = 4096
STREAMS_HELD = 5_000
STREAMS_HEARING = 1_000
QUIET_LOAD = 0.7
"""The load average of the last minute above which something else is running."""


def plan(contest: Contest) -> dict[str, tuple[str, Callable[[], Result]]]:
    """Every row of the table with its label and its measurement, in the order in which a round runs."""
    sqlite, postgresql = contest.sqlite, contest.postgresql
    ours, orm, bare = contest.shopbell, contest.orm, contest.pgbench
    several, one = "pgbench, several statements per message", "pgbench, one function call per message"
    on_million = "on 1,000,000 messages"
    return {
        "no storage 64": ("without storage, 64", partial(contest.without_storage, sqlite, connections=64)),
        "sqlite 64": ("SQLite, 64", partial(ours, sqlite, connections=64)),
        "orm sqlite 64": ("ORM session per request, SQLite, 64", partial(orm, sqlite, connections=64)),
        "no storage 256": ("without storage, 256", partial(contest.without_storage, sqlite, connections=256)),
        "sqlite 256": ("SQLite, 256", partial(ours, sqlite, connections=256)),
        "sqlite million 256": (f"SQLite {on_million}, 256", partial(ours, contest.sqlite_million, connections=256)),
        "orm postgresql 64": ("ORM session per request, PostgreSQL, 64", partial(orm, postgresql, connections=64)),
        "statements 64": (f"{several}, 64", partial(bare, "statements.sql", connections=64)),
        "postgresql 64": ("PostgreSQL, 64", partial(ours, postgresql, connections=64)),
        "function 64": (f"{one}, 64", partial(bare, "function.sql", connections=64)),
        "postgresql 256": ("PostgreSQL, 256", partial(ours, postgresql, connections=256)),
        "postgresql million 256": (
            f"PostgreSQL {on_million}, 256",
            partial(ours, contest.postgresql_million, connections=256),
        ),
        **_about_webhooks(contest),
        **_about_streams(contest),
        "statements 16": (f"{several}, 16", partial(bare, "statements.sql", connections=16)),
        "function 16": (f"{one}, 16", partial(bare, "function.sql", connections=16)),
    }


def _about_webhooks(contest: Contest) -> dict[str, tuple[str, Callable[[], Result]]]:
    """The rows about replies and webhooks."""
    rows: dict[str, tuple[str, Callable[[], Result]]] = {
        "bare loop 8": ("posts of a bare loop, 8", partial(contest.bare_loop, concurrency=8)),
        "bare loop 64": ("posts of a bare loop, 64", partial(contest.bare_loop, concurrency=64)),
    }
    for name, label, data in (
        ("sqlite", "SQLite", contest.sqlite),
        ("postgresql", "PostgreSQL", contest.postgresql),
    ):
        rows |= {
            f"replies {name}": (f"replies, {label}, 64", partial(contest.replies, data, connections=64)),
            f"worker {name} 1": (f"one worker, {label}, one webhook, 8", partial(contest.worker, data, webhooks=1)),
            f"worker {name} 8": (f"one worker, {label}, 8 webhooks, 32", partial(contest.worker, data, webhooks=8)),
            f"paced {name}": (f"events at 100/s until received, {label}, 8", partial(contest.paced, data)),
        }
        for count in (1, 10):
            rows[f"{name} promised {count}"] = (
                f"{label}, told to {count} webhook(s), delivered by others, 64",
                partial(contest.promising, data, webhooks=count, connections=64),
            )
        rows[f"{name} delivered"] = (
            f"{label}, told to 1 webhook and delivered meanwhile, 64",
            partial(contest.promising, data, webhooks=1, connections=64, delivers=True),
        )
    return rows


def _about_streams(contest: Contest) -> dict[str, tuple[str, Callable[[], Result]]]:
    """The rows about live streams."""
    rows: dict[str, tuple[str, Callable[[], Result]]] = {}
    for name, label, data in (
        ("sqlite", "SQLite", contest.sqlite),
        ("postgresql", "PostgreSQL", contest.postgresql),
    ):
        rows |= {
            f"streams {name}": (
                f"opening streams, {label}, {STREAMS_HELD:,}",
                partial(contest.held, data, count=STREAMS_HELD),
            ),
            f"stream latency {name}": (
                f"replies at 50/s into streams, {label}, {STREAMS_HEARING:,}",
                partial(contest.late, data, count=STREAMS_HEARING),
            ),
        }
    return rows


def sync_ms(folder: Path) -> float:
    """The median time in which the disk takes one appended page for good."""
    times = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(SYNC_TRIES):
            file.write(b"\0" * PAGE_BYTES)
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begun)
    return median(times) * 1e3


def run(folder: Path, rounds: int, duration_s: int, only: Sequence[str], console: Console) -> bool:
    """Measure all rows, or those named in ``only``, and print the tables; whether all of it is worth something."""
    busy = os.getloadavg()[0]
    console.print(
        f"{os.cpu_count()} cores ({platform.machine()}), load average {busy:.1f} before the start, "
        f"Python {platform.python_version()}, fdatasync p50 {sync_ms(folder):.2f} ms; wrk with one thread on them; "
        f"{rounds} rounds of {duration_s} s a row, all rows in turn; "
        f"90 % returning customers, out of {KNOWN:,} known ones ({KNOWN_OF_MILLION:,} on {MILLION:,} messages)"
    )
    if busy > QUIET_LOAD:
        console.print("[red]Something else is running here: the figures say little, their ratios not much more.[/]")
    progress = Console(stderr=True)
    contest = Contest(folder, duration_s)
    try:
        with progress.status("filling the databases") as status:
            contest.prepare(millions=not only or any("million" in name for name in only))
            rows = {name: row for name, row in plan(contest).items() if not only or name in only}
            results: dict[str, list[Result]] = {row: [] for row in rows}
            for number in range(rounds):
                for row, (label, measure) in rows.items():
                    status.update(f"round {number + 1} of {rounds}: {label} connections")
                    results[row].append(measure())
    finally:
        contest.postgres.stop()
    console.print(report.measured(results, {row: f"{label} connections" for row, (label, _) in rows.items()}))
    console.print(report.goals(results))
    return report.is_valid(results)


def main() -> int:
    """Read the options, measure, clean up; returns 1 when a measurement is worthless and 2 when wrk is missing."""
    parser = argparse.ArgumentParser(
        "make bench", description="Measure durable sends beside what else could do the same work."
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="measurements of each row; the table shows their median (5)"
    )
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement (5)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("/var/tmp"),
        help="where the databases lie meanwhile: a real disk (/var/tmp)",
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="ROW", help="measure these rows alone, by their names")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("make bench needs the load generator wrk; on Debian: apt-get install wrk", file=sys.stderr)
        return 2
    # Without a terminal rich would wrap at 80 columns and break the table.
    console = Console(width=None if sys.stdout.isatty() else 150)
    with tempfile.TemporaryDirectory(prefix="shopbell-bench-", dir=options.folder, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # PostgreSQL may have to run as somebody else
        return 0 if run(Path(name), options.rounds, options.seconds, options.only, console) else 1


if __name__ == "__main__":
    sys.exit(main())
