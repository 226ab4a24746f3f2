"""Limit SMS per organization and number, and emails to businesses.

This module owns the tables ``sms_usage`` and ``throttles``.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, select, tuple_, update

from shopbell.db.schema.customers import sms_usage, throttles
from shopbell.events.record import upsert

HOUR_MS = 60 * 60 * 1_000
DAY_MS = 24 * HOUR_MS

_NUMBERS_KEPT_MS = DAY_MS
"""The longest allowed pause between two SMS to a number (``SHOPBELL_SMS_COOLDOWN_S``)."""

_COUNTS_KEPT_DAYS = 31


@dataclass(frozen=True, slots=True)
class Budget:
    """The operator's limits.

    Args:
        segments_per_day: most segments of an organization per day (UTC).
        cooldown_ms: shortest time between two SMS to one number.
    """

    segments_per_day: int
    cooldown_ms: int


@dataclass(frozen=True, slots=True)
class Wait:
    """The number was sent an SMS recently: not before this time, in Unix ms."""

    until_ms: int


class QuotaExhausted:
    """The segments of the day are used up."""


def consume(
    tx: Connection, budget: Budget, organization_id: int, address_hash: str, segments: int, *, now_ms: int
) -> Wait | QuotaExhausted | None:
    """Count an SMS before it is sent. A later failure does not refund it.

    Args:
        tx: the transaction.
        budget: the operator's limits.
        organization_id: the sender.
        address_hash: the keyed hash of the number.
        segments: what the SMS costs.
        now_ms: the time in Unix ms.

    Returns:
        None if it may be sent; otherwise nothing was counted.
    """
    c = sms_usage.c
    last_at_ms = _last_at_ms(tx, organization_id, address_hash)
    # After the clock was set back, a number must not wait longer than usual.
    if last_at_ms <= now_ms < last_at_ms + budget.cooldown_ms:
        return Wait(last_at_ms + budget.cooldown_ms)
    counted = upsert(tx, sms_usage).values(organization_id=organization_id, day=now_ms // DAY_MS, segments=segments)
    moved = counted.on_conflict_do_update(
        index_elements=[c.organization_id, c.day],
        set_={"segments": c.segments + segments},
        where=c.segments + segments <= budget.segments_per_day,
    )
    if segments > budget.segments_per_day or tx.execute(moved.returning(c.segments)).first() is None:
        return QuotaExhausted()
    _note(tx, organization_id, address_hash, now_ms)
    return None


def consume_notice(
    tx: Connection, per_hour: int, organization_id: int, mailbox_hash: str, *, now_ms: int
) -> Wait | None:
    """Count an email that notifies a business of a waiting customer.

    A burst of ``per_hour`` emails is allowed, then one per fraction of an hour. So one stored time suffices: the time
    from which a whole burst is allowed again.

    Args:
        tx: the transaction.
        per_hour: 1 to 3600.
        organization_id: the organization of the business.
        mailbox_hash: the keyed hash that identifies the business.
        now_ms: the time in Unix ms.

    Returns:
        None if it may be sent; otherwise nothing was counted.
    """
    share_ms = HOUR_MS // per_hour
    whole_at_ms = _last_at_ms(tx, organization_id, mailbox_hash)
    # After the clock was set back, a business must not wait longer than usual.
    if not now_ms < whole_at_ms <= now_ms + HOUR_MS:
        whole_at_ms = now_ms
    opens_at_ms = whole_at_ms + share_ms - HOUR_MS
    if opens_at_ms > now_ms:
        return Wait(opens_at_ms)
    _note(tx, organization_id, mailbox_hash, whole_at_ms + share_ms)
    return None


def move_up(tx: Connection, by_ms: int) -> None:
    """Move everything that was counted back by ``by_ms``, for all organizations."""
    tx.execute(update(throttles).values(last_at_ms=throttles.c.last_at_ms - by_ms))


def forget_old(tx: Connection, now_ms: int, *, limit: int = 1_000) -> bool:
    """Delete old counts: of numbers after a day, of SMS after a month.

    Args:
        tx: the transaction.
        now_ms: the time in Unix ms.
        limit: most rows of each table.

    Returns:
        Whether there may be more.
    """
    r, c = throttles, sms_usage
    numbers = select(*r.primary_key.columns).where(r.c.last_at_ms < now_ms - _NUMBERS_KEPT_MS).limit(limit)
    days = select(*c.primary_key.columns).where(c.c.day < now_ms // DAY_MS - _COUNTS_KEPT_DAYS).limit(limit)
    deleted = [
        tx.execute(delete(table).where(tuple_(*table.primary_key.columns).in_(old))).rowcount
        for table, old in ((r, numbers), (c, days))
    ]
    return limit in deleted


def _last_at_ms(tx: Connection, organization_id: int, address_hash: str) -> int:
    """Read the stored time of a hash, 0 if there is none, and lock its row.

    The row is created first: without it, two transactions at once would both see 0.
    """
    r = throttles.c
    unknown = {"organization_id": organization_id, "address_hash": address_hash, "last_at_ms": 0}
    tx.execute(upsert(tx, throttles).values(unknown).on_conflict_do_nothing())
    same = and_(r.organization_id == organization_id, r.address_hash == address_hash)
    last_at_ms: int = tx.execute(select(r.last_at_ms).where(same).with_for_update()).scalar_one()
    return last_at_ms


def _note(tx: Connection, organization_id: int, address_hash: str, at_ms: int) -> None:
    r = throttles.c
    same = and_(r.organization_id == organization_id, r.address_hash == address_hash)
    tx.execute(update(throttles).where(same).values(last_at_ms=at_ms))
