"""Reads an organization's feed on from where it left off, and writes down what must be sent, in one transaction with
its new place: nothing is decided twice, and nothing is left out.

What is decided is read and worked out before that transaction: on SQLite everybody else who writes would wait
meanwhile. Several workers may do the same at once; only one of them finds the place where it was.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, select, update

from shopbell import installation
from shopbell.events import upsert
from shopbell.opt_outs import OptOuts
from shopbell.outreach.decisions import Plan, decide
from shopbell.outreach.facts import Batch, Known, read_batch, read_facts
from shopbell.outreach.plans import write_plans
from shopbell.outreach.rules import Rules
from shopbell.storage.customer_schema import outreach_cursors
from shopbell.storage.delivery_schema import feeds

ORGANIZATIONS_MAX = 50
"""How many organizations one look finds."""

_C = outreach_cursors.c


@dataclass(frozen=True, slots=True)
class Decided:
    """A piece of a feed, and what follows from it.

    Args:
        batch: the piece.
        plans: by thread; of those alone in which something follows.
        known: the threads of the plans.
    """

    batch: Batch
    plans: dict[int, Plan]
    known: dict[int, Known]


def find_news(tx: Connection, after_id: int) -> list[int] | None:
    """Organizations with news that nobody has looked at, the one after this id first.

    Returns:
        None while everything is held back after a restore or a move.
    """
    if installation.held_back(tx):
        return None
    f = feeds.c
    query = (
        select(f.organization_id)
        .outerjoin(outreach_cursors, _C.organization_id == f.organization_id)
        .where(f.last_position > func.coalesce(_C.position, 0))
        .order_by(f.organization_id <= after_id, f.organization_id)
        .limit(ORGANIZATIONS_MAX)
    )
    return list(tx.scalars(query))


def read_and_decide(
    tx: Connection, organization_id: int, rules: Rules, opt_outs: OptOuts, *, now_ms: int
) -> Decided | None:
    """Read the next piece of a feed and decide what follows from it; None when there is no more.

    Args:
        tx: the transaction, which only reads.
        organization_id: whose feed.
        rules: what this installation can do.
        opt_outs: knows who wants nothing more.
        now_ms: the time in Unix ms.
    """
    begin = tx.scalar(select(_C.position).where(_C.organization_id == organization_id)) or 0
    batch = read_batch(tx, organization_id, begin)
    if batch.end <= begin:
        return None
    known = read_facts(tx, organization_id, batch.news, opt_outs) if batch.news else {}
    plans = {
        thread_id: decide(known[thread_id].facts, news, rules, now_ms=now_ms)
        for thread_id, news in batch.news.items()
        if thread_id in known
    }
    return Decided(batch, plans, known)


def write_decided(tx: Connection, decided: Decided, rules: Rules, *, now_ms: int) -> bool:
    """Write down what follows, and where to go on.

    Args:
        tx: the transaction; nothing may follow in it.
        decided: what was read and decided.
        rules: what this installation can do.
        now_ms: the time in Unix ms.

    Returns:
        False when another worker was first: then nothing is written.

    Raises:
        Overtaken: what was decided does not hold any more.
    """
    batch = decided.batch
    if not _move(tx, batch):
        return False
    write_plans(tx, batch.organization_id, decided.plans, decided.known, rules, now_ms=now_ms)
    return True


def _move(tx: Connection, batch: Batch) -> bool:
    place = and_(_C.organization_id == batch.organization_id, _C.position == batch.begin)
    if tx.execute(update(outreach_cursors).where(place).values(position=batch.end)).rowcount == 1:
        return True
    if batch.begin:
        return False
    new = upsert(tx, outreach_cursors).values(organization_id=batch.organization_id, position=batch.end)
    return tx.execute(new.on_conflict_do_nothing().returning(_C.position)).first() is not None
