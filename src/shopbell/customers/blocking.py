"""Blocks and unblocks customers. The hot path sets their messages aside (``conversations/messages.py``)."""

from sqlalchemy import Connection

from shopbell.customers import customers
from shopbell.db.lock_order import lock_customers_shared
from shopbell.events import audit, record
from shopbell.events.actors import Actor
from shopbell.runtime import clock


def set_blocked(tx: Connection, organization_id: int, customer_id: int, *, blocked: bool, actor: Actor) -> None:
    """Block or unblock a customer. Messages that they send while blocked stay hidden for good.

    Raises:
        NotFound: 404.
        Conflict: 409; the customer was erased.
    """
    lock_customers_shared(tx)
    customer = customers.lock(tx, organization_id, customer_id)
    customers.refuse_erased(customer)
    if (customer.blocked_at_ms is not None) == blocked:
        return
    now_ms = clock.now_ms()
    customers.set_columns(tx, customer, blocked_at_ms=now_ms if blocked else None)
    action = "customer.block" if blocked else "customer.unblock"
    audit.record(tx, organization_id, actor.name, action, f"customer {customer.id}", now_ms=now_ms)
    event_type: record.EventType = "customer-blocked" if blocked else "customer-unblocked"
    record.record(tx, organization_id, event_type, actor=actor, now_ms=now_ms, customer_id=customer.id)
