"""Load that records requests and responses, and a check of the database."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from sqlalchemy import text

from harness import raw
from harness.installation import Database, Installation
from harness.raw import RawAnswer
from harness.shop import WIDGET

CUSTOMERS = 40
WAIT_S = 60
_RECONNECT_S = 0.01

Rows = Callable[[str], list[dict[str, Any]]]


@dataclass
class Sending:
    """One message of one customer, and what its client was told.

    ``acknowledged_at`` is where the recorded disk stood by then, when there is one.
    """

    number: int
    body: str
    key: str | None
    request: bytes
    thread_id: str | None = None
    acknowledged_at: int = 0

    @property
    def acknowledged(self) -> bool:
        """Whether it was answered 200."""
        return self.thread_id is not None


@dataclass
class Record:
    """All that a client sent, every second message with a key, and all answers."""

    token: str
    businesses: tuple[str, ...]
    sendings: list[Sending] = field(default_factory=list)
    answers: list[tuple[float, RawAnswer]] = field(default_factory=list)
    position: Callable[[], int] = lambda: 0

    def next(self) -> Sending:
        """A new message; it is recorded before it is sent."""
        number = len(self.sendings)
        customer = number % CUSTOMERS
        email = {"email": f"carol{customer}@example.com"}
        phone = {"phoneNumber": f"+1617{2_000_000 + customer}"}
        user = (email, phone, email | phone, email | {"locale": ("en", "fr", "de")[number % 3]})[customer % 4]
        body = f"message {number}"
        content = {"businessId": self.businesses[number % len(self.businesses)], "message": body, "user": user}
        key = f"key-{number}" if number % 2 else None
        headers = [("token", self.token), ("Content-Type", "application/json")]
        headers += [("Idempotency-Key", key)] if key else []
        sending = Sending(number, body, key, raw.post(WIDGET, json.dumps(content).encode(), headers))
        self.sendings.append(sending)
        return sending

    def note(self, sending: Sending, answer: RawAnswer) -> None:
        """Take note of an answer."""
        self.answers.append((time.monotonic(), answer))
        if answer.status == 200:
            sending.acknowledged_at = self.position()
            sending.thread_id = answer.json()["customerThreadId"]

    @property
    def acknowledged(self) -> list[Sending]:
        """What was answered 200."""
        return [sending for sending in self.sendings if sending.acknowledged]

    @property
    def unanswered(self) -> list[Sending]:
        """What may be stored or not."""
        return [sending for sending in self.sendings if not sending.acknowledged]

    def statuses(self) -> Counter[int]:
        """How often each status was answered."""
        return Counter(answer.status for _, answer in self.answers)

    def repeat_unanswered(self, port: int) -> int:
        """Send again, as a client would, what has a key and was not answered; returns how many."""
        again = [sending for sending in self.unanswered if sending.key]
        for sending in again:
            answer = raw.exchange(port, sending.request)
            assert answer.status == 200, f"a repetition was answered {answer.status}: {answer.body!r}"
            self.note(sending, answer)
        return len(again)


class Load:
    """Clients that send without pause, each again on a new connection when the old one breaks, while the block runs."""

    def __init__(self, port: int, record: Record, *, connections: int = 16) -> None:
        self._port = port
        self._record = record
        self._connections = connections
        self._told = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        self._error: BaseException | None = None

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._told.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def wait_for(self, status: int, count: int = 1, *, within_s: float = WAIT_S) -> float:
        """Wait until so many more answers have this status; returns how long that took, in seconds."""
        began_s = time.monotonic()
        seen = len(self._record.answers)
        while sum(answer.status == status for _, answer in self._record.answers[seen:]) < count:
            waited_s = time.monotonic() - began_s
            assert waited_s < within_s, (
                f"{count} answers of {status} did not come within {within_s} s, but {self._record.statuses()}"
            )
            assert self._error is None, self._error
            time.sleep(0.01)
        return time.monotonic() - began_s

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._connections):
                    group.create_task(self._one_client())
        except BaseException as error:  # noqa: BLE001 - raised again where the block ends
            self._error = error

    async def _one_client(self) -> None:
        while not self._told.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(_RECONNECT_S)
                continue
            try:
                while not self._told.is_set():
                    sending = self._record.next()
                    writer.write(sending.request)
                    async with asyncio.timeout(WAIT_S):
                        answer = await _answer(reader)
                    self._record.note(sending, answer)
                    if answer.status != 200:
                        await asyncio.sleep(_RECONNECT_S)
            except (OSError, asyncio.IncompleteReadError):
                pass  # the server is gone
            finally:
                writer.close()


async def _answer(reader: asyncio.StreamReader) -> RawAnswer:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    body = await reader.readexactly(int(dict(headers)["content-length"]))
    return RawAnswer(int(first.split(" ")[1]), headers, body)


@dataclass(frozen=True)
class Findings:
    """What a database holds, against what its clients know. Each list is empty when all promises were kept."""

    acknowledged: int
    stored: int
    lost: list[str]
    misplaced: list[str]
    doubled: list[str]
    unsent: list[str]
    halves: list[str]
    without_event: list[str]

    def check(self) -> None:
        """All promises were kept."""
        n = f"n = {self.acknowledged} acknowledged, {self.stored} stored"
        for name in ("lost", "misplaced", "doubled", "unsent", "halves", "without_event"):
            found = getattr(self, name)
            assert not found, f"{len(found)} {name}, {n}; such as {found[:5]}"


def examine(record: Record, rows: Rows, *, at: int | None = None) -> Findings:
    """Compare a database with a record.

    Args:
        record: what the clients know.
        rows: gives the rows of a query.
        at: counts only what was acknowledged when the recorded disk stood there; None counts all.
    """
    messages = rows("SELECT id, thread_id, sequence, body FROM messages")
    thread_of = {row["body"]: str(row["thread_id"]) for row in messages}
    times = Counter(row["body"] for row in messages)
    known = {sending.body for sending in record.sendings}
    sure = [sending for sending in record.acknowledged if at is None or sending.acknowledged_at <= at]
    return Findings(
        acknowledged=len(sure),
        stored=len(messages),
        lost=[sending.body for sending in sure if sending.body not in times],
        misplaced=[
            sending.body for sending in sure if thread_of.get(sending.body, sending.thread_id) != sending.thread_id
        ],
        doubled=[body for body, count in times.items() if count > 1],
        unsent=[body for body in times if body not in known],
        halves=_halves(rows) + _halves_of_keys(record, rows, thread_of),
        without_event=_without_event(rows),
    )


def _halves(rows: Rows) -> list[str]:
    halves = []
    sequences: dict[int, list[int]] = {}
    for row in rows("SELECT thread_id, sequence FROM messages ORDER BY thread_id, sequence"):
        sequences.setdefault(row["thread_id"], []).append(row["sequence"])
    threads = {row["id"]: row for row in rows("SELECT id, customer_id, last_sequence FROM threads")}
    halves += [f"messages of no thread {id_}" for id_ in sequences if id_ not in threads]
    for id_, thread in threads.items():
        if sequences.get(id_, []) != list(range(1, thread["last_sequence"] + 1)) or not thread["last_sequence"]:
            halves.append(f"thread {id_} with sequence {sequences.get(id_, [])[-3:]} of {thread['last_sequence']}")
    customers = {row["id"] for row in rows("SELECT id FROM customers")}
    identified = {row["customer_id"] for row in rows("SELECT customer_id FROM customer_identities")}
    with_thread = {thread["customer_id"] for thread in threads.values()}
    halves += [f"customer {id_} without identity" for id_ in customers - identified]
    halves += [f"customer {id_} without thread" for id_ in customers - with_thread]
    halves += [f"customer {id_} is not there" for id_ in (identified | with_thread) - customers]
    return halves


def _halves_of_keys(record: Record, rows: Rows, thread_of: dict[str, str]) -> list[str]:
    keys = {row["key"]: str(row["result_id"]) for row in rows("SELECT key, result_id FROM idempotency_keys")}
    keyed = {sending.key: sending.body for sending in record.sendings if sending.key}
    halves = [f"{key} without message" for key, thread in keys.items() if thread_of.get(keyed[key]) != thread]
    return halves + [f"{body} without its key" for key, body in keyed.items() if body in thread_of and key not in keys]


def _without_event(rows: Rows) -> list[str]:
    messages = {row["id"] for row in rows("SELECT id FROM messages")}
    events = Counter(row["message_id"] for row in rows("SELECT message_id FROM events WHERE type = 'message'"))
    wrong = [f"message {id_} has {events[id_]} events" for id_ in messages if events[id_] != 1]
    return wrong + [f"event of message {id_}, which is not there" for id_ in events if id_ not in messages]


def small_world(installation: Installation) -> Record:
    """Give an empty database one organization, Acme, with two businesses and a token, and begin a record for it."""
    acme = installation.cli("organization", "create", "Acme")["id"]
    businesses = [
        str(installation.cli("business", "create", "--organization", acme, name)["id"]) for name in ("Boston", "Paris")
    ]
    token = str(installation.cli("token", "create", "--organization", acme)["token"])
    return Record(token, tuple(businesses))


@contextmanager
def somebody_writing(database: Database) -> Iterator[None]:
    """Hold the lock of SQLite, or of PostgreSQL's messages, while the block runs."""
    with database.connection() as connection:
        # On SQLite the transaction is deferred: its first change takes the lock.
        lock = "UPDATE ids SET next_id = next_id" if database.is_sqlite else "LOCK TABLE messages IN EXCLUSIVE MODE"
        connection.execute(text(lock))
        yield
