"""The process of ``shopbell worker``, and the worker process of a server.

A server starts the latter (``workers/worker_process.py``).
"""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

import orjson
import structlog
from prometheus_client import CollectorRegistry
from uvicorn.loops.auto import auto_loop_factory

from shopbell import logs
from shopbell.attachments.open_store import open_store
from shopbell.channels.email import mailbox_metrics
from shopbell.channels.open_channels import open_channels
from shopbell.db import installation
from shopbell.db.connect import connect_database, make_ready
from shopbell.db.database import Database
from shopbell.db.instance_lock import shared_lock
from shopbell.errors import ShopbellError
from shopbell.inbox.list_keeper import ListKeeper
from shopbell.inbox.scheduled_sender import ScheduledSender
from shopbell.inbox.snooze_worker import SnoozeWorker
from shopbell.notifications import sender
from shopbell.notifications.sender import NotificationSender
from shopbell.realtime.hub import PubSub, create_relay
from shopbell.runtime import metrics, metrics_port, supervision
from shopbell.runtime.allocator import share_one_arena
from shopbell.runtime.background_worker import BackgroundWorker
from shopbell.runtime.deadline import LAST_WAIT_S, end_after
from shopbell.runtime.log_output import LOST
from shopbell.runtime.supervision import DEATHS
from shopbell.runtime.tracing import WORKER, Tracing, open_tracing
from shopbell.security import keys
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings, load
from shopbell.web_push.sender import PushSender
from shopbell.webhooks.send import WebhookChannel
from shopbell.workers import backup_worker, metrics_folder, webhook_worker
from shopbell.workers.backup_worker import BackupWorker
from shopbell.workers.line import ALIVE, DEMO, METRICS, ServerLine
from shopbell.workers.webhook_worker import WebhookWorker

NICENESS = 5
"""The priority of a server's worker process: if both need a core, messages come first."""
REPORTS_EVERY_S = 1.0

log = structlog.get_logger()


def run(settings: Settings, on_started: Callable[[], None]) -> None:
    """Work until SIGTERM or SIGINT, then finish for ``shutdown_timeout_s``.

    Args:
        settings: those of this process.
        on_started: called once it works.

    Raises:
        SettingsError: a setting is wrong.
        CommandError: the database does not fit this version or this secret key, or is being restored; or the port for
            metrics is in use.
        StorageError: the database cannot be reached.
    """
    share_one_arena()
    logs.configure(settings)
    logs.warn_of_unknown_variables()
    serving_metrics = metrics_port.open_port(settings)
    _collect_seldom()
    with serving_metrics(), asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(_run(settings, on_started))


async def _run(settings: Settings, on_started: Callable[[], None]) -> None:
    async with _working(settings) as work:

        def end() -> None:
            work.end()
            end_after(settings.shutdown_timeout_s + LAST_WAIT_S)

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, end)
        with suppress(OSError):  # it works even if the terminal is gone
            on_started()
        await work.ended()


async def serve(settings: Settings, end: socket.socket, on_lost: Callable[[], None]) -> None:
    """Work for a server until the server ends this process.

    Args:
        settings: those of the server.
        end: this end of the line to the server.
        on_lost: called if the server dies.
    """
    ended = asyncio.Event()
    line = ServerLine(end, ended.set, on_lost)
    async with _working(settings, line) as work:
        reports = asyncio.create_task(_report(line))
        await ended.wait()
        work.end()
        await work.ended()
        reports.cancel()


class _Work:
    """The background workers."""

    def __init__(self, *workers: BackgroundWorker) -> None:
        self._workers = workers

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def end(self) -> None:
        for worker in self._workers:
            worker.end()

    async def ended(self) -> None:
        await asyncio.gather(*(worker.ended() for worker in self._workers))


@asynccontextmanager
async def _working(settings: Settings, line: ServerLine | None = None) -> AsyncIterator[_Work]:
    secrets = keys.load(settings)
    tracing = open_tracing(settings, WORKER)
    database = connect_database(settings)
    async with AsyncExitStack() as stack:
        if tracing is not None:
            stack.push_async_callback(tracing.close)
        stack.push_async_callback(database.close)
        stack.enter_context(shared_lock(database))  # a restore may be running
        make_ready(database)
        database.write_now(installation.adopt_key, secrets)
        pubsub = PubSub(line, create_relay(settings, database.conninfo))
        work = _Work(
            WebhookWorker(settings, database, secrets, pubsub, _webhook_channel(tracing)),
            NotificationSender(settings, database, secrets, pubsub, open_channels(settings, secrets)),
            ListKeeper(settings, database, pubsub),
            SnoozeWorker(settings, database, pubsub),
            ScheduledSender(settings, database, pubsub),
            PushSender(settings, database, secrets, pubsub),
            BackupWorker(settings, database),
            *_mailbox_readers(settings, database, secrets, pubsub, stack),
        )
        await pubsub.start()
        stack.push_async_callback(pubsub.close)
        work.start()
        yield work


def _mailbox_readers(
    settings: Settings, database: Database, secrets: Keys, pubsub: PubSub, stack: AsyncExitStack
) -> list[BackgroundWorker]:
    mailbox = settings.mailbox
    if mailbox is None:
        return []
    from shopbell.channels.email.inbound import EmailReceiver  # brings the parsers, which take 7 MB
    from shopbell.channels.email.mailbox import MailboxReader

    blobs = open_store(settings)
    if blobs is not None:
        stack.callback(blobs.close)
    receiver = EmailReceiver(settings, database, secrets, pubsub, blobs)
    return [MailboxReader(settings, mailbox, database, secrets, receiver)]


def _webhook_channel(tracing: Tracing | None) -> Callable[..., WebhookChannel]:
    if tracing is None:
        return WebhookChannel
    from shopbell.webhooks.traced_send import TracedWebhookChannel  # an extra

    return partial(TracedWebhookChannel, tracing.tracer)


async def _report(line: ServerLine) -> None:
    """Tell the server that this process works, which tasks died, and its metrics.

    Metrics are sent whenever they change.
    """
    own = CollectorRegistry()
    if not metrics_folder.folder():  # otherwise the servers read them from the files there
        for metric in (webhook_worker.ATTEMPTS, webhook_worker.ATTEMPT_SECONDS, webhook_worker.WAITING_SECONDS):
            own.register(metric)
        own.register(sender.ATTEMPTS)
        for gauge in (backup_worker.LAST_SUCCESS, backup_worker.LAST_SECONDS):
            own.register(gauge)
        own.register(mailbox_metrics.EMAILS)
        own.register(mailbox_metrics.FAILURES)
        for shared in (DEATHS, LOST):
            own.register(shared)
    last = ""
    while True:
        line.send(ALIVE + ",".join(supervision.failing()))
        text = metrics.encode(own).decode()
        if text != last:
            line.send(METRICS + orjson.dumps(text).decode())
            last = text
        await asyncio.sleep(REPORTS_EVERY_S)


def _collect_seldom() -> None:
    # What is imported lives as long as the process: the garbage collector can skip it, as in the server.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _main(end: socket.socket, *, is_demo: bool) -> None:
    share_one_arena()
    with suppress(OSError):
        os.nice(NICENESS)
    settings = load()
    if is_demo:
        from shopbell.operations import demo

        settings = demo.settings_of(settings)
    logs.configure(settings)

    _collect_seldom()

    def end_at_once() -> None:
        metrics_folder.forget(os.getpid())  # the server's supervisor does not know this process
        os._exit(1)  # the server was killed: its worker process ends at once, as if it had been killed, too

    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(serve(settings, end, end_at_once))


if __name__ == "__main__":
    try:
        _main(socket.socket(fileno=int(sys.argv[1])), is_demo=sys.argv[2:] == [DEMO])
    except ShopbellError as reason:
        print(f"shopbell: {reason}", file=sys.stderr)  # noqa: T201 - its standard error is the server's
        sys.exit(1)
    except Exception as error:
        log.error("bug", job="worker process", exc_info=error)
        sys.exit(1)
