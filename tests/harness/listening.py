"""A process that listens: run as a program with a way, an address and an organization's id.

It says "ready", then "woken" when the organization was announced by somebody, and "for nothing" when a stranger's was.
"""

import asyncio
import sys

import structlog

from shopbell.wakes import relay
from shopbell.wakes.hub import Wakes
from shopbell.wakes.nats import nats_relay
from shopbell.wakes.notify import notify_relay

WAYS = {"nats": nats_relay, "notify": notify_relay}
STRANGER = 3


async def _listen(way: str, address: str, organization_id: int) -> None:
    relay.START_TIMEOUT_S = 60  # a busy machine may take longer than a start waits
    wakes = Wakes(WAYS[way](address))
    with wakes.listen(organization_id) as listener, wakes.listen(STRANGER) as stranger:
        await wakes.start()
        # That the link was made wakes everybody once.
        assert await listener.wait(0)
        assert await stranger.wait(0)
        print("ready", flush=True)
        print("woken" if await listener.wait(30) else "not woken", flush=True)
        if await stranger.wait(0):
            print("for nothing", flush=True)
    await wakes.close()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_listen(sys.argv[1], sys.argv[2], int(sys.argv[3])))
