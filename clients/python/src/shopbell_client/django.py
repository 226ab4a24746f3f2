"""Django integration: a contact form and a webhook receiver."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.middleware.csrf import get_token
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from shopbell_client.call import Id
from shopbell_client.clients import Shopbell
from shopbell_client.errors import BadSignature, ShopbellError
from shopbell_client.signatures import Event, check_secrets, verify_webhook
from shopbell_client.site import SiteResponse, Submission, form_for, is_json, parse_json, preferred_locale

View = Callable[[HttpRequest], HttpResponse]


def message_view(shop: Shopbell, *, business_id: Id, texts: Mapping[str, str] | None = None) -> View:
    """Create a view with a contact form.

    The view accepts ``message``, ``email``, ``phone`` and ``clientMessageId``, as a form or as JSON. Django's CSRF
    protection is always on, even without the middleware.

    Args:
        business_id: the business that receives the messages.
        texts: the texts that visitors read, with all keys of ``form_texts.ENGLISH``; by default in their language.
    """

    def view(request: HttpRequest) -> HttpResponse:
        form = form_for(business_id, texts, request.headers.get("Accept-Language"))
        if request.method in ("GET", "HEAD"):
            return _response(form.empty(_csrf_input(request)))
        if request.method != "POST":
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        submission = _submission(request)
        if submission is None:
            return _response(form.refused(400, "unreadable"))
        try:
            shop.perform(form.call(submission))
        except ShopbellError as error:
            return _response(form.failed(submission, error, _csrf_input(request)))
        return _response(form.sent(submission))

    protected: View = csrf_protect(view)
    return protected


def webhook_view(secrets: str | Sequence[str], receive: Callable[[Event], object]) -> View:
    """Create a view that receives webhook events.

    Args:
        secrets: see ``verify_webhook``.
        receive: called with each event whose signature is valid. An event can arrive more than once. If ``receive``
            raises an exception, the server sends the event again later.

    Raises:
        ValueError: a secret is invalid.
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

    exempt: View = csrf_exempt(view)  # authenticated by the signature
    return exempt


def _submission(request: Any) -> Submission | None:
    language = request.headers.get("Accept-Language")
    if is_json(request.content_type):
        return parse_json(request.body, language)
    return Submission(request.POST.dict(), False, preferred_locale(language))


def _csrf_input(request: HttpRequest) -> str:
    # The token needs no escaping: it consists of letters and digits.
    return f'<input type="hidden" name="csrfmiddlewaretoken" value="{get_token(request)}">'


def _response(response: SiteResponse) -> HttpResponse:
    return HttpResponse(
        response.body, status=response.status, content_type=response.content_type, headers=response.headers
    )
