"""Why something outbound did not get through, as the delivery log names it.

OutboundFailure
├── AddressDenied     address_denied    the receiver's address is private and not allowed; nothing was sent
├── NameNotFound      dns_failed        the name has no address, or the look-up took too long; nothing was sent
├── ConnectTimeout    connect_timeout   no connection in time; nothing was sent
├── ConnectRefused    connect_refused   refused, or no way there; nothing was sent
├── TlsFailed         tls_failed        no trusted encryption; nothing was sent
├── AttemptTimeout    timeout           the deadline of the whole attempt passed; it may have been received
├── ConnectionLost    connection_lost   the connection broke before the answer was complete; it may have been received
└── AnswerNotHttp     protocol_error    what came back is not HTTP/1.1; it may have been received

Their texts are for people and never hold a path, a query, a header's value or a body.
"""

from typing import ClassVar

from shopbell.errors import ShopbellError


class OutboundFailure(ShopbellError):
    """An attempt brought no answer."""

    error_class: ClassVar[str]


class AddressDenied(OutboundFailure):
    """The receiver's address is private and not allowed; nothing was sent."""

    error_class = "address_denied"


class NameNotFound(OutboundFailure):
    """The receiver's name has no address, or looking it up took too long; nothing was sent."""

    error_class = "dns_failed"


class ConnectTimeout(OutboundFailure):
    """No connection came about in time; nothing was sent."""

    error_class = "connect_timeout"


class ConnectRefused(OutboundFailure):
    """The receiver refused the connection, or there is no way to it; nothing was sent."""

    error_class = "connect_refused"


class TlsFailed(OutboundFailure):
    """No encryption came about that can be trusted; nothing was sent."""

    error_class = "tls_failed"


class AttemptTimeout(OutboundFailure):
    """The deadline of the whole attempt passed; the receiver may have received it."""

    error_class = "timeout"


class ConnectionLost(OutboundFailure):
    """The connection broke before the answer was complete; the receiver may have received it."""

    error_class = "connection_lost"


class AnswerNotHttp(OutboundFailure):
    """What came back is not HTTP/1.1; the receiver may have received it."""

    error_class = "protocol_error"


def error_class(exception: BaseException) -> str:
    """The stable short name of a failure.

    Args:
        exception: what ended the attempt.

    Returns:
        One of the names above; ``internal_error`` for what is not a failure of an attempt but a mistake of ours.
    """
    return exception.error_class if isinstance(exception, OutboundFailure) else "internal_error"
