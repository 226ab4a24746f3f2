"""For Flask: a page whose messages go to a business, and a receiver of webhooks."""

import html
from collections.abc import Callable, Mapping, Sequence

from flask import Blueprint, Response, current_app, request

from shopbell.client.call import Id
from shopbell.client.clients import Shopbell
from shopbell.client.errors import BadSignature, ShopbellError
from shopbell.client.signatures import Event, check_secrets, verify_webhook
from shopbell.client.site import (
    ENGLISH,
    MAX_BODY_BYTES,
    Form,
    Said,
    Visit,
    is_from_elsewhere,
    is_json,
    locale_of,
    visit_of_json,
)


def message_blueprint(
    shop: Shopbell, *, business_id: Id, path: str = "/contact", texts: Mapping[str, str] = ENGLISH
) -> Blueprint:
    """A page that shows a form, and sends what is posted (form or JSON: ``message``, ``email``, ``phone``,
    ``clientMessageId``).

    What another site's page posts is refused; where ``CSRFProtect`` of Flask-WTF is on, its token is in the form, too.

    Args:
        shop: the client; its token stays on the server.
        business_id: who gets the messages.
        path: of the page.
        texts: what visitors read.
    """
    form = Form(business_id, texts)
    blueprint = Blueprint(f"shopbell_{business_id}", __name__)

    @blueprint.get(path)
    def show() -> Response:
        return _response(form.empty(_hidden()))

    @blueprint.post(path)
    def send() -> Response:
        if is_from_elsewhere(dict(request.headers)):
            return _response(form.refused())
        request.max_content_length = MAX_BODY_BYTES
        visit = _visit()
        if visit is None:
            return _response(form.refused(400, "unreadable"))
        try:
            shop.perform(form.call(visit))
        except ShopbellError as error:
            return _response(form.not_sent(visit, error, _hidden()))
        return _response(form.sent(visit))

    return blueprint


def webhook_blueprint(
    secrets: str | Sequence[str], receive: Callable[[Event], object], *, path: str = "/shopbell-events"
) -> Blueprint:
    """The address of a webhook: calls ``receive`` with each event whose signature is right.

    Args:
        secrets: as for ``verify_webhook``.
        receive: does something with the event, which may come again; when it raises, the event is sent again later.
        path: of the address.

    Raises:
        ValueError: a secret is not one.
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


def _visit() -> Visit | None:
    language = request.headers.get("Accept-Language")
    if is_json(request.content_type):
        return visit_of_json(request.get_data(), language)
    return Visit(request.form.to_dict(), False, locale_of(language))


def _hidden() -> str:
    token = current_app.jinja_env.globals.get("csrf_token")
    return f'<input type="hidden" name="csrf_token" value="{html.escape(token())}">' if callable(token) else ""


def _response(said: Said) -> Response:
    return Response(said.body, said.status, said.headers, content_type=said.content_type)
