"""Errors as answers: problem details (RFC 9457), in one shape for routes and server."""

from collections.abc import Mapping, Sequence

import orjson
from pydantic import AnyHttpUrl

from shopbell.errors import FieldError, Invalid, QuotaExceeded, RequestError, StorageError
from shopbell.http.request.caching import API_HEADERS
from shopbell.http.request.errors import HttpError
from shopbell.http.request.problem_types import problem_type
from shopbell.http.server.errors import InternalError, TemporarilyUnavailable
from shopbell.http.server.responses import CompleteResponse

CONTENT_TYPE = b"application/problem+json"


def request_error(error: BaseException) -> RequestError:
    """Return the error for any exception: 503 if storage failed, 500 for a bug."""
    if isinstance(error, RequestError):
        return error
    return TemporarilyUnavailable() if isinstance(error, StorageError) else InternalError()


def headers_of(error: RequestError) -> Mapping[str, str]:
    """Return the headers that the response to an error needs."""
    if isinstance(error, HttpError):
        return error.headers()
    if not isinstance(error, QuotaExceeded | TemporarilyUnavailable):
        return {}
    headers = {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, QuotaExceeded) and (quota := error.quota):
        # draft-ietf-httpapi-ratelimit-headers-10; "requests" is the default unit
        unit = "" if quota.unit == "requests" else f';qu="{quota.unit}"'
        headers["RateLimit-Policy"] = f'"{quota.name}";q={quota.amount}{unit};w={quota.window_s}'
        headers["RateLimit"] = f'"{quota.name}";r=0;t={error.retry_after_s}'
    return headers


class Problems:
    """Turns errors into the responses of one application.

    Args:
        public_url: the URL of this server. Its path, which a proxy may put before ours, begins the ``type`` of every
            problem, so that it links to the page that explains it.
    """

    def __init__(self, public_url: AnyHttpUrl | None = None) -> None:
        path = (public_url.path or "").rstrip("/") if public_url else ""
        self._pages = f"{path}/problems/"

    def type_of(self, name: str) -> str:
        """Return the ``type`` of the problems with this name.

        It is the URL of the page that explains them.
        """
        return self._pages + name

    def render(
        self, error: BaseException, request_id: str, more_headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> CompleteResponse:
        """Turn any exception into its response.

        Args:
            error: the error; its own headers (``Retry-After``, ``Allow``, …) are part of the response.
            request_id: the id of the request, a UUID as text.
            more_headers: headers that the route adds, such as ``RateLimit``; names in lower case.

        Returns:
            JSON with ``type``, ``title``, ``status``, ``detail``, ``instance``, ``developerMessage``, and the members
            of the error.
        """
        problem = request_error(error)
        kind = problem_type(problem)
        body = orjson.dumps(
            {
                "type": self.type_of(kind.name),
                "title": kind.title,
                "status": kind.status,
                "detail": problem.detail,
                "instance": "urn:uuid:" + request_id,
                "developerMessage": problem.developer_message,
                **_members(problem),
            }
        )
        headers = [
            (b"content-type", CONTENT_TYPE),
            (b"content-length", str(len(body)).encode("ascii")),
            (b"x-request-id", request_id.encode("ascii")),
            *API_HEADERS,
        ]
        own_headers = headers_of(problem).items()
        headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in own_headers]
        headers += more_headers
        return CompleteResponse(kind.status, headers, body)


def _members(error: RequestError) -> Mapping[str, object]:
    if isinstance(error, Invalid):
        return {"errors": [_field_error(each) for each in error.listed]}
    return error.members()


def _field_error(error: FieldError) -> dict[str, object]:
    """An entry of ``errors``: a field of the body is named by a JSON pointer (RFC 6901) as a URI fragment."""
    name = {"pointer": f"#/{error.path}" if error.path else "#"} if error.source == "body" else {"name": error.path}
    return {"in": error.source, **name, "code": error.code, "detail": error.detail, **error.members}
