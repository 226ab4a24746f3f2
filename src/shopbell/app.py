"""The parts list: settings → storage → routes, wired by hand, once."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import structlog
from starlette.types import ASGIApp

from shopbell import (
    customer_links,
    idempotency,
    installation,
    keys,
    logs,
    organizations,
    private_keys,
    upload_quota,
    visitors,
    webhooks,
)
from shopbell.attachment_links import AttachmentLinks
from shopbell.attachment_sweep import Sweep
from shopbell.blobs.open import open_store
from shopbell.channels.twilio_media import open_media
from shopbell.demo import Demo
from shopbell.errors import StorageError
from shopbell.http import routes
from shopbell.http.api.access import Api
from shopbell.http.api.browsing import Browsing
from shopbell.http.api.waiting import Waiting
from shopbell.http.authentication import Authentication
from shopbell.http.customer import stream as customer_stream
from shopbell.http.customer.access import CustomerAccess
from shopbell.http.customer.limits import VisitorLimits
from shopbell.http.edge import StreamRoute
from shopbell.http.fresh import Fresh
from shopbell.http.hooks.access import TextHooks
from shopbell.http.live import organization_stream
from shopbell.http.live.followers import Followers
from shopbell.http.live.sse import Parts
from shopbell.http.metrics import BATCH_SIZE, COMMIT_SECONDS, QUEUE_DEPTH, REFUSED, RequestMetrics
from shopbell.http.rate import RateLimit
from shopbell.http.readiness import Readiness
from shopbell.http.request_log import RequestLog
from shopbell.http.widget import FindBusiness, SendMessageToBusiness
from shopbell.mail_intake.intake import MailIntake
from shopbell.mail_listener import MailListener
from shopbell.messages import Send, from_customers
from shopbell.organizations import Business
from shopbell.outreach import budgets
from shopbell.outreach.sender import Outreach
from shopbell.replies import Reply, from_organization
from shopbell.sealing import Seals
from shopbell.settings import Settings, load
from shopbell.storage.database import Database
from shopbell.storage.group_commit import GroupCommit
from shopbell.storage.open import open_database
from shopbell.storage.postgres import PostgresDatabase
from shopbell.storage.rowset import Program
from shopbell.storage.running import hold
from shopbell.supervision import supervise
from shopbell.text_intake import TextIntake
from shopbell.wakes.hub import Wakes, relay_of
from shopbell.worker import Worker

NOTE_USES_EVERY_S = 10
FORGET_KEYS_EVERY_S = 600
MEASURE_EVERY_S = 1
SWEEP_EVERY_S = 60

Item = TypeVar("Item", Send, Reply)
Result = TypeVar("Result")

log = structlog.get_logger()


def create_app(settings: Settings | None = None, demo: Demo | None = None) -> ASGIApp:
    """Build the server of one process.

    Args:
        settings: those of this process; read from the environment when absent.
        demo: the demo installation, when it is what runs.

    Returns:
        The ASGI application; its lifespan opens and closes all that it holds.

    Raises:
        SettingsError: a setting is wrong.
        CommandError: the database does not fit this version or this secret key.
        StorageError: the database is not to be reached.
    """
    settings = settings or load()
    logs.configure(settings)
    secrets = keys.load(settings)
    database = open_database(settings)
    database.write_now(installation.adopt, secrets)
    if len(secrets.secrets) > 1:  # while it is being changed: what is sealed can be opened without the former one, then
        database.write_now(webhooks.reseal, Seals(secrets, webhooks.SEALING_PURPOSE))
        database.write_now(private_keys.reseal, Seals(secrets, private_keys.SEALING_PURPOSE))
    blobs = open_store(settings)

    authentication = Authentication(database, secrets)
    readiness = Readiness(database)
    wakes = Wakes(relay_of(settings, database.conninfo if isinstance(database, PostgresDatabase) else None))
    worker = Worker(settings, database, secrets, wakes)
    outreach = Outreach(settings, database, secrets, wakes)
    texts = TextIntake(database, secrets, wakes, settings.sms_from, settings.whatsapp_from)
    twilio_media = open_media(settings)
    mails = MailIntake(settings, database, secrets, wakes, blobs)
    mail_listener = MailListener(settings, mails.accepts, mails.receive, shares_port=settings.workers > 1)
    sends = group_commit(settings, database, readiness, wakes, from_customers)
    replies = group_commit(settings, database, readiness, wakes, from_organization)
    metrics = RequestMetrics()
    request_log = RequestLog(settings)
    rate_limit = RateLimit(settings.rate_limit_per_s, settings.rate_limit_burst)
    api = Api(
        settings=settings,
        database=database,
        browsing=Browsing(database),
        keys=secrets,
        authentication=authentication,
        rate_limit=rate_limit,
        replies=replies,
        wakes=wakes,
        waiting=Waiting(wakes, database, settings.poll_interval_s),
        blobs=blobs,
        links=AttachmentLinks(secrets, settings.attachment_link_s),
        sessions=CustomerAccess(database, secrets),
        limits=VisitorLimits(settings.visitor_rate_per_min),
    )
    widget = SendMessageToBusiness(
        authentication=authentication,
        rate_limit=rate_limit,
        find_business=_cached_business(database),
        sends=sends,
        body_limit_bytes=settings.body_limit_bytes,
    )

    parts = Parts(
        authentication=authentication,
        sessions=api.sessions,
        rate_limit=rate_limit,
        limits=api.limits,
        database=database,
        wakes=wakes,
        followers=Followers(wakes, database, settings.poll_interval_s),
        links=api.links,
        settings=settings,
    )
    streams: dict[str, StreamRoute] = {
        organization_stream.ROUTE: organization_stream.OrganizationStream(parts),
        customer_stream.ROUTE: customer_stream.CustomerStream(parts),
    }

    def refused(request_id: str, method: str, status: int) -> None:
        metrics.observe(REFUSED, status, 0.0)
        request_log.note(request_id, method, REFUSED, status, 0.0)

    def end_waits() -> None:
        wakes.end_waits()
        worker.end()
        outreach.end()

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            stack.callback(request_log.write)
            stack.push_async_callback(database.close)
            if blobs:
                stack.callback(blobs.close)
            if twilio_media:
                stack.push_async_callback(twilio_media.close)
            stack.enter_context(hold(database))
            stack.push_async_callback(_quietly, "note uses of tokens", authentication.note_uses)
            await wakes.start()
            stack.push_async_callback(wakes.close)
            if settings.run_worker:
                worker.start()
                stack.push_async_callback(worker.close)
                outreach.start()
                stack.push_async_callback(outreach.close)
            # Here and not in `shopbell worker`: any number of those may run beside a server, and there is one port.
            await mail_listener.start()
            stack.push_async_callback(mail_listener.close)
            for queue in (sends, replies):
                queue.start()
                stack.push_async_callback(queue.close)
            for period_s, name, job in (
                (NOTE_USES_EVERY_S, "note uses of tokens", authentication.note_uses),
                (FORGET_KEYS_EVERY_S, "forget expired keys", lambda: _forget_expired_keys(database)),
                (FORGET_KEYS_EVERY_S, "forget what visitors left", lambda: _forget_visitors(database)),
                (MEASURE_EVERY_S, "measure the queue", lambda: _measure_queues(sends, replies)),
                *([(SWEEP_EVERY_S, "delete unused attachments", Sweep(database, blobs).run)] if blobs else []),
            ):
                stack.callback(supervise(name, partial(_every, period_s, name, job)).cancel)
            yield {"refused": refused, "end_waits": end_waits}

    return routes.build(
        settings,
        widget=widget,
        streams=streams,
        api=api,
        demo=demo,
        is_ready=readiness.is_ready,
        metrics=metrics,
        request_log=request_log,
        lifespan=lifespan,
        text_hooks=TextHooks(settings, texts.receive, texts.report, twilio_media),
    )


def group_commit(
    settings: Settings,
    database: Database,
    readiness: Readiness,
    wakes: Wakes,
    program: Callable[[Sequence[Item]], Program[list[Result]]],
) -> GroupCommit[Item, Result]:
    """The queue of messages in front of the database: those of customers, or those of organizations.

    Args:
        settings: those of this process.
        database: where they are written.
        readiness: hears how each write went.
        wakes: hears of each organization that something was written for.
        program: writes a batch.
    """

    async def write(batch: Sequence[Item]) -> Sequence[Result]:
        BATCH_SIZE.observe(len(batch))
        with COMMIT_SECONDS.time():
            try:
                outcomes = await database.run(lambda: program(batch))
            except StorageError:
                readiness.note_write(stored=False)
                raise
        readiness.note_write(stored=True)
        wakes.announce({item.organization_id for item in batch})
        return outcomes

    return GroupCommit(
        write,
        queue_limit=settings.queue_limit,
        batch_limit=settings.batch_limit,
        timeout_s=settings.write_timeout_s,
        note_hanging=lambda: readiness.note_write(stored=False),
    )


def _cached_business(database: Database) -> FindBusiness:
    known: Fresh[tuple[int, int], Business | None] = Fresh()

    async def find(organization_id: int, business_id: int) -> Business | None:
        key = (organization_id, business_id)
        return await known.get(key, lambda: database.read(organizations.find_business, *key))

    return find


async def _forget_expired_keys(database: Database) -> None:
    more = True
    while more:  # in pieces, so that no message waits long behind it
        more = await database.write(idempotency.forget_expired, time.time_ns() // 1_000_000)


async def _forget_visitors(database: Database) -> None:
    for forget in (visitors.forget_silent, customer_links.forget_old, budgets.forget_old, upload_quota.forget_old):
        while await database.write(forget, time.time_ns() // 1_000_000):
            pass


async def _measure_queues(*queues: GroupCommit[Any, Any]) -> None:
    QUEUE_DEPTH.set(sum(queue.depth for queue in queues))


async def _every(period_s: float, name: str, job: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(period_s)
        await _quietly(name, job)


async def _quietly(name: str, job: Callable[[], Awaitable[None]]) -> None:
    """Run a job that may as well be done later: that it failed is a line in the log."""
    try:
        await job()
    except StorageError as error:
        log.warning("put off", job=name, reason=str(error))
    except Exception as error:  # a bug in one run must not be the end of all later ones
        log.error("bug", job=name, exc_info=error)
