"""The hot path's connection to PostgreSQL."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import psycopg
import pytest
from sqlalchemy import make_url

from harness.installation import Installation
from harness.waiting import TIMEOUT_S, wait_until
from shopbell.db import ids
from shopbell.db.hot_connection import HotConnection
from shopbell.db.ids import TAKE_IDS, IdStock
from shopbell.db.pooler import connect_async
from shopbell.db.postgres import PostgresDatabase
from shopbell.db.program import Program

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

LONG = "ä" * 8_000_000
"""Longer than what a socket's buffer takes at once."""


def _with_connection(installation: Installation, use: Callable[[HotConnection], Awaitable[None]]) -> None:
    database = PostgresDatabase(make_url(installation.database.url).set(drivername="postgresql+psycopg"))

    async def run() -> None:
        async with asyncio.timeout(TIMEOUT_S):
            connection = await connect_async(database.conninfo, is_pooled=False)
            try:
                await use(connection)
            finally:
                await connection.close()

    asyncio.run(run())
    database.engine.dispose()


def test_a_statement_may_be_longer_than_the_buffer_of_the_socket(installation: Installation) -> None:
    async def use(connection: HotConnection) -> None:
        for _ in range(2):  # the second time it is prepared
            [[text, null]] = await connection.execute("SELECT $1::text, $2::text", (LONG.encode(), None))
            assert text == LONG.encode()
            assert null is None

    _with_connection(installation, use)


def test_after_a_refused_statement_the_connection_goes_on(installation: Installation) -> None:
    async def use(connection: HotConnection) -> None:
        with pytest.raises(psycopg.errors.DivisionByZero):
            await connection.execute("SELECT 1 / $1::int", (b"0",))
        with pytest.raises(psycopg.errors.SyntaxError):
            await connection.execute("SELEKT")
        with pytest.raises(psycopg.errors.DivisionByZero):
            await connection.command("BEGIN; SELECT 1 / 0; SELECT 2")
        await connection.command("ROLLBACK; BEGIN; COMMIT")
        assert await connection.execute("SELECT 1 / $1::int", (b"1",)) == [[b"1"]]

    _with_connection(installation, use)


def test_the_server_s_reason_for_ending_a_session_is_reported(installation: Installation) -> None:
    async def use(connection: HotConnection) -> None:
        with pytest.raises(psycopg.errors.AdminShutdown):
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)")

    _with_connection(installation, use)


def test_a_session_that_ends_while_nothing_runs_is_noticed(installation: Installation) -> None:
    async def use(connection: HotConnection) -> None:
        [[pid]] = await connection.execute("SELECT pg_backend_pid()")
        assert pid is not None
        await asyncio.to_thread(installation.database.value, f"SELECT pg_terminate_backend({int(pid)})")
        await asyncio.to_thread(wait_until, lambda: connection.is_closed, lambda: "it still counts as open")

    _with_connection(installation, use)


def test_the_socket_that_gets_the_number_of_a_closed_one_is_left_alone(installation: Installation) -> None:
    async def use(connection: HotConnection) -> None:
        [[pid]] = await connection.execute("SELECT pg_backend_pid()")
        assert pid is not None
        number = connection._socket
        await asyncio.to_thread(installation.database.value, f"SELECT pg_terminate_backend({int(pid)})")
        await asyncio.to_thread(wait_until, lambda: connection.is_closed, lambda: "it still counts as open")
        with ExitStack() as stack:
            here, there = next(pair for pair in (_pair(stack) for _ in range(64)) if pair[0].fileno() == number)
            reader, writer = await asyncio.open_connection(sock=here)
            await connection.close()
            await asyncio.get_running_loop().sock_sendall(there, b"news\n")
            assert await reader.readline() == b"news\n"
            writer.close()

    _with_connection(installation, use)


def _pair(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    here, there = socket.socketpair()
    for end in (here, there):
        end.setblocking(False)
        stack.enter_context(end)
    return here, there


def test_ids_that_an_ended_session_had_reserved_stay_unused(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "_STOCK_LIFE_S", 3_600.0)
    database = PostgresDatabase(make_url(installation.database.url).set(drivername="postgresql+psycopg"))

    def take_one() -> Program[int]:
        [taken] = yield TAKE_IDS, {"count": 1}
        return int(taken)

    async def run() -> None:
        first, second = await database.run(take_one), await database.run(take_one)
        assert second == first + 1
        connection = database._connection
        assert connection is not None
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        await asyncio.to_thread(installation.database.rows, f"{end} AND datname = current_database()")
        await asyncio.to_thread(wait_until, lambda: connection.is_closed, lambda: "it still counts as open")
        assert await database.run(take_one) == first + IdStock.BATCHES
        await database.close()

    asyncio.run(run())
