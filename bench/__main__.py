"""Run all contestants in turn, in rounds.

Both sides of a ratio are then measured under the same conditions.
"""

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

from bench import inbox_page, report
from bench.contest import KNOWN, Contest, Result
from bench.cpu import REFERENCE, check_out

SYNC_TRIES = 300
PAGE_BYTES = 4096
STREAMS = 15_000
FEW_STREAMS = 1_000
FULL_ROWS = ("sqlite full 256", "sqlite cold", "postgresql full 256")
"""The rows that need ten million messages."""
QUIET_LOAD = 0.7
"""The load average of the last minute above which something else is running."""


def plan(contest: Contest) -> dict[str, tuple[str, Callable[[], Result]]]:
    """Return label and measurement of every row of the table, in the order of a round."""
    sqlite, postgresql = contest.sqlite, contest.postgresql
    ours, orm, bare = contest.shopbell, contest.orm, contest.pgbench
    several, one = "pgbench, several statements per message", "pgbench, one function call per message"
    on_full = "on 10,000,000 messages"
    return {
        "no storage 64": ("without storage, 64", partial(contest.without_storage, sqlite, connections=64)),
        "sqlite 64": ("SQLite, 64", partial(ours, sqlite, connections=64)),
        "orm sqlite 64": ("ORM session per request, SQLite, 64", partial(orm, sqlite, connections=64)),
        "no storage 256": ("without storage, 256", partial(contest.without_storage, sqlite, connections=256)),
        "sqlite 256": ("SQLite, 256", partial(ours, sqlite, connections=256)),
        "sqlite full 256": (f"SQLite {on_full}, 256", partial(ours, contest.sqlite_full, connections=256)),
        "sqlite cold": (f"last messages of a conversation, SQLite {on_full}, not cached, 1", contest.cold_reads),
        "orm postgresql 64": ("ORM session per request, PostgreSQL, 64", partial(orm, postgresql, connections=64)),
        "statements 64": (f"{several}, 64", partial(bare, "statements.sql", connections=64)),
        "postgresql 64": ("PostgreSQL, 64", partial(ours, postgresql, connections=64)),
        "function 64": (f"{one}, 64", partial(bare, "function.sql", connections=64)),
        "postgresql 256": ("PostgreSQL, 256", partial(ours, postgresql, connections=256)),
        "postgresql full 256": (f"PostgreSQL {on_full}, 256", partial(ours, contest.postgresql_full, connections=256)),
        **_before(contest),
        **_about_webhooks(contest),
        **_about_streams(contest),
        **_about_the_inbox(contest),
        "statements 16": (f"{several}, 16", partial(bare, "statements.sql", connections=16)),
        "function 16": (f"{one}, 16", partial(bare, "function.sql", connections=16)),
    }


def _before(contest: Contest) -> dict[str, tuple[str, Callable[[], Result]]]:
    """The rows of the earlier version."""
    rows: dict[str, tuple[str, Callable[[], Result]]] = {}
    for name, label, data in (
        ("sqlite", "SQLite before", contest.sqlite_before),
        ("postgresql", "PostgreSQL before", contest.postgresql_before),
    ):
        rows |= {
            f"{name} before 64": (f"{label}, 64", partial(contest.shopbell, data, connections=64)),
            f"{name} before 256": (f"{label}, 256", partial(contest.shopbell, data, connections=256)),
            f"{name} before delivered": (
                f"{label}, with 1 webhook, delivered at the same time, 64",
                partial(contest.promising, data, webhooks=1, connections=64, delivers=True),
            ),
            f"worker {name} before 1": (
                f"one worker, {label}, one webhook, 8",
                partial(contest.worker, data, webhooks=1),
            ),
            f"paced {name} before": (
                f"events at 100/s until received, {label}, 8",
                partial(contest.paced, data),
            ),
        }
    return rows


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
            f"{name} half": (f"{label}, with 1 webhook, at half the rate, 256", partial(contest.at_half_rate, data)),
            f"paced {name}": (f"events at 100/s until received, {label}, 8", partial(contest.paced, data)),
        }
        for count in (1, 10):
            rows[f"{name} promised {count}"] = (
                f"{label}, with {count} webhook(s), only queued, 64",
                partial(contest.promising, data, webhooks=count, connections=64),
            )
        rows[f"{name} delivered"] = (
            f"{label}, with 1 webhook, delivered at the same time, 64",
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
                f"opening streams, {label}, {STREAMS:,}",
                partial(contest.held, data, count=STREAMS),
            ),
            f"stream latency {name}": (
                f"replies at 50/s into streams, {label}, {STREAMS:,}",
                partial(contest.late, data, count=STREAMS),
            ),
            f"few streams latency {name}": (
                f"replies at 50/s into streams, {label}, {FEW_STREAMS:,}",
                partial(contest.late, data, count=FEW_STREAMS),
            ),
        }
    return rows


def _about_the_inbox(contest: Contest) -> dict[str, tuple[str, Callable[[], Result]]]:
    """The rows about the inbox, with 10,000 conversations."""
    rows: dict[str, tuple[str, Callable[[], Result]]] = {}
    for name, label, data in (
        ("sqlite", "SQLite", contest.sqlite_inbox),
        ("postgresql", "PostgreSQL", contest.postgresql_inbox),
    ):
        rows |= {
            f"inbox list {name}": (f"list, {label}", partial(contest.inbox_list, data)),
            f"inbox page {name}": (f"page, {label}", partial(contest.inbox_page, data, inbox_page.work)),
        }
    memory = "page, 1,000 switches and 500 live messages"
    rows["inbox memory"] = (memory, partial(contest.inbox_page, contest.sqlite_inbox, inbox_page.stay))
    return rows


def label_of(row: str, label: str) -> str:
    """What the tables call a row: the load on all but the inbox is a number of connections."""
    return label if row.startswith("inbox") else f"{label} connections"


def sync_ms(folder: Path) -> float:
    """Return the median time to append one page and fsync it."""
    times = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(SYNC_TRIES):
            file.write(b"\0" * PAGE_BYTES)
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begun)
    return median(times) * 1e3


def run(folder: Path, rounds: int, duration_s: int, only: Sequence[str], console: Console) -> bool:
    """Measure all rows or those in ``only``, and print the tables.

    Returns whether all results are valid.
    """
    busy = os.getloadavg()[0]
    console.print(
        f"{os.cpu_count()} cores ({platform.machine()}), load average {busy:.1f} before the start, "
        f"Python {platform.python_version()}, fdatasync p50 {sync_ms(folder):.2f} ms; wrk with one thread on them; "
        f"{rounds} rounds of {duration_s} s a row, all rows in turn; "
        f"90 % returning customers, out of {KNOWN:,} known ones (1,100,000 on 10,000,000 messages)"
    )
    if busy > QUIET_LOAD:
        console.print("[red]Something else is running here: the figures say little, their ratios not much more.[/]")
    progress = Console(stderr=True)
    contest = Contest(folder, duration_s)
    try:
        with progress.status("filling the databases") as status:
            before = folder / "source"
            check_out(REFERENCE, before)
            contest.prepare(before=before, full={name.split()[0] for name in only or FULL_ROWS if name in FULL_ROWS})
            rows = {name: row for name, row in plan(contest).items() if not only or name in only}
            labels = {row: label_of(row, label) for row, (label, _) in rows.items()}
            results: dict[str, list[Result]] = {row: [] for row in rows}
            for number in range(rounds):
                for row, (_, measure) in rows.items():
                    status.update(f"round {number + 1} of {rounds}: {labels[row]}")
                    results[row].append(measure())
    finally:
        contest.postgres.stop()
    for table in (report.measured(results, labels), report.inbox(results, labels), report.goals(results)):
        if table.row_count:
            console.print(table)
    return report.is_valid(results)


def main() -> int:
    """Read the options, measure, clean up; return 1 if a result is invalid, 2 if wrk or Chromium is missing."""
    parser = argparse.ArgumentParser(
        "make bench", description="Compare durable sends with other ways to do the same work."
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="measurements of each row; the table shows their median (5)"
    )
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement (5)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("/var/tmp"),
        help="folder for the databases; it must be on a real disk (/var/tmp)",
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="ROW", help="measure these rows alone, by their names")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("make bench needs the load generator wrk; on Debian: apt-get install wrk", file=sys.stderr)
        return 2
    if inbox_page.chromium() is None:
        print("make bench needs Chromium for the inbox; on Debian: apt-get install chromium", file=sys.stderr)
        return 2
    # Without a terminal rich would wrap at 80 columns and break the table.
    console = Console(width=None if sys.stdout.isatty() else 190)
    with tempfile.TemporaryDirectory(prefix="shopbell-bench-", dir=options.folder, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # PostgreSQL may run as another user
        return 0 if run(Path(name), options.rounds, options.seconds, options.only, console) else 1


if __name__ == "__main__":
    sys.exit(main())
