"""`.venv/bin/python -m bench.imports`: measure time and memory of an import of a large file into SQLite.

The file has tickets of Zendesk with five comments each, by a tenth as many customers. See docs/import.md.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.servers import SHOPBELL_SETTINGS

COMMENTS = 5
WORDS = ("where", "is", "my", "order", "it", "was", "sent", "to", "you", "on", "monday", "thanks", "parcel", "number")
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=2)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command and prints its largest memory in KiB."""


def tickets(megabytes: int) -> Iterator[dict[str, object]]:
    """Tickets that fill a file of this size."""
    chance = random.Random(7)
    size, number = 0, 0
    while size < megabytes * 1_000_000:
        number += 1
        at_s = 1_600_000_000 + number * 60
        customer = chance.randrange(1 + number // 10)
        comments = [
            {
                "id": number * 10 + place,
                "author_id": customer if place % 2 == 0 else -1,
                "body": " ".join(chance.choices(WORDS, k=chance.randint(5, 150))),
                "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s + place)),
            }
            for place in range(COMMENTS)
        ]
        requester = {"id": customer, "name": f"Customer {customer}", "email": f"customer{customer}@example.com"}
        ticket = {"id": number, "requester_id": customer, "requester": requester, "status": "solved"}
        ticket |= {"subject": f"Order {number}", "tags": [f"tag {number % 20}"], "comments": comments}
        size += len(json.dumps(ticket)) + 1
        yield ticket


def measure(environment: dict[str, str], *arguments: str) -> tuple[float, int]:
    """Run a command of Shopbell; returns seconds and MiB of memory."""
    command = [sys.executable, "-m", "shopbell", *arguments]
    begin_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *command], check=True, stdout=subprocess.PIPE, env=environment, timeout=3_600
    )
    return time.monotonic() - begin_s, int(done.stdout) // 1024


def main() -> None:
    """Measure a dry run and an import."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--megabytes", type=int, default=100, help="the size of the file")
    parser.add_argument("--only-dry-run", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shopbell-bench-") as folder:
        url = f"sqlite:///{folder}/shopbell.db"
        environment = dict(os.environ) | SHOPBELL_SETTINGS | {"SHOPBELL_DATABASE_URL": url, "TMPDIR": folder}
        for command in (("organization", "create", "Acme"), ("business", "create", "--organization", "12344", "Acme")):
            measure(environment, *command)
        path = Path(folder) / "tickets.json"
        with path.open("w") as file:
            count = sum(1 for each in tickets(given.megabytes) if file.write(json.dumps(each) + "\n"))
        print(f"{count} tickets with {count * COMMENTS} comments, {path.stat().st_size / 1e6:.0f} MB")
        command = ("import", "zendesk", str(path), "--organization", "12344", "--business", "12345")
        for options in (("--dry-run",),) if given.only_dry_run else (("--dry-run",), ()):
            seconds, mebibytes = measure(environment, *command, *options)
            print(f"{' '.join(options) or 'import'}: {seconds:.0f} s, {mebibytes} MiB")


if __name__ == "__main__":
    main()
