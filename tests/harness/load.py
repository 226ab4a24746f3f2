"""Many concurrent requests over a fixed number of connections."""

import asyncio
from collections.abc import Sequence

from harness.raw import RawAnswer

TRANSACTION_TIMEOUT_S = 60


def send_all(port: int, requests: Sequence[bytes], *, connections: int = 64) -> list[RawAnswer]:
    """Send all requests, as many at once as there are connections, neighbours together.

    Returns:
        The answers, in the order of the requests.
    """
    return asyncio.run(_send_all(port, requests, connections))


async def _send_all(port: int, requests: Sequence[bytes], connections: int) -> list[RawAnswer]:
    answers: dict[int, RawAnswer] = {}
    waiting = iter(enumerate(requests))

    async def one_connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for number, request in waiting:
                writer.write(request)
                async with asyncio.timeout(TRANSACTION_TIMEOUT_S):
                    answers[number] = await _answer(reader)
        finally:
            writer.close()
            await writer.wait_closed()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(one_connection())
    return [answers[number] for number in range(len(requests))]


async def _answer(reader: asyncio.StreamReader) -> RawAnswer:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    length = next(int(value) for name, value in headers if name == "content-length")
    return RawAnswer(int(first.split(" ")[1]), headers, await reader.readexactly(length))
