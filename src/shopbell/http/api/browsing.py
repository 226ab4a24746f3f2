"""Reads for programs, which may take long: in threads of their own, and of each organization only a few at once."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import Connection

from shopbell.errors import StorageError
from shopbell.storage.database import ANSWER_TIMEOUT_S, Database

P = ParamSpec("P")
T = TypeVar("T")

READERS = 3
"""Threads. Tokens are looked up, and messages written, in others: no list that somebody asks for holds those up."""

READS_PER_ORGANIZATION = 2
"""How many of them one organization may have at once: another one always finds a thread."""


class Browsing:
    """Reads what programs ask for: a list with a rare filter goes through all that an organization has.

    Args:
        database: where it is read.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(READERS, "browse")
        # A semaphore is there for as long as somebody has it, or waits for it.
        self._turns: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()

    async def read(
        self,
        fn: Callable[Concatenate[Connection, int, P], T],
        organization_id: int,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run ``fn(tx, organization_id, …)`` in one transaction that only reads, when it is the organization's turn.

        Raises:
            StorageError: 503; the database failed, or it was not done after ``ANSWER_TIMEOUT_S``.
        """
        work = partial(self._database.read_now, fn, organization_id, *args, **kwargs)
        turns = self._turns.setdefault(organization_id, asyncio.Semaphore(READS_PER_ORGANIZATION))

        def ended(reading: asyncio.Future[Any]) -> None:
            turns.release()
            if not reading.cancelled():
                reading.exception()  # whoever wanted to know it may have gone

        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await turns.acquire()
                reading = asyncio.get_running_loop().run_in_executor(
                    self._threads, contextvars.copy_context().run, work
                )
                # Nothing can end a thread: it has its turn until it ends by itself, also when nobody waits any more.
                reading.add_done_callback(ended)
                return await asyncio.shield(reading)
        except TimeoutError:
            raise StorageError("the database took too long to answer") from None
