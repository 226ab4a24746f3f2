"""Simulate the customers and employees of many organizations, and measure the server.

Run it with `make simulate`, or with other numbers: `python -m bench.simulate --messages 1000000 --postgresql`. It ends
after the messages or the minutes that are given. The exit code is 1 if a request was refused or a message was not
stored.
"""

import argparse
import http.client
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

from bench import deliveries
from bench.fill import fill_postgres, fill_sqlite
from bench.load import FIRST_CUSTOMER
from bench.servers import Postgres, Server, make_shop
from bench.shops import Organization, make_organizations, share
from bench.steady import Sample, growth_mb_per_minute, sample
from shopbell.db.sqlite import connect

REQUEST_TIMEOUT_S = 60
SAMPLE_EVERY_S = 5
DRAIN_S = 30
"""How long webhooks may take after the last message."""
SHARE_ANSWERED = 0.7
SHARE_WITH_FILE = 0.05
SHARE_WITH_WEBHOOK = 0.5
BASE_MESSAGES_EACH = ((50, 0.5), (5, 0.5))
"""Stored messages before the simulation: messages of a customer, and their share of all messages."""
_FROM_CUSTOMERS = "SELECT count(*) FROM messages WHERE from_customer"
_REPLY = "Thank you for your patience. It arrives tomorrow."
_FROM_EMPLOYEES = f"SELECT count(*) FROM messages WHERE NOT from_customer AND body = '{_REPLY}'"  # not automatic ones
_TEXTS = ("Hello, I need help with my order.", "It has not arrived yet.", "The number is 4711.", "Is it in stock?")
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cfc000000301"
    "0100c9fe92ef0000000049454e44ae426082"
)


@dataclass
class Schedule:
    """Gives each message its time: so many, at this rate, and none after the deadline."""

    messages: int
    per_s: float
    deadline_s: float
    begun_s: float = field(default_factory=time.monotonic)
    taken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> bool:
        """Wait for the time of the next message; False if there is none."""
        with self._lock:
            if self.taken >= self.messages:
                return False
            due_s = self.begun_s + self.taken / self.per_s
            self.taken += 1
        time.sleep(max(0.0, due_s - time.monotonic()))
        return time.monotonic() < self.deadline_s


class Client:
    """Customers who write, and employees who read and reply, one request after the other."""

    def __init__(self, port: int, organizations: Sequence[Organization], schedule: Schedule, seed: int) -> None:
        self._organizations = organizations
        self._weights = [share(number) for number in range(len(organizations))]
        self._schedule = schedule
        self._chance = random.Random(seed)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_TIMEOUT_S)
        self.times_ms: dict[str, list[float]] = {}
        self.refused = 0
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Start to send."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the schedule has no more messages."""
        self._thread.join()

    def _run(self) -> None:
        while self._converse():
            pass
        self._connection.close()

    def _converse(self) -> bool:
        """One conversation: some messages of a customer, and often an employee who reads and replies."""
        chance = self._chance
        (organization,) = chance.choices(self._organizations, self._weights)
        business, customer = chance.choice(organization.businesses), chance.randrange(organization.customers)
        user = {"email": f"c{FIRST_CUSTOMER + customer}@example.com", "locale": "en"}
        thread = None
        for text in _TEXTS[: chance.randint(1, len(_TEXTS))]:
            if not self._schedule.take():
                return False
            body = {"businessId": str(business), "message": text, "user": user}
            thread = self._post(organization, "message", "/api/widget/send-message-to-business", body)
        if thread and chance.random() < SHARE_ANSWERED:
            self._request(organization, "list", "GET", f"/api/threads?businessId={business}&status=waiting")
            return self._answer(organization, thread["customerThreadId"])
        return True

    def _answer(self, organization: Organization, thread_id: str) -> bool:
        self._request(organization, "read", "GET", f"/api/threads/{thread_id}/messages")
        body = {"customerThreadId": thread_id, "text": _REPLY}
        if organization.employees:
            body["employeeUserId"] = str(self._chance.choice(organization.employees))
        if self._chance.random() < SHARE_WITH_FILE and (file := self._upload(organization)):
            body["attachmentId"] = file["attachmentId"]
        if not self._schedule.take():
            return False
        self._post(organization, "reply", "/api/send-message-to-customer-thread", body)
        return True

    def _upload(self, organization: Organization) -> Any:
        boundary = "simulated-boundary"
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="label.png"\r\n\r\n'
        content = head.encode() + _PNG + f"\r\n--{boundary}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return self._request(organization, "upload", "POST", "/api/attachments", content, kind)

    def _post(self, organization: Organization, kind: str, path: str, body: Mapping[str, object]) -> Any:
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"{self._chance.getrandbits(96):x}"}
        return self._request(organization, kind, "POST", path, json.dumps(body).encode(), headers)

    def _request(
        self,
        organization: Organization,
        kind: str,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request, and return its JSON; None if it was refused."""
        begun_s = time.monotonic()
        try:
            self._connection.request(method, path, body, {"token": organization.token, **(headers or {})})
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self.refused += 1
            return None
        if response.status != http.client.OK:
            self.refused += 1
            return None
        self.times_ms.setdefault(kind, []).append((time.monotonic() - begun_s) * 1000)
        return json.loads(answer)


@dataclass(frozen=True)
class Plan:
    """What to simulate."""

    messages: int
    per_s: float
    minutes: float
    organizations: int
    clients: int


def simulate(
    plan: Plan, url: str, organizations: Sequence[Organization], files: Path, query: Callable[[str], int]
) -> bool:
    """Run the simulation and print what was measured; return whether all was stored.

    Args:
        plan: what to simulate.
        url: the database.
        organizations: the largest first.
        files: a folder for attachments.
        query: returns the number that a query of the database returns.
    """
    before = [query(sql) for sql in (_FROM_CUSTOMERS, _FROM_EMPLOYEES)]
    settings = {"SHOPBELL_ATTACHMENTS_URL": files.as_uri()}
    with ExitStack() as stack:
        receiver = stack.enter_context(deliveries.receiver())
        server = Server.of_shopbell(url, settings=settings)
        stack.callback(server.stop)
        with_webhook = organizations[: max(1, round(SHARE_WITH_WEBHOOK * len(organizations)))]
        for organization in with_webhook:
            deliveries.subscribe(server, organization.shop, 1, receiver.port)
        time.sleep(deliveries.NOTICE_S)
        schedule = Schedule(plan.messages, plan.per_s, time.monotonic() + plan.minutes * 60)
        clients = [Client(server.port, organizations, schedule, seed) for seed in range(plan.clients)]
        samples = [sample(server.pid, 0.0)]
        sampler = _Sampler(server.pid, schedule.begun_s, samples)
        sampler.start()
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        elapsed_s = time.monotonic() - schedule.begun_s
        sampler.stop()
        delivered = _drain(receiver)
    after = [query(sql) for sql in (_FROM_CUSTOMERS, _FROM_EMPLOYEES)]
    confirmed = [sum(len(client.times_ms.get(kind, ())) for client in clients) for kind in ("message", "reply")]
    lost = sum(max(0, sent - (now - then)) for sent, now, then in zip(confirmed, after, before, strict=True))
    refused = sum(client.refused for client in clients)
    _print_times(clients, elapsed_s)
    print(
        f"{sum(confirmed):,} messages confirmed in {elapsed_s:.0f} s, {refused:,} requests refused, {lost} not stored."
    )
    print(f"{delivered:,} webhook deliveries, at most {DRAIN_S} s after the last message.")
    _print_memory(samples)
    return refused == 0 and lost == 0


class _Sampler:
    """Measures a server's memory every few seconds."""

    def __init__(self, pid: int, begun_s: float, samples: list[Sample]) -> None:
        self._pid = pid
        self._begun_s = begun_s
        self._samples = samples
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY_S):
            self._samples.append(sample(self._pid, (time.monotonic() - self._begun_s) / 60))


def _drain(receiver: Server) -> int:
    """Wait until no more webhooks arrive; return how many came."""
    deadline_s, total, quiet = time.monotonic() + DRAIN_S, 0, 0
    while quiet < 3 and time.monotonic() < deadline_s:
        arrived = deliveries.seen(receiver)["count"]
        total, quiet = total + arrived, 0 if arrived else quiet + 1
        time.sleep(1)
    return total


def _print_times(clients: Sequence[Client], elapsed_s: float) -> None:
    print(f"{'request':<10}{'number':>10}{'per s':>10}{'p50 ms':>10}{'p95 ms':>10}{'p99 ms':>10}{'max ms':>10}")
    for kind in ("message", "reply", "list", "read", "upload"):
        times_ms = [each for client in clients for each in client.times_ms.get(kind, ())]
        if len(times_ms) > 1:
            cuts = quantiles(times_ms, n=100)
            print(
                f"{kind:<10}{len(times_ms):>10,}{len(times_ms) / elapsed_s:>10.1f}"
                f"{cuts[49]:>10.1f}{cuts[94]:>10.1f}{cuts[98]:>10.1f}{max(times_ms):>10.0f}"
            )


def _print_memory(samples: Sequence[Sample]) -> None:
    half = samples[len(samples) // 2 :]
    print(
        f"Memory of server and worker: {samples[0].resident_mb:.0f} MB at first, {samples[-1].resident_mb:.0f} MB at "
        f"the end; {growth_mb_per_minute(half):+.2f} MB per minute in the second half."
    )


def main() -> int:
    """Read the options, run the simulation and clean up; return 1 if anything was refused or lost."""
    parser = argparse.ArgumentParser("bench.simulate", description="Simulate many organizations.")
    parser.add_argument("--messages", type=int, default=20_000, help="messages of customers and employees (20,000)")
    parser.add_argument("--per-s", type=float, default=200, help="messages per second (200)")
    parser.add_argument("--minutes", type=float, default=10, help="ends after this time, also with fewer messages (10)")
    parser.add_argument("--organizations", type=int, default=100, help="sizes follow Zipf's law (100)")
    parser.add_argument("--clients", type=int, default=16, help="simultaneous requests at most (16)")
    parser.add_argument("--base", type=int, default=0, help="messages that the largest organization has before (0)")
    parser.add_argument("--postgresql", action="store_true", help="use PostgreSQL instead of SQLite")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where the database is (/var/tmp)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the server and its clients, as Ctrl-C does
    plan = Plan(options.messages, options.per_s, options.minutes, options.organizations, options.clients)
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="simulate-", dir=options.folder, ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary))
        folder.chmod(0o755)  # as root, PostgreSQL runs as another user
        if options.postgresql:
            (folder / "postgres").mkdir()
            postgres = Postgres(folder / "postgres")
            stack.callback(postgres.stop)
            postgres.make_database("simulated")
            url = postgres.url("simulated")
            fill = partial(fill_postgres, postgres, "simulated")

            def query(sql: str) -> int:
                return int(postgres.sql("simulated", sql))

        else:
            url = f"sqlite:///{folder / 'shopbell.db'}"
            fill = partial(fill_sqlite, folder / "shopbell.db")

            def query(sql: str) -> int:
                with closing(connect(folder / "shopbell.db")) as connection:
                    return int(connection.execute(sql).fetchone()[0])

        shop = make_shop(url)
        groups = [(int(options.base * part / each), each) for each, part in BASE_MESSAGES_EACH]
        if options.base:
            begun_s = time.monotonic()
            fill(shop, groups)
            print(f"{options.base:,} messages filled in {time.monotonic() - begun_s:.0f} s", flush=True)
        organizations = make_organizations(url, plan.organizations)
        if options.base:
            known = sum(customers for customers, _ in groups)
            organizations[0] = Organization(shop.organization_id, shop.token, [shop.business_id], [], known)
        print(f"Load average at the start: {os.getloadavg()[0]:.1f}, processors: {os.cpu_count()}", flush=True)
        succeeded = simulate(plan, url, organizations, folder / "files", query)
        size_bytes = (
            query("SELECT pg_database_size('simulated')")
            if options.postgresql
            else sum(path.stat().st_size for path in folder.glob("shopbell.db*"))
        )
        stored = query("SELECT count(*) FROM messages")
        print(f"Database: {stored:,} messages, {size_bytes / 1e6:,.0f} MB. Load average: {os.getloadavg()[0]:.1f}")
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
