"""What is sent within bounds: what texts cost an organization a day, a pause for each number, and how many mails tell a
business that customers wait. Owns both tables."""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, select, tuple_, update

from shopbell.events import upsert
from shopbell.storage.customer_schema import text_counts, text_recipients

HOUR_MS = 60 * 60 * 1_000
DAY_MS = 24 * HOUR_MS

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
    c = text_counts.c
    last_at_ms = _last_at_ms(tx, organization_id, address_hash)
    # A clock that was set back must not silence anybody for long.
    if last_at_ms <= now_ms < last_at_ms + budget.cooldown_ms:
        return Wait(last_at_ms + budget.cooldown_ms)
    counted = upsert(tx, text_counts).values(organization_id=organization_id, day=now_ms // DAY_MS, segments=segments)
    moved = counted.on_conflict_do_update(
        index_elements=[c.organization_id, c.day],
        set_={"segments": c.segments + segments},
        where=c.segments + segments <= budget.segments_per_day,
    )
    if segments > budget.segments_per_day or tx.execute(moved.returning(c.segments)).first() is None:
        return Spent()
    _note(tx, organization_id, address_hash, now_ms)
    return None


def spend_notice(tx: Connection, per_hour: int, organization_id: int, mailbox_hash: str, *, now_ms: int) -> Wait | None:
    """Count a mail that tells a business of a customer who waits.

    An hour's mails may go at once, and one more each time that their share of an hour has passed since: so one time is
    all that is kept, the one from which on all of them may go at once again.

    Args:
        tx: the transaction.
        per_hour: how many, 1 to 3600.
        organization_id: whose business.
        mailbox_hash: the keyed hash of what the business is called by.
        now_ms: the time in Unix ms.

    Returns:
        None when it may go; else nothing was counted.
    """
    share_ms = HOUR_MS // per_hour
    whole_at_ms = _last_at_ms(tx, organization_id, mailbox_hash)
    # A clock that was set back must not silence anybody for long.
    if not now_ms < whole_at_ms <= now_ms + HOUR_MS:
        whole_at_ms = now_ms
    opens_at_ms = whole_at_ms + share_ms - HOUR_MS
    if opens_at_ms > now_ms:
        return Wait(opens_at_ms)
    _note(tx, organization_id, mailbox_hash, whole_at_ms + share_ms)
    return None


def move_up(tx: Connection, by_ms: int) -> None:
    """Let everything that was counted have happened so much earlier, of all organizations."""
    tx.execute(update(text_recipients).values(last_at_ms=text_recipients.c.last_at_ms - by_ms))


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


def _last_at_ms(tx: Connection, organization_id: int, address_hash: str) -> int:
    """The time that is kept of somebody, 0 where none is, and its row's lock: without a row two at once were both the
    first."""
    r = text_recipients.c
    unknown = {"organization_id": organization_id, "address_hash": address_hash, "last_at_ms": 0}
    tx.execute(upsert(tx, text_recipients).values(unknown).on_conflict_do_nothing())
    his = and_(r.organization_id == organization_id, r.address_hash == address_hash)
    last_at_ms: int = tx.execute(select(r.last_at_ms).where(his).with_for_update()).scalar_one()
    return last_at_ms


def _note(tx: Connection, organization_id: int, address_hash: str, at_ms: int) -> None:
    r = text_recipients.c
    his = and_(r.organization_id == organization_id, r.address_hash == address_hash)
    tx.execute(update(text_recipients).where(his).values(last_at_ms=at_ms))
