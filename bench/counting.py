"""Run a server or a worker in this process and count its instructions.

``instructions.py`` starts it.

`python -m bench.counting ROW TOKEN BUSINESS` prints the counts of a row as JSON. Instructions of this folder's own code
do not count.
"""

import asyncio
import faulthandler
import json
import random
import re
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Self, cast

from bench.in_process import FIRST_CUSTOMER, STEP_S, Job, Senders, check, run_server, until_ready
from shopbell.db.connect import open_database
from shopbell.db.sqlite import driver
from shopbell.realtime.hub import PubSub
from shopbell.security import keys
from shopbell.settings import settings
from shopbell.workers import webhook_worker
from shopbell.workers.webhook_worker import WebhookWorker

SENDERS = 64
KNOWN = 640
NEW_OF_A_WAVE = 6
WARM_UP_WAVES = 5
WAVES = 20
WARM_UP_EVENTS = 33
EVENTS = 256
"""16 times as many as a worker claims at once."""
POLL_S = 60
_STEPS = 10
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
HERE = str(Path(__file__).parent)


class Count:
    """What has been counted so far."""

    def __init__(self) -> None:
        self.python = 0
        self.statements = 0
        self._steps: list[None] = []

    @property
    def sqlite(self) -> int:
        """Instructions of SQLite, to the nearest ten for each connection."""
        return len(self._steps) * _STEPS

    def trace(self, frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:  # noqa: ARG002
        """Count the instructions of a function; for ``sys.settrace``."""
        if frame.f_code.co_filename.startswith(HERE):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return self._instruction

    def _instruction(self, _frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
        if event == "opcode":
            self.python += 1
        return self._instruction

    def watch_sqlite(self) -> None:
        """Count what connections to SQLite do that are opened from now on."""
        count, connect = self, driver.connect

        class Cursor(driver.Cursor):  # type: ignore[misc]  # the driver is chosen at run time
            def execute(self, *arguments: Any) -> Any:
                count.statements += 1
                return super().execute(*arguments)

            def executemany(self, *arguments: Any) -> Any:
                count.statements += 1
                return super().executemany(*arguments)

        class Connection(driver.Connection):  # type: ignore[misc]  # as above
            def cursor(self, factory: Any = Cursor) -> Any:
                return super().cursor(factory)

        def watched(*arguments: Any, **options: Any) -> Any:
            connection = connect(*arguments, **options, factory=Connection)
            # Not a function of Python, which would be traced each time.
            connection.set_progress_handler(partial(self._steps.append, None), _STEPS)
            return connection

        driver.connect = watched


@dataclass(frozen=True)
class Snapshot:
    """The counts at a moment."""

    python: int
    sqlite: int
    statements: int

    @classmethod
    def of(cls, count: Count) -> Self:
        """Take one."""
        return cls(count.python, count.sqlite, count.statements)


async def count_messages(count: Count, job: Job, connect: Callable[[], asyncio.Protocol]) -> None:
    """Send waves of messages to the server in this process, and print the counts.

    Each wave has as many new customers as any other, so that the lowest count leaves out what clocks add to some.
    """
    chance = random.Random(job.seed)
    senders = await _with_known_customers(job, connect)
    waves = []
    for wave in range(WARM_UP_WAVES + WAVES):
        customers = [FIRST_CUSTOMER + one for one in chance.sample(range(job.known), job.senders - NEW_OF_A_WAVE)]
        customers += [2 * FIRST_CUSTOMER + wave * NEW_OF_A_WAVE + one for one in range(NEW_OF_A_WAVE)]
        requests = [job.request(customer) for customer in customers]
        # A token is cached for a second, which may have passed on a busy machine.
        check(await senders.send([job.request(FIRST_CUSTOMER)]))
        before = Snapshot.of(count)
        sys.settrace(count.trace)
        answers = await senders.send(requests)
        sys.settrace(None)
        check(answers)
        waves.append((before, Snapshot.of(count)))
    senders.close()
    _print([waves[wave] for wave in range(WARM_UP_WAVES, len(waves))], job.senders)


async def _with_known_customers(job: Job, connect: Callable[[], asyncio.Protocol]) -> Senders:
    senders = Senders(connect, job.senders)
    await until_ready(senders)
    for begin in range(0, job.known, job.senders):
        check(await senders.send([job.request(FIRST_CUSTOMER + begin + number) for number in range(job.senders)]))
    return senders


async def queue_deliveries(job: Job, port: int, connect: Callable[[], asyncio.Protocol]) -> None:
    """Create a webhook and send messages, whose events a worker can then deliver."""
    senders = Senders(connect, job.senders)
    await until_ready(senders)
    body = json.dumps({"url": f"http://127.0.0.1:{port}/", "subscribedEvents": ["messages"]})
    head = f"POST /api/webhooks HTTP/1.1\r\nHost: 127.0.0.1\r\ntoken: {job.token}\r\n"
    await senders.send([f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()])
    senders.close()
    (await _with_known_customers(job, connect)).close()


class Receiver(asyncio.Protocol):
    """A connection of the worker.

    It responds to the events of all connections, and notes the counts at each event.

    Args:
        count: what counts.
        arrived: the counts, event by event.
        enough: set when all have arrived.
    """

    def __init__(self, count: Count, arrived: list[Snapshot], enough: asyncio.Event) -> None:
        self._count = count
        self._arrived = arrived
        self._enough = enough
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Respond to a complete request.

        The worker sends the next one after that.
        """
        self._unread += data
        head, end, body = self._unread.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        self._unread = b""
        self._arrived.append(Snapshot.of(self._count))
        if len(self._arrived) == WARM_UP_EVENTS:
            sys.settrace(self._count.trace)
        elif len(self._arrived) == WARM_UP_EVENTS + EVENTS:
            sys.settrace(None)
            self._enough.set()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def count_deliveries(count: Count, listener: socket.socket) -> None:
    """Run a worker that delivers to a receiver in this process, and print the counts.

    One delivery follows the other, and no clock decides how many a worker claims at once.
    """
    webhook_worker.QUICK_MS, webhook_worker.RUN_S = STEP_S * 1_000, STEP_S
    chosen = settings.load(deliveries_per_webhook=1).model_copy(update={"poll_interval_s": POLL_S})
    database, pubsub = open_database(chosen), PubSub(None)
    worker = WebhookWorker(chosen, database, keys.load(chosen), pubsub)
    arrived: list[Snapshot] = []
    enough = asyncio.Event()
    await asyncio.get_running_loop().create_server(lambda: Receiver(count, arrived, enough), sock=listener)
    await pubsub.start()
    worker.start()
    await enough.wait()
    await worker.close()
    await pubsub.close()
    await database.close()
    _print([(arrived[WARM_UP_EVENTS - 1], arrived[WARM_UP_EVENTS + EVENTS - 1])], EVENTS)


def _print(spans: Sequence[tuple[Snapshot, Snapshot]], number: int) -> None:
    """Print the lowest counts of spans of so many messages or events."""
    python, sqlite, statements = (
        min(getattr(end, name) - getattr(begin, name) for begin, end in spans)
        for name in ("python", "sqlite", "statements")
    )
    print(json.dumps({"python": python / number, "sqlite": sqlite / number, "statements": statements / number * 64}))


def main() -> None:
    """Count a row."""
    faulthandler.dump_traceback_later(STEP_S, exit=True)
    row, token, business_id = sys.argv[1:]
    job = Job(token, int(business_id), SENDERS, KNOWN, create=True, seed=1)
    count = Count()
    count.watch_sqlite()
    threading.settrace(count.trace)
    if row == "message":
        run_server(partial(count_messages, count, job))
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        run_server(partial(queue_deliveries, job, listener.getsockname()[1]))
        asyncio.run(count_deliveries(count, listener))


if __name__ == "__main__":
    main()
