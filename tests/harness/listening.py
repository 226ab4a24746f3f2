"""A process that listens to an organization's notifications.

It prints "ready", then "woken" for a notification of the organization, and "for nothing" for one of another.
"""

import asyncio
import sys

import structlog

from shopbell.realtime import relay
from shopbell.realtime.hub import PubSub
from shopbell.realtime.nats import nats_relay
from shopbell.realtime.notify import notify_relay

WAYS = {"nats": nats_relay, "notify": notify_relay}
STRANGER = 3


async def _listen(way: str, address: str, organization_id: int) -> None:
    relay.START_TIMEOUT_S = 60  # a busy machine may take longer than a start waits
    pubsub = PubSub(WAYS[way](address))
    with pubsub.listen(organization_id) as listener, pubsub.listen(STRANGER) as stranger:
        await pubsub.start()
        # That the link was made wakes everybody once.
        assert await listener.wait(0)
        assert await stranger.wait(0)
        print("ready", flush=True)
        print("woken" if await listener.wait(30) else "not woken", flush=True)
        if await stranger.wait(0):
            print("for nothing", flush=True)
    await pubsub.close()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_listen(sys.argv[1], sys.argv[2], int(sys.argv[3])))
