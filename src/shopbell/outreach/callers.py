"""Who calls or writes from a number: the customer who is known by it, and his conversation with a business."""

from sqlalchemy import Connection, delete, insert, select

from shopbell import customers
from shopbell.events import InThread, upsert
from shopbell.outreach.saying import lock
from shopbell.storage.ids import take_id
from shopbell.storage.schema import customer_identities, threads
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
    known = select(c.customer_id).where(c.organization_id == organization_id, c.kind == "phone", c.value == number)
    customer_id: int | None = tx.scalar(known)
    if customer_id is not None:
        return customers.find(tx, organization_id, customer_id).id
    new_id = take_id(tx)
    tx.execute(insert(customers_table).values(organization_id=organization_id, id=new_id, created_at_ms=now_ms))
    identity = {"organization_id": organization_id, "kind": "phone", "value": number, "shown": number}
    new = upsert(tx, customer_identities).values(**identity, customer_id=new_id, created_at_ms=now_ms)
    if tx.execute(new.on_conflict_do_nothing().returning(c.customer_id)).first() is not None:
        return new_id
    mine = (customers_table.c.organization_id == organization_id, customers_table.c.id == new_id)
    tx.execute(delete(customers_table).where(*mine))  # somebody else met him at the same time
    other_id: int = tx.execute(known).scalar_one()
    return other_id


def thread_of(
    tx: Connection, organization_id: int, customer_id: int, business_id: int, channel: str, *, now_ms: int
) -> InThread:
    """The conversation of a customer with a business, and its row's lock; a new one needs no reply yet.

    Args:
        tx: the transaction.
        organization_id: whose customer.
        customer_id: the customer.
        business_id: the business.
        channel: by which a new one is held.
        now_ms: the time in Unix ms.
    """
    c = threads.c
    his = (c.organization_id == organization_id, c.customer_id == customer_id, c.business_id == business_id)
    thread_id: int | None = tx.scalar(select(c.id).where(*his))
    if thread_id is None:
        new = upsert(tx, threads).values(
            organization_id=organization_id,
            id=take_id(tx),
            customer_id=customer_id,
            business_id=business_id,
            channel=channel,
            status="replied",
            last_sequence=0,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )
        tx.execute(new.on_conflict_do_nothing(index_elements=[c.organization_id, c.customer_id, c.business_id]))
        thread_id = tx.execute(select(c.id).where(*his)).scalar_one()
    return lock(tx, organization_id, thread_id)
