"""The parts list: settings → storage → routes, wired by hand, once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from starlette.types import ASGIApp

from shopbell import logs
from shopbell.accounts import invitations, passkeys, sessions, totp
from shopbell.accounts.oidc_provider import open_provider
from shopbell.attachments import upload_quota
from shopbell.attachments.cleanup import Sweep
from shopbell.attachments.open_store import open_store
from shopbell.attachments.signed_urls import AttachmentLinks
from shopbell.attachments.store import Store
from shopbell.channels.email.invitations import InvitationSender
from shopbell.channels.sms.inbound import TextReceiver
from shopbell.conversations import idempotency
from shopbell.conversations.message_queue import MessageQueue
from shopbell.conversations.messages import CustomerMessageQueue
from shopbell.conversations.replies import ReplyQueue
from shopbell.customers import magic_links, visitors
from shopbell.db import installation
from shopbell.db.connect import connect_database, make_ready
from shopbell.db.database import Database
from shopbell.db.instance_lock import shared_lock
from shopbell.errors import StorageError
from shopbell.http import routes
from shopbell.http.hooks.access import TextHooks
from shopbell.http.middleware import StreamRoute
from shopbell.http.pages.readiness import Readiness
from shopbell.http.request.app_services import Services
from shopbell.http.request.authentication import Authentication
from shopbell.http.request.customer_sessions import CustomerSessions
from shopbell.http.request.employee_sessions import EmployeeSessions
from shopbell.http.request.long_polling import LongPolling
from shopbell.http.request.metrics import QUEUE_DEPTH, REFUSED, RequestMetrics
from shopbell.http.request.problems import Problems
from shopbell.http.request.rate_limit import RateLimit
from shopbell.http.request.read_pool import ReadPool
from shopbell.http.request.request_log import RequestLog
from shopbell.http.request.visitor_limits import VisitorLimits
from shopbell.http.server.direct import DirectRequest, DirectRoute
from shopbell.http.streams import customer_stream as customer_stream
from shopbell.http.streams import organization_stream
from shopbell.http.streams.feed_broadcaster import FeedBroadcaster
from shopbell.http.streams.sse import StreamServices
from shopbell.http.widget import ROUTE, SendMessageToBusiness
from shopbell.inbox import actions, scheduled_messages
from shopbell.inbox.presence import Presence
from shopbell.notifications import limits
from shopbell.operations.demo import Demo
from shopbell.organizations import identity_secrets
from shopbell.realtime.hub import PubSub, create_relay
from shopbell.runtime import clock
from shopbell.runtime.allocator import share_one_arena
from shopbell.runtime.supervision import supervise
from shopbell.runtime.tracing import SERVER, open_tracing
from shopbell.security import keys
from shopbell.security.encryption import Cipher
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings, load
from shopbell.web_push import subscriptions, vapid
from shopbell.webhooks import endpoints
from shopbell.workers.worker_process import WorkerProcess

if TYPE_CHECKING:
    from shopbell.channels.email.listener import MailListener
    from shopbell.channels.sms.twilio_media import TwilioMedia

NOTE_USES_EVERY_S = 10
FORGET_KEYS_EVERY_S = 600
MEASURE_EVERY_S = 1
SWEEP_EVERY_S = 60

log = structlog.get_logger()


def create_app(
    settings: Settings | None = None,
    demo: Demo | None = None,
    *,
    worker_process: Callable[[Settings], WorkerProcess] = WorkerProcess,
) -> ASGIApp:
    """Build the server of one process.

    Args:
        settings: those of this process; None reads them from the environment.
        demo: the demo installation, if the demo runs.
        worker_process: starts the worker process; the tests start it in a task.

    Returns:
        The ASGI application; its lifespan opens and closes all that it holds.

    Raises:
        SettingsError: a setting is wrong.
        CommandError: the database does not fit this version or this secret key, or is being restored.
        StorageError: the database cannot be reached.
    """
    share_one_arena()
    settings = settings or load()
    logs.configure(settings)
    secrets = keys.load(settings)
    database = connect_database(settings)
    with shared_lock(database):  # a restore may be running
        make_ready(database)
        database.write_now(installation.adopt_key, secrets)
        if len(secrets.secrets) > 1:  # while it is being changed: later, what is sealed opens without the former one
            database.write_now(endpoints.reseal, Cipher(secrets, endpoints.SEALING_PURPOSE))
            database.write_now(identity_secrets.reseal, Cipher(secrets, identity_secrets.SEALING_PURPOSE))
            database.write_now(totp.reseal, Cipher(secrets, totp.SEALING_PURPOSE))
            database.write_now(vapid.reseal, Cipher(secrets, vapid.SEALING_PURPOSE))
            database.write_now(subscriptions.reseal, Cipher(secrets, subscriptions.SEALING_PURPOSE))
    blobs = open_store(settings)
    tracing = open_tracing(settings, SERVER)

    authentication = Authentication(database, secrets)
    if settings.sms_http_headers is not None:  # the worker process uses them, but wrong ones must stop the server
        from shopbell.channels.open_channels import open_channels

        open_channels(settings, secrets)
    worker = worker_process(settings) if settings.run_worker else None
    readiness = Readiness(database, lambda: worker.failing if worker else ())
    pubsub = PubSub(worker, create_relay(settings, database.conninfo))
    texts = TextReceiver(database, secrets, pubsub, settings.sms_from, settings.whatsapp_from)
    twilio_media = _twilio_media(settings)
    mail_listener = _mail_listener(settings, database, secrets, pubsub, blobs)
    sends = CustomerMessageQueue(settings, database, readiness, pubsub)
    replies = ReplyQueue(settings, database, readiness, pubsub)
    problems = Problems(settings.public_url)
    metrics = RequestMetrics()
    request_log = RequestLog(settings)
    rate_limit = RateLimit(settings.rate_limit_per_s, settings.rate_limit_burst)
    invitations_by_email = InvitationSender(settings, secrets)
    services = Services(
        settings=settings,
        database=database,
        read_pool=ReadPool(database),
        keys=secrets,
        authentication=authentication,
        rate_limit=rate_limit,
        replies=replies,
        pubsub=pubsub,
        long_polling=LongPolling(pubsub, database, settings.poll_interval_s),
        attachment_store=blobs,
        links=AttachmentLinks(secrets, settings.attachment_link_s),
        sessions=CustomerSessions(database, secrets),
        employees=EmployeeSessions(database, secrets, settings),
        oidc=open_provider(settings),
        invite=invitations_by_email.send,
        limits=VisitorLimits(settings.visitor_rate_per_min),
        presence=Presence(pubsub),
    )
    widget = SendMessageToBusiness(
        authentication=authentication,
        rate_limit=rate_limit,
        database=database,
        sends=sends,
        body_limit_bytes=settings.body_limit_bytes,
    )

    parts = StreamServices(
        authentication=authentication,
        employees=services.employees,
        sessions=services.sessions,
        rate_limit=rate_limit,
        limits=services.limits,
        database=database,
        pubsub=pubsub,
        broadcaster=FeedBroadcaster(pubsub, database, settings.poll_interval_s),
        links=services.links,
        settings=settings,
    )
    streams: dict[str, StreamRoute] = {
        organization_stream.ROUTE: organization_stream.OrganizationStream(parts),
        customer_stream.ROUTE: customer_stream.CustomerStream(parts),
    }

    def note_response(
        request_id: str, method: str, route: str | None, status: int, duration_s: float, latency_s: float
    ) -> None:
        metrics.observe(route or REFUSED, status, latency_s)
        request_log.note(request_id, method, route or REFUSED, status, duration_s)

    def end_waits() -> None:
        pubsub.end_waits()
        if worker is not None:
            worker.end()

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            if tracing is not None:
                stack.push_async_callback(tracing.close)
            stack.callback(request_log.write)
            stack.push_async_callback(database.close)
            stack.push_async_callback(invitations_by_email.close)
            stack.callback(services.employees.hashing.close)
            if services.oidc:
                stack.push_async_callback(services.oidc.aclose)
            if blobs:
                stack.callback(blobs.close)
            if twilio_media:
                stack.push_async_callback(twilio_media.close)
            stack.enter_context(shared_lock(database))
            stack.push_async_callback(_quietly, "note uses of tokens", authentication.note_uses)
            await pubsub.start()
            stack.push_async_callback(pubsub.close)
            # Here and not in `shopbell worker`: any number of those may run next to a server, and there is one port.
            if mail_listener is not None:
                await mail_listener.start()
                stack.push_async_callback(mail_listener.close)
            for queue in (sends, replies):
                queue.start()
                stack.push_async_callback(queue.close)
            for period_s, name, job in (
                (NOTE_USES_EVERY_S, "note uses of tokens", authentication.note_uses),
                (FORGET_KEYS_EVERY_S, "forget expired keys", lambda: _forget_expired_keys(database)),
                (FORGET_KEYS_EVERY_S, "forget what has expired", lambda: _forget_expired(database)),
                (MEASURE_EVERY_S, "measure the queue", lambda: _measure_queues(sends, replies)),
                *([(SWEEP_EVERY_S, "delete unused attachments", Sweep(database, blobs).run)] if blobs else []),
            ):
                stack.callback(supervise(name, partial(_every, period_s, name, job)).cancel)
            yield {
                "find_direct": app.find_direct,
                "note_response": note_response,
                "end_waits": end_waits,
                "error_response": problems.render,
            }

    request_class = DirectRequest
    if tracing is not None:
        from shopbell.conversations.commit_tracing import CommitTracing  # an extra
        from shopbell.http.request.tracing import TracedApp, traced

        request_class = traced(tracing.tracer)
        commits = CommitTracing(tracing.tracer, settings.url.get_backend_name())
        sends.trace(commits)
        replies.trace(commits)

    app = routes.build(
        settings,
        direct=[DirectRoute(ROUTE, widget.begin, request_class)],
        streams=streams,
        services=services,
        demo=demo,
        is_ready=readiness.is_ready,
        problems=problems,
        note_response=note_response,
        lifespan=lifespan,
        text_hooks=TextHooks(settings, texts.receive, texts.report, twilio_media),
    )
    return app if tracing is None else TracedApp(app, tracing.tracer, streams)


def _twilio_media(settings: Settings) -> "TwilioMedia | None":
    """The reader of contacts that customers send by WhatsApp; None without Twilio."""
    if settings.sms_provider != "twilio":
        return None
    from shopbell.channels.sms.twilio_media import open_media  # brings the HTTP client

    return open_media(settings)


def _mail_listener(
    settings: Settings, database: Database, secrets: Keys, pubsub: PubSub, blobs: Store | None
) -> "MailListener | None":
    """The server for incoming email, if the operator has set it up."""
    if settings.mail_listen is None:
        return None
    from shopbell.channels.email.inbound import EmailReceiver  # brings the parsers, which take 7 MB
    from shopbell.channels.email.listener import MailListener

    mails = EmailReceiver(settings, database, secrets, pubsub, blobs)
    return MailListener(settings, mails.accepts, mails.receive, shares_port=settings.workers > 1)


async def _forget_expired_keys(database: Database) -> None:
    more = True
    while more:  # in pieces, so that no message waits long behind it
        more = await database.write(idempotency.forget_expired, clock.now_ms())


_FORGETS = (
    visitors.delete_inactive,
    magic_links.forget_old,
    limits.forget_old,
    upload_quota.forget_old,
    scheduled_messages.forget_old,
    actions.forget_old,
    sessions.forget_old,
    invitations.forget_old,
    passkeys.forget_old_challenges,
)


async def _forget_expired(database: Database) -> None:
    for forget in _FORGETS:
        while await database.write(forget, clock.now_ms()):
            pass


async def _measure_queues(*queues: MessageQueue[Any, Any]) -> None:
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
        log.warning("postponed", job=name, reason=str(error))
    except Exception as error:  # a bug in one run must not be the end of all later ones
        log.error("bug", job=name, exc_info=error)
