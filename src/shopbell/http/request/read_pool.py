"""Reads of the API, which may take long: in their own threads, a few at a time for each organization."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import Connection

from shopbell.db.database import TRANSACTION_TIMEOUT_S, Database
from shopbell.errors import StorageError

P = ParamSpec("P")
T = TypeVar("T")

READERS = 3
"""The number of threads. Other threads look up tokens and write messages, so lists do not delay those."""

READS_PER_ORGANIZATION = 2
"""The most threads that one organization uses at once, so that another one finds a free thread."""


class ReadPool:
    """Runs the reads of API routes. A list with a rare filter reads all rows of an organization."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(READERS, "browse")
        # A semaphore exists as long as a read holds it or waits for it.
        self._turns: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()

    async def read(
        self,
        fn: Callable[Concatenate[Connection, int, P], T],
        organization_id: int,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run ``fn(tx, organization_id, …)`` in one read-only transaction, when it is the turn of the organization.

        Raises:
            StorageError: 503; the database failed, or took longer than ``TRANSACTION_TIMEOUT_S``.
        """
        work = partial(self._database.read_now, fn, organization_id, *args, **kwargs)
        turns = self._turns.setdefault(organization_id, asyncio.Semaphore(READS_PER_ORGANIZATION))

        def ended(reading: asyncio.Future[Any]) -> None:
            turns.release()
            if not reading.cancelled():
                reading.exception()  # mark as retrieved: the caller may have gone

        try:
            async with asyncio.timeout(TRANSACTION_TIMEOUT_S):
                await turns.acquire()
                reading = asyncio.get_running_loop().run_in_executor(
                    self._threads, contextvars.copy_context().run, work
                )
                # A thread cannot be stopped: it keeps its turn until it ends, even if the caller has gone.
                reading.add_done_callback(ended)
                return await asyncio.shield(reading)
        except TimeoutError:
            raise StorageError("the database did not respond in time") from None
