"""Run `shopbell serve` and send it messages inside its own process, to measure the CPU time of a message.

No socket and no load generator take part. The program runs any version of Shopbell that the import path leads to: it
uses only the command, the widget route, and the protocol factory that the server passes to the event loop. It connects
protocols of that factory to transports in memory and speaks HTTP/1.1 to them. All senders send in one turn of the event
loop and then wait until each has its response, so the server can commit one batch per wave.

The argument is a ``Job`` as JSON. Each line of standard input is a number of waves; each answer is a line of JSON with
``messages`` and ``cpu_s``, the CPU seconds of all threads, and of the worker process if the server has one. The end of
standard input stops the server.
"""

import asyncio
import faulthandler
import json
import os
import random
import re
import runpy
import signal
import sys
import time
from asyncio.base_events import BaseEventLoop
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

STEP_S = 120
"""Longest time from one line of input to the next; then the process ends and shows where it is."""
FIRST_CUSTOMER = 100_000_000_000
"""The number in the first known customer's email address; twelve digits make all requests equally long."""
SHARE_OF_NEW = 0.1
READY_TRIES = 1_000
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True)
class Job:
    """What to send.

    Args:
        token: an API token.
        business_id: a business of the token's organization.
        senders: messages of one wave.
        known: customers that exist before the first measurement.
        create: whether to create those customers first, with one message each.
        seed: of the choice of customers.
    """

    token: str
    business_id: int
    senders: int
    known: int
    create: bool
    seed: int

    def requests(self, waves: int, chance: random.Random) -> list[list[bytes]]:
        """Return so many waves of requests, from known customers at random and a share of new ones."""

        def customer() -> int:
            if chance.random() < SHARE_OF_NEW:
                return chance.randrange(2 * FIRST_CUSTOMER, 9 * FIRST_CUSTOMER)
            return FIRST_CUSTOMER + chance.randrange(self.known)

        return [[self.request(customer()) for _ in range(self.senders)] for _ in range(waves)]

    def request(self, customer: int) -> bytes:
        """Return a customer's message as bytes of HTTP."""
        user = {"email": f"c{customer}@example.com", "locale": "en"}
        fields = {"businessId": str(self.business_id), "message": "Hello, I need help with my order.", "user": user}
        body = json.dumps(fields)
        head = (
            "POST /api/widget/send-message-to-business HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"token: {self.token}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return (head + body).encode()


class MemoryTransport(asyncio.Transport):
    """A transport without a socket that passes on each whole answer.

    Args:
        protocol: the server's side of the connection.
        on_answer: called with the bytes of an answer.
    """

    def __init__(self, protocol: asyncio.Protocol, on_answer: Callable[[bytes], None]) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 8_080)})
        self._protocol = protocol
        self._on_answer = on_answer
        self._received = b""
        self._is_closing = False

    def write(self, data: Any) -> None:
        """Receive a part of an answer."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if end and length is not None and len(body) >= int(length[1]):
            answer, self._received = self._received, b""
            self._on_answer(answer)

    def writelines(self, list_of_data: Any) -> None:
        """Receive several parts of an answer."""
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        """Tell whether the server has closed the connection."""
        return self._is_closing

    def close(self) -> None:
        """Close the connection."""
        if not self._is_closing:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """Close the connection."""
        self.close()

    def can_write_eof(self) -> bool:
        """Refuse to close one side only."""
        return False

    def pause_reading(self) -> None:
        """Do nothing: no sender sends before it has its answer."""

    def resume_reading(self) -> None:
        """Do nothing."""

    def get_write_buffer_size(self) -> int:
        """Return 0: an answer is received at once."""
        return 0


class Senders:
    """Clients with one open connection each.

    Args:
        connect: makes the server's side of a connection.
        count: how many clients.
    """

    def __init__(self, connect: Callable[[], asyncio.Protocol], count: int) -> None:
        self._protocols = [connect() for _ in range(count)]
        self._transports = [MemoryTransport(protocol, self._take) for protocol in self._protocols]
        for protocol, transport in zip(self._protocols, self._transports, strict=True):
            protocol.connection_made(transport)
        self._answers: list[bytes] = []
        self._expected = 0
        self._complete: asyncio.Future[None] | None = None

    async def send(self, requests: list[bytes]) -> list[bytes]:
        """Send one request from each client at once and return the answers, in the order in which they came."""
        self._answers, self._expected = [], len(requests)
        self._complete = asyncio.get_running_loop().create_future()
        for protocol, request in zip(self._protocols, requests, strict=False):
            protocol.data_received(request)
        await self._complete
        return self._answers

    def close(self) -> None:
        """Close all connections."""
        for transport in self._transports:
            transport.close()

    def _take(self, answer: bytes) -> None:
        self._answers.append(answer)
        if len(self._answers) == self._expected and self._complete is not None:
            self._complete.set_result(None)


async def serve_jobs(job: Job, connect: Callable[[], asyncio.Protocol]) -> None:
    """Prepare, and then send as many waves as each line of standard input says.

    Raises:
        RuntimeError: the server refused a message, or does not become ready.
    """
    senders = Senders(connect, job.senders)
    await until_ready(senders)
    if job.create:
        for begin in range(0, job.known, job.senders):
            numbers = range(begin, min(begin + job.senders, job.known))
            check(await senders.send([job.request(FIRST_CUSTOMER + number) for number in numbers]))
    senders.close()
    print(json.dumps({"package": str(Path(sys.modules["shopbell"].__file__ or "").parent)}), flush=True)
    chance = random.Random(job.seed)
    while line := await asyncio.to_thread(sys.stdin.readline):
        faulthandler.dump_traceback_later(STEP_S, exit=True)
        # New connections: the server may have closed those of the last turn, which were idle since.
        senders = Senders(connect, job.senders)
        waves = job.requests(int(line), chance)
        answers = []
        begin_s = _cpu_s()
        for requests in waves:
            answers += await senders.send(requests)
        cpu_s = _cpu_s() - begin_s
        senders.close()
        check(answers)
        print(json.dumps({"messages": len(answers), "cpu_s": cpu_s}), flush=True)


def _cpu_s() -> float:
    """The CPU time of this process and of its running child processes."""
    own = Path("/proc/self/task", str(os.getpid()), "children")
    others_ns = 0
    for child in own.read_text().split():
        with suppress(OSError):  # it has ended
            threads = Path("/proc", child, "task").glob("*/schedstat")
            others_ns += sum(int(thread.read_text().split()[0]) for thread in threads)
    return time.process_time() + others_ns / 1e9


async def until_ready(senders: Senders) -> None:
    """Wait until the server is ready; raises RuntimeError if it does not become ready."""
    for _ in range(READY_TRIES):
        (answer,) = await senders.send([b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"])
        if answer.startswith(b"HTTP/1.1 200 "):
            return
        await asyncio.sleep(0.01)
    raise RuntimeError("the server did not become ready")


def check(answers: list[bytes]) -> None:
    """Raise RuntimeError unless the server has stored all messages."""
    for answer in answers:
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"the server refused a message: {answer!r}")


def run_server(serve: Callable[[Callable[[], asyncio.Protocol]], Awaitable[None]]) -> None:
    """Run `shopbell serve` with a task in its event loop, until the task ends.

    An error that ends the task is raised.

    Args:
        serve: the task; it gets the protocol factory that the server passes to the event loop.
    """
    tasks: list[asyncio.Task[None]] = []

    async def serve_and_stop(connect: Callable[[], asyncio.Protocol]) -> None:
        try:
            await serve(connect)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def with_task(create_server: Any) -> Any:
        async def create(loop: Any, factory: Any, *arguments: Any, **options: Any) -> Any:
            server = await create_server(loop, factory, *arguments, **options)
            tasks.append(loop.create_task(serve_and_stop(factory)))
            return server

        return create

    sys.argv = ["shopbell", "serve", "--port", "0"]
    loop_classes = (uvloop.Loop, BaseEventLoop)
    own = [loop_class.create_server for loop_class in loop_classes]
    try:
        for loop_class, create_server in zip(loop_classes, own, strict=True):
            loop_class.create_server = with_task(create_server)  # type: ignore[method-assign]  # replaced on purpose
        with suppress(SystemExit):
            runpy.run_module("shopbell", run_name="__main__", alter_sys=True)
    finally:
        for loop_class, create_server in zip(loop_classes, own, strict=True):
            loop_class.create_server = create_server  # type: ignore[method-assign]  # put back
    for task in tasks:
        task.result()


def main() -> None:
    """Start the server with the senders in it."""
    faulthandler.dump_traceback_later(STEP_S, exit=True)
    run_server(partial(serve_jobs, Job(**json.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
