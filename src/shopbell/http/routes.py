"""Every URL of the product on one page.

POST /api/widget/send-message-to-business    widget.py, a direct route
POST /api/send-message-to-customer-thread    api/messages.py
POST /api/update-thread-status               api/threads.py
GET  /api/get-customer-thread-details        api/threads.py
GET  /api/threads                            api/threads.py
GET  /api/threads/{threadId}/messages        api/thread_messages.py
POST /api/[transfer|assign|unassign]-customer-thread  api/assignment.py
GET  /api/get-whatsapp-templates             api/templates.py
GET  POST /api/templates[/{templateId}/…]    api/templates.py
GET  POST /api/employees[/{employeeId}/…]    api/employees.py
POST /api/employees/{employeeId}/[roles|invite]  api/employee_access.py
GET  /api/me                                 api/me.py
GET  /api/audit                              api/audit.py
GET  POST /api/organization[/update]         api/organization.py
GET  /api/businesses[/{businessId}]          api/businesses.py
POST /api/businesses[/{businessId}/…]         api/businesses.py
GET  POST /api/customers[/{customerId}/…]    api/customers.py
POST /api/customers/{customerId}/merge       api/merges.py
GET  POST /api/customers/merges[/…] /api/customers/possible-duplicates[/…]  api/merges.py
GET  /api/events                             api/events.py
GET  POST /api/webhooks[/{webHookId}/…]      api/webhooks.py
GET  POST /api/webhooks/{webHookId}/test …/deliveries[/…]  api/deliveries.py
GET  POST /api/attachments[/{attachmentId}]  api/attachments.py
POST /api/inbox/[bulk|undo]                  inbox/bulk.py
GET  POST /api/push-subscriptions[/…]        inbox/push_subscriptions.py
GET  POST /api/scheduled-messages[/{scheduledMessageId}/…]  inbox/scheduled_messages.py
GET  /attachments/{uuid}/{name}              pages/downloads.py
POST /hooks/twilio/[inbound|status]          hooks/twilio.py
POST /hooks/texts/[inbound|status]           hooks/sms_gateway.py
GET  POST /v1/ivr                            hooks/ivr.py
POST /graphql                                api/graphql.py
GET  /api/inbox/[threads|counts]             inbox/threads.py
GET  /api/inbox/threads/{customerThreadId}[/earlier]   inbox/conversation.py
POST /api/inbox/[read|unread|presence]       inbox/reads.py
POST /api/inbox/start-conversation           inbox/starts.py
GET  /api/inbox/first-steps                  inbox/first_steps.py
GET  POST /api/inbox/drafts[/{draftId}/…]    inbox/drafts.py
POST /api/inbox/[snooze|unsnooze]            inbox/snoozes.py
GET  POST /api/tags[/{tagId}/…] /api/tags/set-on-thread  inbox/tags.py
GET  POST /api/saved-replies[/{savedReplyId}/…]  inbox/saved_replies.py
GET  POST /api/saved-views[/{savedViewId}/…]  inbox/saved_views.py
POST /api/authenticate-customer              api/customer_authentication.py
GET  POST /api/publishable-keys[/{publishableKeyId}/revoke]  api/publishable_keys.py
POST /api/customer/sessions …/sign-out       customer/sessions.py
GET  /api/customer/threads                   customer/threads.py
GET  POST /api/customer/messages             customer/messages.py
POST /api/customer/attachments               customer/attachments.py
POST /api/customer/read …/typing             customer/presence.py
POST /api/customer/identify …/survey         customer/profile.py
GET  /api/customer/transcript                customer/transcript.py
GET  POST /t/{token}  POST /t/new-link       customer/links.py
GET  /c/{threadId}[/transcript]  POST /c/{threadId}/[messages|notifications|survey]  customer/pages.py
GET  /healthz /readyz /metrics               pages/health.py; runtime/metrics_port.py if metrics have their own port
GET  /widget.js /widget/panel /widget/{name} /demo  customer/widget_files.py
GET  /                                       pages/pages.py
GET  /problems /problems/{name}              pages/pages.py
GET  /docs /docs/static/{name} /static/{name} pages/pages.py
GET  /dev/mail /dev/mail/{name}              pages/dev_mail.py, only when the demo runs
POST /demo/sign-in                           pages/demo_sign_in.py, only when the demo runs
GET  POST /unsubscribe/{token}               pages/unsubscribe.py
GET  POST /answer/{token}                    pages/answer_page.py
GET  POST /sign-in[/code|/organization]  POST /sign-out     accounts/sign_in.py
GET  POST /invitations/{token}               accounts/invitation.py
GET  POST /account[/…]                       accounts/account.py
GET  POST /account/app[/remove]  POST /account/recovery-codes  accounts/authenticator_app.py
GET  /account/audit                          accounts/audit_page.py
GET  /oidc/[start|callback]                  accounts/oidc.py
GET  /inbox[/…]                              pages/inbox.py
POST /api/sign-in/passkey[/options] /api/passkeys[/options]  accounts/passkeys.py
GET  /openapi.json                           openapi/document.py
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from shopbell import __version__
from shopbell.errors import THINGS, Invalid, NotFound, RequestError, StorageError
from shopbell.http.accounts import account, audit_page, authenticator_app, invitation, oidc, passkeys, sign_in
from shopbell.http.accounts import error_page as account_errors
from shopbell.http.api import (
    assignment,
    attachments,
    audit,
    businesses,
    customer_authentication,
    customers,
    deliveries,
    employee_access,
    employees,
    events,
    graphql,
    me,
    merges,
    messages,
    organization,
    presence,
    publishable_keys,
    templates,
    thread_messages,
    threads,
    webhooks,
)
from shopbell.http.customer import (
    attachments as customer_attachments,
)
from shopbell.http.customer import links, profile, sessions, transcript, widget_files
from shopbell.http.customer import (
    messages as customer_messages,
)
from shopbell.http.customer import (
    pages as customer_pages,
)
from shopbell.http.customer import presence as customer_presence
from shopbell.http.customer import (
    threads as customer_threads,
)
from shopbell.http.hooks import ivr, sms_gateway, twilio
from shopbell.http.hooks.access import TextHooks
from shopbell.http.inbox import (
    bulk,
    drafts,
    first_steps,
    push_subscriptions,
    saved_replies,
    saved_views,
    scheduled_messages,
    snoozes,
    tags,
)
from shopbell.http.inbox import conversation as inbox_conversation
from shopbell.http.inbox import reads as inbox_reads
from shopbell.http.inbox import starts as inbox_starts
from shopbell.http.inbox import threads as inbox_threads
from shopbell.http.middleware import Middleware, StreamRoute
from shopbell.http.openapi import document
from shopbell.http.pages import answer_page, downloads, error_pages, health, inbox, pages, unsubscribe
from shopbell.http.request import methods
from shopbell.http.request.app_services import Services
from shopbell.http.request.errors import MethodNotAllowed
from shopbell.http.request.field_errors import field_errors
from shopbell.http.request.problems import Problems
from shopbell.http.server.connection import NoteResponse
from shopbell.http.server.direct import DirectRoute
from shopbell.http.server.errors import BadRequest, ClientDisconnect, InternalError, TemporarilyUnavailable
from shopbell.http.server.responses import CompleteResponse
from shopbell.operations.demo import Demo
from shopbell.settings.settings import Settings

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

log = structlog.get_logger()

_RESOURCES = (
    messages,
    threads,
    thread_messages,
    presence,
    attachments,
    assignment,
    templates,
    employees,
    employee_access,
    me,
    organization,
    audit,
    publishable_keys,
    businesses,
    events,
    webhooks,
    deliveries,
    merges,
    customers,
    customer_authentication,
    graphql,
    inbox_threads,
    inbox_conversation,
    inbox_reads,
    inbox_starts,
    first_steps,
    drafts,
    snoozes,
    tags,
    saved_replies,
    saved_views,
    bulk,
    push_subscriptions,
    scheduled_messages,
    sessions,
    customer_threads,
    customer_messages,
    customer_attachments,
    customer_presence,
    profile,
    transcript,
    links,
    customer_pages,
    sign_in,
    invitation,
    account,
    authenticator_app,
    audit_page,
    passkeys,
    oidc,
    twilio,
    sms_gateway,
    ivr,
    downloads,
    health,
    widget_files,
    pages,
    unsubscribe,
    answer_page,
    inbox,
)


def build(
    settings: Settings,
    *,
    direct: Iterable[DirectRoute],
    streams: Mapping[str, StreamRoute],
    services: Services,
    demo: Demo | None,
    is_ready: Callable[[], Awaitable[bool]],
    problems: Problems,
    note_response: NoteResponse,
    lifespan: Callable[[Any], Any],
    text_hooks: TextHooks | None = None,
) -> Middleware:
    """Build the ASGI application of all routes.

    Args:
        settings: the settings.
        direct: the direct routes.
        streams: the streaming routes, by path.
        services: what the routes work with.
        demo: the demo, if this server runs it.
        is_ready: whether the storage works; it may raise StorageError.
        problems: turns errors into responses.
        note_response: counts and logs each response.
        lifespan: opens and closes what the routes need.
        text_hooks: what the webhooks of SMS providers call.
    """
    app = FastAPI(
        # pages.py serves both: FastAPI's page needs an inline script.
        docs_url=None,
        openapi_url=None,
        title="Shopbell",
        version=__version__,
        lifespan=lifespan,
        redirect_slashes=False,
        # FastAPI's own would export messages of errors. Ours is in request/tracing.py.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.settings = settings
    app.state.services = services
    app.state.demo = demo
    app.state.is_ready = is_ready
    app.state.problems = problems
    app.state.text_hooks = text_hooks
    for resource in _RESOURCES:
        # FastAPI's `include_router` would make a second object of each route, with its models: 1.5 MB.
        app.router.routes.extend(resource.router.routes)
    if settings.metrics_port is None:
        app.router.routes.extend(health.metrics_router.routes)
    if demo is not None:
        from shopbell.http.pages import demo_sign_in, dev_mail  # it reads emails, which other servers do not have

        app.router.routes.extend([*dev_mail.router.routes, *demo_sign_in.router.routes])
    app.add_exception_handler(RequestError, _problem)
    app.add_exception_handler(StorageError, _storage_error)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(Exception, _bug)
    document.install(app)
    proxies = [str(network) for network in settings.trusted_proxies]
    # Uvicorn and Starlette have different types for the same interface.
    rest = ProxyHeadersMiddleware(cast("ASGI3Application", app), trusted_hosts=proxies)
    streams = {path: _behind(proxies, stream) for path, stream in streams.items()}
    return Middleware(direct, cast("ASGIApp", rest), streams=streams, problems=problems, note_response=note_response)


def _behind(proxies: list[str], stream: StreamRoute) -> StreamRoute:
    """Let a stream use the client address and scheme from trusted proxies, as other routes do."""
    told = ProxyHeadersMiddleware(cast("ASGI3Application", _nothing), trusted_hosts=proxies)

    async def response(
        scope: Scope,
        receive: Receive,
        send: Send,
        more_headers: Sequence[tuple[bytes, bytes]],
        on_end: Callable[[], None],
    ) -> None:
        await told(cast("Any", scope), cast("Any", receive), cast("Any", send))
        await stream(scope, receive, send, more_headers, on_end)

    return response


async def _nothing(*_: object) -> None:
    pass


async def _problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, RequestError)  # noqa: S101 - FastAPI's signature is wider than what it is called with
    if error_pages.is_wanted(request):
        return error_pages.error_page(request, problem)
    if account_errors.is_wanted(request):
        return account_errors.error_page(request, problem)
    return _response(request.app.state.problems.render(problem, request.scope["state"]["request_id"]))


async def _storage_error(request: Request, error: Exception) -> Response:
    log.warning("storage failed", request_id=request.scope["state"]["request_id"], reason=str(error))
    return await _problem(request, TemporarilyUnavailable())


async def _gone(_: Request, __: Exception) -> Response:
    """The client has gone. 499 is unofficial, but the usual status for logs and metrics."""
    return Response(status_code=499)


async def _invalid(request: Request, error: Exception) -> Response:
    """Answer errors that FastAPI found in path and query. An invalid id in a path is 404, not 400."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = field_errors(error.errors(), of_body=False)
    name = next((each.path for each in errors if each.source == "path"), None)
    if name is None:
        return await _problem(request, Invalid(errors))
    return await _problem(request, NotFound(name) if name in THINGS else NotFound())


async def _bug(request: Request, _: Exception) -> Response:
    """Answer a bug. Starlette raises it again after this answer, and ``Middleware`` logs it."""
    return await _problem(request, InternalError())


async def _http_exception(request: Request, error: Exception) -> Response:
    """Answer what Starlette refuses: unknown routes and methods."""
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == 404:
        return await _problem(request, NotFound())
    if error.status_code == 405:
        # Starlette names only the methods of the first matching route.
        return await _problem(request, MethodNotAllowed(methods.allowed(request.app.routes, request.scope["path"])))
    return await _problem(request, BadRequest("The request cannot be read."))


def _response(complete: CompleteResponse) -> Response:
    response = Response(complete.body, complete.status)
    response.raw_headers = list(complete.headers)
    return response
