"""What customers are known by: their email addresses and phone numbers, each of which is one customer's at most."""

from sqlalchemy import Connection, Select, delete, insert, select

from shopbell.customers import customers
from shopbell.db.ids import take_id
from shopbell.db.schema.core import customer_identities
from shopbell.db.schema.core import customers as customers_table
from shopbell.events.record import upsert
from shopbell.formats.channels import identity_value


def create_anonymous(tx: Connection, organization_id: int, locale: str | None = None, *, now_ms: int) -> int:
    """Create a customer without identities.

    Returns:
        Their id.
    """
    id_ = take_id(tx)
    row = {"organization_id": organization_id, "id": id_, "locale": locale, "created_at_ms": now_ms}
    tx.execute(insert(customers_table).values(row))
    return id_


def delete_unreferenced(tx: Connection, organization_id: int, customer_id: int) -> None:
    """Delete a customer without any references."""
    c = customers_table.c
    tx.execute(delete(customers_table).where(c.organization_id == organization_id, c.id == customer_id))


def find_holder(tx: Connection, organization_id: int, kind: str, value: str) -> int | None:
    """The id of the customer who has an identity.

    Args:
        kind: ``email`` or ``phone``.
        value: the address in normal form, or the key of the number.
    """
    found: int | None = tx.scalar(_holder(organization_id, kind, value))
    return found


def claim(
    tx: Connection, organization_id: int, customer_id: int, kind: str, value: str, shown: str, *, now_ms: int
) -> int:
    """Give an identity to a customer, unless another one has it.

    Args:
        kind: ``email`` or ``phone``.
        value: the address in normal form, or the key of the number.
        shown: the address or number as it was sent.

    Returns:
        The id of the customer who has it now.
    """
    c = customer_identities.c
    new = {"kind": kind, "value": value, "shown": shown, "customer_id": customer_id, "created_at_ms": now_ms}
    row = upsert(tx, customer_identities).values(organization_id=organization_id, **new)
    # A message may be giving it to another customer at the same time.
    tx.execute(row.on_conflict_do_nothing(index_elements=[c.organization_id, c.kind, c.value]))
    holder_id: int = tx.execute(_holder(organization_id, kind, value)).scalar_one()
    return holder_id


def find_or_create(tx: Connection, organization_id: int, kind: str, address: str, *, now_ms: int) -> int:
    """Return the id of the customer with an identity; create the customer if needed.

    Args:
        kind: the kind of identity, as in ``formats/channels.py``.
        address: as it was received; a phone number in E.164, or the digits of a short code.

    Raises:
        ValueError: it is no email address.
    """
    value = identity_value(kind, address)
    holder_id = find_holder(tx, organization_id, kind, value)
    if holder_id is not None:
        return customers.find(tx, organization_id, holder_id).id
    new_id = create_anonymous(tx, organization_id, now_ms=now_ms)
    holder_id = claim(tx, organization_id, new_id, kind, value, address, now_ms=now_ms)
    if holder_id != new_id:
        delete_unreferenced(tx, organization_id, new_id)
    return holder_id


def _holder(organization_id: int, kind: str, value: str) -> Select[int]:
    c = customer_identities.c
    return select(c.customer_id).where(c.organization_id == organization_id, c.kind == kind, c.value == value)
