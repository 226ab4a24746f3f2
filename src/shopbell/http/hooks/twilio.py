"""``POST /hooks/twilio/inbound`` and ``/hooks/twilio/status``: what Twilio tells, signed with the account's token.

Both are answered after the commit. Whatever Twilio sends again is stored once.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from shopbell.http.addresses import base_url
from shopbell.http.body import read_body
from shopbell.http.hooks.access import NotSigned, TextHooks, hooks_of
from shopbell.texting.signatures import is_from_twilio
from shopbell.texting.twilio_forms import inbound_text, read_form, status_report

_SIGNATURE = "x-twilio-signature"
_FORM = "application/x-www-form-urlencoded"
_REFERENCE_MAX_CHARACTERS = 64
# An instruction to do nothing: what is to be answered goes out as a text of its own, which has a record.
_NOTHING = b"<Response/>"

router = APIRouter(include_in_schema=False)


class Form:
    """A form that Twilio has signed.

    Args:
        hooks: whom it is handed on to.
        fields: its names and values.
    """

    def __init__(self, hooks: TextHooks, fields: list[tuple[str, str]]) -> None:
        self.hooks = hooks
        self.fields = fields


async def _signed_form(request: Request) -> Form:
    """Read a form, and believe it only if Twilio has signed it for this very address.

    Raises:
        NotFound: 404, texts do not go by Twilio.
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
    """Take a text that somebody sent to a business.

    Raises:
        NotSigned: 403.
        StorageError: 503, nothing is stored: Twilio comes again at the fallback address.
    """
    text = inbound_text(form.fields)
    if text is not None:
        media = form.hooks.twilio_media
        await form.hooks.on_inbound(await media.show_contacts(text) if media else text)
    return Response(_NOTHING, media_type="text/xml")


@router.post("/hooks/twilio/status")
async def status(form: SignedForm, reference: str = "") -> Response:
    """Take what became of a text that we sent.

    Raises:
        NotSigned: 403.
        StorageError: 503.
    """
    report = status_report(form.fields, reference[:_REFERENCE_MAX_CHARACTERS] or None)
    if report is not None:
        await form.hooks.on_status(report)
    return Response(status_code=204)
