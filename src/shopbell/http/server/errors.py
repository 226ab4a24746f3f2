"""What the server itself refuses, before or while a request arrives."""

from typing import ClassVar, Literal

from shopbell.errors import RequestError, ShopbellError


class ClientDisconnect(ShopbellError):
    """The client closed the connection before its request had arrived. No one is left to read a response."""


class ServerError(RequestError):
    """An error that the server answers on its own."""

    status: ClassVar[int]


class BadRequest(ServerError):
    """The request breaks the rules of HTTP/1.1."""

    status = 400


class RequestTimeout(ServerError):
    """The headers or the body did not arrive within their deadline."""

    status = 408

    def __init__(self, part: Literal["headers", "body"] = "body") -> None:
        super().__init__(f"The {part} did not arrive in time.", f"Request {part} did not arrive within the deadline")


class HeaderFieldsTooLarge(ServerError):
    """The request line and the headers have too many bytes, or there are too many headers."""

    status = 431

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The headers may have at most {max_bytes} bytes.", f"Headers exceed {max_bytes} bytes")
        self.max_bytes = max_bytes

    def members(self) -> dict[str, object]:
        return {"maxBytes": self.max_bytes}


class TemporarilyUnavailable(ServerError):
    """Storage failed, or the server has too much to do.

    Args:
        retry_after_s: whole seconds until the client should try again.
    """

    status = 503

    def __init__(self, retry_after_s: int = 1) -> None:
        super().__init__(
            "The request is not confirmed as done; repeat it with the same Idempotency-Key.",
            "Storage is temporarily unavailable",
        )
        self.retry_after_s = retry_after_s


class InternalError(ServerError):
    """A bug. It is counted, and logged with the id of the request."""

    status = 500

    def __init__(self) -> None:
        super().__init__("Something went wrong on this server.", "Internal error; the log has the request id")
