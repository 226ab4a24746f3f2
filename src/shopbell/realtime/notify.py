"""Notifications between processes over PostgreSQL's ``NOTIFY``, without NATS.

``NOTIFY`` runs after the commit, on a separate connection. Inside a writing transaction it would lock the whole
database until the commit ends, so that no two transactions could commit at the same time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn

import psycopg
from psycopg.conninfo import make_conninfo

from shopbell.realtime.relay import Link, Relay

CHANNEL = "shopbell_wakes"
CONNECT_TIMEOUT_S = 10
_PROGRAM = "shopbell notifications"


def notify_relay(conninfo: str) -> Relay:
    """Create a relay over the database that all processes use.

    Args:
        conninfo: libpq connection string. It must keep sessions (no pooler in transaction mode), or nothing arrives.
    """

    @asynccontextmanager
    async def connect(heard: Callable[[str], None]) -> AsyncIterator[Link]:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                talking = await _connect(conninfo, stack)
                # A separate connection: psycopg cannot run other statements on one that waits for notifications.
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
        raise ConnectionError("the database ended the notifications")
