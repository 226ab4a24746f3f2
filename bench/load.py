"""Load: wrk for servers, pgbench for a bare PostgreSQL, and what each of them saw."""

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
FIRST_CUSTOMER = 100_000_000_000
"""The number in the first known customer's e-mail address; twelve digits make all bodies equally long."""


@dataclass(frozen=True)
class Load:
    """What one run of a load generator saw.

    Args:
        answers: requests that were answered, warm-up left out.
        per_s: answers per second.
        p50_ms: half of the answers took no longer; None where the generator does not say.
        fault: why the figures are worth nothing, or None.
    """

    answers: int
    per_s: float
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    fault: str | None = None


@dataclass(frozen=True)
class Door:
    """Whom wrk writes to: a server's port, an API token, a business, and how many customers it knows already from which
    number on (``send.lua``), or how many threads from which id on (``reply.lua``)."""

    port: int
    token: str
    business_id: int
    known: int
    first: int = FIRST_CUSTOMER


def wrk(door: Door, *, connections: int, duration_s: int, timeout_s: int = 10, script: str = "send.lua") -> Load:
    """Send with one thread of wrk over ``connections`` connections, each waiting for its answer before the next."""
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
    """Run a pgbench script from so many clients with prepared statements, on the database of ``environment``."""
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
