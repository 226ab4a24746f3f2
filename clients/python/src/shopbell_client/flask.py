"""Flask integration: a contact form and a webhook receiver."""

import html
from collections.abc import Callable, Mapping, Sequence

from flask import Blueprint, Response, current_app, request

from shopbell_client.call import Id
from shopbell_client.clients import Shopbell
from shopbell_client.errors import BadSignature, ShopbellError
from shopbell_client.signatures import Event, check_secrets, verify_webhook
from shopbell_client.site import (
    MAX_BODY_BYTES,
    SiteResponse,
    Submission,
    form_for,
    is_cross_site,
    is_json,
    parse_json,
    preferred_locale,
)


def message_blueprint(
    shop: Shopbell, *, business_id: Id, path: str = "/contact", texts: Mapping[str, str] | None = None
) -> Blueprint:
    """Create a blueprint with a contact form.

    The page accepts ``message``, ``email``, ``phone`` and ``clientMessageId``, as a form or as JSON. It refuses
    requests from other sites. If ``CSRFProtect`` of Flask-WTF is on, the form contains its token.

    Args:
        business_id: the business that receives the messages.
        path: the path of the page.
        texts: the texts that visitors read, with all keys of ``form_texts.ENGLISH``; by default in their language.
    """
    blueprint = Blueprint(f"shopbell_{business_id}", __name__)

    @blueprint.get(path)
    def show() -> Response:
        return _response(form_for(business_id, texts, request.headers.get("Accept-Language")).empty(_csrf_input()))

    @blueprint.post(path)
    def send() -> Response:
        form = form_for(business_id, texts, request.headers.get("Accept-Language"))
        if is_cross_site(dict(request.headers)):
            return _response(form.refused())
        request.max_content_length = MAX_BODY_BYTES
        submission = _submission()
        if submission is None:
            return _response(form.refused(400, "unreadable"))
        try:
            shop.perform(form.call(submission))
        except ShopbellError as error:
            return _response(form.failed(submission, error, _csrf_input()))
        return _response(form.sent(submission))

    return blueprint


def webhook_blueprint(
    secrets: str | Sequence[str], receive: Callable[[Event], object], *, path: str = "/shopbell-events"
) -> Blueprint:
    """Create a blueprint that receives webhook events.

    Args:
        secrets: see ``verify_webhook``.
        receive: called with each event whose signature is valid. An event can arrive more than once. If ``receive``
            raises an exception, the server sends the event again later.
        path: the path of the webhook's URL.

    Raises:
        ValueError: a secret is invalid.
    """
    check_secrets(secrets)
    blueprint = Blueprint("shopbell_events", __name__)

    @blueprint.post(path)
    def receive_event() -> Response:
        request.max_content_length = MAX_BODY_BYTES
        try:
            event = verify_webhook(request.get_data(), dict(request.headers), secrets)
        except BadSignature as error:
            return Response(str(error), 401, content_type="text/plain")
        receive(event)
        return Response(status=204)

    return blueprint


def _submission() -> Submission | None:
    language = request.headers.get("Accept-Language")
    if is_json(request.content_type):
        return parse_json(request.get_data(), language)
    return Submission(request.form.to_dict(), False, preferred_locale(language))


def _csrf_input() -> str:
    token = current_app.jinja_env.globals.get("csrf_token")
    return f'<input type="hidden" name="csrf_token" value="{html.escape(token())}">' if callable(token) else ""


def _response(response: SiteResponse) -> Response:
    return Response(response.body, response.status, response.headers, content_type=response.content_type)
