"""Idempotency keys: how long they stand, and how those that stand no longer go."""

import time

from sqlalchemy import Connection, delete, select, tuple_

from shopbell.promises import IdempotencyKey
from shopbell.storage.schema import idempotency_keys

IDEMPOTENCY_MS = 24 * 60 * 60 * 1000
"""How long a key stands for its request."""

_BATCH_ROWS = 1_000


def forget_expired(tx: Connection, now_ms: int) -> bool:
    """Delete keys that stand no longer: a bounded number, so that no message waits long behind it.

    Args:
        tx: the transaction.
        now_ms: Unix ms.

    Returns:
        Whether more are left.
    """
    key = tuple_(*idempotency_keys.primary_key.columns)
    expired = (
        select(*idempotency_keys.primary_key.columns)
        .where(idempotency_keys.c.created_at_ms <= now_ms - IDEMPOTENCY_MS)
        .limit(_BATCH_ROWS)
    )
    return tx.execute(delete(idempotency_keys).where(key.in_(expired))).rowcount == _BATCH_ROWS


def was_answered(tx: Connection, key: IdempotencyKey) -> bool:
    """Whether a request with this key was answered 200 within the last 24 hours."""
    c = idempotency_keys.c
    query = select(c.created_at_ms).where(tuple_(*idempotency_keys.primary_key.columns) == key)
    created_at_ms = tx.execute(query).scalar()
    return created_at_ms is not None and created_at_ms > time.time_ns() // 1_000_000 - IDEMPOTENCY_MS
