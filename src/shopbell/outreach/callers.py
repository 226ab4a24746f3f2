"""Who calls or writes from a number: the customer who is known by it."""

from sqlalchemy import Connection, delete, insert, select

from shopbell import customers
from shopbell.events import upsert
from shopbell.identity import phone_key
from shopbell.storage.ids import take_id
from shopbell.storage.schema import customer_identities
from shopbell.storage.schema import customers as customers_table


def customer_of(tx: Connection, organization_id: int, number: str, *, now_ms: int) -> int:
    """The customer who is known by a number; a new one where there is none.

    Args:
        tx: the transaction.
        organization_id: whose customer.
        number: in E.164, or a short code's digits.
        now_ms: the time in Unix ms.
    """
    c = customer_identities.c
    key = phone_key(number)
    known = select(c.customer_id).where(c.organization_id == organization_id, c.kind == "phone", c.value == key)
    customer_id: int | None = tx.scalar(known)
    if customer_id is not None:
        return customers.find(tx, organization_id, customer_id).id
    new_id = take_id(tx)
    tx.execute(insert(customers_table).values(organization_id=organization_id, id=new_id, created_at_ms=now_ms))
    identity = {"organization_id": organization_id, "kind": "phone", "value": key, "shown": number}
    new = upsert(tx, customer_identities).values(**identity, customer_id=new_id, created_at_ms=now_ms)
    if tx.execute(new.on_conflict_do_nothing().returning(c.customer_id)).first() is not None:
        return new_id
    mine = (customers_table.c.organization_id == organization_id, customers_table.c.id == new_id)
    tx.execute(delete(customers_table).where(*mine))  # somebody else met him at the same time
    other_id: int = tx.execute(known).scalar_one()
    return other_id
