"""The widget route: the HTTP part of the hot path.

It is a direct route (``docs/adr/0001-direct-hot-route.md``).

token (cached) → rate → body → fields → business (cached) → group commit → response

Each step is a plain function that calls the next. Only a cache miss, or a body that is still arriving, waits.
"""

import hashlib
import time
from functools import partial

import orjson

from shopbell.conversations.messages import CustomerMessageQueue, Identity, Outcome, Send
from shopbell.db.database import Database
from shopbell.errors import Invalid
from shopbell.formats.identities import phone_key
from shopbell.http.request.authentication import Authentication, check_scope
from shopbell.http.request.body import read_direct_body
from shopbell.http.request.caching import API_HEADERS
from shopbell.http.request.errors import BusinessNotInOrganization, MethodNotAllowed
from shopbell.http.request.rate_limit import RateLimit
from shopbell.http.request.ttl_cache import TTLCache
from shopbell.http.server.direct import DirectRequest
from shopbell.http.server.responses import header_lines
from shopbell.http.widget_fields import WidgetMessage
from shopbell.organizations import organizations
from shopbell.organizations.api_tokens import Token
from shopbell.organizations.organizations import Business

ROUTE = "/api/widget/send-message-to-business"
SCOPE = "widget:send"
_OK_LINES = header_lines(
    [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d"),
        (b"x-request-id", b"%b"),
        *API_HEADERS,
    ]
)
_REPLAYED_LINE = header_lines([(b"idempotent-replayed", b"true")])


class SendMessageToBusiness:
    """``POST /api/widget/send-message-to-business``: send a message of a customer.

    Args:
        authentication: finds the token.
        rate_limit: the limit of each token.
        database: the database with the businesses.
        sends: the group commit that stores messages.
        body_limit_bytes: the largest body.
    """

    def __init__(
        self,
        *,
        authentication: Authentication,
        rate_limit: RateLimit,
        database: Database,
        sends: CustomerMessageQueue,
        body_limit_bytes: int,
    ) -> None:
        self._authentication = authentication
        self._rate_limit = rate_limit
        self._database = database
        self._businesses: TTLCache[tuple[int, int], Business | None] = TTLCache()
        self._sends = sends
        self._body_limit_bytes = body_limit_bytes

    def begin(self, request: DirectRequest) -> None:
        """Handle a request.

        The server calls this, and turns the errors that a step raises into responses.

        Raises:
            MethodNotAllowed: 405.
            Unauthorized: 401.
        """
        if request.method != "POST":
            raise MethodNotAllowed("POST")
        token = self._authentication.known_token(request.headers)
        if token is not None:
            self._admit(request, token)
        else:
            request.wait_for(self._authentication.token_of(request.headers), partial(self._admit, request))

    def _admit(self, request: DirectRequest, token: Token) -> None:
        """Apply the limit and the scope of the token, then read the body.

        Raises:
            QuotaExceeded: 429.
            Forbidden: 403.
            ContentTooLarge: 413.
        """
        allowance = self._rate_limit.take(token.id, time.monotonic())
        request.response_headers = allowance.headers
        allowance.check()
        check_scope(token, SCOPE)
        read_direct_body(request, self._body_limit_bytes, partial(self._read, request, token))

    def _read(self, request: DirectRequest, token: Token, body: bytes) -> None:
        """Read headers and body, then find the business, active or not.

        The business is as it was at most half a second ago.
        """
        message = WidgetMessage()
        if message.read_headers(request.headers):
            message.read_body(body)
        if message.business_id is None:
            self._check(request, token, message, None)
            return
        key = (token.organization_id, message.business_id)
        known = self._businesses.kept(key)
        if known is not None:
            self._check(request, token, message, known[1])
        else:
            found = self._businesses.get(key, lambda: self._database.read(organizations.find_business, *key))
            request.wait_for(found, partial(self._check, request, token, message))

    def _check(self, request: DirectRequest, token: Token, message: WidgetMessage, business: Business | None) -> None:
        """Check what depends on the business, then store the message.

        Raises:
            Invalid: 400, with all errors.
            BusinessNotInOrganization: 403; the business does not exist, is deactivated, or is another organization's.
            StorageError: 503.
        """
        is_ours = business is not None and business.active
        message.read_phone(region=business.default_region if business and is_ours else None, is_ours=is_ours)
        if message.errors:
            raise Invalid(message.errors)
        if not is_ours:
            raise BusinessNotInOrganization
        self._sends.submit(_send_of(token, message), partial(request.call, _respond, request))


def _send_of(token: Token, message: WidgetMessage) -> Send:
    """Return what is stored of a checked message."""
    organization_id = token.organization_id
    identities: list[tuple[Identity, str]] = []
    if message.email is not None:
        identities.append(((organization_id, "email", message.normal_email), message.email))
    if message.phone is not None:
        identities.append(((organization_id, "phone", phone_key(message.normal_phone)), message.phone))
    key = body_hash = None
    if message.idempotency_key is not None:
        key = (organization_id, token.id, ROUTE, message.idempotency_key)
        said = [message.business_id, message.message, message.email, message.phone, message.locale]
        if message.name is not None:
            said.append(message.name)
        body_hash = hashlib.sha256(orjson.dumps(said)).hexdigest()
    return Send(
        organization_id,
        message.business_id or 0,
        message.message,
        tuple(identities),
        message.normal_locale,
        key,
        body_hash,
        message.name,
        message.normal_phone or None,
    )


def _respond(request: DirectRequest, outcome: Outcome | Exception) -> None:
    """Respond to a message that is stored.

    Raises:
        IdempotencyKeyReused: 422.
        StorageError: 503; the message may be stored or not.
    """
    if isinstance(outcome, Exception):
        raise outcome
    body = b'{"result":"ok","customerThreadId":"%d"}' % outcome.thread_id
    lines = _OK_LINES % (len(body), request.request_id.encode("ascii")) + header_lines(request.response_headers)
    request.respond_with(200, lines + _REPLAYED_LINE if outcome.replayed else lines, body)
