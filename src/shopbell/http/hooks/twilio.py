"""``POST /hooks/twilio/inbound`` and ``/hooks/twilio/status``: webhooks of Twilio, signed with the auth token.

Both are answered after the commit. A repeated request is stored once.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from shopbell.http.hooks.access import NotSigned, TextHooks, hooks_of
from shopbell.http.request.base_url import base_url
from shopbell.http.request.body import read_body
from shopbell.sms.signatures import is_from_twilio
from shopbell.sms.twilio import inbound_text, read_form, status_report

_SIGNATURE = "x-twilio-signature"
_FORM = "application/x-www-form-urlencoded"
_REFERENCE_MAX_CHARACTERS = 64
# An empty instruction: replies are sent as messages of their own, which are recorded.
_NOTHING = b"<Response/>"

router = APIRouter(include_in_schema=False)


class Form:
    """A form with a valid signature.

    Args:
        hooks: what the route calls.
        fields: the names and values.
    """

    def __init__(self, hooks: TextHooks, fields: list[tuple[str, str]]) -> None:
        self.hooks = hooks
        self.fields = fields


async def _signed_form(request: Request) -> Form:
    """Read a form, and check that Twilio has signed it for this URL.

    Raises:
        NotFound: 404; Twilio is not the provider.
        NotSigned: 403.
        ContentTooLarge: 413.
        RequestTimeout: 408.
    """
    hooks = hooks_of(request, "twilio")
    settings = hooks.settings
    signature = request.headers.get(_SIGNATURE)
    is_form = request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM
    if not signature or not is_form or settings.twilio_auth_token is None:
        raise NotSigned
    body = await read_body(request.receive, request.scope, settings.body_limit_bytes)
    try:
        fields = read_form(body)
    except ValueError:
        raise NotSigned from None
    query = request.scope["query_string"].decode("latin-1")
    url = base_url(request, settings) + request.url.path + (f"?{query}" if query else "")
    if not is_from_twilio(signature, settings.twilio_auth_token.get_secret_value(), url, fields):
        raise NotSigned
    return Form(hooks, fields)


SignedForm = Annotated[Form, Depends(_signed_form)]


@router.post("/hooks/twilio/inbound")
async def inbound(form: SignedForm) -> Response:
    """Store an incoming message.

    Raises:
        NotSigned: 403.
        StorageError: 503; nothing is stored, and Twilio tries its fallback URL.
    """
    text = inbound_text(form.fields)
    if text is not None:
        media = form.hooks.twilio_media
        await form.hooks.on_inbound(await media.show_contacts(text) if media else text)
    return Response(_NOTHING, media_type="text/xml")


@router.post("/hooks/twilio/status")
async def status(form: SignedForm, reference: str = "") -> Response:
    """Store the status of an outgoing message.

    Raises:
        NotSigned: 403.
        StorageError: 503.
    """
    report = status_report(form.fields, reference[:_REFERENCE_MAX_CHARACTERS] or None)
    if report is not None:
        await form.hooks.on_status(report)
    return Response(status_code=204)
