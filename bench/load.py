"""Generate load with wrk (servers) or pgbench (PostgreSQL), and read the results."""

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
FIRST_CUSTOMER = 100_000_000_000
"""The number in the first known customer's email address; twelve digits make all bodies equally long."""


@dataclass(frozen=True)
class Load:
    """The results of one run of a load generator.

    Args:
        answers: requests that got a response, without the warm-up.
        per_s: responses per second.
        p50_ms: the median latency; None if the generator does not report it.
        fault: why the figures are invalid, or None.
    """

    answers: int
    per_s: float
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    fault: str | None = None


@dataclass(frozen=True)
class Door:
    """The target of wrk: a port, an API token, a business, and a range of known records.

    The range is the numbers of known customers (``send.lua``) or the ids of threads (``reply.lua``).
    """

    port: int
    token: str
    business_id: int
    known: int
    first: int = FIRST_CUSTOMER


def wrk(
    door: Door,
    *,
    connections: int,
    duration_s: int,
    timeout_s: int = 10,
    script: str = "send.lua",
    pause_ms: int = 0,
) -> Load:
    """Send with one thread of wrk over ``connections`` connections.

    Each connection has one request at a time, and waits ``pause_ms`` after its response.
    """
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{duration_s}s",
        "--timeout",
        f"{timeout_s}s",
        "-s",
        str(HERE / script),
    ]
    command += [
        f"http://127.0.0.1:{door.port}/",
        "--",
        door.token,
        str(door.business_id),
        str(door.first),
        str(door.known),
        str(pause_ms),
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seen = json.loads(output.split("MEASURED ", 1)[1])
    fault = None
    if seen["refused"] or seen["broken"]:
        fault = f"{seen['refused']} answers of 400 and above, {seen['broken']} broken or late"
    return Load(
        answers=seen["answers"],
        per_s=seen["answers"] / (seen["duration_us"] / 1e6),
        p50_ms=seen["p50_us"] / 1e3,
        p95_ms=seen["p95_us"] / 1e3,
        p99_ms=seen["p99_us"] / 1e3,
        fault=fault,
    )


def pgbench(
    program: Path,
    script: str,
    environment: Mapping[str, str],
    variables: Mapping[str, int],
    *,
    clients: int,
    duration_s: int,
) -> Load:
    """Run a pgbench script from several clients with prepared statements.

    ``environment`` names the database.
    """
    command = [
        str(program),
        "--no-vacuum",
        "--protocol=prepared",
        f"--client={clients}",
        "--jobs=1",
        f"--time={duration_s}",
    ]
    command += [f"--define={name}={value}" for name, value in variables.items()]
    done = subprocess.run(
        [*command, f"--file={HERE / script}"], capture_output=True, text=True, check=True, env=dict(environment)
    )
    answers = _number(r"number of transactions actually processed: (\d+)", done.stdout)
    failed = _number(r"number of failed transactions: (\d+)", done.stdout)
    return Load(
        answers=int(answers),
        per_s=_number(r"tps = ([\d.]+) \(without initial connection time\)", done.stdout),
        fault=f"{failed:.0f} transactions failed" if failed else None,
    )


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"pgbench did not say {pattern!r}")
    return float(found.group(1))
