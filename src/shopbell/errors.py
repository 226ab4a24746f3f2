"""The errors of Shopbell, each with its HTTP status.

ShopbellError
├── SettingsError                 a setting is wrong (command line)
├── CommandError                  a command cannot do what was asked (command line)
├── StorageError                  the database failed; nothing was confirmed
└── Problem                       what a client is told, as RFC 9457 problem details
    ├── Invalid                   400 validation-error
    ├── BadRequest                400 bad-request
    ├── Unauthorized              401 unauthorized
    ├── BusinessNotInOrganization 403 business-not-in-organization
    ├── Forbidden                 403 forbidden
    ├── NotFound                  404 not-found
    ├── MethodNotAllowed          405 method-not-allowed
    ├── RequestTimeout            408 request-timeout
    ├── Conflict                  409 conflict
    ├── ContentTooLarge           413 content-too-large
    ├── IdempotencyKeyReused      422 idempotency-key-reused
    ├── QuotaExceeded             429 quota-exceeded
    ├── HeaderFieldsTooLarge      431 header-fields-too-large
    ├── InternalError             500 internal-error
    └── TemporarilyUnavailable    503 temporarily-unavailable
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

from shopbell.id_names import THINGS

FAULTS_MAX = 100
"""How many faults of a request are listed."""


class ShopbellError(Exception):
    """Anything that Shopbell itself raises."""


class SettingsError(ShopbellError):
    """A setting is wrong; the text is one line per fault and names the setting."""


class CommandError(ShopbellError):
    """A command cannot do what was asked; the text says why and what to do."""


class StorageError(ShopbellError):
    """The database failed or is not to be reached; what was asked is not confirmed as stored."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request. It never holds a submitted value.

    Args:
        where: the part of the request.
        name: a header's or parameter's name in lower case, or a JSON pointer (RFC 6901) as a URI fragment,
            ``#/user/email``.
        code: one of the stable codes of the reference, such as ``blank``.
        detail: what must be, as the end of a sentence: ``must not be blank``.
        sentence: the developer's sentence where it is not simply the name and the detail.
        members: what a code carries beside, such as ``maxLength``.
    """

    where: Literal["header", "query", "path", "body"]
    name: str
    code: str
    detail: str
    sentence: str | None = None
    members: Mapping[str, object] = field(default_factory=dict)

    @property
    def developer_sentence(self) -> str:
        """One sentence for a developer's log."""
        if self.sentence is not None:
            return self.sentence
        if self.where == "body":
            path = self.name.removeprefix("#/").replace("/", ".")
            return f"Body {self.detail}." if self.name == "#" else f"Field '{path}' {self.detail}."
        kind = {"header": "Header", "query": "Parameter", "path": "Path parameter"}[self.where]
        return f"{kind} '{self.name}' {self.detail}."

    def as_json(self) -> dict[str, object]:
        """The fault as an entry of ``errors``."""
        place = "pointer" if self.where == "body" else "name"
        return {"in": self.where, place: self.name, "code": self.code, "detail": self.detail, **self.members}


class Problem(ShopbellError):
    """What a client is told when a request is not done (RFC 9457).

    ``name`` is the last part of the stable reference ``/problems/<name>``; ``explanation`` and ``remedy`` are what the
    page there says.
    """

    status: ClassVar[int]
    name: ClassVar[str]
    title: ClassVar[str]
    explanation: ClassVar[str]
    remedy: ClassVar[str]

    def __init__(self, detail: str, developer_message: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.developer_message = developer_message or detail

    def members(self) -> Mapping[str, object]:
        """What this problem carries beside the members that all have."""
        return {}

    def headers(self) -> Mapping[str, str]:
        """The headers of the answer beside those that all have."""
        return {}


class Invalid(Problem):
    """400: a header or the body is not valid; its faults are listed, the first 100 of them."""

    status = 400
    name = "validation-error"
    title = "Request is not valid"
    explanation = (
        "One or more headers or fields do not follow the rules of the route. All faults of the request are listed, "
        f"or the first {FAULTS_MAX} where there are more."
    )
    remedy = (
        "Read `errors`: each entry says where the fault is, a stable code, and what must be. Mend them and send again."
    )

    def __init__(self, faults: Sequence[Fault]) -> None:
        count = len(faults)
        detail = "1 problem was found." if count == 1 else f"{count} problems were found."
        if count > FAULTS_MAX:
            detail = f"More than {FAULTS_MAX} problems were found; the first {FAULTS_MAX} are listed."
        self.faults = tuple(faults)
        super().__init__(detail, " ".join(fault.developer_sentence for fault in self._listed))

    @property
    def _listed(self) -> Sequence[Fault]:
        return self.faults[:FAULTS_MAX]

    def members(self) -> Mapping[str, object]:
        return {"errors": [fault.as_json() for fault in self._listed]}


class BadRequest(Problem):
    """400: what arrived is not a proper HTTP request."""

    status = 400
    name = "bad-request"
    title = "Not a valid HTTP request"
    explanation = (
        "The request breaks the rules of HTTP/1.1 itself: no or two Host headers, contradicting lengths, unknown bytes."
    )
    remedy = "Use an ordinary HTTP client, and look at what stands between it and this server."


class Unauthorized(Problem):
    """401: the token is missing, malformed, unknown, revoked or expired; which of them is not said."""

    status = 401
    name = "unauthorized"
    title = "Not authorized"
    explanation = (
        "The `token` header is missing, or its value is not an API token that is valid now. "
        "Malformed, unknown, revoked and expired tokens get the same answer."
    )
    remedy = (
        "Send a valid token in the `token` header. `shopbell token create` makes one, "
        "`shopbell token list` shows their state."
    )

    def __init__(self, detail: str = "A valid API token is needed.") -> None:
        super().__init__(detail, "Header 'token' is not a valid API token")

    @classmethod
    def absent(cls, *, authorization: bool = False) -> Self:
        """The error where the request has no ``token`` header.

        Args:
            authorization: whether it has an ``Authorization`` header instead.
        """
        if authorization:
            return cls("Header 'token' is missing. Send the API token there: 'Authorization' is not read.")
        return cls("Header 'token' is missing.")

    def headers(self) -> Mapping[str, str]:
        return {"WWW-Authenticate": 'ApiToken realm="api"'}


class BusinessNotInOrganization(Problem):
    """403: the business is not one of the token's organization, or there is none of that id."""

    status = 403
    name = "business-not-in-organization"
    title = "Business is not of this organization"
    explanation = "`businessId` is not an active business of the organization that the token belongs to."
    remedy = "Look up the id with `shopbell business list`, and use a token of the same organization."

    def __init__(self) -> None:
        super().__init__(
            "The business does not belong to the organization of this token.",
            "Business does not belong to this organization",
        )


class Forbidden(Problem):
    """403: the token is valid but may not do this."""

    status = 403
    name = "forbidden"
    title = "Not allowed"
    explanation = "The token is valid, but it was made without the scope that this route needs."
    remedy = "Make a token with that scope: `shopbell token create --scope …`."

    def __init__(self, scope: str) -> None:
        super().__init__(f"This token may not do that: the scope '{scope}' is missing.", f"Scope '{scope}' is missing")


class NotFound(Problem):
    """404: there is no such route, or no such object in this organization."""

    status = 404
    name = "not-found"
    title = "Not found"
    explanation = "There is no such route, or no object of that id in your organization."
    remedy = (
        "Read `detail`: it names the field or parameter whose id was not found. If it names none, compare the address "
        "with the reference at `/docs`."
    )

    def __init__(self, field: str | None = None, owner: str = "organization") -> None:
        """Create the error.

        Args:
            field: the field or parameter whose id was not found, a key of ``THINGS``; None for an unknown address.
            owner: what the id must belong to: ``organization``, ``session`` or ``webhook``.
        """
        detail = "There is nothing at this address."
        if field is not None:
            detail = f"'{field}' is not {THINGS[field]} of this {owner}."
        super().__init__(detail, "Resource not found")


class MethodNotAllowed(Problem):
    """405: the route exists, with other methods."""

    status = 405
    name = "method-not-allowed"
    title = "Method not allowed"
    explanation = "The route exists, but not with this method."
    remedy = "Use one of the methods in the `Allow` header."

    def __init__(self, allow: str) -> None:
        super().__init__(f"This route allows {allow}.", f"Method is not allowed; use {allow}")
        self.allow = allow

    def headers(self) -> Mapping[str, str]:
        return {"Allow": self.allow}


class RequestTimeout(Problem):
    """408: headers or body did not arrive within their deadline."""

    status = 408
    name = "request-timeout"
    title = "Request took too long to arrive"
    explanation = "The headers or the body did not arrive within their deadline. Nothing was stored."
    remedy = "Send the request in one go. If the network is slow, the operator can raise the deadline."

    def __init__(self, part: Literal["headers", "body"] = "body") -> None:
        super().__init__(f"The {part} did not arrive in time.", f"Request {part} did not arrive within the deadline")


class Conflict(Problem):
    """409: the request does not fit what is there now."""

    status = 409
    name = "conflict"
    title = "Conflict"
    explanation = "The request contradicts what has happened meanwhile."
    remedy = "Read the object again, and decide anew."


class ContentTooLarge(Problem):
    """413: the body is larger than the limit."""

    status = 413
    name = "content-too-large"
    title = "Body is too large"
    explanation = "The body has more bytes than this server takes. Nothing was stored."
    remedy = "Send less than `maxBytes`."

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The body may have at most {max_bytes} bytes.", f"Body exceeds {max_bytes} bytes")
        self.max_bytes = max_bytes

    def members(self) -> Mapping[str, object]:
        return {"maxBytes": self.max_bytes}


class IdempotencyKeyReused(Problem):
    """422: the same Idempotency-Key came with another body."""

    status = 422
    name = "idempotency-key-reused"
    title = "Idempotency-Key was used before"
    explanation = "A request with this Idempotency-Key and another body was answered within the last 24 hours."
    remedy = "Use a new key for each new message, and the same key only to repeat the very same request."

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key belongs to another request.",
            "Idempotency-Key was already used with a different body",
        )


class QuotaExceeded(Problem):
    """429: the token has used up its rate."""

    status = 429
    name = "quota-exceeded"
    title = "Too many requests"
    explanation = (
        "This token or visitor has sent more requests, or more bytes of files today, than the limit allows. "
        "Nothing was stored."
    )
    remedy = "Wait as long as `Retry-After` says. The operator sets the limits."

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"Wait {retry_after_s} s before the next request.", "Rate limit 'token' exceeded")
        self.retry_after_s = retry_after_s

    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class HeaderFieldsTooLarge(Problem):
    """431: the request line and headers are larger, or more, than the limit."""

    status = 431
    name = "header-fields-too-large"
    title = "Headers are too large"
    explanation = "The request line and the headers together are larger, or more in number, than this server takes."
    remedy = "Send fewer and shorter headers."

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The headers may have at most {max_bytes} bytes.", f"Headers exceed {max_bytes} bytes")
        self.max_bytes = max_bytes

    def members(self) -> Mapping[str, object]:
        return {"maxBytes": self.max_bytes}


class InternalError(Problem):
    """500: a bug of ours; it is counted and logged with the request's id."""

    status = 500
    name = "internal-error"
    title = "Internal error"
    explanation = "Something went wrong that should not have. It was logged with the id of the request."
    remedy = "Tell the operator the request's id. A message may be sent again with the same Idempotency-Key."

    def __init__(self) -> None:
        super().__init__("Something went wrong on this server.", "Internal error; the log has the request id")


class TemporarilyUnavailable(Problem):
    """503: storage fails or too much is waiting; what was sent is not confirmed as stored."""

    status = 503
    name = "temporarily-unavailable"
    title = "Temporarily unavailable"
    explanation = (
        "Storage is not to be reached, or more is waiting than this server takes. "
        "The message is not confirmed as stored."
    )
    remedy = "Repeat the request with the same Idempotency-Key after the seconds that `Retry-After` names."

    def __init__(self, retry_after_s: int = 1) -> None:
        super().__init__(
            "The request is not confirmed as done; repeat it with the same Idempotency-Key.",
            "Storage is temporarily unavailable",
        )
        self.retry_after_s = retry_after_s

    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


PROBLEMS: Mapping[str, type[Problem]] = {kind.name: kind for kind in Problem.__subclasses__()}
