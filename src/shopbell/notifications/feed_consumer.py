"""Consume an organization's feed, and decide what to send.

One transaction stores what is to be sent and the new position (``events/cursors.py``). Reading and deciding happen
before it, because on SQLite all other writers would wait.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from shopbell.customers.opt_outs import OptOuts
from shopbell.db import installation
from shopbell.db.schema.customers import notification_cursors
from shopbell.events import cursors, feed
from shopbell.events.record import upsert
from shopbell.notifications.capabilities import Rules
from shopbell.notifications.context import Batch, KnownThread, read_batch, read_known_threads
from shopbell.notifications.policy import Plan, decide
from shopbell.notifications.schedule import write_plans

_C = notification_cursors.c


@dataclass(frozen=True, slots=True)
class Decided:
    """A section of a feed, and the decisions about it.

    Args:
        batch: the section.
        plans: by thread, only where something is to be done.
        known: the threads of the plans.
    """

    batch: Batch
    plans: dict[int, Plan]
    known: dict[int, KnownThread]


def find_news(tx: Connection, after_id: int) -> list[int] | None:
    """Find organizations with events that are not consumed yet, starting after an id.

    Returns:
        None while everything is held back after a restore or a move.
    """
    if installation.pause_reason(tx):
        return None
    return cursors.find_behind(tx, notification_cursors, func.coalesce(_C.position, 0), after_id)


def read_and_decide(
    tx: Connection, organization_id: int, rules: Rules, opt_outs: OptOuts, *, now_ms: int
) -> Decided | None:
    """Read the next section of a feed and decide what to send.

    Args:
        tx: the transaction, which only reads.
        organization_id: the organization.
        rules: what this installation can send.
        opt_outs: finds customers who want no more messages.
        now_ms: the time in Unix ms.

    Returns:
        None at the end of the feed.
    """
    begin = tx.scalar(select(_C.position).where(_C.organization_id == organization_id)) or 0
    batch = read_batch(tx, organization_id, begin)
    if batch.end <= begin:
        return None
    known = read_known_threads(tx, organization_id, batch.news, opt_outs) if batch.news else {}
    plans = {
        thread_id: decide(known[thread_id].context, news, rules, now_ms=now_ms)
        for thread_id, news in batch.news.items()
        if thread_id in known
    }
    return Decided(batch, plans, known)


def write_decided(tx: Connection, decided: Decided, rules: Rules, *, now_ms: int) -> bool:
    """Store decisions and the new position.

    Args:
        tx: the transaction; nothing may follow in it.
        decided: the decisions.
        rules: what this installation can send.
        now_ms: the time in Unix ms.

    Returns:
        False if another worker was first; then nothing is written.

    Raises:
        DecisionOutdated: the state has changed; decide again.
    """
    batch = decided.batch
    place = (batch.organization_id, {"position": batch.begin}, {"position": batch.end})
    if not cursors.move(tx, notification_cursors, *place):
        return False
    write_plans(tx, batch.organization_id, decided.plans, decided.known, rules, now_ms=now_ms)
    return True


def skip(tx: Connection, organization_id: int) -> None:
    """Consume all stored events of an organization without deciding anything."""
    end = feed.last_position(tx, organization_id)
    new = upsert(tx, notification_cursors).values(organization_id=organization_id, position=end)
    tx.execute(new.on_conflict_do_update(index_elements=[_C.organization_id], set_={"position": end}))
