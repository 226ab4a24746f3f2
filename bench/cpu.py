"""`make bench-cpu`: compare the CPU time of a message with an earlier commit.

Both versions run at the same time, each in its own process (``in_process.py``), and take turns of a few waves: this
tree, the commit, the commit, this tree. So the machine's other work slows both alike. See docs/performance.md.
"""

import argparse
import io
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import IO, Any

from rich.console import Console
from rich.table import Table

from bench import in_process
from bench.fill import count_in_postgres, count_in_sqlite
from bench.servers import ROOT, SHOPBELL_SETTINGS, SOURCE, Postgres, make_shop

REFERENCE = "564759a"
"""The commit to compare with."""
SENDERS = 64
KNOWN = 10_000
STARTS = 3
"""Starts of both processes per engine: memory layout, and with it speed, differs between starts."""
WARM_UP_WAVES = 40
TURN_WAVES = 8
CONFIDENCE = 0.95
TOLERANCE = 0.02
"""How far the ratio of a commit to itself may be from 1."""
STOP_TIMEOUT_S = 30


@dataclass(frozen=True)
class Turn:
    """The CPU time of a message in one turn, in µs: in the server, and in PostgreSQL's processes."""

    server_us: float
    postgres_us: float


@dataclass(frozen=True)
class Comparison:
    """One row of the table: CPU times of a message, in µs, of this tree and of the commit, in pairs of turns."""

    label: str
    tree_us: Sequence[float]
    commit_us: Sequence[float]

    def ratios(self) -> list[float]:
        """Return this tree's CPU time divided by the commit's, pair by pair."""
        return [tree / commit for tree, commit in zip(self.tree_us, self.commit_us, strict=True)]

    def verdict(self) -> str:
        """Tell whether the two differ by more than noise."""
        ratio, (low, high) = median(self.ratios()), interval(self.ratios())
        if low > 1 and ratio > 1 + TOLERANCE:
            return "costs more"
        if high < 1 and ratio < 1 - TOLERANCE:
            return "costs less"
        return "within noise"


def interval(values: Iterable[float]) -> tuple[float, float]:
    """Return the range that holds the true median with 95 % confidence; all of it for fewer than six values.

    It leaves out as many of the lowest and highest values as the binomial distribution allows, and assumes nothing
    about how the values are distributed.
    """
    ordered = sorted(values)
    count, cut = len(ordered), 0
    outside = 2 / 2**count
    while (outside := outside + 2 * math.comb(count, cut + 1) / 2**count) <= 1 - CONFIDENCE:
        cut += 1
    return ordered[cut], ordered[-1 - cut]


class Version:
    """One version of Shopbell on one empty database.

    Args:
        source: the folder that holds its package.
        folder: the working directory of its processes.
        url: the database's address.
        count: counts the messages in the database.
    """

    def __init__(self, source: Path, folder: Path, url: str, count: Callable[[], int]) -> None:
        self.source = source
        self.folder = folder
        self.url = url
        self.count = count
        self.settings: Mapping[str, str] = {}
        self.email: str | None = None
        self.confirmed = 0

    def work(self, email: str | None) -> None:
        """Let its servers run their worker.

        If there is an address, a business is notified at it by email.
        """
        self.email = email
        # Nothing listens there; emails wait longer than the measurement takes.
        mails = {"SHOPBELL_SMTP_URL": "smtp://127.0.0.1:9", "SHOPBELL_MAIL_FROM": "shop@example.com"}
        self.settings = {"SHOPBELL_RUN_WORKER": "true", **(mails if email else {})}

    def prepare(self) -> None:
        """Create the tables, an organization, a business and a token."""
        self._shop = make_shop(self.url, self.source, email=self.email)

    def start(self, seed: int) -> "Process":
        """Start a server; the first one creates the known customers."""
        create = not self.confirmed
        self.confirmed += KNOWN if create else 0
        return Process(self, in_process.Job(self._shop.token, self._shop.business_id, SENDERS, KNOWN, create, seed))


class Process:
    """A server with senders in it."""

    def __init__(self, version: Version, job: in_process.Job) -> None:
        self._version = version
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the process
        environment = {**os.environ, **SHOPBELL_SETTINGS, "SHOPBELL_DATABASE_URL": version.url}
        environment |= {"SHOPBELL_LOG_LEVEL": "error", "SHOPBELL_RUN_WORKER": "false"}
        environment |= {"PYTHONPATH": str(version.source), **version.settings}
        self._process = subprocess.Popen(
            # -P keeps the modules of this folder off the import path.
            [sys.executable, "-P", in_process.__file__, json.dumps(asdict(job))],
            env=environment,
            cwd=version.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Wait until it serves, and check that it runs the version that it should."""
        package = Path(self._read()["package"])
        if package != self._version.source / "shopbell":
            raise RuntimeError(f"the server runs {package} instead of {self._version.source}")

    def send(self, waves: int) -> float:
        """Send so many waves of messages and return the CPU time of a message, in µs."""
        stdin = _open(self._process.stdin)
        with suppress(BrokenPipeError):  # it has ended; reading tells why
            stdin.write(f"{waves}\n")
            stdin.flush()
        answer = self._read()
        self._version.confirmed += answer["messages"]
        return float(answer["cpu_s"] / answer["messages"] * 1e6)

    def stop(self) -> None:
        """Stop it and wait for its end."""
        with suppress(BrokenPipeError):
            _open(self._process.stdin).close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> Any:
        line = _open(self._process.stdout).readline()
        if not line:
            self.stop()
            self._log.seek(0)
            raise RuntimeError(f"the server of {self._version.source} ended: {self._log.read()}")
        return json.loads(line)


def _open(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise TypeError("the process has no such pipe")
    return pipe


def compare(versions: Sequence[Version], seconds: float, postgres: Postgres | None) -> list[list[Turn]]:
    """Let versions take turns for so long, starts left out, and return the turns of each."""
    turns: list[list[Turn]] = [[] for _ in versions]
    for start in range(STARTS):
        processes = [version.start(start) for version in versions]
        try:
            for process in processes:
                process.wait_until_ready()
            for process in processes:
                process.send(WARM_UP_WAVES)
            end_s = time.monotonic() + seconds / STARTS
            order = range(len(versions))
            while time.monotonic() < end_s:
                for which in order:
                    before_us = cpu_us(postgres)
                    server_us = processes[which].send(TURN_WAVES)
                    postgres_us = (cpu_us(postgres) - before_us) / (TURN_WAVES * SENDERS)
                    turns[which].append(Turn(server_us, postgres_us))
                order = order[::-1]
        finally:
            for process in processes:
                process.stop()
    return turns


def cpu_us(postgres: Postgres | None) -> float:
    """The CPU time that PostgreSQL's running processes have used."""
    total_ns = 0
    for path in Path("/proc").glob("[0-9]*/stat") if postgres else ():
        try:
            parent = path.read_text().rpartition(")")[2].split()[1]
            if postgres and postgres.pid in (int(path.parent.name), int(parent)):
                total_ns += int((path.parent / "schedstat").read_text().split()[0])
        except OSError:  # it has ended
            continue
    return total_ns / 1e3


def check_out(commit: str, source: Path) -> None:
    """Write the source of a commit into a new folder.

    Raises:
        ValueError: the repository has no such commit.
    """
    done = subprocess.run(["git", "archive", f"{commit}:src"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        raise ValueError(f"cannot read commit {commit}; a shallow clone needs `git fetch --unshallow`")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(source, filter="data")


def measure(
    folder: Path, reference: str, seconds: float, postgres: Postgres, *, worker: bool, email: str | None
) -> list[Comparison]:
    """Compare this tree with a commit on both engines, each for so many seconds.

    Args:
        worker: whether the servers run their worker, whose CPU time then counts, too.
        email: the address at which the business is notified, if any.

    Raises:
        RuntimeError: a message was confirmed, but not stored.
        ValueError: the repository has no such commit.
    """
    on_sqlite, on_postgres = [], []
    for name in ("tree", "other"):
        own = folder / name
        own.mkdir()
        source, file = own / "src", own / "shopbell.db"
        if name == "tree":
            shutil.copytree(SOURCE, source)  # what is edited while it runs must not be measured
        else:
            check_out(reference, source)
        on_sqlite.append(Version(source, own, f"sqlite:///{file}", partial(count_in_sqlite, file)))
        postgres.make_database(name)
        on_postgres.append(Version(source, own, postgres.url(name), partial(count_in_postgres, postgres, name)))
    versions = (*on_sqlite, *on_postgres)
    for version in versions if worker else ():
        version.work(email)
    with ThreadPoolExecutor() as pool:
        list(pool.map(Version.prepare, versions))
    turns = [[turn.server_us for turn in side] for side in compare(on_sqlite, seconds, None)]
    rows = [Comparison("SQLite", *turns)]
    both = compare(on_postgres, seconds, postgres)
    rows.append(Comparison("PostgreSQL", *([turn.server_us for turn in side] for side in both)))
    rows.append(Comparison("PostgreSQL's own processes", *([turn.postgres_us for turn in side] for side in both)))
    for version in versions:
        if version.count() < version.confirmed:
            raise RuntimeError(f"{version.confirmed:,} messages confirmed, but only {version.count():,} stored")
    return rows


def table(rows: Sequence[Comparison], reference: str) -> Table:
    """Return the table of what was measured."""
    result = Table(title="CPU time of a message to the widget route", title_justify="left")
    result.add_column("", no_wrap=True)
    for heading in ("this tree, µs", f"{reference}, µs", "ratio", "95 % interval"):
        result.add_column(heading, justify="right", no_wrap=True)
    result.add_column("", no_wrap=True)
    for row in rows:
        low, high = interval(row.ratios())
        figures = (f"{median(row.tree_us):.1f}", f"{median(row.commit_us):.1f}", f"{median(row.ratios()):.3f}")
        result.add_row(row.label, *figures, f"{low:.3f} – {high:.3f}", row.verdict())
    return result


def main() -> int:
    """Read the options, measure and clean up; return 2 when the repository does not have the commit."""
    parser = argparse.ArgumentParser("make bench-cpu", description="Compare the CPU time of a message with a commit's.")
    parser.add_argument("--reference", default=REFERENCE, metavar="COMMIT", help=f"what to compare with ({REFERENCE})")
    parser.add_argument("--seconds", type=float, default=20, help="time for each engine, starts left out (20)")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where the databases are (/var/tmp)")
    parser.add_argument("--worker", action="store_true", help="let the servers run their worker")
    parser.add_argument("--email", help="with --worker: let it notify the business at this address")
    options = parser.parse_args()
    # Without a terminal rich would wrap at 80 columns and break the table.
    console = Console(width=None if sys.stdout.isatty() else 150)
    begin_s = time.monotonic()
    console.print(
        f"{os.cpu_count()} cores ({platform.machine()}), load average {os.getloadavg()[0]:.1f} before the start, "
        f"Python {platform.python_version()}; {SENDERS} messages at once, {KNOWN:,} known customers"
    )
    with tempfile.TemporaryDirectory(prefix="shopbell-bench-", dir=options.folder, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, PostgreSQL runs as another user
        (folder / "postgres").mkdir()
        postgres = Postgres(folder / "postgres")
        try:
            rows = measure(
                folder, options.reference, options.seconds, postgres, worker=options.worker, email=options.email
            )
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
        finally:
            postgres.stop()
    console.print(table(rows, options.reference))
    pairs = " and ".join(str(len(row.tree_us)) for row in rows[:2])
    console.print(f"Medians of {pairs} pairs of turns, measured in {time.monotonic() - begin_s:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
