"""The problem types of the API (RFC 9457): each error's status, and the text of its page."""

from collections.abc import Mapping
from dataclasses import dataclass

from shopbell.accounts.passkeys import PasskeyRefused
from shopbell.accounts.roles import MayNotGrant
from shopbell.errors import FIELD_ERRORS_MAX, Conflict, IdempotencyKeyReused, Invalid, NotFound, QuotaExceeded
from shopbell.http.request.errors import (
    BusinessNotInOrganization,
    ContentTooLarge,
    Forbidden,
    MethodNotAllowed,
    Unauthorized,
)
from shopbell.http.server.errors import (
    BadRequest,
    HeaderFieldsTooLarge,
    InternalError,
    RequestTimeout,
    TemporarilyUnavailable,
)
from shopbell.inbox.saved_views import OfAnother


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem.

    Args:
        status: the HTTP status.
        name: the last part of its stable reference, ``/problems/<name>``.
        title: what all problems of this type have in common.
        explanation: what the page says of it, in Markdown.
        remedy: what the page says to do, in Markdown.
    """

    status: int
    name: str
    title: str
    explanation: str
    remedy: str


_FORBIDDEN = ProblemType(
    403,
    "forbidden",
    "Not allowed",
    "The token lacks the scope that this route needs, or the roles of the employee lack the permission. Or a page of "
    "another website has sent the request.",
    "Create a token with that scope: `shopbell token create --scope …`. Employees get their roles from an owner.",
)

_TYPES: Mapping[type[Exception], ProblemType] = {
    Invalid: ProblemType(
        400,
        "validation-error",
        "Request is not valid",
        "One or more headers or fields break the rules of the route. All errors of the request are listed, "
        f"or the first {FIELD_ERRORS_MAX} if there are more.",
        "Read `errors`: each entry names the field, a stable code and the rule. Correct the fields and send again.",
    ),
    BadRequest: ProblemType(
        BadRequest.status,
        "bad-request",
        "Not a valid HTTP request",
        "The request breaks the rules of HTTP/1.1, for example: no or two Host headers, contradicting lengths, "
        "invalid bytes.",
        "Use an ordinary HTTP client, and check the proxies between it and this server.",
    ),
    Unauthorized: ProblemType(
        401,
        "unauthorized",
        "Not authorized",
        "The `token` header is missing, or its value is not a valid API token. "
        "Malformed, unknown, revoked and expired tokens get the same response.",
        "Send a valid token in the `token` header. `shopbell token create` creates one, "
        "`shopbell token list` shows their state.",
    ),
    PasskeyRefused: ProblemType(
        400,
        "passkey-refused",
        "Passkey was not accepted",
        "The response of the browser does not prove a passkey of this site: it is too old, was used before, or belongs "
        "to another site or to an account that is not active.",
        "Request new options and try again.",
    ),
    MayNotGrant: ProblemType(
        403,
        "role-not-allowed",
        "Role may not be given",
        "Employees and tokens can give and take only roles whose permissions they have themselves.",
        "Ask an owner of the organization.",
    ),
    BusinessNotInOrganization: ProblemType(
        403,
        "business-not-in-organization",
        "Business is not of this organization",
        "`businessId` is not an active business of the organization that the token belongs to.",
        "Look up the id with `shopbell business list`, and use a token of the same organization.",
    ),
    Forbidden: _FORBIDDEN,
    OfAnother: _FORBIDDEN,
    NotFound: ProblemType(
        404,
        "not-found",
        "Not found",
        "There is no such route, or no object with that id in your organization.",
        "Read `detail`: it names the field or parameter whose id was not found. If it names none, compare the address "
        "with the reference at `/docs`.",
    ),
    MethodNotAllowed: ProblemType(
        405,
        "method-not-allowed",
        "Method not allowed",
        "The route exists, but not with this method.",
        "Use one of the methods in the `Allow` header.",
    ),
    RequestTimeout: ProblemType(
        RequestTimeout.status,
        "request-timeout",
        "Request took too long to arrive",
        "The headers or the body did not arrive within their deadline. Nothing was stored.",
        "Send the request without pauses. If the network is slow, the operator can raise the deadline.",
    ),
    Conflict: ProblemType(
        409,
        "conflict",
        "Conflict",
        "The request contradicts the current state.",
        "Read the object again, then decide whether to repeat the request.",
    ),
    ContentTooLarge: ProblemType(
        413,
        "content-too-large",
        "Body is too large",
        "The body has more bytes than this server accepts. Nothing was stored.",
        "Send at most `maxBytes` bytes.",
    ),
    IdempotencyKeyReused: ProblemType(
        422,
        "idempotency-key-reused",
        "Idempotency-Key was used before",
        "A request with this Idempotency-Key and another body succeeded within the last 24 hours.",
        "Use a new key for each new message. Use the same key only to repeat exactly the same request.",
    ),
    QuotaExceeded: ProblemType(
        429,
        "quota-exceeded",
        "Too many requests",
        "This token or visitor has sent more requests, or more bytes of files today, than the limit allows. "
        "Nothing was stored.",
        "Wait as long as `Retry-After` says. The operator sets the limits.",
    ),
    HeaderFieldsTooLarge: ProblemType(
        HeaderFieldsTooLarge.status,
        "header-fields-too-large",
        "Headers are too large",
        "The request line and the headers together are larger, or more in number, than this server accepts.",
        "Send fewer and shorter headers.",
    ),
    InternalError: ProblemType(
        InternalError.status,
        "internal-error",
        "Internal error",
        "This is a bug. It was logged with the id of the request.",
        "Tell the operator the id of the request. A message can be sent again with the same Idempotency-Key.",
    ),
    TemporarilyUnavailable: ProblemType(
        TemporarilyUnavailable.status,
        "temporarily-unavailable",
        "Temporarily unavailable",
        "Storage cannot be reached, or more requests are waiting than this server accepts. "
        "The message is not confirmed as stored.",
        "Repeat the request with the same Idempotency-Key after the seconds that `Retry-After` names.",
    ),
}

PROBLEM_TYPES: Mapping[str, ProblemType] = {each.name: each for each in _TYPES.values()}
"""All problem types, by name."""


def problem_type(error: type[Exception] | Exception) -> ProblemType:
    """Return the problem type of an error, or of its nearest base class that has one."""
    kind = error if isinstance(error, type) else type(error)
    return next(_TYPES[base] for base in kind.__mro__ if base in _TYPES)
