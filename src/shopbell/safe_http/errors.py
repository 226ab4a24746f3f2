"""Errors of outbound requests, with their names in the delivery log.

OutboundFailure
├── AddressDenied     address_denied    the receiver's address is private and not allowed; nothing was sent
├── NameNotFound      dns_failed        the name has no address, or its lookup timed out; nothing was sent
├── ConnectTimeout    connect_timeout   the connection timed out; nothing was sent
├── ConnectRefused    connect_refused   refused or unreachable; nothing was sent
├── TlsFailed         tls_failed        the TLS handshake failed; nothing was sent
├── AttemptTimeout    timeout           the whole attempt timed out; it may have been received
├── ConnectionLost    connection_lost   the connection broke during the response; it may have been received
└── ResponseNotHttp   protocol_error    the response is not HTTP/1.1; it may have been received

Their messages never contain a path, query, header value or body.
"""

from typing import ClassVar

from shopbell.errors import ShopbellError


class OutboundFailure(ShopbellError):
    """An attempt got no response."""

    error_class: ClassVar[str]


class AddressDenied(OutboundFailure):
    """The receiver's address is private and not allowed; nothing was sent."""

    error_class = "address_denied"


class NameNotFound(OutboundFailure):
    """The receiver's name has no address, or its lookup timed out; nothing was sent."""

    error_class = "dns_failed"


class ConnectTimeout(OutboundFailure):
    """The connection timed out; nothing was sent."""

    error_class = "connect_timeout"


class ConnectRefused(OutboundFailure):
    """The receiver refused the connection or is unreachable; nothing was sent."""

    error_class = "connect_refused"


class TlsFailed(OutboundFailure):
    """The TLS handshake failed; nothing was sent."""

    error_class = "tls_failed"


class AttemptTimeout(OutboundFailure):
    """The whole attempt timed out; the receiver may have received it."""

    error_class = "timeout"


class ConnectionLost(OutboundFailure):
    """The connection broke during the response; the receiver may have received the request."""

    error_class = "connection_lost"


class ResponseNotHttp(OutboundFailure):
    """The response is not HTTP/1.1; the receiver may have received the request."""

    error_class = "protocol_error"


def error_class(exception: BaseException) -> str:
    """Return the stable name of an error; ``internal_error`` for a bug."""
    return exception.error_class if isinstance(exception, OutboundFailure) else "internal_error"
