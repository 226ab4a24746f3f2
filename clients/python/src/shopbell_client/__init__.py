"""Python client for Shopbell.

Import names from here. The modules below may change without notice, except the integrations for
``shopbell_client.django``, ``shopbell_client.fastapi`` and ``shopbell_client.flask``.
"""

from shopbell_client.actions import ThreadFilter
from shopbell_client.actors import Actor
from shopbell_client.clients import AsyncShopbell, Shopbell
from shopbell_client.errors import (
    BadSignature,
    BusinessNotInOrganization,
    Conflict,
    ContentTooLarge,
    EventsMissed,
    FieldError,
    Forbidden,
    IdempotencyKeyReused,
    NotFound,
    Problem,
    ProblemError,
    RateLimited,
    ShopbellError,
    TemporarilyUnavailable,
    Unauthorized,
    UnexpectedResponse,
    Unreachable,
    ValidationFailed,
)
from shopbell_client.signatures import Event, MessageEvent, OtherEvent, TransferEvent, verify_webhook

__version__ = "0.1.0"

__all__ = [
    "Actor",
    "AsyncShopbell",
    "BadSignature",
    "BusinessNotInOrganization",
    "Conflict",
    "ContentTooLarge",
    "Event",
    "EventsMissed",
    "FieldError",
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
    "ThreadFilter",
    "TransferEvent",
    "Unauthorized",
    "UnexpectedResponse",
    "Unreachable",
    "ValidationFailed",
    "verify_webhook",
]
