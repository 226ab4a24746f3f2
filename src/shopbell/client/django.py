"""For Django: a page whose messages go to a business, and a receiver of webhooks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.middleware.csrf import get_token
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from shopbell.client.call import Id
from shopbell.client.clients import Shopbell
from shopbell.client.errors import BadSignature, ShopbellError
from shopbell.client.signatures import Event, check_secrets, verify_webhook
from shopbell.client.site import ENGLISH, Form, Said, Visit, is_json, locale_of, visit_of_json

View = Callable[[HttpRequest], HttpResponse]


def message_view(shop: Shopbell, *, business_id: Id, texts: Mapping[str, str] = ENGLISH) -> View:
    """A view that shows a form, and sends what is posted (form or JSON: ``message``, ``email``, ``phone``,
    ``clientMessageId``).

    Django's protection against forged requests applies, whether its middleware is on or not.

    Args:
        shop: the client; its token stays on the server.
        business_id: who gets the messages.
        texts: what visitors read.
    """
    form = Form(business_id, texts)

    def view(request: HttpRequest) -> HttpResponse:
        if request.method in ("GET", "HEAD"):
            return _response(form.empty(_hidden(request)))
        if request.method != "POST":
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        visit = _visit(request)
        if visit is None:
            return _response(form.refused(400, "unreadable"))
        try:
            shop.perform(form.call(visit))
        except ShopbellError as error:
            return _response(form.not_sent(visit, error, _hidden(request)))
        return _response(form.sent(visit))

    protected: View = csrf_protect(view)
    return protected


def webhook_view(secrets: str | Sequence[str], receive: Callable[[Event], object]) -> View:
    """A view for the address of a webhook: calls ``receive`` with each event whose signature is right.

    Args:
        secrets: as for ``verify_webhook``.
        receive: does something with the event, which may come again; when it raises, the event is sent again later.

    Raises:
        ValueError: a secret is not one.
    """
    check_secrets(secrets)

    def view(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            event = verify_webhook(request.body, request.headers, secrets)
        except BadSignature as error:
            return HttpResponse(str(error), status=401, content_type="text/plain")
        receive(event)
        return HttpResponse(status=204)

    exempt: View = csrf_exempt(view)  # the signature says who it is
    return exempt


def _visit(request: Any) -> Visit | None:
    language = request.headers.get("Accept-Language")
    if is_json(request.content_type):
        return visit_of_json(request.body, language)
    return Visit(request.POST.dict(), False, locale_of(language))


def _hidden(request: HttpRequest) -> str:
    # Letters and digits only.
    return f'<input type="hidden" name="csrfmiddlewaretoken" value="{get_token(request)}">'


def _response(said: Said) -> HttpResponse:
    return HttpResponse(said.body, status=said.status, content_type=said.content_type, headers=said.headers)
