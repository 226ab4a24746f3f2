"""FastAPI integration: a contact form and a webhook receiver."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from shopbell_client.call import Id
from shopbell_client.clients import AsyncShopbell
from shopbell_client.errors import BadSignature, ShopbellError
from shopbell_client.signatures import Event, check_secrets, verify_webhook
from shopbell_client.site import (
    MAX_BODY_BYTES,
    SiteResponse,
    Submission,
    form_for,
    is_cross_site,
    is_form,
    is_json,
    parse_json,
    preferred_locale,
)


def message_router(
    shop: AsyncShopbell, *, business_id: Id, path: str = "/contact", texts: Mapping[str, str] | None = None
) -> APIRouter:
    """Create a router with a contact form.

    The page accepts ``message``, ``email``, ``phone`` and ``clientMessageId``, as a form or as JSON. It refuses
    requests from other sites.

    Args:
        business_id: the business that receives the messages.
        path: the path of the page.
        texts: the texts that visitors read, with all keys of ``form_texts.ENGLISH``; by default in their language.
    """
    router = APIRouter()

    @router.get(path, include_in_schema=False)
    async def show(request: Request) -> Response:
        return _response(form_for(business_id, texts, request.headers.get("Accept-Language")).empty())

    @router.post(path, include_in_schema=False)
    async def send(request: Request) -> Response:
        form = form_for(business_id, texts, request.headers.get("Accept-Language"))
        if is_cross_site(request.headers):
            return _response(form.refused())
        body = await _body(request)
        if body is None:
            return _response(form.refused(413, "too_long"))
        submission = _submission(request, body)
        if submission is None:
            return _response(form.refused(400, "unreadable"))
        try:
            await shop.perform(form.call(submission))
        except ShopbellError as error:
            return _response(form.failed(submission, error))
        return _response(form.sent(submission))

    return router


def webhook_router(
    secrets: str | Sequence[str], receive: Callable[[Event], object], *, path: str = "/shopbell-events"
) -> APIRouter:
    """Create a router that receives webhook events.

    Args:
        secrets: see ``verify_webhook``.
        receive: a synchronous or asynchronous function, called with each event whose signature is valid. An event can
            arrive more than once. If ``receive`` raises an exception, the server sends the event again later.
        path: the path of the webhook's URL.

    Raises:
        ValueError: a secret is invalid.
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
    """Read the body; None if it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _submission(request: Request, body: bytes) -> Submission | None:
    language = request.headers.get("Accept-Language")
    content_type = request.headers.get("Content-Type")
    if is_json(content_type):
        return parse_json(body, language)
    if not is_form(content_type):
        return None
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
    except ValueError:  # not UTF-8, or too many fields
        return None
    return Submission(fields, False, preferred_locale(language))


def _response(response: SiteResponse) -> Response:
    return Response(response.body, response.status, response.headers, media_type=response.content_type)
