"""Make a backup each day, in one process of the installation.

The backup runs in a thread, which dies with the process. Another process then makes the backup.
"""

import asyncio
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress

import structlog
from prometheus_client import Gauge
from sqlalchemy import Connection

from shopbell.db.database import Database
from shopbell.errors import ShopbellError, StorageError
from shopbell.operations.backups import record
from shopbell.operations.backups.job import Stored, Superseded, store_backup
from shopbell.operations.backups.record import LEASE, RETRY_MS, Last
from shopbell.operations.backups.retention import Keep
from shopbell.operations.backups.targets import Target, open_target
from shopbell.runtime import clock
from shopbell.runtime.background_worker import BackgroundWorker
from shopbell.settings.backups import parse_place
from shopbell.settings.settings import Settings

LOOK_EVERY_S = 30.0
_RENEW_EVERY_S = LEASE.for_ms / 1000 / 5

LAST_SUCCESS = Gauge(
    "shopbell_backup_last_success_timestamp_seconds",
    "Time of the data in the last verified backup, in Unix seconds; 0 if there is none.",
    ["to"],
    multiprocess_mode="livemax",
)
LAST_SECONDS = Gauge(
    "shopbell_backup_last_duration_seconds",
    "Seconds that the last verified backup took.",
    ["to"],
    multiprocess_mode="livemax",
)

log = structlog.get_logger()


class BackupWorker(BackgroundWorker):
    """Makes the daily backup, if the settings name a place for it.

    Args:
        settings: those of this process.
        database: the database.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        super().__init__("back up", settings.shutdown_timeout_s)
        self._settings = settings
        self._database = database
        self._owner = secrets.token_hex(8)

    async def _run(self) -> None:
        if self._settings.backup_to:
            self._target = open_target(self._settings, parse_place(self._settings.backup_to))
            await self._repeat(self._name, self._look, self._pause)

    def _wake(self) -> None:
        """Do nothing: ``_pause`` ends with ``_ending``."""

    async def _look(self) -> float:
        """Make the backup if it is due; returns the seconds until the next look."""
        made = await self._database.read(record.last)
        _measure(self._target, made)
        at = self._settings.backup_time
        if not record.is_due(made, at, now_ms=clock.now_ms()):
            return LOOK_EVERY_S
        if not await self._database.write(record.claim, self._owner, at, now_ms=clock.now_ms()):
            return LOOK_EVERY_S
        await self._back_up()
        return 0

    async def _back_up(self) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Stored] = loop.create_future()
        arguments = (self._settings, self._target, self._is_ours, loop, done)
        threading.Thread(target=_store, args=arguments, daemon=True).start()
        ending = asyncio.create_task(self._ending.wait())
        try:
            while not done.done() and not self._ending.is_set():
                await asyncio.wait((done, ending), timeout=_RENEW_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                await self._extend_lease()
        finally:
            ending.cancel()
        if not done.done():
            log.warning("backup interrupted; the next process that starts makes it", to=self._target.kind)
            return
        try:
            stored = done.result()
        except Superseded as error:
            log.warning("backup stopped", reason=str(error))
            await self._release()
        except (ShopbellError, OSError) as error:
            log.error("backup failed", reason=str(error), retry_after_s=RETRY_MS // 1000)
            await self._release(until_ms=clock.now_ms() + RETRY_MS)
        except Exception:
            await self._release(until_ms=clock.now_ms() + RETRY_MS)
            raise
        else:
            size_bytes = stored.made.size_bytes
            log.info("backup made", file=stored.address, size_bytes=size_bytes, deleted=len(stored.deleted))
            for warning in stored.warnings:
                log.warning("backup", warning=warning)
            await self._release()

    def _is_ours(self, tx: Connection) -> bool:
        """Extend the lease, if no other process has taken it during an outage of the database."""
        return record.claim(tx, self._owner, self._settings.backup_time, now_ms=clock.now_ms())

    async def _extend_lease(self) -> None:
        """Extend the lease. A failure must not end the wait for the thread: nothing can end the thread."""
        try:
            await self._database.write(LEASE.take, self._owner, now_ms=clock.now_ms())
        except StorageError:
            pass  # it is tried again; the thread notices if another process has taken the lease by then
        except Exception as error:
            log.error("bug", job=self._name, exc_info=error)

    async def _release(self, *, until_ms: int = 0) -> None:
        await self._database.write(LEASE.release, self._owner, until_ms=until_ms)


def _store(
    settings: Settings,
    target: Target,
    is_ours: Callable[[Connection], bool],
    loop: asyncio.AbstractEventLoop,
    done: "asyncio.Future[Stored]",
) -> None:
    """Make the backup, and pass its result to the event loop unless that has ended."""
    result: Stored | Exception
    try:
        keep = Keep.parse(settings.backup_keep)
        result = store_backup(settings, target, keep, with_secret_key=False, now_ms=clock.now_ms(), is_ours=is_ours)
    except Exception as error:  # noqa: BLE001 - raised in the event loop
        result = error
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, done, result)


def _settle(done: "asyncio.Future[Stored]", result: Stored | Exception) -> None:
    if isinstance(result, Exception):
        done.set_exception(result)
    else:
        done.set_result(result)


def _measure(target: Target, made: Last | None) -> None:
    LAST_SUCCESS.labels(target.kind).set(0 if made is None else made.taken_at_ms / 1000)
    if made is not None:
        LAST_SECONDS.labels(target.kind).set(made.duration_ms / 1000)
