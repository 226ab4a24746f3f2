"""The widget route: the hot path at the edge, bare ASGI (``docs/adr/0001-bare-asgi-hot-route.md`` says why).

token (cached look-up) → rate → body → shape → business (cached look-up) → group commit → answer
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence

import orjson
from starlette.types import Receive, Scope

from shopbell.errors import (
    BusinessNotInOrganization,
    IdempotencyKeyReused,
    Invalid,
    Problem,
    StorageError,
    TemporarilyUnavailable,
)
from shopbell.http.authentication import Authentication, require_scope
from shopbell.http.body import read_body
from shopbell.http.caching import API_HEADERS
from shopbell.http.problems import ANSWER_HEADERS, Answer, render
from shopbell.http.rate import Header, RateLimit
from shopbell.http.widget_fields import WidgetMessage
from shopbell.identity import phone_key
from shopbell.messages import Identity, Outcome, Send, Sent
from shopbell.organizations import Business
from shopbell.storage.group_commit import GroupCommit
from shopbell.tokens import Token

ROUTE = "/api/widget/send-message-to-business"
SCOPE = "widget:send"

FindBusiness = Callable[[int, int], Awaitable[Business | None]]
"""By organization and id, active or not."""


class SendMessageToBusiness:
    """``POST /api/widget/send-message-to-business``: open a conversation with a first message, in one request.

    Args:
        authentication: finds the token.
        rate_limit: the rates of all tokens.
        find_business: the look-up, cached.
        sends: the group commit that stores messages.
        body_limit_bytes: largest body.
    """

    def __init__(
        self,
        *,
        authentication: Authentication,
        rate_limit: RateLimit,
        find_business: FindBusiness,
        sends: GroupCommit[Send, Outcome],
        body_limit_bytes: int,
    ) -> None:
        self._authentication = authentication
        self._rate_limit = rate_limit
        self._find_business = find_business
        self._sends = sends
        self._body_limit_bytes = body_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, request_id: str) -> Answer:
        """Answer a request; every outcome but a bug of ours is an answer."""
        rate_headers: Sequence[Header] = ()
        try:
            token = await self._authentication.token_of(scope["headers"])
            allowance = self._rate_limit.take(token.id, time.monotonic())
            rate_headers = scope[ANSWER_HEADERS] = allowance.headers
            allowance.check()
            require_scope(token, SCOPE)
            body = await read_body(receive, scope, self._body_limit_bytes)
            sent = await self._store(token, await self._read(token, scope, body))
        except Problem as problem:
            return render(problem, request_id, rate_headers)
        except StorageError:
            return render(TemporarilyUnavailable(), request_id, rate_headers)
        return _ok(sent, request_id, rate_headers)

    async def _read(self, token: Token, scope: Scope, body: bytes) -> WidgetMessage:
        """Check the request against everything that it must be.

        Raises:
            Invalid: 400, with all faults.
            BusinessNotInOrganization: 403; the business is another's, or deactivated, or there is none.
        """
        message = WidgetMessage()
        if message.read_headers(scope["headers"]):
            message.read_body(body)
        business = None
        if message.business_id is not None:
            business = await self._find_business(token.organization_id, message.business_id)
        is_ours = business is not None and business.active
        message.read_phone(region=business.default_region if business and is_ours else None, is_ours=is_ours)
        if message.faults:
            raise Invalid(message.faults)
        if not is_ours:
            raise BusinessNotInOrganization
        return message

    async def _store(self, token: Token, message: WidgetMessage) -> Sent:
        """Store a checked message durably.

        Raises:
            IdempotencyKeyReused: 422.
            StorageError: 503.
        """
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
        outcome = await self._sends.submit(
            Send(
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
        )
        if isinstance(outcome, IdempotencyKeyReused):
            raise outcome
        return outcome


def _ok(sent: Sent, request_id: str, rate_headers: Sequence[Header]) -> Answer:
    body = b'{"result":"ok","customerThreadId":"%d"}' % sent.thread_id
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode("ascii")),
        *API_HEADERS,
        *rate_headers,
    ]
    if sent.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    return Answer(200, headers, body)
