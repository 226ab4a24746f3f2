"""Idempotency keys: how long they are valid, and how expired ones are deleted."""

from sqlalchemy import Connection, Row, delete, select, tuple_

from shopbell.conversations import side_effects_postgresql, side_effects_sqlite
from shopbell.conversations.side_effects import IdempotencyKey
from shopbell.db.program import Statement
from shopbell.db.schema.core import idempotency_keys
from shopbell.errors import IdempotencyKeyReused
from shopbell.events.record import upsert
from shopbell.runtime import clock

IDEMPOTENCY_MS = 24 * 60 * 60 * 1000
"""How long a key is valid."""

FORGET_KEYS = Statement(side_effects_sqlite.forget_keys, side_effects_postgresql.FORGET_KEYS)
"""Deletes expired keys that are used again."""

_BATCH_ROWS = 1_000


def forget_expired(tx: Connection, now_ms: int) -> bool:
    """Delete some expired keys: a bounded number, so that no message waits long.

    Args:
        tx: the transaction.
        now_ms: the time in Unix ms.

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


def find_result(tx: Connection, key: IdempotencyKey, body_hash: str) -> int | None:
    """The id in the response to a request with this key that succeeded within the last 24 hours.

    Args:
        body_hash: SHA-256 of the request as 64 hexadecimal digits.

    Raises:
        IdempotencyKeyReused: 422; the earlier request had another body.
    """
    c, oldest_ms = idempotency_keys.c, clock.now_ms() - IDEMPOTENCY_MS
    is_this = tuple_(*idempotency_keys.primary_key.columns) == key
    earlier = tx.execute(select(c.body_hash, c.result_id).where(is_this, c.created_at_ms > oldest_ms)).first()
    return None if earlier is None else _result(earlier, body_hash)


def claim(tx: Connection, key: IdempotencyKey, body_hash: str, result_id: int, *, now_ms: int) -> int | None:
    """Take a key for an ordinary transaction, before it does anything else.

    A request with the same key that arrives at the same moment waits here until this transaction ends.

    Args:
        body_hash: SHA-256 of the request as 64 hexadecimal digits.
        result_id: the id in the response, if this is the first request.
        now_ms: the time in Unix ms.

    Returns:
        The id in the response to an earlier request; None for the first one.

    Raises:
        IdempotencyKeyReused: 422; the earlier request had another body.
    """
    c = idempotency_keys.c
    is_this = tuple_(*idempotency_keys.primary_key.columns) == key
    tx.execute(delete(idempotency_keys).where(is_this, c.created_at_ms <= now_ms - IDEMPOTENCY_MS))
    names = [column.name for column in idempotency_keys.primary_key.columns]
    row = dict(zip(names, key, strict=True)) | {"body_hash": body_hash, "result_id": result_id, "created_at_ms": now_ms}
    new = upsert(tx, idempotency_keys).values(row).on_conflict_do_nothing().returning(c.result_id)
    if tx.execute(new).first() is not None:
        return None
    return _result(tx.execute(select(c.body_hash, c.result_id).where(is_this)).one(), body_hash)


def _result(earlier: Row[str, int], body_hash: str) -> int:
    former_hash, former_id = earlier
    if former_hash != body_hash:
        raise IdempotencyKeyReused
    return former_id
