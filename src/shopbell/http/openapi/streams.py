"""The streams in the API reference, by hand because FastAPI does not know them."""

from typing import Any

from shopbell.errors import FieldError, Invalid, NotFound, QuotaExceeded
from shopbell.http.api.events import AFTER_FORMAT
from shopbell.http.customer.current_thread import NoConversation
from shopbell.http.openapi.responses import RATE, answer, headers
from shopbell.http.openapi.widget import REQUEST_ID
from shopbell.http.request.customer_sessions import NoSession
from shopbell.http.request.errors import Forbidden, MethodNotAllowed, Unauthorized
from shopbell.http.streams import customer_stream as customer_stream
from shopbell.http.streams import organization_stream
from shopbell.http.streams.organization_stream import STREAMS_PER_CALLER

_LAST_EVENT_ID: dict[str, Any] = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that was received. The stream continues after it. Anything but a "
    "number is ignored.",
    "schema": {"type": "string"},
}
_OF_ORGANIZATION = f"""\
All events of the organization, live (Server-Sent Events). The name of an event is its `type` in `GET /api/events`, its
data the same JSON, and its id its position. Start with `after` and reconnect with `Last-Event-ID`: both are the same
cursor, and no event is missed.

- `ready` follows the last past event. `resync` means that the cursor is too old: read again the data that you store.
- `typing`, `presence`, `read`, `draft` and `scheduled` are signals. They have no id and are not stored.
- With `present=true`, customers see the business as online while the stream is open.
- A comment arrives every 20 seconds; for a signed-in employee, it is the signal `beat`. When the server stops, the
  stream ends; then reconnect.

At most {STREAMS_PER_CALLER} streams of a token or employee may be open at once.
"""
_OF_CUSTOMER = f"""\
A conversation as its customer sees it, live (Server-Sent Events): first all messages after `Last-Event-ID`, then
`ready`, then new events. The id of a `message` is its `sequence`.

- `message`: as in `GET /api/customer/messages`. `status`: the new one. `read`: the last message read by the business.
- `typing` and `presence`: an employee is typing or online. `survey`: a survey for the customer.
- `resync`: discard all messages. They are sent again, in this stream or the next.
- A comment arrives every 20 seconds. When the server stops, the stream ends; then reconnect. It also ends with the
  session.

At most {customer_stream.STREAMS_PER_SESSION} streams of a session may be open at once. A network address may have four
times as many open streams as messages per minute.
"""
_EXAMPLE = 'retry: 2000\n\nid: 7\nevent: message\ndata: {"position":7,"type":"message",…}\n\n'
_CUSTOMERS_EXAMPLE = 'retry: 2000\n\nid: 1\nevent: message\ndata: {"messageId":"12348","sequence":1,…}\n\n'


def path_items() -> dict[str, Any]:
    """Return the descriptions of both streams, by path."""
    query = [
        _query("after", "A position or `latest`, which is the default.", "^(latest|0|[1-9][0-9]{0,15})$"),
        _query("businessId", "Only events of this business.", "^(0|[1-9][0-9]{0,15})$"),
        {**_query("present", "Whether customers see the business as online."), "schema": {"type": "boolean"}},
    ]
    wrong = Invalid([FieldError("after", "invalid_format", AFTER_FORMAT, source="query")])
    return {
        organization_stream.ROUTE: {
            "get": {
                "tags": ["events"],
                "operationId": "streamEvents",
                "summary": "Follow all events live",
                "description": _OF_ORGANIZATION,
                "security": [{"apiToken": [organization_stream.SCOPE]}],
                "parameters": [*query, _LAST_EVENT_ID, REQUEST_ID],
                "responses": {
                    "200": _stream(_EXAMPLE, *RATE),
                    "400": answer("The request is not valid. All errors are listed.", {"wrong": wrong}, *RATE),
                    "401": answer("The token is missing or not valid.", {"token": Unauthorized.absent()}),
                    "403": answer("The token lacks the scope.", {"scope": Forbidden(organization_stream.SCOPE)}, *RATE),
                    "404": answer(
                        "The business does not belong to the organization.", {"business": NotFound("businessId")}, *RATE
                    ),
                    "405": answer("Another method than GET was used.", {"method": MethodNotAllowed("GET")}),
                    "429": answer(
                        "The rate limit is used up, or too many streams are open.", {"rate": QuotaExceeded(1)}, *RATE
                    ),
                },
            }
        },
        customer_stream.ROUTE: {
            "get": {
                "tags": ["customers' browsers and apps"],
                "operationId": "streamConversation",
                "summary": "Follow a conversation live",
                "description": _OF_CUSTOMER,
                "security": [{"customerSession": []}],
                "parameters": [
                    _query(
                        "customerThreadId", "The conversation, if the session sees several.", "^(0|[1-9][0-9]{0,15})$"
                    ),
                    _LAST_EVENT_ID,
                    REQUEST_ID,
                ],
                "responses": {
                    "200": _stream(_CUSTOMERS_EXAMPLE),
                    "401": answer("The session has ended or does not exist.", {"session": NoSession()}),
                    "404": answer("There is no such conversation, or none yet.", {"none": NoConversation()}),
                    "405": answer("Another method than GET was used.", {"method": MethodNotAllowed("GET")}),
                    "429": answer(
                        "Too many streams of this session are open, or a rate limit is used up.",
                        {"rate": QuotaExceeded(1)},
                    ),
                },
            }
        },
    }


def _query(name: str, description: str, pattern: str = "") -> dict[str, Any]:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _stream(example: str, *names: str) -> dict[str, Any]:
    return {
        "description": "The stream.",
        "headers": headers(*names),
        "content": {"text/event-stream": {"examples": {"begin": {"value": example}}}},
    }
