"""Watch the memory of a server under a steady, modest load.

Run it with `python -m bench.steady --minutes 120`. The server has webhooks, live streams and a database with known
customers. Each minute it prints what the process holds, and at the end the growth of the resident memory: the slope of
the least-squares line through the second half. The exit code is 1 if a message was refused or not stored, an event did
not arrive, or a stream ended.
"""

import argparse
import http.client
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import linear_regression

from bench import deliveries, streams
from bench.fill import count_in_postgres, count_in_sqlite, fill_postgres, fill_sqlite
from bench.load import FIRST_CUSTOMER
from bench.servers import Postgres, Server, Shop, make_shop

KNOWN = 10_000
SENDERS = 8
SHARE_OF_NEW = 0.1
DRAIN_S = 10
"""Seconds after the last message in which its events arrive."""


@dataclass(frozen=True)
class Sample:
    """What a server's processes use at one moment.

    Memory is in MB (10^6 bytes); ``own_mb`` leaves out the pages of files.
    """

    minute: float
    resident_mb: float
    own_mb: float
    descriptors: int
    threads: int


def sample(pid: int, minute: float) -> Sample:
    """Measure a process and those that it has started."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    resident_mb = own_mb = 0.0
    descriptors = threads = 0
    for each in (pid, *children):
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{each}/status").read_text().splitlines())
        resident_mb += _mb(fields["VmRSS"])
        own_mb += _mb(fields["RssAnon"])
        descriptors += sum(1 for _ in Path(f"/proc/{each}/fd").iterdir())
        threads += int(fields["Threads"])
    return Sample(minute, resident_mb, own_mb, descriptors, threads)


def _mb(kilobytes: str) -> float:
    return int(kilobytes.split()[0]) * 1024 / 1e6


def growth_mb_per_minute(samples: Sequence[Sample]) -> float:
    """Return the slope of the least-squares line through the resident memory.

    0.0 for fewer than two samples.
    """
    if len(samples) < 2:
        return 0.0
    return linear_regression([each.minute for each in samples], [each.resident_mb for each in samples]).slope


class Senders:
    """Threads that send messages at a steady rate.

    Most are from known customers, the rest from new ones. A sender that is late sends at once, without catching up more
    than a second.
    """

    def __init__(self, port: int, shop: Shop, per_s: float) -> None:
        self._port = port
        self._shop = shop
        self._pause_s = SENDERS / per_s
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(seed,)) for seed in range(SENDERS)]
        self.stored = [0] * SENDERS
        self.refused = [0] * SENDERS

    def start(self) -> None:
        """Start to send."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop, and wait for the last responses."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _send(self, number: int) -> None:
        chance = random.Random(number)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        headers = {"token": self._shop.token, "Content-Type": "application/json"}
        next_s = time.monotonic() + chance.random() * self._pause_s
        while not self._ended.wait(max(0.0, next_s - time.monotonic())):
            next_s = max(next_s + self._pause_s, time.monotonic() - 1)
            customer = FIRST_CUSTOMER + chance.randrange(KNOWN)
            if chance.random() < SHARE_OF_NEW:
                customer = chance.randrange(2 * FIRST_CUSTOMER, 9 * FIRST_CUSTOMER)
            user = {"email": f"c{customer}@example.com", "locale": "en"}
            body = {"businessId": self._shop.business_id, "message": "Hello, I need help with my order.", "user": user}
            try:
                connection.request("POST", "/api/widget/send-message-to-business", json.dumps(body), headers)
                response = connection.getresponse()
                response.read()
                (self.stored if response.status == 200 else self.refused)[number] += 1
            except (OSError, http.client.HTTPException):
                self.refused[number] += 1
                connection.close()
        connection.close()


@dataclass(frozen=True)
class Plan:
    """What to run, and for how long."""

    minutes: float
    per_s: float
    streams: int
    webhooks: int


def watch(plan: Plan, url: str, shop: Shop, first_thread: int, count: Callable[[], int]) -> bool:
    """Run the load; print a line each minute, and the growth at the end.

    Returns whether nothing was lost.
    """
    tokens = streams.make_sessions(url, shop, first_thread, KNOWN, plan.streams)
    before = count()
    with ExitStack() as stack:
        receiver = stack.enter_context(deliveries.receiver())
        server = Server.of_shopbell(url)
        stack.callback(server.stop)
        deliveries.subscribe(server, shop, plan.webhooks, receiver.port)
        time.sleep(deliveries.NOTICE_S)
        listening = stack.enter_context(streams.listening(server, tokens)) if tokens else None
        senders = Senders(server.port, shop, plan.per_s)
        begin_s = time.monotonic()
        samples: list[Sample] = []
        received = 0
        senders.start()
        try:
            for minute in range(1, int(plan.minutes) + 1):
                time.sleep(max(0.0, begin_s + minute * 60 - time.monotonic()))
                samples.append(sample(server.pid, minute))
                received += deliveries.seen(receiver)["count"]
                _print(samples[-1], sum(senders.stored), sum(senders.refused), received)
        finally:
            senders.stop()
        stored, refused = sum(senders.stored), sum(senders.refused)
        expected = stored * plan.webhooks
        deadline_s = time.monotonic() + DRAIN_S
        while received < expected and time.monotonic() < deadline_s:
            time.sleep(0.5)
            received += deliveries.seen(receiver)["count"]
        ended = 0
        if listening is not None:
            listening.say("")
            ended = json.loads(listening.hear())["ended"]
    lost = stored - (count() - before)
    half = samples[len(samples) // 2 :]
    print(
        f"{stored:,} messages, {refused} refused, {max(0, lost)} not stored; "
        f"{received:,} of {expected:,} events arrived; {ended} of {len(tokens)} streams ended."
    )
    print(
        f"Growth of the resident memory: {growth_mb_per_minute(samples):+.3f} MB a minute over {len(samples)} minutes, "
        f"{growth_mb_per_minute(half):+.3f} over the last {len(half)}."
    )
    return refused == 0 and lost <= 0 and received >= expected and ended == 0


def _print(now: Sample, stored: int, refused: int, received: int) -> None:
    print(
        f"minute {now.minute:>4.0f}: {now.resident_mb:6.1f} MB, {now.own_mb:6.1f} without files, "
        f"{now.descriptors} descriptors, {now.threads} threads; "
        f"{stored:,} stored, {refused} refused, {received:,} events",
        flush=True,
    )


def main() -> int:
    """Read the options, run the load and clean up; return 1 if anything was lost."""
    parser = argparse.ArgumentParser("bench.steady", description="Watch a server's memory under a steady load.")
    parser.add_argument("--minutes", type=float, default=120, help="how long (120)")
    parser.add_argument("--per-s", type=float, default=150, help="messages per second (150)")
    parser.add_argument("--streams", type=int, default=20, help="live streams of customers (20)")
    parser.add_argument("--webhooks", type=int, default=2, help="webhooks that receive each message (2)")
    parser.add_argument("--postgresql", action="store_true", help="use PostgreSQL instead of SQLite")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where the database is (/var/tmp)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the server and its clients, as Ctrl-C does
    plan = Plan(options.minutes, options.per_s, options.streams, options.webhooks)
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="shopbell-steady-", dir=options.folder, ignore_cleanup_errors=True)
            )
        )
        folder.chmod(0o755)  # as root, PostgreSQL runs as another user
        if options.postgresql:
            (folder / "postgres").mkdir()
            postgres = Postgres(folder / "postgres")
            stack.callback(postgres.stop)
            postgres.make_database("steady")
            url = postgres.url("steady")
            shop = make_shop(url)
            first_thread = fill_postgres(postgres, "steady", shop, [(KNOWN, 1)])
            count = partial(count_in_postgres, postgres, "steady")
        else:
            file = folder / "shopbell.db"
            url = f"sqlite:///{file}"
            shop = make_shop(url)
            first_thread = fill_sqlite(file, shop, [(KNOWN, 1)])
            count = partial(count_in_sqlite, file)
        return 0 if watch(plan, url, shop, first_thread, count) else 1


if __name__ == "__main__":
    sys.exit(main())
