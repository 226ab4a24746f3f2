"""Wake-ups by PostgreSQL's ``NOTIFY``, for installations without NATS.

After the commit and from a connection of its own: inside a transaction that writes, ``NOTIFY`` takes a lock of the
whole database until the commit is done, and no two commits could go on at once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn

import psycopg
from psycopg.conninfo import make_conninfo

from shopbell.wakes.relay import Link, Relay

CHANNEL = "shopbell_wakes"
CONNECT_TIMEOUT_S = 10
_PROGRAM = "shopbell wake-ups"


def notify_relay(conninfo: str) -> Relay:
    """A relay over the database that all processes have in common.

    Args:
        conninfo: how libpq reaches it; a pooler in between must keep sessions, or nothing is heard.
    """

    @asynccontextmanager
    async def connect(heard: Callable[[str], None]) -> AsyncIterator[Link]:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                talking = await _connect(conninfo, stack)
                # It waits in its own: psycopg gives a connection that listens to nothing else.
                listening = await _connect(conninfo, stack)
                await listening.execute(f"LISTEN {CHANNEL}")
            yield _NotifyLink(talking, listening, heard)

    return Relay("NOTIFY", connect)


async def _connect(conninfo: str, stack: AsyncExitStack) -> psycopg.AsyncConnection:
    connection = await psycopg.AsyncConnection.connect(
        make_conninfo(conninfo, fallback_application_name=_PROGRAM), autocommit=True, prepare_threshold=None
    )
    stack.push_async_callback(connection.close)
    return connection


class _NotifyLink:
    def __init__(
        self, talking: psycopg.AsyncConnection, listening: psycopg.AsyncConnection, heard: Callable[[str], None]
    ) -> None:
        self._talking = talking
        self._listening = listening
        self._heard = heard

    async def send(self, payload: str) -> None:
        await self._talking.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))

    async def until_lost(self) -> NoReturn:
        async for message in self._listening.notifies():
            self._heard(message.payload)
        raise ConnectionError("the database no longer notifies")
