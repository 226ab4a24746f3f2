"""Erasure: nothing of a person stays, and all that is counted goes on to be counted.

``forget`` is one transaction, after which nobody finds the person any more: names, addresses and numbers are gone, and
who writes from one of them is somebody new. What they wrote, what was written to them and what webhooks were sent of it
is then taken away piece by piece, so that no transaction keeps others waiting. Each piece may be done again, and an
erasure that was cut off is finished by asking for it again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, exists, select, text, tuple_, update

from shopbell import audit, customer_sessions, customers, delivery_texts, events
from shopbell.storage.customer_schema import (
    customer_links,
    dispatches,
    external_identities,
    mail_details,
    surveys,
    thread_outreach,
)
from shopbell.storage.delivery_schema import deliveries, delivery_queues, webhooks
from shopbell.storage.schema import (
    attachments,
    blocked_messages,
    customer_identities,
    idempotency_keys,
    messages,
    possible_duplicates,
    threads,
)
from shopbell.storage.schema import customers as customers_table
from shopbell.storage.turns import give_way

BATCH_ROWS = 1_000
"""Most rows that a transaction changes."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who is erased: a customer with all who were merged into him, and their conversations."""

    customer_ids: tuple[int, ...]
    thread_ids: tuple[int, ...]


Place = tuple[int | str, ...]
"""Up to where a piece has come; empty before the first."""

Wipe = Callable[[Connection, int, Person, Place], Place | None]
"""Takes one piece away. Returns where the next one begins, or None when there is no more."""


def forget(tx: Connection, organization_id: int, customer_id: int, actor: str) -> Person:
    """Take away by what a person is known, and what they are called.

    Args:
        tx: the transaction.
        organization_id: the caller's organization.
        customer_id: the customer; for one who was merged, the customer he became, and all who were merged into him.
        actor: who does it, as the audit names him.

    Returns:
        Whose traces ``WIPES`` have yet to take away.

    Raises:
        NotFound: 404.
    """
    give_way(tx)
    customer = customers.lock(tx, organization_id, customer_id)
    ids = customers.with_merged(tx, organization_id, customer.id)
    person = Person(tuple(ids), tuple(customers.lock_threads(tx, organization_id, ids)))
    if customer.erased_at_ms is not None:
        return person
    now_ms = time.time_ns() // 1_000_000
    c, d = customers_table.c, possible_duplicates.c
    tx.execute(delete(customer_identities).where(customers.of_customers(customer_identities, organization_id, ids)))
    tx.execute(delete(possible_duplicates).where(d.organization_id == organization_id, d.customer_id.in_(ids)))
    t, nowhere = threads.c, {"last_email": None, "last_phone": None}
    of_threads = and_(t.organization_id == organization_id, t.id.in_(person.thread_ids))
    tx.execute(update(threads).where(of_threads).values(nowhere))
    for id_ in ids:
        beside = tx.scalars(
            select(d.customer_id).where(d.organization_id == organization_id, d.other_customer_id == id_)
        ).all()
        pairs = and_(d.organization_id == organization_id, d.customer_id.in_(beside), d.other_customer_id == id_)
        tx.execute(delete(possible_duplicates).where(pairs))
    customer_sessions.revoke_all(tx, organization_id, ids, now_ms=now_ms)
    x, k = external_identities, customer_links.c
    tx.execute(delete(x).where(customers.of_customers(x, organization_id, ids)))
    # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
    tx.execute(
        delete(customer_links).where(k.organization_id + 0 == organization_id, k.thread_id.in_(person.thread_ids))
    )
    nothing = dict.fromkeys((*customers.PROFILE_FIELDS, "locale", "unverified_email", "unverified_phone"))
    tx.execute(
        update(customers_table)
        .where(c.organization_id == organization_id, c.id.in_(ids))
        .values(**nothing, erased_at_ms=now_ms)
    )
    audit.record(tx, organization_id, actor, "customer.erase", f"customer {customer.id}", now_ms=now_ms)
    events.record(tx, organization_id, "customer-erased", now_ms=now_ms, customer_id=customer.id)
    return person


def _skip_deliveries(tx: Connection, organization_id: int, person: Person, _: Place) -> Place | None:
    """What was not delivered yet is not delivered any more."""
    q, d, w = delivery_queues.c, deliveries.c, webhooks.c
    webhook_ids = tx.scalars(select(w.id).where(w.organization_id == organization_id).order_by(w.id)).all()
    queues = and_(
        q.organization_id == organization_id, q.webhook_id.in_(webhook_ids), q.thread_id.in_(person.thread_ids)
    )
    # Whoever changes a delivery that waits holds its queue.
    tx.execute(select(q.position).where(queues).order_by(*delivery_queues.primary_key.columns).with_for_update()).all()
    # The last ones first: a queue names the first of those that wait in it, and goes with that one. The zero and the
    # spelled out state are the way to the index of those that wait.
    waiting = (
        select(d.webhook_id, d.position)
        .where(
            d.organization_id + 0 == organization_id,
            d.webhook_id.in_(webhook_ids),
            d.thread_id.in_(person.thread_ids),
            text("deliveries.state = 'waiting'"),
        )
        .order_by(d.webhook_id.desc(), d.thread_id.desc(), d.position.desc())
        .limit(BATCH_ROWS)
    )
    positions: dict[int, list[int]] = {}
    for webhook_id, position in tx.execute(waiting):
        positions.setdefault(webhook_id, []).append(position)
    now_ms = time.time_ns() // 1_000_000
    for webhook_id, some in positions.items():
        these = and_(d.organization_id == organization_id, d.webhook_id == webhook_id, d.position.in_(some))
        tx.execute(update(deliveries).where(these).values(state="skipped", settled_at_ms=now_ms))
        tx.execute(delete(delivery_queues).where(queues, q.webhook_id == webhook_id, q.position.in_(some)))
    return () if positions else None


def _empty_dispatches(tx: Connection, organization_id: int, person: Person, after: Place) -> Place | None:
    """What was to be sent to him is not sent any more; of what was, it is forgotten to where. A mail that waits to tell
    a store may stand for other customers': it ends, or leaves him out, when it is due."""
    d = dispatches.c
    of_person = and_(d.organization_id + 0 == organization_id, d.thread_id.in_(person.thread_ids))
    place = tuple_(d.thread_id, d.id)
    query = select(d.thread_id, d.id).where(of_person).order_by(d.thread_id, d.id).limit(BATCH_ROWS)
    keys = [tuple(row) for row in tx.execute(query.where(place > after) if after else query)]
    these = and_(d.organization_id == organization_id, d.id.in_([id_ for _, id_ in keys]))
    now_ms = time.time_ns() // 1_000_000
    tx.execute(
        update(dispatches)
        .where(these, d.state == "waiting", d.audience == "customer")
        .values(state="skipped", reason="erased", settled_at_ms=now_ms)
    )
    tx.execute(update(dispatches).where(these, d.state != "waiting").values(address=None))
    return keys[-1] if keys else None


def _empty_mails(tx: Connection, organization_id: int, person: Person, after: Place) -> Place | None:
    """What a mail told beside its text, and what was answered to a question: whether and how good, but not in words."""
    m, s, o = mail_details.c, surveys.c, thread_outreach.c
    of_person = and_(m.organization_id + 0 == organization_id, m.thread_id.in_(person.thread_ids))
    place = tuple_(m.thread_id, m.message_id)
    query = select(m.thread_id, m.message_id).where(of_person).order_by(m.thread_id, m.message_id).limit(BATCH_ROWS)
    keys = [tuple(row) for row in tx.execute(query.where(place > after) if after else query)]
    these = and_(m.organization_id == organization_id, m.message_id.in_([id_ for _, id_ in keys]))
    tx.execute(update(mail_details).where(these).values(sender=None, sender_name=None, subject=None, full_text=None))
    if not after:
        of_customers = customers.of_customers(surveys, organization_id, person.customer_ids)
        tx.execute(update(surveys).where(of_customers, s.comment.is_not(None)).values(comment=None))
        of_threads = and_(o.organization_id == organization_id, o.thread_id.in_(person.thread_ids))
        tx.execute(update(thread_outreach).where(of_threads).values(mail_subject=None, mail_header_id=None))
    return keys[-1] if keys else None


def _empty_messages(tx: Connection, organization_id: int, person: Person, after: Place) -> Place | None:
    """Every message loses its text, its file, and what its channel calls it; its place and its time stay."""
    m = messages.c
    place = tuple_(m.thread_id, m.sequence)
    of_person = and_(m.organization_id == organization_id, m.thread_id.in_(person.thread_ids))
    query = select(m.thread_id, m.sequence, m.attachment_id).where(of_person).order_by(m.thread_id, m.sequence)
    if after:
        query = query.where(place > after)
    rows = tx.execute(query.limit(BATCH_ROWS)).all()
    if not rows:
        return None
    first, last = tuple(rows[0][:2]), tuple(rows[-1][:2])
    tx.execute(
        update(messages)
        .where(of_person, place >= first, place <= last)
        .values(body="", attachment_id=None, external_id=None)
    )
    _let_go(tx, organization_id, [row.attachment_id for row in rows if row.attachment_id is not None])
    return last


def _let_go(tx: Connection, organization_id: int, attachment_ids: list[int]) -> None:
    if not attachment_ids:
        return
    a, m = attachments.c, messages.c
    used = exists().where(m.organization_id == a.organization_id, m.attachment_id == a.id)
    # Absent at once: no link leads to it any more, and ``attachment_sweep.py`` takes its bytes away.
    tx.execute(
        update(attachments)
        .where(a.organization_id == organization_id, a.id.in_(attachment_ids), a.absent_since_ms.is_(None), ~used)
        .values(name="", absent_since_ms=time.time_ns() // 1_000_000)
    )


def _delete_unseen(tx: Connection, organization_id: int, person: Person, _: Place) -> Place | None:
    """What was kept apart while the customer was blocked."""
    b = blocked_messages.c
    some = (
        select(b.id)
        .where(customers.of_customers(blocked_messages, organization_id, person.customer_ids))
        .order_by(b.id)
        .limit(BATCH_ROWS)
    )
    ids = tx.scalars(some).all()
    tx.execute(delete(blocked_messages).where(b.organization_id == organization_id, b.id.in_(ids)))
    return (ids[-1],) if ids else None


def _empty_deliveries(tx: Connection, organization_id: int, person: Person, _: Place) -> Place | None:
    """What webhooks were sent, and how they answered: the log keeps when, and what came of it."""
    return () if delivery_texts.empty(tx, organization_id, person.thread_ids, limit=BATCH_ROWS) else None


def _forget_keys(tx: Connection, organization_id: int, person: Person, after: Place) -> Place | None:
    """What was sent can be guessed from its hash."""
    k, m = idempotency_keys.c, messages.c
    place = tuple_(k.token_id, k.route, k.key)
    of_organization = k.organization_id == organization_id
    query = select(k.token_id, k.route, k.key, k.result_id).where(of_organization).order_by(k.token_id, k.route, k.key)
    if after:
        query = query.where(place > after)
    rows = tx.execute(query.limit(BATCH_ROWS)).all()
    said = (
        select(m.id)
        .where(m.organization_id == organization_id, m.id.in_([row.result_id for row in rows]))
        .where(m.thread_id.in_(person.thread_ids))
        .order_by(m.id)  # or SQLite would look among all messages of the conversations
    )
    answered = {*person.thread_ids, *tx.scalars(said)}
    keys = [tuple(row[:3]) for row in rows if row.result_id in answered]
    tx.execute(delete(idempotency_keys).where(of_organization, place.in_(keys)))
    return tuple(rows[-1][:3]) if rows else None


WIPES: tuple[Wipe, ...] = (
    _skip_deliveries,
    _empty_dispatches,
    _empty_mails,
    _empty_messages,
    _delete_unseen,
    _empty_deliveries,
    _forget_keys,
)
"""To be run in this order, each again and again until there is no more."""
