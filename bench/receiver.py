"""A minimal webhook receiver: it responds with 200, and records what arrived and when.

`python -m bench.receiver PORT`; `GET /seen` returns, as JSON, how many webhooks arrived since the last call, within how
many seconds, and how long after their events. `GET /` is empty.
"""

import asyncio
import json
import sys
import time
from statistics import quantiles
from typing import cast

import uvloop

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Receiver(asyncio.Protocol):
    """One connection."""

    seen: list[tuple[float, float]] = []  # noqa: RUF012 - all connections' together
    """When each came (in s, monotonic), and how many ms after its event."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start reading."""
        self._transport = cast("asyncio.Transport", transport)
        self._unread = b""

    def data_received(self, data: bytes) -> None:
        """Respond to all requests that have arrived completely."""
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            head = self._unread[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._unread) < end + 4 + length:
                return
            body, self._unread = self._unread[end + 4 : end + 4 + length], self._unread[end + 4 + length :]
            if head.startswith(b"get"):
                self._transport.write(_summary() if head.startswith(b"get /seen") else OK)
                continue
            at = body.find(b'"timestamp":')
            happened_ms = int(body[at + 12 : at + 25])
            self.seen.append((time.monotonic(), time.time() * 1e3 - happened_ms))
            self._transport.write(OK)


def _summary() -> bytes:
    seen, Receiver.seen = Receiver.seen, []
    late = sorted(ms for _, ms in seen)
    parts = quantiles(late, n=100, method="inclusive") if len(late) > 1 else [0.0] * 99
    body = json.dumps(
        {
            "count": len(seen),
            "seconds": seen[-1][0] - seen[0][0] if seen else 0,
            "p50_ms": parts[49],
            "p95_ms": parts[94],
            "p99_ms": parts[98],
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", port, backlog=1_024)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))
