"""For FastAPI: a page whose messages go to a business, and a receiver of webhooks."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from shopbell.client.call import Id
from shopbell.client.clients import AsyncShopbell
from shopbell.client.errors import BadSignature, ShopbellError
from shopbell.client.signatures import Event, check_secrets, verify_webhook
from shopbell.client.site import (
    ENGLISH,
    MAX_BODY_BYTES,
    Form,
    Said,
    Visit,
    is_form,
    is_from_elsewhere,
    is_json,
    locale_of,
    visit_of_json,
)


def message_router(
    shop: AsyncShopbell, *, business_id: Id, path: str = "/contact", texts: Mapping[str, str] = ENGLISH
) -> APIRouter:
    """A page that shows a form, and sends what is posted (form or JSON: ``message``, ``email``, ``phone``,
    ``clientMessageId``).

    What another site's page posts is refused.

    Args:
        shop: the client; its token stays on the server.
        business_id: who gets the messages.
        path: of the page.
        texts: what visitors read.
    """
    form = Form(business_id, texts)
    router = APIRouter()

    @router.get(path, include_in_schema=False)
    async def show() -> Response:
        return _response(form.empty())

    @router.post(path, include_in_schema=False)
    async def send(request: Request) -> Response:
        if is_from_elsewhere(request.headers):
            return _response(form.refused())
        body = await _body(request)
        if body is None:
            return _response(form.refused(413, "too_long"))
        visit = _visit(request, body)
        if visit is None:
            return _response(form.refused(400, "unreadable"))
        try:
            await shop.perform(form.call(visit))
        except ShopbellError as error:
            return _response(form.not_sent(visit, error))
        return _response(form.sent(visit))

    return router


def webhook_router(
    secrets: str | Sequence[str], receive: Callable[[Event], object], *, path: str = "/shopbell-events"
) -> APIRouter:
    """The address of a webhook: calls ``receive`` with each event whose signature is right.

    Args:
        secrets: as for ``verify_webhook``.
        receive: a function, asynchronous or not, that does something with the event, which may come again; when it
            raises, the event is sent again later.
        path: of the address.

    Raises:
        ValueError: a secret is not one.
    """
    check_secrets(secrets)
    router = APIRouter()

    @router.post(path, include_in_schema=False)
    async def receive_event(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return Response(status_code=413)
        try:
            event = verify_webhook(body, request.headers, secrets)
        except BadSignature as error:
            return Response(str(error), 401, media_type="text/plain")
        if inspect.iscoroutinefunction(receive):
            await receive(event)
        else:
            await run_in_threadpool(receive, event)
        return Response(status_code=204)

    return router


async def _body(request: Request) -> bytes | None:
    """The body, or None when it is longer than anybody needs."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _visit(request: Request, body: bytes) -> Visit | None:
    language = request.headers.get("Accept-Language")
    content_type = request.headers.get("Content-Type")
    if is_json(content_type):
        return visit_of_json(body, language)
    if not is_form(content_type):
        return None
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
    except ValueError:  # no text, or too many fields
        return None
    return Visit(fields, False, locale_of(language))


def _response(said: Said) -> Response:
    return Response(said.body, said.status, said.headers, media_type=said.content_type)
