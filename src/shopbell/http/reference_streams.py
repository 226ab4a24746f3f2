"""The streams in the API reference, by hand because they are bare ASGI."""

from typing import Any

from shopbell.errors import Fault, Forbidden, Invalid, MethodNotAllowed, NotFound, QuotaExceeded, Unauthorized
from shopbell.http.api.events import AFTER_FORMAT
from shopbell.http.customer import stream as customer_stream
from shopbell.http.customer.access import NoSession
from shopbell.http.customer.stream import NoConversation
from shopbell.http.live import organization_stream
from shopbell.http.live.organization_stream import STREAMS_PER_TOKEN
from shopbell.http.reference_answers import RATE, answer, headers
from shopbell.http.reference_widget import REQUEST_ID

_LAST_EVENT_ID: dict[str, Any] = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that was received: the stream goes on behind it. Anything but a number is "
    "ignored.",
    "schema": {"type": "string"},
}
_OF_ORGANIZATION = f"""\
All that happens in the organization, as it happens (Server-Sent Events): each event has the `type` of `GET /api/events`
as its name, the same JSON as its data, and its position as its id. Begin with `after`, come again with `Last-Event-ID`:
both are the same cursor, and nothing is missed.

- `ready` comes when all that was there has been told; `resync` when the cursor is too old: read anew what you keep.
- `typing`, `presence` and `read` are signals. They have no id, and nobody keeps them.
- With `present=true` customers see that somebody of the store is there, for as long as the stream is open.
- A comment comes every 20 seconds. When the server stops, the stream ends: come again.

At most {STREAMS_PER_TOKEN} streams of a token may be open at once.
"""
_OF_CUSTOMER = f"""\
A conversation as its customer sees it, live (Server-Sent Events): first all its messages behind `Last-Event-ID`, then
`ready`, then whatever is new. The id of a `message` is its `sequence`.

- `message`: as in `GET /api/customer/messages`. `status`: the conversation's. `read`: up to where the store has read.
- `typing` and `presence`: somebody of the store writes, or is there. `survey`: the customer is asked something.
- `resync`: forget all messages; what follows begins anew, in this stream or in the next.
- A comment comes every 20 seconds. When the server stops, the stream ends: come again. When the session ends, it does,
  too.

At most {customer_stream.STREAMS_PER_SESSION} streams of a session may be open at once, and four times as many of a
network address as it may send messages in a minute.
"""
_EXAMPLE = 'retry: 2000\n\nid: 7\nevent: message\ndata: {"position":7,"type":"message",…}\n\n'
_CUSTOMERS_EXAMPLE = 'retry: 2000\n\nid: 1\nevent: message\ndata: {"messageId":"12348","sequence":1,…}\n\n'


def path_items() -> dict[str, Any]:
    """The descriptions of both streams, by their paths."""
    query = [
        _query(
            "after", "A position, or `latest`, which is meant where nothing is given.", "^(latest|0|[1-9][0-9]{0,15})$"
        ),
        _query("businessId", "Only events of this business.", "^(0|[1-9][0-9]{0,15})$"),
        {**_query("present", "Whether customers see that somebody is there."), "schema": {"type": "boolean"}},
    ]
    wrong = Invalid([Fault("query", "after", "invalid_format", AFTER_FORMAT)])
    return {
        organization_stream.ROUTE: {
            "get": {
                "tags": ["events"],
                "operationId": "streamEvents",
                "summary": "Follow all that happens, live",
                "description": _OF_ORGANIZATION,
                "security": [{"apiToken": [organization_stream.SCOPE]}],
                "parameters": [*query, _LAST_EVENT_ID, REQUEST_ID],
                "responses": {
                    "200": _stream(_EXAMPLE, *RATE),
                    "400": answer("The request is not valid; every fault is listed.", {"wrong": wrong}, *RATE),
                    "401": answer("The token is missing, or not valid.", {"token": Unauthorized.absent()}),
                    "403": answer("The token lacks the scope.", {"scope": Forbidden(organization_stream.SCOPE)}, *RATE),
                    "404": answer(
                        "There is no such business in the organization.", {"business": NotFound("businessId")}, *RATE
                    ),
                    "405": answer("Another method than GET was used.", {"method": MethodNotAllowed("GET")}),
                    "429": answer(
                        "The rate is used up, or too many streams are open.", {"rate": QuotaExceeded(1)}, *RATE
                    ),
                },
            }
        },
        customer_stream.ROUTE: {
            "get": {
                "tags": ["customers' browsers and apps"],
                "operationId": "streamConversation",
                "summary": "Follow a conversation, live",
                "description": _OF_CUSTOMER,
                "security": [{"customerSession": []}],
                "parameters": [
                    _query("customerThreadId", "Which one, where a session sees several.", "^(0|[1-9][0-9]{0,15})$"),
                    _LAST_EVENT_ID,
                    REQUEST_ID,
                ],
                "responses": {
                    "200": _stream(_CUSTOMERS_EXAMPLE),
                    "401": answer("The session is over, or never was.", {"session": NoSession()}),
                    "404": answer("There is no conversation, or not yet.", {"none": NoConversation()}),
                    "405": answer("Another method than GET was used.", {"method": MethodNotAllowed("GET")}),
                    "429": answer(
                        "Too many streams of this session are open, or it asks too much.", {"rate": QuotaExceeded(1)}
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
