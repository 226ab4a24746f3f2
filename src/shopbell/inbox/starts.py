"""Begin conversations: find or create the customer and the conversation."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select

from shopbell.conversations import idempotency, receive
from shopbell.conversations.side_effects import IdempotencyKey
from shopbell.customers import customers, identities
from shopbell.db.schema.core import messages
from shopbell.errors import Conflict, NotFound
from shopbell.events.actors import Actor
from shopbell.formats.channels import identity_value
from shopbell.organizations import organizations


class BusinessClosed(Conflict):
    """The business is not active."""

    def __init__(self) -> None:
        super().__init__("The business is closed: choose another one.")


class Started(NamedTuple):
    """A conversation, and the message with which it was started."""

    thread_id: int
    message_id: int


def find_started(tx: Connection, organization_id: int, key: IdempotencyKey, body_hash: str) -> Started | None:
    """What an earlier request with this key started. The conversation may be with another business now.

    Args:
        body_hash: SHA-256 of the request as 64 hexadecimal digits.

    Raises:
        IdempotencyKeyReused: 422.
        NotFound: 404; the conversation was deleted since. Starting another one would send the message again.
    """
    message_id = idempotency.find_result(tx, key, body_hash)
    if message_id is None:
        return None
    c = messages.c
    thread_id = tx.scalar(select(c.thread_id).where(c.organization_id == organization_id, c.id == message_id))
    if thread_id is None:
        raise NotFound
    return Started(thread_id, message_id)


def with_customer(tx: Connection, organization_id: int, business_id: int, customer_id: int, *, now_ms: int) -> int:
    """Return the id of a customer's conversation, a new one if needed.

    Raises:
        NotFound: 404; there is no such business or customer.
        Conflict: 409; the business is closed, or the customer was erased.
    """
    _check_business(tx, organization_id, business_id)
    profile = customers.profile(tx, organization_id, customer_id)
    customers.refuse_erased(profile.customer)
    channel = profile.channel
    if channel == customers.DEFAULT_CHANNEL and (profile.email or profile.phone):
        channel = "EMAIL" if profile.email else "SMS"
    return _open(tx, organization_id, business_id, profile.customer.id, channel, profile.phone, now_ms=now_ms)


def with_address(
    tx: Connection,
    organization_id: int,
    business_id: int,
    kind: str,
    address: str,
    names: Mapping[str, str],
    *,
    actor: Actor,
    now_ms: int,
) -> int:
    """Return the id of the conversation with an address, a new one if needed.

    Args:
        kind: ``email`` or ``phone``.
        address: a valid email address as it was sent, or a phone number in E.164.
        names: values of ``customers.PROFILE_FIELDS`` for a customer who is created. The name of an existing customer
            stays.

    Raises:
        NotFound: 404; there is no such business.
        Conflict: 409; the business is closed.
    """
    _check_business(tx, organization_id, business_id)
    is_new = identities.find_holder(tx, organization_id, kind, identity_value(kind, address)) is None
    customer_id = identities.find_or_create(tx, organization_id, kind, address, now_ms=now_ms)
    if is_new and names:
        customers.update_profile(tx, organization_id, customer_id, names, actor=actor)
    channel, phone = ("EMAIL", None) if kind == "email" else ("SMS", address)
    return _open(tx, organization_id, business_id, customer_id, channel, phone, now_ms=now_ms)


def _check_business(tx: Connection, organization_id: int, business_id: int) -> None:
    business = organizations.find_business(tx, organization_id, business_id)
    if business is None:
        raise NotFound("businessId")
    if not business.active:
        raise BusinessClosed


def _open(
    tx: Connection,
    organization_id: int,
    business_id: int,
    customer_id: int,
    channel: str,
    phone: str | None,
    *,
    now_ms: int,
) -> int:
    place = (customer_id, business_id, channel)
    return receive.open_thread(tx, organization_id, *place, "resolved", phone=phone, now_ms=now_ms).id
