"""``GET`` and ``POST /v1/ivr``: tell a phone system how to handle a call, in its XML.

The caller gets a welcome by SMS, and a conversation starts. The answer is 200 in each of these cases:

====================================================  ==================================================
``<Response><Dial>+16175550101</Dial></Response>``     the business has a number for voice calls
``<Response><Say language="en">…</Say><Say …>…``       it has none, no business has the number, or the
                                                      number of the caller is hidden
====================================================  ==================================================

A trailing slash is optional.
"""

import re
import time
from collections.abc import Mapping
from html import escape
from typing import Any, cast

from fastapi import APIRouter, Request, Response

from shopbell.channels.open_channels import rules_of
from shopbell.channels.voice import ivr
from shopbell.channels.voice.ivr import Call
from shopbell.customers.opt_outs import OptOuts
from shopbell.errors import FieldError, Invalid
from shopbell.formats import identities
from shopbell.http.request.app_services import Services
from shopbell.http.request.authentication import check_scope
from shopbell.http.request.body import read_body
from shopbell.http.request.errors import Unauthorized
from shopbell.http.request.json_headers import read_json_headers
from shopbell.http.request.json_object import parse_object
from shopbell.http.server.responses import RESPONSE_HEADERS
from shopbell.i18n.translations import for_locale, msgid
from shopbell.organizations.api_tokens import Token
from shopbell.runtime import clock

SCOPE = "widget:send"
LANGUAGES = ("en", "fr")
CONTEXT_MAX_CHARACTERS = 500

_E164 = re.compile(r"\+[1-9][0-9]{4,14}", re.ASCII)
# Programs branch on these sentences, which are part of the public API: they are not translated or reworded.
_NO_FORWARDING = {
    "en": "Sorry, this store did not define voice call forwarding",
    "fr": "Désolé, ce magasin n'a pas défini de numéro vocal",
}
_NO_BUSINESS = {
    "en": "Sorry, this number is not linked to any store",
    "fr": "Désolé, ce numéro n'est lié à aucun magasin",
}
_HIDDEN = msgid(
    "Thank you for calling. Your number is withheld, so we cannot send you a text message. "
    "Please call again with your number shown."
)

router = APIRouter(include_in_schema=False)


@router.get("/v1/ivr")
async def ask(request: Request) -> Response:
    """Handle a call whose numbers are in the query.

    Raises:
        Unauthorized: 401.
        Forbidden: 403; the token lacks the scope.
        QuotaExceeded: 429.
        Invalid: 400.
        StorageError: 503.
    """
    # A plus that is not encoded arrives as a space.
    given = {name: re.sub(r"^ (?=[0-9])", "+", value) for name, value in request.query_params.items()}
    token = await _token(request, given.get("key"))
    return await _answer(request, token, given, "query")


@router.post("/v1/ivr")
async def tell(request: Request) -> Response:
    """Handle a call whose numbers are in a JSON body.

    Raises:
        Unauthorized: 401.
        Forbidden: 403; the token lacks the scope.
        QuotaExceeded: 429.
        Invalid: 400.
        ContentTooLarge: 413.
        StorageError: 503.
    """
    headers = read_json_headers(request.scope["headers"])
    settings = cast("Services", request.app.state.services).settings
    content = await read_body(request.receive, request.scope, settings.body_limit_bytes)
    document, malformed = parse_object(content) if headers.readable else ({}, None)
    errors = [*headers.errors, *([malformed] if malformed else [])]
    if errors:
        raise Invalid(errors)
    key = document.get("key")
    token = await _token(request, key if isinstance(key, str) else None)
    return await _answer(request, token, document, "body")


async def _token(request: Request, key: str | None) -> Token:
    services = cast("Services", request.app.state.services)
    if not key:
        raise Unauthorized("'key' is missing. Send the API token there.")
    token = await services.authentication.token_of([(b"token", key.encode("latin-1", "replace"))])
    allowance = services.rate_limit.take(token.id, time.monotonic())
    request.scope["state"][RESPONSE_HEADERS] = allowance.headers
    allowance.check()
    check_scope(token, SCOPE)
    return token


async def _answer(request: Request, token: Token, given: Mapping[str, Any], where: Any) -> Response:
    services = cast("Services", request.app.state.services)
    errors: list[FieldError] = []
    caller = None if _is_hidden(given.get("from")) else _number(given.get("from"), "from", where, errors)
    called = _number(given.get("to"), "to", where, errors)
    context = _context(given.get("context"), where, errors)
    if errors or called is None:
        raise Invalid(errors)
    call = await services.database.write(
        ivr.take,
        token.organization_id,
        caller,
        called,
        rules_of(services.settings),
        OptOuts(services.keys),
        context=context,
        now_ms=clock.now_ms(),
    )
    services.pubsub.publish([token.organization_id])
    return Response(_xml(call), media_type="text/xml; charset=utf-8", headers={"Cache-Control": "no-store"})


def _is_hidden(value: object) -> bool:
    """Return whether the number is hidden. Phone systems then send nothing or a word such as ``anonymous``."""
    return value is None or (isinstance(value, str) and not any(character.isdigit() for character in value))


def _context(value: object, where: Any, errors: list[FieldError]) -> str | None:
    """Return the context of the call, such as ``OPT_IN``, or None."""
    if value is None:
        return None
    if not isinstance(value, str):
        errors.append(FieldError("context", "type", "must be a string", members={"expected": "string"}, source=where))
        return None
    if len(value) > CONTEXT_MAX_CHARACTERS:
        limit = CONTEXT_MAX_CHARACTERS
        errors.append(
            FieldError(
                "context",
                "too_long",
                f"must have at most {limit} characters",
                members={"maxLength": limit},
                source=where,
            )
        )
    if "\0" in value:
        errors.append(FieldError("context", "invalid_character", "must not contain U+0000", source=where))
    return value.strip() or None


def _number(value: object, name: str, where: Any, errors: list[FieldError]) -> str | None:
    if value is None:
        errors.append(FieldError(name, "required", "is required", source=where))
    elif not isinstance(value, str):
        errors.append(FieldError(name, "type", "must be a string", members={"expected": "string"}, source=where))
    else:
        try:
            if _E164.fullmatch(value):
                return identities.normal_phone(value, None)
        except ValueError:  # no such country: reported below
            pass
        detail = "must be a phone number in E.164: + and digits, with the country code"
        errors.append(FieldError(name, "invalid_phone_number", detail, source=where))
    return None


def _xml(call: Call) -> str:
    if call.forward_number is not None:
        return f"<Response><Dial>{escape(call.forward_number, quote=False)}</Dial></Response>"
    if call.is_hidden:
        spoken = (for_locale(tag) for tag in (call.locale, *LANGUAGES))
        said = {texts.tag: texts.gettext(_HIDDEN) for texts in spoken}
    else:
        said = _NO_FORWARDING if call.has_business else _NO_BUSINESS
    return f"<Response>{''.join(_say(language, sentence) for language, sentence in said.items())}</Response>"


def _say(language: str, sentence: str) -> str:
    return f'<Say language="{language}">{escape(sentence, quote=False)}</Say>'
