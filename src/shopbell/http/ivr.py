"""``GET`` and ``POST /v1/ivr``: what a phone system is to do with a call, as XML that it understands.

The caller is sent a welcome by SMS, and his conversation is opened. The answer is 200 in each of these cases:

====================================================  ==================================================
``<Response><Dial>+16175550101</Dial></Response>``     the business has a number for voice calls
``<Response><Say language="en">…</Say><Say …>…``       it has none, no business has the number, or the
                                                      caller's own number is hidden
====================================================  ==================================================

A trailing slash is optional.
"""

import re
import time
from collections.abc import Mapping
from typing import Any, cast
from xml.sax.saxutils import escape

from fastapi import APIRouter, Request, Response

from shopbell import identity, ivr
from shopbell.errors import Fault, Invalid, Unauthorized
from shopbell.http.api.access import Api
from shopbell.http.authentication import require_scope
from shopbell.http.body import read_body
from shopbell.http.json_body import parse_object
from shopbell.http.json_headers import read_json_headers
from shopbell.http.problems import ANSWER_HEADERS
from shopbell.ivr import Call
from shopbell.opt_outs import OptOuts
from shopbell.outreach.rules import rules_of
from shopbell.texts import for_locale, msgid
from shopbell.tokens import Token

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
    "Thank you for your call. Your number is hidden, so we cannot send you a text message. "
    "Please call again and let us see your number."
)

router = APIRouter(include_in_schema=False)


@router.get("/v1/ivr")
async def ask(request: Request) -> Response:
    """Take a call whose numbers are in the address.

    Raises:
        Unauthorized: 401.
        Forbidden: 403, the token lacks the scope.
        QuotaExceeded: 429.
        Invalid: 400.
        StorageError: 503.
    """
    # A plus that was not encoded arrives as a space.
    given = {name: re.sub(r"^ (?=[0-9])", "+", value) for name, value in request.query_params.items()}
    token = await _token(request, given.get("key"))
    return await _answer(request, token, given, "query")


@router.post("/v1/ivr")
async def tell(request: Request) -> Response:
    """Take a call whose numbers are in a JSON body.

    Raises:
        Unauthorized: 401.
        Forbidden: 403, the token lacks the scope.
        QuotaExceeded: 429.
        Invalid: 400.
        ContentTooLarge: 413.
        StorageError: 503.
    """
    headers = read_json_headers(request.scope["headers"])
    settings = cast("Api", request.app.state.api).settings
    content = await read_body(request.receive, request.scope, settings.body_limit_bytes)
    document, fault = parse_object(content) if headers.readable else ({}, None)
    faults = [*headers.faults, *([fault] if fault else [])]
    if faults:
        raise Invalid(faults)
    key = document.get("key")
    token = await _token(request, key if isinstance(key, str) else None)
    return await _answer(request, token, document, "body")


async def _token(request: Request, key: str | None) -> Token:
    api = cast("Api", request.app.state.api)
    if not key:
        raise Unauthorized("'key' is missing. Send the API token there.")
    token = await api.authentication.token_of([(b"token", key.encode("latin-1", "replace"))])
    allowance = api.rate_limit.take(token.id, time.monotonic())
    request.scope["state"][ANSWER_HEADERS] = allowance.headers
    allowance.check()
    require_scope(token, SCOPE)
    return token


async def _answer(request: Request, token: Token, given: Mapping[str, Any], where: Any) -> Response:
    api = cast("Api", request.app.state.api)
    faults: list[Fault] = []
    caller = None if _is_hidden(given.get("from")) else _number(given.get("from"), "from", where, faults)
    called = _number(given.get("to"), "to", where, faults)
    context = _context(given.get("context"), where, faults)
    if faults or called is None:
        raise Invalid(faults)
    call = await api.database.write(
        ivr.take,
        token.organization_id,
        caller,
        called,
        rules_of(api.settings),
        OptOuts(api.keys),
        context=context,
        now_ms=time.time_ns() // 1_000_000,
    )
    api.wakes.announce([token.organization_id])
    return Response(_xml(call), media_type="text/xml; charset=utf-8", headers={"Cache-Control": "no-store"})


def _is_hidden(value: object) -> bool:
    """Phone systems say nothing, or a word such as ``anonymous``."""
    return value is None or (isinstance(value, str) and not any(character.isdigit() for character in value))


def _context(value: object, where: Any, faults: list[Fault]) -> str | None:
    """What the phone system says about the call, such as ``OPT_IN``; None for nothing."""
    pointer = "#/context" if where == "body" else "context"
    if value is None:
        return None
    if not isinstance(value, str):
        faults.append(Fault(where, pointer, "type", "must be a string", members={"expected": "string"}))
        return None
    if len(value) > CONTEXT_MAX_CHARACTERS:
        limit = CONTEXT_MAX_CHARACTERS
        faults.append(
            Fault(where, pointer, "too_long", f"must have at most {limit} characters", members={"maxLength": limit})
        )
    if "\0" in value:
        faults.append(Fault(where, pointer, "invalid_character", "must not contain U+0000"))
    return value.strip() or None


def _number(value: object, name: str, where: Any, faults: list[Fault]) -> str | None:
    pointer = f"#/{name}" if where == "body" else name
    if value is None:
        faults.append(Fault(where, pointer, "required", "is required"))
    elif not isinstance(value, str):
        faults.append(Fault(where, pointer, "type", "must be a string", members={"expected": "string"}))
    else:
        try:
            if _E164.fullmatch(value):
                return identity.normal_phone(value, None)
        except ValueError:  # no such country: reported with the rest
            pass
        detail = "must be a phone number in E.164: + and the country code, digits only"
        faults.append(Fault(where, pointer, "invalid_phone_number", detail))
    return None


def _xml(call: Call) -> str:
    if call.forward_number is not None:
        return f"<Response><Dial>{escape(call.forward_number)}</Dial></Response>"
    if call.is_hidden:
        said = {language: for_locale(language).gettext(_HIDDEN) for language in LANGUAGES}
    else:
        said = _NO_FORWARDING if call.has_business else _NO_BUSINESS
    return f"<Response>{''.join(_say(language, sentence) for language, sentence in said.items())}</Response>"


def _say(language: str, sentence: str) -> str:
    return f'<Say language="{language}">{escape(sentence)}</Say>'
