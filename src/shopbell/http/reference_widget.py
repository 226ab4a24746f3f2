"""The widget route in the API reference, by hand because it is bare ASGI. Its examples come from the code."""

from typing import Any

import orjson

from shopbell.errors import (
    BadRequest,
    BusinessNotInOrganization,
    ContentTooLarge,
    Forbidden,
    HeaderFieldsTooLarge,
    IdempotencyKeyReused,
    InternalError,
    Invalid,
    MethodNotAllowed,
    QuotaExceeded,
    RequestTimeout,
    TemporarilyUnavailable,
    Unauthorized,
)
from shopbell.http.ids import MAX_ID
from shopbell.http.json_headers import IDEMPOTENCY_KEY_MAX_CHARACTERS
from shopbell.http.reference_answers import RATE, answer, headers
from shopbell.http.widget import SCOPE
from shopbell.http.widget_fields import MESSAGE_MAX_CHARACTERS, WidgetMessage
from shopbell.identity import EMAIL_MAX_CHARACTERS, LOCALE_MAX_CHARACTERS, PHONE_MAX_CHARACTERS
from shopbell.settings import Settings

EXAMPLE = {
    "businessId": "12345",
    "message": "Hello, I need help with my order.",
    "user": {"email": "customer@example.com", "phoneNumber": "+15551234567", "locale": "en"},
}
"""The documentation's own example."""

WRONG_EXAMPLE = {"businessId": "12345", "message": " ", "user": {}}
"""With this body and the media type ``text/plain``, three things are wrong at once."""

_DESCRIPTION = f"""\
Opens a conversation of a customer with a business (a store) of the token's organization and sends the customer's first
message. It needs the scope `{SCOPE}`.

The answer 200 comes **after the message is on disk**. Send an `Idempotency-Key`, and the request may be repeated
safely, whatever happened to it: it has one effect.

- **The customer** is found by `email` first, then by `phoneNumber`, else made. What is new of both is added to the
  customer. When both belong to different customers, the message is the e-mail address's customer's, no number moves,
  and the two are noted as possibly one person.
- **The conversation**: there is one of each customer with each business. A further message lands in it, and it waits
  for a reply again, also when it was resolved.
- **Order of checks**: token (401), rate (429), the token's scope (403), arrival and size of the body (408, 413),
  headers and body together (400, every fault at once), business (403), `Idempotency-Key` (422).
- `null` stands for absent. Unknown fields are ignored, also those of `user`.
"""

LANGUAGE_TAG = (
    "^(([A-Za-z]{2,3}([_-][A-Za-z]{3}){0,3}|[A-Za-z]{4,8})"  # language
    "([_-][A-Za-z]{4})?"  # script
    "([_-]([A-Za-z]{2}|[0-9]{3}))?"  # region
    "([_-]([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*"  # variants
    "([_-][0-9A-WYZa-wyz]([_-][A-Za-z0-9]{2,8})+)*"  # extensions
    "([_-][Xx]([_-][A-Za-z0-9]{1,8})+)?"  # private use
    "|[Xx]([_-][A-Za-z0-9]{1,8})+|[Ii]([_-][A-Za-z0-9]{2,8})+)$"
)
"""Well-formed language tags (RFC 5646, section 2.1), in words of JSON Schema."""

_EITHER = "At least one of `email` and `phoneNumber` must be there; both may be."

REQUEST_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["businessId", "message", "user"],
    "properties": {
        "businessId": {
            "description": "The business's id; it must be of the token's organization.",
            "anyOf": [
                {"type": "string", "pattern": "^(0|[1-9][0-9]{0,15})$"},
                {"type": "integer", "minimum": 0, "maximum": MAX_ID},
            ],
        },
        "message": {
            "type": "string",
            "minLength": 1,
            "maxLength": MESSAGE_MAX_CHARACTERS,
            "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$",
            "description": "The text, kept as sent: not only white space, without U+0000.",
        },
        "user": {
            "type": "object",
            "description": f"Who the customer is. {_EITHER}",
            "properties": {
                "email": {
                    "type": ["string", "null"],
                    "format": "email",
                    "maxLength": EMAIL_MAX_CHARACTERS,
                    "description": "Compared without regard to case. Nothing is trimmed.",
                },
                "phoneNumber": {
                    "type": ["string", "null"],
                    "format": "phone",
                    "maxLength": PHONE_MAX_CHARACTERS,
                    "description": "With `+` and the country code; without them it is read as a number of the "
                    "business's region. It must be possible, not assigned. Extensions are refused. "
                    "Invisible characters and spaces around it are ignored.",
                },
                "locale": {
                    "type": ["string", "null"],
                    "maxLength": LOCALE_MAX_CHARACTERS,
                    "pattern": LANGUAGE_TAG,
                    "description": "Language tag (BCP 47): `en`, `pt-BR`; `en_US` and `en-us` become `en-US`.",
                },
                "name": {
                    "description": "What to call the customer: text of 1 to 200 characters in one line. It is kept "
                    "where the customer has no name yet. Anything else is ignored.",
                },
            },
            # Not beside `properties`: generators of clients would take the branches for the whole, and drop all fields.
            "allOf": [{"anyOf": [{"required": ["email"]}, {"required": ["phoneNumber"]}]}],
        },
    },
}

_OK_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["result", "customerThreadId"],
    "properties": {
        "result": {"const": "ok"},
        "customerThreadId": {
            "type": "string",
            "pattern": "^[1-9][0-9]{0,15}$",
            "description": "The conversation's id, for the other routes of the API.",
        },
    },
}

IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Any text that no other message of this token has, such as a UUID. For 24 hours the same key "
    "with the same body (its content, not its bytes) answers what was answered, and writes nothing; with another "
    "body it is 422. A twin of a request that is under way waits for it. Only 200 is kept: an error may be mended "
    "and sent again.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": IDEMPOTENCY_KEY_MAX_CHARACTERS,
        "pattern": "^[!-~]+$",
    },
}
REQUEST_ID: dict[str, Any] = {
    "name": "X-Request-Id",
    "in": "header",
    "description": "A UUID under which to find the request in logs. Anything else is ignored.",
    "schema": {"type": "string"},
}


def path_item(settings: Settings) -> dict[str, Any]:
    """The route's description.

    Args:
        settings: the limits that it names.
    """
    return {
        "post": {
            "tags": ["widget"],
            "operationId": "sendMessageToBusiness",
            "summary": "Open a conversation with a customer's first message",
            "description": _DESCRIPTION,
            "security": [{"apiToken": [SCOPE]}],
            "parameters": [IDEMPOTENCY_KEY, REQUEST_ID],
            "requestBody": {
                "required": True,
                "description": f"At most {settings.body_limit_bytes} bytes.",
                "content": {
                    "application/json": {
                        "schema": REQUEST_SCHEMA,
                        "examples": {
                            "both": {"summary": "E-mail address and phone number", "value": EXAMPLE},
                            "email": {
                                "summary": "E-mail address only",
                                "value": {**EXAMPLE, "user": {"email": "customer@example.com", "locale": "en"}},
                            },
                            "phone": {
                                "summary": "Phone number only, id as a number",
                                "value": {**EXAMPLE, "businessId": 12345, "user": {"phoneNumber": "+15551234567"}},
                            },
                        },
                    }
                },
            },
            "responses": _responses(settings),
        }
    }


def _responses(settings: Settings) -> dict[str, Any]:
    limit_bytes = settings.body_limit_bytes
    return {
        "200": {
            "description": "The message is stored durably.",
            "headers": headers(*RATE, "Idempotent-Replayed"),
            "content": {
                "application/json": {
                    "schema": _OK_SCHEMA,
                    "examples": {"stored": {"value": {"result": "ok", "customerThreadId": "12352"}}},
                }
            },
        },
        "400": answer(
            "The headers or the body are not valid; every fault is listed. Or the request is not proper HTTP/1.1.",
            {"faults": _three_faults(), "notHttp": BadRequest("There must be exactly one header 'host'.")},
            *RATE,
        ),
        "401": answer(
            "The token is missing, malformed, unknown, revoked or expired; all but missing are answered alike.",
            {"token": Unauthorized.absent()},
        ),
        "403": answer(
            "The business is not an active one of the token's organization (one that does not exist is answered the "
            "same), or the token lacks the scope.",
            {"business": BusinessNotInOrganization(), "scope": Forbidden(SCOPE)},
            *RATE,
        ),
        "405": answer("Another method than POST was used.", {"method": MethodNotAllowed("POST")}),
        "408": answer("The body did not arrive in time. Nothing was stored.", {"slow": RequestTimeout()}, *RATE),
        "413": answer(f"The body has more than {limit_bytes} bytes.", {"large": ContentTooLarge(limit_bytes)}, *RATE),
        "422": answer(
            "The `Idempotency-Key` was used with another body within the last 24 hours.",
            {"reused": IdempotencyKeyReused()},
            *RATE,
        ),
        "429": answer("The token has used up its rate.", {"rate": QuotaExceeded(1)}, *RATE),
        "431": answer("The headers are too large.", {"headers": HeaderFieldsTooLarge(settings.header_limit_bytes)}),
        "500": answer("A bug; it was logged with the id of the request.", {"bug": InternalError()}, *RATE),
        "503": answer(
            "Storage fails, or more waits than this server takes. The message is not confirmed as stored: repeat the "
            "request with the same `Idempotency-Key`.",
            {"unavailable": TemporarilyUnavailable()},
            *RATE,
        ),
    }


def _three_faults() -> Invalid:
    message = WidgetMessage()
    message.read_headers([(b"content-type", b"text/plain")])
    message.read_body(orjson.dumps(WRONG_EXAMPLE))
    return Invalid(message.faults)
