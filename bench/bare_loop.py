"""Run the webhook client in a bare loop, as the reference for the worker's throughput.

`python -m bench.bare_loop PORT CONCURRENCY SECONDS` posts the body of an ordinary event, signed once, and prints how
many were answered per second.
"""

import asyncio
import json
import sys
import time

import uvloop

from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.client import OutboundClient

BODY = json.dumps(
    {
        "eventType": "message",
        "timestamp": 1_700_000_000_000,
        "data": {f"field{number}": "Hello, I need help with my order." for number in range(8)},
    },
    separators=(",", ":"),
).encode()
HEADERS = {
    "content-type": "application/json",
    "user-agent": "Shopbell",
    "webhook-id": "evt_12344_12418_10_1700000000000",
    "webhook-timestamp": "1700000000",
    "webhook-signature": "v1,vyD8h4UxqW4clWv/oy9GISRk8KDE7267oEF8Y01h0vQ=",
}


async def _post(port: int, concurrency: int, seconds: float) -> float:
    answered = 0
    end_s = time.monotonic() + seconds

    async def loop(client: OutboundClient) -> None:
        nonlocal answered
        while time.monotonic() < end_s:
            response = await client.post(
                f"http://127.0.0.1:{port}/", headers=HEADERS, content=BODY, timeout_s=15, connect_timeout_s=5
            )
            answered += response.status == 200

    async with OutboundClient(AllowList.parse("127.0.0.0/8")) as client, asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(loop(client))
    return answered / seconds


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(runner.run(_post(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))))
