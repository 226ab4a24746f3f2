"""Every URL of the product on one page.

POST /api/widget/send-message-to-business    widget.py, bare ASGI
POST /api/send-message-to-customer-thread    api/messages.py
POST /api/update-thread-status               api/threads.py
GET  /api/get-customer-thread-details        api/threads.py
GET  /api/threads                            api/threads.py
GET  /api/threads/{threadId}/messages        api/thread_messages.py
POST /api/[transfer|assign|unassign]-customer-thread  api/handovers.py
GET  /api/get-whatsapp-templates             api/templates.py
GET  POST /api/templates[/{templateId}/…]    api/templates.py
GET  POST /api/employees[/{employeeId}/…]    api/employees.py
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
GET  /attachments/{uuid}/{name}              downloads.py
POST /hooks/twilio/[inbound|status]          hooks/twilio.py
POST /hooks/texts/[inbound|status]           hooks/http_texts.py
GET  POST /v1/ivr                            ivr.py
POST /graphql                                api/graphql.py
POST /api/authenticate-customer              api/customer_authentication.py
GET  POST /api/publishable-keys[/{publishableKeyId}/revoke]  api/publishable_keys.py
POST /api/customer/sessions …/sign-out       customer/sessions.py
GET  /api/customer/threads                   customer/threads.py
GET  POST /api/customer/messages             customer/messages.py
POST /api/customer/attachments               customer/attachments.py
POST /api/customer/read …/typing             customer/reading.py
POST /api/customer/identify …/survey         customer/profile.py
GET  /api/customer/transcript                customer/transcript.py
GET  POST /t/{token}  POST /t/new-link       customer/links.py
GET  /c/{threadId}[/transcript]  POST /c/{threadId}/[messages|notifications|survey]  customer/pages.py
GET  /healthz /readyz /metrics               operations.py
GET  /widget.js /widget/panel /widget/{name} /demo  customer/widget_files.py
GET  /                                       pages.py
GET  /problems /problems/{name}              pages.py
GET  /docs /docs/static/{name} /static/{name} pages.py
GET  /dev/mail /dev/mail/{name}              dev_mail.py, only when the demo runs
GET  POST /unsubscribe/{token}               unsubscribe.py
GET  POST /answer/{token}                    answer_page.py
GET  /openapi.json                           reference.py
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from shopbell import __version__
from shopbell.demo import Demo
from shopbell.errors import (
    BadRequest,
    InternalError,
    Invalid,
    MethodNotAllowed,
    NotFound,
    Problem,
    StorageError,
    TemporarilyUnavailable,
)
from shopbell.http import answer_page, dev_mail, downloads, ivr, methods, operations, pages, reference, unsubscribe
from shopbell.http.api import (
    attachments,
    attention,
    businesses,
    customer_authentication,
    customers,
    deliveries,
    employees,
    events,
    graphql,
    handovers,
    merges,
    messages,
    organization,
    publishable_keys,
    templates,
    thread_messages,
    threads,
    webhooks,
)
from shopbell.http.api.access import Api
from shopbell.http.api.body import faults_of
from shopbell.http.body import ClientDisconnect
from shopbell.http.customer import routers as customer_routers
from shopbell.http.customer import widget_files
from shopbell.http.edge import Edge, HotRoute, StreamRoute
from shopbell.http.hooks import http_texts, twilio
from shopbell.http.hooks.access import TextHooks
from shopbell.http.metrics import RequestMetrics
from shopbell.http.problems import Answer, render, serve_under
from shopbell.http.request_log import RequestLog
from shopbell.http.widget import ROUTE
from shopbell.id_names import THINGS
from shopbell.mail import answer_links
from shopbell.mail import unsubscribe as unsubscribe_links
from shopbell.settings import Settings

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

_LINKS_OF_MAILS = (answer_links.PATH, unsubscribe_links.PATH)

log = structlog.get_logger()


def build(
    settings: Settings,
    *,
    widget: HotRoute,
    streams: Mapping[str, StreamRoute],
    api: Api,
    demo: Demo | None,
    is_ready: Callable[[], Awaitable[bool]],
    metrics: RequestMetrics,
    request_log: RequestLog,
    lifespan: Callable[[Any], Any],
    text_hooks: TextHooks | None = None,
) -> ASGIApp:
    """Put all routes together.

    Args:
        settings: those of this process.
        widget: the hot route.
        streams: the routes that answer with streams, by their paths.
        api: what the routes of the conversations API work with.
        demo: the demo installation, when it is what runs.
        is_ready: whether storage works; a StorageError says no, too.
        metrics: counts the answers.
        request_log: gets a line for each.
        lifespan: opens and closes what the routes need.
        text_hooks: what the routes for providers of texts hand on.
    """
    serve_under(None if settings.public_url is None else str(settings.public_url))
    app = FastAPI(
        # pages.py has its own of both: FastAPI's page needs a script inside it, and its document's route has no name.
        docs_url=None,
        openapi_url=None,
        title="Shopbell",
        version=__version__,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.api = api
    app.state.demo = demo
    app.state.is_ready = is_ready
    app.state.text_hooks = text_hooks
    for resource in (
        messages,
        threads,
        thread_messages,
        attention,
        attachments,
        handovers,
        templates,
        employees,
        organization,
        publishable_keys,
        businesses,
        events,
        webhooks,
        deliveries,
        merges,
        customers,
        customer_authentication,
        graphql,
    ):
        app.include_router(resource.router)
    for router in customer_routers.ROUTERS:
        app.include_router(router)
    for provider in (twilio, http_texts, ivr):
        app.include_router(provider.router)
    app.include_router(downloads.router)
    app.include_router(operations.router)
    app.include_router(widget_files.router)
    app.include_router(pages.router)
    app.include_router(dev_mail.router)
    app.include_router(unsubscribe.router)
    app.include_router(answer_page.router)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(StorageError, _storage_error)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(Exception, _bug)
    reference.install(app)
    proxies = [str(network) for network in settings.trusted_proxies]
    # Uvicorn and Starlette spell the types of one and the same interface differently.
    rest = ProxyHeadersMiddleware(cast("ASGI3Application", app), trusted_hosts=proxies)
    streams = {path: _behind(proxies, stream) for path, stream in streams.items()}
    return Edge({ROUTE: widget}, cast("ASGIApp", rest), streams=streams, metrics=metrics, request_log=request_log)


def _behind(proxies: list[str], stream: StreamRoute) -> StreamRoute:
    """A stream that hears from trusted proxies whose request it is, and how it came, as all other routes do."""
    told = ProxyHeadersMiddleware(cast("ASGI3Application", _nothing), trusted_hosts=proxies)

    async def answer(scope: Scope, receive: Receive, send: Send, more_headers: Sequence[tuple[bytes, bytes]]) -> None:
        await told(cast("Any", scope), cast("Any", receive), cast("Any", send))
        await stream(scope, receive, send, more_headers)

    return answer


async def _nothing(*_: object) -> None:
    pass


async def _problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)  # noqa: S101 - FastAPI's signature is wider than what it is called with
    if isinstance(problem, NotFound) and request.scope["path"].startswith(_LINKS_OF_MAILS):
        return pages.broken_link(request)
    return _response(render(problem, request.scope["state"]["request_id"]))


async def _storage_error(request: Request, error: Exception) -> Response:
    log.warning("storage failed", request_id=request.scope["state"]["request_id"], reason=str(error))
    return await _problem(request, TemporarilyUnavailable())


async def _gone(_: Request, __: Exception) -> Response:
    """Nobody is left to be answered; for the log and the metrics there is no better number than this unofficial one."""
    return Response(status_code=499)


async def _invalid(request: Request, error: Exception) -> Response:
    """What FastAPI found in the path and the query. In a path there is no wrong id, only nothing of that name."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    faults = faults_of(error.errors(), of_body=False)
    name = next((fault.name for fault in faults if fault.where == "path"), None)
    if name is None:
        return await _problem(request, Invalid(faults))
    return await _problem(request, NotFound(name) if name in THINGS else NotFound())


async def _bug(request: Request, _: Exception) -> Response:
    """What nobody expected. Starlette raises it again after this answer, and Edge logs it."""
    return await _problem(request, InternalError())


async def _http_exception(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: no such route, or not this method."""
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == NotFound.status:
        return await _problem(request, NotFound())
    if error.status_code == MethodNotAllowed.status:
        # Starlette names those of the first route that it comes upon.
        return await _problem(request, MethodNotAllowed(methods.allowed(request.app.routes, request.scope["path"])))
    return await _problem(request, BadRequest("The request cannot be read."))


def _response(answer: Answer) -> Response:
    response = Response(answer.body, answer.status)
    response.raw_headers = list(answer.headers)
    return response
