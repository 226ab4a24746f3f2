"""The widget route in the API reference.

It is described by hand, because it is a direct route. The examples come from the code.
"""

from typing import Any

import orjson

from shopbell.conversations.message_text import MESSAGE_MAX_CHARACTERS
from shopbell.errors import IdempotencyKeyReused, Invalid, QuotaExceeded
from shopbell.formats.identities import EMAIL_MAX_CHARACTERS, LOCALE_MAX_CHARACTERS, PHONE_MAX_CHARACTERS
from shopbell.http.openapi.responses import RATE, answer, headers
from shopbell.http.request.errors import (
    BusinessNotInOrganization,
    ContentTooLarge,
    Forbidden,
    MethodNotAllowed,
    Unauthorized,
)
from shopbell.http.request.ids import MAX_ID
from shopbell.http.request.json_headers import IDEMPOTENCY_KEY_MAX_CHARACTERS
from shopbell.http.server.errors import (
    BadRequest,
    HeaderFieldsTooLarge,
    InternalError,
    RequestTimeout,
    TemporarilyUnavailable,
)
from shopbell.http.widget import SCOPE
from shopbell.http.widget_fields import WidgetMessage
from shopbell.settings.settings import Settings

EXAMPLE = {
    "businessId": "12345",
    "message": "Hello, I need help with my order.",
    "user": {"email": "customer@example.com", "phoneNumber": "+15551234567", "locale": "en"},
}
"""The example of the documentation."""

WRONG_EXAMPLE = {"businessId": "12345", "message": " ", "user": {}}
"""With this body and the media type ``text/plain``, a request has three errors."""

_DESCRIPTION = f"""\
Sends a message of a customer to a business of the organization, and starts a conversation if there is none. It needs
the scope `{SCOPE}`.

The answer 200 comes **after the message is on disk**. With an `Idempotency-Key`, the request can be repeated safely and
has one effect.

- **The customer** is found by `email`, then by `phoneNumber`, or is created. A new address or number is added to the
  customer. If they belong to different customers, the message goes to the one with the email address, the number does
  not move, and the two are listed as possible duplicates.
- **The conversation**: a customer has one conversation with each business. Further messages go there, and it waits for
  a reply again, even if it was resolved.
- **Order of checks**: token (401), rate (429), scope (403), arrival and size of the body (408, 413), headers and body
  (400, all errors at once), business (403), `Idempotency-Key` (422).
- `null` means absent. Unknown fields are ignored, including those of `user`.
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
"""Well-formed language tags (RFC 5646, section 2.1), as a pattern of JSON Schema."""

_EITHER = "At least one of `email` and `phoneNumber` is required."

REQUEST_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["businessId", "message", "user"],
    "properties": {
        "businessId": {
            "description": "The id of a business of the organization.",
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
            "description": "The text, stored as sent. It must not be blank or contain U+0000.",
        },
        "user": {
            "type": "object",
            "description": f"The customer. {_EITHER}",
            "properties": {
                "email": {
                    "type": ["string", "null"],
                    "format": "email",
                    "maxLength": EMAIL_MAX_CHARACTERS,
                    "description": "Compared without regard to case. Not trimmed.",
                },
                "phoneNumber": {
                    "type": ["string", "null"],
                    "format": "phone",
                    "maxLength": PHONE_MAX_CHARACTERS,
                    "description": "With `+` and the country code, or a number of the region of the business. It "
                    "must be a possible number, but need not be assigned. Extensions are refused. Invisible "
                    "characters and surrounding spaces are ignored.",
                },
                "locale": {
                    "type": ["string", "null"],
                    "maxLength": LOCALE_MAX_CHARACTERS,
                    "pattern": LANGUAGE_TAG,
                    "description": "A language tag (BCP 47): `en`, `pt-BR`. `en_US` and `en-us` become `en-US`.",
                },
                "name": {
                    "description": "The name of the customer: one line of 1 to 200 characters. It is stored if the "
                    "customer has no name yet. Invalid names are ignored.",
                },
            },
            # Not beside `properties`: client generators would use only the branches, and drop all fields.
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
            "description": "The id of the conversation, for other API routes.",
        },
    },
}

IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A unique text, such as a UUID. For 24 hours, a request with the same key and the same content gets "
    "the same response and stores nothing; with other content, it gets 422. A request waits for another one with the "
    "same key. Only 200 is kept: after an error, you can correct the request and send it again.",
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
    "description": "A UUID to find the request in logs. Anything else is ignored.",
    "schema": {"type": "string"},
}


def path_item(settings: Settings) -> dict[str, Any]:
    """Return the description of the route, with the limits of the settings."""
    return {
        "post": {
            "tags": ["widget"],
            "operationId": "sendMessageToBusiness",
            "summary": "Send a message of a customer",
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
                            "both": {"summary": "Email address and phone number", "value": EXAMPLE},
                            "email": {
                                "summary": "Email address only",
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
            "The headers or the body are not valid; all errors are listed. Or the request is not valid HTTP/1.1.",
            {"faults": _three_errors(), "notHttp": BadRequest("There must be exactly one header 'host'.")},
            *RATE,
        ),
        "401": answer(
            "The token is missing, malformed, unknown, revoked or expired.",
            {"token": Unauthorized.absent()},
        ),
        "403": answer(
            "The business does not exist, is deactivated, or belongs to another organization. Or the token lacks the "
            "scope.",
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
        "429": answer("The rate limit of the token is used up.", {"rate": QuotaExceeded(1)}, *RATE),
        "431": answer("The headers are too large.", {"headers": HeaderFieldsTooLarge(settings.header_limit_bytes)}),
        "500": answer("A bug. It was logged with the id of the request.", {"bug": InternalError()}, *RATE),
        "503": answer(
            "Storage fails, or the server has too much to do. The message is not confirmed as stored: repeat the "
            "request with the same `Idempotency-Key`.",
            {"unavailable": TemporarilyUnavailable()},
            *RATE,
        ),
    }


def _three_errors() -> Invalid:
    message = WidgetMessage()
    message.read_headers([(b"content-type", b"text/plain")])
    message.read_body(orjson.dumps(WRONG_EXAMPLE))
    return Invalid(message.errors)
