"""The connection of the hot path to PostgreSQL.

psycopg opens it, and this class uses psycopg's wrapper of libpq. psycopg's own cursors cost 2.6 times the CPU time per
statement, and asyncpg, which supports fewer connection options than libpq, twice (ADR 2).
"""

import asyncio

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from shopbell.db.rowset import Values

_ENCODING = "utf-8"


class HotConnection:
    """Runs one statement at a time.

    After an exception that did not come from PostgreSQL, it must be closed.

    Args:
        connection: an open connection in autocommit mode; it belongs to this object from now on.
        prepares: whether to prepare each statement when it runs for the first time.
    """

    def __init__(self, connection: psycopg.AsyncConnection[object], *, prepares: bool) -> None:
        self._connection = connection
        self._libpq = connection.pgconn
        self._socket = self._libpq.socket
        self._loop = asyncio.get_running_loop()
        self._prepares = prepares
        self._names: dict[str, bytes] = {}
        self._results: list[PGresult] = []
        self._ended: asyncio.Future[None] | None = None
        self._is_stopped = False
        self._loop.add_reader(self._socket, self._read)

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed or broken."""
        return self._connection.closed

    async def execute(self, sql: str, parameters: Values = ()) -> list[Values]:
        """Run a statement that refers to its parameters as ``$1``, ``$2``, ….

        Raises:
            psycopg.Error: PostgreSQL refused the statement, or the connection broke.
        """
        if not self._prepares:
            self._libpq.send_query_params(sql.encode(), parameters)
        else:
            name = self._names.get(sql)
            if name is None:
                name = b"hot_%d" % len(self._names)
                self._libpq.send_prepare(name, sql.encode())
                await self._finish()
                self._names[sql] = name
            self._libpq.send_query_prepared(name, parameters)
        result = await self._finish()
        columns = range(result.nfields)
        return [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]

    async def command(self, sql: str) -> None:
        """Run statements without parameters, separated by semicolons, in one round trip.

        Raises:
            psycopg.Error: PostgreSQL refused a statement, or the connection broke.
        """
        self._libpq.send_query(sql.encode())
        await self._finish()

    async def close(self) -> None:
        """Close the connection."""
        self._stop()
        await self._connection.close()

    async def _finish(self) -> PGresult:
        """Send what libpq has buffered, and wait for the end of the response.

        Returns the last result.
        """
        self._results = []
        self._ended = self._loop.create_future()
        self._write()
        await self._ended
        result = self._results[-1]
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result, _ENCODING)
        return result

    def _write(self) -> None:
        if self._libpq.flush():
            self._loop.add_writer(self._socket, self._write)  # the socket's buffer is full
        else:
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        """Receive what has arrived.

        Also called while no statement runs, to notice that the server closed the connection.
        """
        try:
            self._libpq.consume_input()
            while self._ended is not None and not self._libpq.is_busy():
                result = self._libpq.get_result()
                if result is None:
                    ended, self._ended = self._ended, None
                    if not ended.done():  # the caller gave up
                        ended.set_result(None)
                else:
                    self._results.append(result)
        except psycopg.Error as error:
            self._stop()
            if self._ended is None or self._ended.done():
                return
            if self._results and self._results[-1].status == ExecStatus.FATAL_ERROR:
                self._ended.set_result(None)  # PostgreSQL said why it would close the connection
            else:
                self._ended.set_exception(error)

    def _stop(self) -> None:
        # Only once: libpq closes the socket of a broken connection, and the next socket that is opened gets its number.
        if self._is_stopped:
            return
        self._is_stopped = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
