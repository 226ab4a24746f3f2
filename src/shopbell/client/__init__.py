"""The Python client of Shopbell. It imports nothing of the server.

Everything that a caller names is found here; the modules below it may be cut anew at any time.
"""

from shopbell.client.clients import AsyncShopbell, Shopbell
from shopbell.client.errors import (
    BadSignature,
    BusinessNotInOrganization,
    Conflict,
    ContentTooLarge,
    EventsMissed,
    Fault,
    Forbidden,
    IdempotencyKeyReused,
    NotFound,
    Problem,
    ProblemError,
    RateLimited,
    ShopbellError,
    TemporarilyUnavailable,
    Unauthorized,
    UnexpectedAnswer,
    Unreachable,
    ValidationFailed,
)
from shopbell.client.signatures import Event, MessageEvent, OtherEvent, TransferEvent, verify_webhook

__all__ = [
    "AsyncShopbell",
    "BadSignature",
    "BusinessNotInOrganization",
    "Conflict",
    "ContentTooLarge",
    "Event",
    "EventsMissed",
    "Fault",
    "Forbidden",
    "IdempotencyKeyReused",
    "MessageEvent",
    "NotFound",
    "OtherEvent",
    "Problem",
    "ProblemError",
    "RateLimited",
    "Shopbell",
    "ShopbellError",
    "TemporarilyUnavailable",
    "TransferEvent",
    "Unauthorized",
    "UnexpectedAnswer",
    "Unreachable",
    "ValidationFailed",
    "verify_webhook",
]
