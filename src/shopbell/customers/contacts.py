"""Find or create the customers of imported contacts, by the rules of the widget route."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from shopbell.customers import customers, duplicates, identities
from shopbell.events import record
from shopbell.events.actors import SYSTEM


@dataclass(frozen=True, slots=True, repr=False)
class Contact:
    """A person from another product, checked and in normal form.

    Args:
        identities: kind, normal form and original spelling of each address and number, in the order in which they
            decide who the customer is: email addresses first.
        profile: values of ``first_name``, ``last_name``, ``company`` and ``locale``, none of them empty.
        created_at_ms: since when they are known, in Unix ms.
    """

    identities: tuple[tuple[str, str, str], ...]
    profile: Mapping[str, str] = field(default_factory=dict)
    created_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """The customer of a contact.

    Args:
        customer_id: the customer, who is not merged into another one.
        is_new: whether they were created.
        is_blocked: whether they are blocked.
        filled: the fields of the profile of a known customer that were empty, and are filled now.
    """

    customer_id: int
    is_new: bool
    is_blocked: bool = False
    filled: tuple[str, ...] = ()


def find_or_create(tx: Connection, organization_id: int, contact: Contact, *, now_ms: int) -> Found:
    """Find the customer of a contact, or create them. Fill in what is not known of them.

    If address and number belong to two customers, the address decides, and the pair becomes a possible duplicate. For
    ``Found.filled``, call ``record_filled`` at the end of the transaction.

    Args:
        contact: without identities, a customer is always created.
        now_ms: the time in Unix ms.
    """
    holders = [identities.find_holder(tx, organization_id, kind, value) for kind, value, _ in contact.identities]
    known_id = next((holder for holder in holders if holder is not None), None)
    new_id = (
        identities.create_anonymous(tx, organization_id, now_ms=contact.created_at_ms) if known_id is None else None
    )
    customer = customers.lock(tx, organization_id, known_id or new_id or 0)
    owners = [
        holder or identities.claim(tx, organization_id, customer.id, kind, value, shown, now_ms=contact.created_at_ms)
        for (kind, value, shown), holder in zip(contact.identities, holders, strict=True)
    ]
    if new_id is not None and owners and new_id not in owners:
        # A message has given all of them to another customer at the same time.
        identities.delete_unreferenced(tx, organization_id, new_id)
        customer, new_id = customers.lock(tx, organization_id, owners[0]), None
    for owner_id in set(owners) - {customer.id}:
        other_id = customers.find(tx, organization_id, owner_id).id
        if other_id != customer.id:
            duplicates.note(tx, organization_id, customer.id, other_id, now_ms=now_ms)
    given = {name: value for name, value in contact.profile.items() if not getattr(customer, name)}
    # Parts of two names make no name.
    if customer.first_name or customer.last_name:
        given = {name: value for name, value in given.items() if name not in ("first_name", "last_name")}
    if given:
        customers.set_columns(tx, customer, **given)
    is_new = new_id is not None
    filled = () if is_new else tuple(sorted(given))
    return Found(customer.id, is_new, customer.blocked_at_ms is not None, filled)


def record_filled(tx: Connection, organization_id: int, found: Found, *, now_ms: int) -> None:
    """Record that the profile of a known customer changed; this locks the organization's feed."""
    fields = [customers.PROFILE_FIELDS[name] for name in found.filled if name in customers.PROFILE_FIELDS]
    if fields:
        record.record(
            tx,
            organization_id,
            "customer-updated",
            actor=SYSTEM,
            now_ms=now_ms,
            customer_id=found.customer_id,
            details={"fields": fields},
        )
