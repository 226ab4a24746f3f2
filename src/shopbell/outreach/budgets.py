"""What texts may cost: a cap for each organization and day, and a pause for each number. Owns both tables."""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, select, tuple_

from shopbell.events import upsert
from shopbell.storage.customer_schema import text_counts, text_recipients

DAY_MS = 24 * 60 * 60 * 1_000

_NUMBERS_KEPT_MS = DAY_MS
"""No pause between two texts may be longer (``SHOPBELL_SMS_COOLDOWN_S``)."""

_COUNTS_KEPT_DAYS = 31


@dataclass(frozen=True, slots=True)
class Budget:
    """What the operator allows.

    Args:
        segments_per_day: most segments of an organization a day (UTC).
        cooldown_ms: shortest time between two texts to one number.
    """

    segments_per_day: int
    cooldown_ms: int


@dataclass(frozen=True, slots=True)
class Wait:
    """The number was sent a text a moment ago: not before this time, in Unix ms."""

    until_ms: int


class Spent:
    """The day's segments are used up."""


def spend(
    tx: Connection, budget: Budget, organization_id: int, address_hash: str, segments: int, *, now_ms: int
) -> Wait | Spent | None:
    """Count a text before it is sent; what becomes of it later gives nothing back.

    Args:
        tx: the transaction.
        budget: what the operator allows.
        organization_id: who sends.
        address_hash: the keyed hash of the number.
        segments: what the text costs.
        now_ms: the time in Unix ms.

    Returns:
        None when it may go; else nothing was counted.
    """
    r, c = text_recipients.c, text_counts.c
    mine = and_(r.organization_id == organization_id, r.address_hash == address_hash)
    last_at_ms = tx.scalar(select(r.last_at_ms).where(mine).with_for_update())
    # A clock that was set back must not silence anybody for long.
    if last_at_ms is not None and last_at_ms <= now_ms < last_at_ms + budget.cooldown_ms:
        return Wait(last_at_ms + budget.cooldown_ms)
    counted = upsert(tx, text_counts).values(organization_id=organization_id, day=now_ms // DAY_MS, segments=segments)
    moved = counted.on_conflict_do_update(
        index_elements=[c.organization_id, c.day],
        set_={"segments": c.segments + segments},
        where=c.segments + segments <= budget.segments_per_day,
    )
    if segments > budget.segments_per_day or tx.execute(moved.returning(c.segments)).first() is None:
        return Spent()
    noted = upsert(tx, text_recipients).values(
        organization_id=organization_id, address_hash=address_hash, last_at_ms=now_ms
    )
    tx.execute(
        noted.on_conflict_do_update(index_elements=[r.organization_id, r.address_hash], set_={"last_at_ms": now_ms})
    )
    return None


def forget_old(tx: Connection, now_ms: int, *, limit: int = 1_000) -> bool:
    """Delete what counts no more, of all organizations: numbers after a day, and what texts cost after a month.

    Args:
        tx: the transaction.
        now_ms: the time in Unix ms.
        limit: how many rows of each at most.

    Returns:
        Whether there may be more.
    """
    r, c = text_recipients, text_counts
    numbers = select(*r.primary_key.columns).where(r.c.last_at_ms < now_ms - _NUMBERS_KEPT_MS).limit(limit)
    days = select(*c.primary_key.columns).where(c.c.day < now_ms // DAY_MS - _COUNTS_KEPT_DAYS).limit(limit)
    deleted = [
        tx.execute(delete(table).where(tuple_(*table.primary_key.columns).in_(old))).rowcount
        for table, old in ((r, numbers), (c, days))
    ]
    return limit in deleted
