"""The process of a worker alone: starts, delivers, ends when told."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

from uvicorn.loops.auto import auto_loop_factory

from shopbell import installation, keys, logs
from shopbell.deadline import LAST_WAIT_S, end_after
from shopbell.outreach.sender import Outreach
from shopbell.settings import Settings
from shopbell.storage.open import open_database
from shopbell.storage.postgres import PostgresDatabase
from shopbell.storage.running import hold
from shopbell.wakes.hub import Wakes, relay_of
from shopbell.worker import Worker


def run(settings: Settings, on_started: Callable[[], None]) -> None:
    """Deliver until SIGTERM or SIGINT, and then for as long as what is under way needs, at most
    ``shutdown_timeout_s``.

    Args:
        settings: those of this process.
        on_started: called once it delivers.

    Raises:
        SettingsError: a setting is wrong.
        CommandError: the database does not fit this version or this secret key, or is being restored.
        StorageError: the database is not to be reached.
    """
    logs.configure(settings)
    logs.warn_of_unknown_variables()
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(_run(settings, on_started))


async def _run(settings: Settings, on_started: Callable[[], None]) -> None:
    secrets = keys.load(settings)
    database = open_database(settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        database.write_now(installation.adopt, secrets)
        stack.enter_context(hold(database))
        wakes = Wakes(relay_of(settings, database.conninfo if isinstance(database, PostgresDatabase) else None))
        worker = Worker(settings, database, secrets, wakes)
        outreach = Outreach(settings, database, secrets, wakes)

        def end() -> None:
            worker.end()
            outreach.end()
            end_after(settings.shutdown_timeout_s + LAST_WAIT_S)

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, end)
        await wakes.start()
        stack.push_async_callback(wakes.close)
        worker.start()
        outreach.start()
        with suppress(OSError):  # that it cannot be said is no reason not to deliver
            on_started()
        await asyncio.gather(worker.ended(), outreach.ended())
