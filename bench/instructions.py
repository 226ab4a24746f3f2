"""Compare the instructions of the hot path with stored counts.

A part of `make check`. It counts the instructions of a message and of a delivered event. Unlike times, counts do not
depend on what else the machine does, so `make check` can compare them. Each row has a process of its own, on a new
SQLite database. What is counted: see ``COUNTED`` and docs/performance.md.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from bench.servers import ROOT, SHOPBELL_SETTINGS, SOURCE, Shop, make_shop
from shopbell.db.sqlite import driver

STORED = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.05
ROWS = {"message": "a message to the widget route", "delivery": "an event delivered to a webhook"}
COUNTED = {
    "python": "Python instructions, of the product and its libraries",
    "sqlite": "instructions of SQLite's virtual machine",
    "statements": "statements that are sent to SQLite, per 64 messages or events",
}
TIMEOUT_S = 120

Counts = dict[str, dict[str, float]]
"""By row, and by what is counted."""


def measure() -> Counts:
    """Count all rows, at the same time."""
    with tempfile.TemporaryDirectory(prefix="shopbell-guard-") as name, ThreadPoolExecutor() as pool:
        folder = Path(name)
        shop = make_shop(f"sqlite:///{folder}/empty.db")
        for row in ROWS:
            shutil.copy(folder / "empty.db", folder / f"{row}.db")
        return dict(zip(ROWS, pool.map(partial(_measured, folder, shop), ROWS), strict=True))


def _measured(folder: Path, shop: Shop, row: str) -> dict[str, float]:
    environment = {**os.environ, **SHOPBELL_SETTINGS, "SHOPBELL_LOG_LEVEL": "error", "SHOPBELL_RUN_WORKER": "false"}
    environment |= {"SHOPBELL_DATABASE_URL": f"sqlite:///{folder}/{row}.db", "SHOPBELL_OUTBOUND_ALLOW": "127.0.0.0/8"}
    # The process of the deliveries first runs a server. The server's shutdown timeout would end the process.
    environment |= {"SHOPBELL_SHUTDOWN_TIMEOUT_S": str(TIMEOUT_S)}
    # Sets and dictionaries have the same order in each run.
    environment |= {"PYTHONPATH": f"{SOURCE}{os.pathsep}{ROOT}", "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "bench.counting", row, shop.token, str(shop.business_id)]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode or not done.stdout:
        raise RuntimeError(f"counting {ROWS[row]} failed ({done.returncode}):\n{done.stderr}")
    counts: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return counts


def increases(stored: Counts, now: Counts) -> list[str]:
    """Describe each count that has risen by more than 5 %."""
    return [
        f"{ROWS[row]}: {COUNTED[name]}: {stored[row][name]:,.0f} → {count:,.0f} ({count / stored[row][name] - 1:+.1%})"
        for row, counts in now.items()
        for name, count in counts.items()
        if count > stored[row][name] * (1 + TOLERANCE)
    ]


def versions() -> dict[str, str]:
    """What the counts depend on besides the code.

    Other versions have other instructions.
    """
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "sqlite": driver.sqlite_version,
        "machine": platform.machine(),
    }


def report(stored: Mapping[str, object], now: Counts) -> None:
    """Print the counts next to the stored ones."""
    old = stored.get("counts")
    for row, counts in now.items():
        for name, count in counts.items():
            before = old[row][name] if isinstance(old, dict) and row in old else None
            change = "" if before is None else f"  stored {before:>8,.0f}  {count / before - 1:+.1%}"
            print(f"{ROWS[row]:<34} {COUNTED[name]:<62} {count:>8,.0f}{change}")


def main() -> int:
    """Count, then store or compare; return 1 if a count has risen by more than 5 %."""
    parser = argparse.ArgumentParser(
        "make guard", description="Compare the instructions of a message with stored ones."
    )
    parser.add_argument("--store", action="store_true", help="store the new counts")
    options = parser.parse_args()
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    here = versions()
    if not options.store and stored.get("versions") != here:
        print(f"The stored counts are those of {stored.get('versions')}, not of {here}: nothing to compare.")
        return 0
    now = measure()
    report(stored, now)
    if options.store:
        STORED.write_text(json.dumps({"versions": here, "counts": now}, indent=2) + "\n")
        return 0
    if risen := increases(stored["counts"], now):
        print(
            f"\nThe hot path takes over {TOLERANCE:.0%} more instructions than the stored counts allow:",
            file=sys.stderr,
        )
        for line in risen:
            print(f"  {line}", file=sys.stderr)
        print(
            "Find what was added (`git diff`, `make bench-cpu`, a profile) and make it cheaper. If it is worth its "
            "cost, run `make guard-store`, and give the reason in the commit that changes bench/instructions.json.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
