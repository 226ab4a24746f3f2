"""Blocks: nobody wants to hear a customer any more. The hot path heeds them (``messages.py``)."""

import time

from sqlalchemy import Connection

from shopbell import audit, customers, events
from shopbell.storage.turns import give_way


def set_blocked(tx: Connection, organization_id: int, customer_id: int, actor: str, *, blocked: bool) -> None:
    """Hear a customer no more, or again. What he sends while he is blocked is kept apart and stays there.

    Args:
        tx: the transaction.
        organization_id: the caller's organization.
        customer_id: the customer.
        actor: who does it, as the audit names him.
        blocked: whether he is blocked from now on.

    Raises:
        NotFound: 404.
        Conflict: 409; he was erased.
    """
    give_way(tx)
    customer = customers.lock(tx, organization_id, customer_id)
    customers.refuse_erased(customer)
    if (customer.blocked_at_ms is not None) == blocked:
        return
    now_ms = time.time_ns() // 1_000_000
    customers.set_columns(tx, customer, blocked_at_ms=now_ms if blocked else None)
    action = "customer.block" if blocked else "customer.unblock"
    audit.record(tx, organization_id, actor, action, f"customer {customer.id}", now_ms=now_ms)
    event_type: events.EventType = "customer-blocked" if blocked else "customer-unblocked"
    events.record(tx, organization_id, event_type, now_ms=now_ms, customer_id=customer.id)
