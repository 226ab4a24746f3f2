"""The client's exceptions.

None of them contains the token, message texts or addresses.

ShopbellError
├── Unreachable                       no response; the server may have executed the request
├── UnexpectedResponse                the response is not from Shopbell
├── BadSignature                      a webhook request is not authentic
├── EventsMissed                      events were deleted before they were read
└── ProblemError                      the server reported an error
    ├── ValidationFailed              400: `errors` lists every invalid field
    ├── Unauthorized                  401
    ├── Forbidden                     403
    │   └── BusinessNotInOrganization
    ├── NotFound                      404
    ├── Conflict                      409
    ├── ContentTooLarge               413
    ├── IdempotencyKeyReused          422
    ├── RateLimited                   429
    └── TemporarilyUnavailable        502, 503, 504
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ShopbellError(Exception):
    """Base class of all exceptions of the client.

    Invalid arguments raise ``ValueError`` instead.
    """


class Unreachable(ShopbellError):
    """No response, or none in time. The server may have executed the request.

    It is safe to repeat the call with the same idempotency key.
    """


class UnexpectedResponse(ShopbellError):
    """The response is not from Shopbell.

    Check ``base_url`` and any proxies in between.
    """


class BadSignature(ShopbellError):
    """A webhook request is unsigned, signed with another secret, or too old."""


class EventsMissed(ShopbellError):
    """Events after the requested position no longer exist.

    Either they were deleted, or the server was restored from an older backup. Reload the conversations and customers
    that you store, then continue from ``last_position``.
    """

    def __init__(self, last_position: int) -> None:
        super().__init__(last_position)
        self.last_position = last_position

    def __str__(self) -> str:
        return f"Events were missed. Reload your data, then continue from position {self.last_position}."


@dataclass(frozen=True, slots=True)
class FieldError:
    """One invalid field, header or parameter of a request.

    Args:
        where: ``header``, ``query``, ``path`` or ``body``.
        name: a header or parameter name, or a JSON pointer as a URI fragment: ``#/user/email``.
        code: a stable identifier, such as ``blank``.
        detail: the rule, such as "must not be blank". The wording may change.
    """

    where: str
    name: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """The problem details of an error response (RFC 9457).

    Args:
        status: the HTTP status.
        type: a stable identifier, ``/problems/<name>``; ``about:blank`` if the response is not from Shopbell.
        title: the kind of problem, for people.
        detail: a description of this problem, for people.
        developer_message: a description of this problem, for developers.
        errors: every invalid field, if validation failed.
        request_id: the id of the request in the server's log.
        retry_after_s: the seconds that the server asks the client to wait.
    """

    status: int
    type: str
    title: str
    detail: str
    developer_message: str
    errors: tuple[FieldError, ...] = ()
    request_id: str | None = None
    retry_after_s: float | None = None

    @property
    def name(self) -> str:
        """The last segment of the type, such as ``validation-error``."""
        return self.type.rpartition("/")[2]


class ProblemError(ShopbellError):
    """The server reported an error.

    The fields of its :class:`Problem` are attributes.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem
        self.status = problem.status
        self.type = problem.type
        self.title = problem.title
        self.detail = problem.detail
        self.developer_message = problem.developer_message
        self.errors = problem.errors
        self.request_id = problem.request_id
        self.retry_after_s = problem.retry_after_s

    def __str__(self) -> str:
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.status} {self.problem.name}: {self.developer_message}{request}"


class ValidationFailed(ProblemError):
    """400: the request is invalid. ``errors`` lists every invalid field."""


class Unauthorized(ProblemError):
    """401: the token is invalid."""


class Forbidden(ProblemError):
    """403: the token lacks a permission."""


class BusinessNotInOrganization(Forbidden):
    """403: the token's organization has no business with this id."""


class NotFound(ProblemError):
    """404: the organization has no such object."""


class Conflict(ProblemError):
    """409: the object has changed; for example, an employee has already replied."""


class ContentTooLarge(ProblemError):
    """413: the request body is too large."""


class IdempotencyKeyReused(ProblemError):
    """422: the idempotency key was used for a different request."""


class RateLimited(ProblemError):
    """429: too many requests. The client has already waited and retried."""


class TemporarilyUnavailable(ProblemError):
    """502, 503 or 504: the server or a proxy cannot respond now.

    The client has already retried.

    It is safe to repeat the call with the same idempotency key.
    """


_BY_NAME: Mapping[str, type[ProblemError]] = {
    "validation-error": ValidationFailed,
    "business-not-in-organization": BusinessNotInOrganization,
}
_BY_STATUS: Mapping[int, type[ProblemError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: ContentTooLarge,
    422: IdempotencyKeyReused,
    429: RateLimited,
    502: TemporarilyUnavailable,
    503: TemporarilyUnavailable,
    504: TemporarilyUnavailable,
}


def problem_error(
    status: int, body: Mapping[str, Any], request_id: str | None, retry_after_s: float | None
) -> ProblemError:
    """Create the exception for an error response.

    Args:
        status: the HTTP status.
        body: the problem details; empty if there are none, for example from a proxy.
        request_id: from the response's header.
        retry_after_s: from the response's header, in seconds.
    """
    errors = body.get("errors")
    detail = str(body.get("detail") or "The response contains no reason. It may come from a proxy.")
    problem = Problem(
        status=status,
        type=str(body.get("type") or "about:blank"),
        title=str(body.get("title") or "Request failed"),
        detail=detail,
        developer_message=str(body.get("developerMessage") or detail),
        errors=tuple(_field_error(error) for error in errors if isinstance(error, Mapping))
        if isinstance(errors, list)
        else (),
        request_id=request_id,
        retry_after_s=retry_after_s,
    )
    return _BY_NAME.get(problem.name, _BY_STATUS.get(status, ProblemError))(problem)


def _field_error(error: Mapping[str, Any]) -> FieldError:
    name = error.get("pointer") or error.get("name")
    return FieldError(str(error.get("in")), str(name), str(error.get("code")), str(error.get("detail")))
