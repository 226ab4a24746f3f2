"""The widget route: the hot path at the edge, bare ASGI (``docs/adr/0001-bare-asgi-hot-route.md`` says why).

token (cached look-up) → rate → body → shape → business (cached look-up) → group commit → answer
"""

import hashlib
import time
from collections.abc import Sequence

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
from shopbell.http.fresh import Fresh
from shopbell.http.problems import Answer, render
from shopbell.http.rate import Header, RateLimit
from shopbell.http.widget_fields import WidgetMessage
from shopbell.messages import Once, Outcome, Send, Sent
from shopbell.organizations import Business
from shopbell.storage.group_commit import GroupCommit
from shopbell.tokens import Token

ROUTE = "/api/widget/send-message-to-business"
SCOPE = "widget:send"

Businesses = Fresh[tuple[int, int], Business | None]
"""Active or not, by organization and id."""


class SendMessageToBusiness:
    """``POST /api/widget/send-message-to-business``: open a conversation with a first message, in one request.

    Args:
        authentication: finds the token.
        rate_limit: the rates of all tokens.
        businesses: look-up of businesses.
        sends: the group commit that stores messages.
        body_limit_bytes: largest body.
    """

    def __init__(
        self,
        *,
        authentication: Authentication,
        rate_limit: RateLimit,
        businesses: Businesses,
        sends: GroupCommit[Send, Outcome],
        body_limit_bytes: int,
    ) -> None:
        self._authentication = authentication
        self._rate_limit = rate_limit
        self._businesses = businesses
        self._sends = sends
        self._body_limit_bytes = body_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, request_id: str) -> Answer:
        """Answer a request; every outcome but a bug of ours is an answer."""
        rate_headers: Sequence[Header] = ()
        try:
            token = await self._authentication.token_of(scope["headers"])
            allowance = self._rate_limit.take(token.id, time.monotonic())
            rate_headers = allowance.headers
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
            business = await self._businesses.get((token.organization_id, message.business_id))
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
        once = None
        if message.idempotency_key is not None:
            said = [message.business_id, message.message, message.email, message.phone, message.locale]
            body_hash = hashlib.sha256(orjson.dumps(said)).hexdigest()
            once = Once(token.id, ROUTE, message.idempotency_key, body_hash)
        outcome = await self._sends.submit(
            Send(
                organization_id=token.organization_id,
                business_id=message.business_id or 0,
                body=message.message,
                email=(message.normal_email, message.email) if message.email is not None else None,
                phone=(message.normal_phone, message.phone) if message.phone is not None else None,
                locale=message.normal_locale,
                once=once,
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
        *rate_headers,
    ]
    if sent.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    return Answer(200, headers, body)
