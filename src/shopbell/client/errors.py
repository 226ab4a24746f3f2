"""The errors of the client. None of them holds the token, a text or an address.

ShopbellError
├── Unreachable                       no answer came; what was asked may be done or not
├── UnexpectedAnswer                  an answer came that is not Shopbell's
├── BadSignature                      a webhook's call that must not be believed
├── EventsMissed                      events were deleted before they were read
└── ProblemError                      the server said no, and why
    ├── ValidationFailed              400: `errors` lists every fault
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
    """Anything that the client raises, but for wrong arguments (ValueError)."""


class Unreachable(ShopbellError):
    """No answer came in time, or none at all. What was asked may be done or not; a repetition with its key is safe."""


class UnexpectedAnswer(ShopbellError):
    """What answered does not speak as Shopbell does: look at ``base_url`` and at what stands in between."""


class BadSignature(ShopbellError):
    """A webhook's call is not signed with any of the secrets, or too long ago."""


class EventsMissed(ShopbellError):
    """Events after the asked position are not kept any more, or the server was restored from an older backup.

    Read anew what you keep of conversations and customers, then go on from ``last_position``.
    """

    def __init__(self, last_position: int) -> None:
        super().__init__(last_position)
        self.last_position = last_position

    def __str__(self) -> str:
        return f"Events were missed: read conversations anew, then go on from position {self.last_position}."


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request.

    Args:
        where: ``header``, ``query``, ``path`` or ``body``.
        name: a header's or parameter's name, or a JSON pointer as a URI fragment: ``#/user/email``.
        code: stable, such as ``blank``.
        detail: what must be, as the end of a sentence; for people, may change.
    """

    where: str
    name: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What the server says when a request is not done (RFC 9457).

    Args:
        status: HTTP status.
        type: the stable reference, ``/problems/<name>``; ``about:blank`` when it was not Shopbell that answered.
        title: the kind of problem, for people.
        detail: this problem, for people.
        developer_message: this problem, for developers.
        errors: every fault, when validation failed.
        request_id: the id under which the server logged the request, if it said so.
        retry_after_s: how long the server asks to wait, in seconds, if it does.
    """

    status: int
    type: str
    title: str
    detail: str
    developer_message: str
    errors: tuple[Fault, ...] = ()
    request_id: str | None = None
    retry_after_s: float | None = None

    @property
    def name(self) -> str:
        """The last part of the type: ``validation-error``."""
        return self.type.rpartition("/")[2]


class ProblemError(ShopbellError):
    """The server did not do what was asked; the members of its problem are attributes."""

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
    """400: the request is not valid; ``errors`` has every fault."""


class Unauthorized(ProblemError):
    """401: the token is not valid."""


class Forbidden(ProblemError):
    """403: the token is valid, but may not do this."""


class BusinessNotInOrganization(Forbidden):
    """403: no business of that id belongs to the token's organization."""


class NotFound(ProblemError):
    """404: the organization has no such object."""


class Conflict(ProblemError):
    """409: things have changed meanwhile; a colleague has answered, say."""


class ContentTooLarge(ProblemError):
    """413: the body is larger than the server takes."""


class IdempotencyKeyReused(ProblemError):
    """422: the key was used before, for something else."""


class RateLimited(ProblemError):
    """429: more requests than allowed, still after the client has waited as told."""


class TemporarilyUnavailable(ProblemError):
    """502, 503 or 504: the server or what is before it cannot answer now. A repetition with its key is safe."""


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
    status: int, said: Mapping[str, Any], request_id: str | None, retry_after_s: float | None
) -> ProblemError:
    """The exception for an answer.

    Args:
        status: its HTTP status.
        said: its problem details; empty when it has none, as from a proxy.
        request_id: of its header, if there.
        retry_after_s: of its header, in seconds, if there.
    """
    title = str(said.get("title") or "Not done")
    detail = str(said.get("detail") or "What answered gave no reason that Shopbell would give.")
    problem = Problem(
        status=status,
        type=str(said.get("type") or "about:blank"),
        title=title,
        detail=detail,
        developer_message=str(said.get("developerMessage") or detail),
        errors=tuple(_fault(fault) for fault in said.get("errors") or () if isinstance(fault, Mapping)),
        request_id=request_id,
        retry_after_s=retry_after_s,
    )
    return _BY_NAME.get(problem.name, _BY_STATUS.get(status, ProblemError))(problem)


def _fault(said: Mapping[str, Any]) -> Fault:
    name = said.get("pointer") or said.get("name")
    return Fault(str(said.get("in")), str(name), str(said.get("code")), str(said.get("detail")))
