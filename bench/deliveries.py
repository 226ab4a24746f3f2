"""Benchmark webhooks: the cost of queueing, the throughput of one worker, the latency."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.load import Load
from bench.servers import ROOT, SHOPBELL_SETTINGS, Server, Shop

ALLOW = {"SHOPBELL_OUTBOUND_ALLOW": "127.0.0.0/8"}
DRAIN_TIMEOUT_S = 120
PACED_PER_S = 100
NOTICE_S = 3
"""The time in which a server notices its first webhook."""


@contextmanager
def receiver() -> Iterator[Server]:
    """A receiver that only counts."""
    server = Server("bench.receiver", "{port}", environment={}, ready="/")
    try:
        yield server
    finally:
        server.stop()


def seen(server: Server) -> dict[str, Any]:
    """Return what a receiver has counted since the last call."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/seen", timeout=10) as answer:
        got: dict[str, Any] = json.load(answer)
    return got


def subscribe(server: Server, shop: Shop, webhooks: int, receiver_port: int) -> None:
    """Create webhooks for messages."""
    for _ in range(webhooks):
        body = {"url": f"http://127.0.0.1:{receiver_port}/", "subscribedEvents": ["messages"]}
        post(server, shop, "/api/webhooks", body)


def post(server: Server, shop: Shop, path: str, body: Mapping[str, object]) -> Any:
    """Send one request as the shop."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}",
        data=json.dumps(body).encode(),
        headers={"token": shop.token, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def bare_loop(*, concurrency: int, duration_s: int) -> Load:
    """The same client posting without any database."""
    with receiver() as server:
        command = [sys.executable, "-m", "bench.bare_loop", str(server.port), str(concurrency), str(duration_s)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    per_s = float(done.stdout)
    return Load(answers=round(per_s * duration_s), per_s=per_s)


def one_worker(database_url: str, source: Path, receiver: Server, *, duration_s: int) -> Load:
    """Let one worker of a version deliver for a while; the queue must hold more than it can deliver."""
    environment = {**os.environ, **SHOPBELL_SETTINGS, **ALLOW, "SHOPBELL_DATABASE_URL": database_url}
    environment["PYTHONPATH"] = str(source)
    seen(receiver)
    with tempfile.TemporaryFile("w+") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "shopbell", "worker"], env=environment, cwd=ROOT, stdout=log, stderr=log
        )
        try:
            deadline_s = time.monotonic() + DRAIN_TIMEOUT_S
            while not seen(receiver)["count"] and time.monotonic() < deadline_s:
                time.sleep(0.05)
            time.sleep(0.5)  # what is new is made and compiled by then
            seen(receiver)
            time.sleep(duration_s)
            got = seen(receiver)
        finally:
            worker.terminate()
            worker.wait(DRAIN_TIMEOUT_S)
    fault = None if got["count"] > 1 and got["seconds"] > 0.9 * duration_s else "too little waited"
    return Load(got["count"], got["count"] / duration_s, fault=fault)


def paced(server: Server, shop: Shop, receiver: Server, *, duration_s: int) -> Load:
    """Send at a steady rate to a server that delivers; measure the time from event to arrival.

    The first second, in which a worker builds its statements, does not count.
    """
    count = PACED_PER_S * duration_s
    for events in (PACED_PER_S, count):
        seen(receiver)
        begun_s = time.monotonic()
        for number in range(events):
            time.sleep(max(0.0, begun_s + number / PACED_PER_S - time.monotonic()))
            user = {"email": f"paced{number % 50}@example.com"}
            body = {"businessId": shop.business_id, "message": "Hello, I need help with my order.", "user": user}
            post(server, shop, "/api/widget/send-message-to-business", body)
        time.sleep(1)
    got = seen(receiver)
    fault = None if got["count"] == count else f"{count} events, {got['count']} arrived"
    return Load(got["count"], got["count"] / duration_s, got["p50_ms"], got["p95_ms"], got["p99_ms"], fault)
