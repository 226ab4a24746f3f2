"""Errors of requests to the API and to pages."""

from collections.abc import Mapping
from typing import Self

from shopbell.errors import RequestError


class HttpError(RequestError):
    """An error that only HTTP has."""

    def headers(self) -> Mapping[str, str]:
        """The headers that its response needs."""
        return {}


class Unauthorized(HttpError):
    """The token is missing, malformed, unknown, revoked or expired. Which of them is not said."""

    def __init__(self, detail: str = "A valid API token is needed.") -> None:
        super().__init__(detail, "Header 'token' is not a valid API token")

    @classmethod
    def absent(cls, *, authorization: bool = False) -> Self:
        """The error of a request without a ``token`` header.

        Args:
            authorization: whether it has an ``Authorization`` header instead.
        """
        if authorization:
            return cls("Header 'token' is missing. Send the API token there: 'Authorization' is not read.")
        return cls("Header 'token' is missing.")

    def headers(self) -> Mapping[str, str]:
        return {"WWW-Authenticate": 'ApiToken realm="api"'}


class Forbidden(HttpError):
    """The token is valid but lacks the scope of the route."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"This token may not do that: the scope '{scope}' is missing.", f"Scope '{scope}' is missing")


class BusinessNotInOrganization(HttpError):
    """The business does not exist, is deactivated, or belongs to another organization."""

    def __init__(self) -> None:
        super().__init__(
            "The business does not belong to the organization of this token.",
            "Business does not belong to this organization",
        )


class MethodNotAllowed(HttpError):
    """The route exists, with other methods.

    Args:
        allow: the methods, as in the header ``Allow``.
    """

    def __init__(self, allow: str) -> None:
        super().__init__(f"This route allows {allow}.", f"Method is not allowed; use {allow}")
        self.allow = allow

    def headers(self) -> Mapping[str, str]:
        return {"Allow": self.allow}


class ContentTooLarge(HttpError):
    """The body is larger than the limit."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The body may have at most {max_bytes} bytes.", f"Body exceeds {max_bytes} bytes")
        self.max_bytes = max_bytes

    def members(self) -> Mapping[str, object]:
        return {"maxBytes": self.max_bytes}
