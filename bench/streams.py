"""The benchmark's rows about live streams: what an open one takes, and how late a reply arrives in one."""

import http.client
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Connection

from bench.load import Load
from bench.servers import ROOT, SHOPBELL_SETTINGS, Server, Shop
from shopbell.customers import sessions
from shopbell.db.connect import open_database
from shopbell.security.keys import load
from shopbell.settings.settings import Settings

REPLIES_PER_S = 50
HOLD_S = 22
"""Longer than the time between two heartbeats."""
SETTLE_S = 2
"""Seconds in which what is under way comes to its end."""


def make_sessions(database_url: str, shop: Shop, first_thread: int, customers: int, count: int) -> list[str]:
    """Begin ``count`` sessions; return their tokens.

    Each thread gets one session, then each a second one, and so on.

    Args:
        database_url: the database.
        shop: the organization and business of the threads.
        first_thread: the id of the first thread.
        customers: the number of threads. The id of a thread minus this number is the id of its customer.
        count: the number of sessions.
    """
    secret = SecretStr(SHOPBELL_SETTINGS["SHOPBELL_SECRET_KEY"])
    settings = Settings(database_url=database_url, secret_key=secret)
    keys = load(settings).derive(sessions.KEY_PURPOSE)
    now_ms = time.time_ns() // 1_000_000

    def work(tx: Connection) -> list[str]:
        tokens = []
        for number in range(count):
            thread_id = first_thread + number % customers
            whose = (tx, keys, shop.organization_id, "page", thread_id - customers)
            tokens.append(sessions.create(*whose, thread_id=thread_id, now_ms=now_ms)[1])
        return tokens

    database = open_database(settings)
    try:
        return database.write_now(work)
    finally:
        database.engine.dispose()


@contextmanager
def listening(server: Server, tokens: Sequence[str]) -> Iterator["Listening"]:
    """Hold a stream open for each token, from a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.listeners"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    listening = Listening(process)
    try:
        listening.say(server.port, *tokens, "")
        if listening.hear() != "open":
            raise RuntimeError("not all streams could be opened")
        yield listening
    finally:
        process.terminate()
        process.communicate()


class Listening:
    """The other side's process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def say(self, *lines: object) -> None:
        """Write lines to it."""
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{line}\n" for line in lines))
        self._process.stdin.flush()

    def hear(self) -> str:
        """Read a line of it."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def held(server: Server, tokens: Sequence[str]) -> tuple[Load, float]:
    """Open streams, and hold them for longer than a heartbeat; gives what each of them takes, in bytes, too."""
    with listening(server, tokens[:1]):  # what the first one loads is not the others' cost
        pass
    time.sleep(SETTLE_S)
    before_bytes, begun_s = resident_bytes(server.pid), time.monotonic()
    with listening(server, tokens) as streams:
        took_s = time.monotonic() - begun_s
        time.sleep(HOLD_S)
        each_bytes = (resident_bytes(server.pid) - before_bytes) / len(tokens)
        streams.say("")
        ended = json.loads(streams.hear())["ended"]
    fault = f"{ended} streams ended" if ended else None
    return Load(len(tokens), len(tokens) / took_s, fault=fault), each_bytes


def late(
    server: Server, shop: Shop, tokens: Sequence[str], first_thread: int, customers: int, *, duration_s: int
) -> Load:
    """Reply at a steady rate in threads that have streams.

    Measures how long after its response each reply arrives. A reply that arrives before its response counts as 0 ms
    late. The times are from the last stream of a thread in which it arrives.
    """
    answered: dict[int, int] = {}
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    headers = {"token": shop.token, "Content-Type": "application/json"}
    with listening(server, tokens) as streams:
        begun_s = time.monotonic()
        for number in range(REPLIES_PER_S * duration_s):
            time.sleep(max(0.0, begun_s + number / REPLIES_PER_S - time.monotonic()))
            thread_id = first_thread + random.randrange(min(len(tokens), customers))
            body = {"customerThreadId": str(thread_id), "text": "Your order is on its way."}
            connection.request("POST", "/api/send-message-to-customer-thread", json.dumps(body), headers)
            got = json.loads(connection.getresponse().read())
            answered[int(got["messageId"])] = time.monotonic_ns()
        took_s = time.monotonic() - begun_s
        time.sleep(SETTLE_S)
        streams.say("")
        heard = json.loads(streams.hear())
    arrived = dict(heard["arrived"])
    late_ms = sorted(max(0, arrived[id_] - at_ns) / 1e6 for id_, at_ns in answered.items() if id_ in arrived)
    fault = None
    if len(late_ms) < len(answered) or heard["ended"]:
        fault = f"{len(answered)} replies, {len(late_ms)} arrived; {heard['ended']} streams ended"
    p50_ms, p95_ms, p99_ms = (late_ms[int(len(late_ms) * part)] if late_ms else None for part in (0.5, 0.95, 0.99))
    return Load(len(late_ms), len(answered) / took_s, p50_ms, p95_ms, p99_ms, fault)


def resident_bytes(pid: int) -> int:
    """The memory that a process has now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
