"""Writes down what was decided: dispatches, records of deliveries, automatic messages, questions.

Locks are taken in the house's order: threads by their ids, and the feed last.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, insert, select, update

from shopbell import events, incoming
from shopbell.events import InThread, upsert
from shopbell.outreach import deliveries, time_zones
from shopbell.outreach.decisions import Facts, Plan, Said, Send, joined, reach
from shopbell.outreach.deliveries import Change, New
from shopbell.outreach.facts import Known
from shopbell.outreach.rules import Rules
from shopbell.outreach.saying import say
from shopbell.storage.customer_schema import dispatches, surveys, thread_outreach
from shopbell.storage.ids import take_id, take_ids
from shopbell.storage.schema import messages
from shopbell.texts import for_locale

_D, _T = dispatches.c, thread_outreach.c


class Overtaken(Exception):
    """A notice failed while it was decided that its store knows already."""


def write_plans(
    tx: Connection,
    organization_id: int,
    plans: Mapping[int, Plan],
    known: Mapping[int, Known],
    rules: Rules,
    *,
    now_ms: int,
) -> None:
    """Write down what follows from the news of threads, with as few statements as there can be: on SQLite all others
    who write wait meanwhile.

    Args:
        tx: the transaction; nothing may follow in it.
        organization_id: whose threads.
        plans: what was decided, by thread.
        known: the threads.
        rules: what this installation can do.
        now_ms: the time in Unix ms.

    Raises:
        Overtaken: nothing of it may stay; it must be decided anew.
    """
    said: list[tuple[InThread, Said]] = []
    # Locked before anything else is written, in the order in which everybody locks them.
    locked = {
        thread_id: incoming.lock(tx, organization_id, thread_id)
        for thread_id, plan in sorted(plans.items())
        if plan.auto_reply_period is not None
    }
    for thread_id in sorted(locked):
        thread = known[thread_id]
        text = closed_text(thread, now_ms)
        placed, message = say(tx, organization_id, locked[thread_id], text, None, now_ms=now_ms)
        said.append((placed, message))
        reach(plans[thread_id], thread.facts, message, "auto-reply", rules, now_ms=now_ms)
    writing = _Writing(tx, organization_id, now_ms, ids_for=sum(len(plan.sends) for plan in plans.values()))
    for thread_id, plan in sorted(plans.items()):
        if writing.sends(known[thread_id].thread, plan):
            writing.rely_on(known[thread_id].facts)
        if plan.asks is not None:
            writing.question(known[thread_id], plan)
        writing.remember(known[thread_id].facts, plan)
    changes = writing.flush({thread_id: known[thread_id].thread for thread_id in plans})
    for placed, message in said:
        events.record(tx, organization_id, "message", now_ms=now_ms, thread=placed, message_id=message.message_id)
    deliveries.tell(tx, organization_id, changes, now_ms=now_ms)


def write_sends(tx: Connection, organization_id: int, thread: InThread, plan: Plan, *, now_ms: int) -> list[Change]:
    """Write down what is to be sent because of a thread, and the ways of its messages.

    Args:
        tx: the transaction.
        organization_id: whose thread.
        thread: the thread.
        plan: what was decided; not what is asked.
        now_ms: the time in Unix ms.

    Returns:
        What ``deliveries.tell`` has to tell at the transaction's end.
    """
    writing = _Writing(tx, organization_id, now_ms, ids_for=len(plan.sends))
    writing.sends(thread, plan)
    return writing.flush({thread.id: thread})


class _Writing:
    """Rows that are gathered, and then written together.

    Args:
        tx: the transaction.
        organization_id: whose rows.
        now_ms: the time in Unix ms.
        ids_for: how many dispatches there may be.
    """

    def __init__(self, tx: Connection, organization_id: int, now_ms: int, *, ids_for: int) -> None:
        self._tx = tx
        self._organization_id = organization_id
        self._now_ms = now_ms
        self._ids = iter(take_ids(tx, ids_for))
        self._dispatches: list[dict[str, Any]] = []
        self._new: list[New] = []
        self._remembered: list[dict[str, Any]] = []
        self._told: dict[int, int | None] = {}

    def sends(self, thread: InThread, plan: Plan) -> bool:
        """What is to be sent because of a thread, and the ways of its messages; whether anything is left out because
        the store knows that the customer waits."""
        is_known = False
        for record in plan.records:
            message = record.message
            place = (thread.id, message.message_id, message.sequence, record.channel, record.audience)
            self._new.append(New(*place, record.state, record.reason))
        for send in joined(send for send in plan.sends if send.purpose != "survey"):
            dispatch_id = _join(self._tx, self._organization_id, thread.id, send) if send.joins else None
            if dispatch_id is None:
                if send.joins and send.purpose == "store-notice":
                    is_known = True
                    continue
                dispatch_id = self._add(thread.id, send)
            self._new += [
                New(thread.id, said.message_id, said.sequence, send.channel, send.audience, "queued", None, dispatch_id)
                for said in send.messages
            ]
        return is_known

    def rely_on(self, facts: Facts) -> None:
        """Let all be decided anew if the store has not been told what it had been, by the end."""
        self._told[facts.thread_id] = facts.told_sequence

    def question(self, thread: Known, plan: Plan) -> None:
        """What a customer is asked."""
        survey_id = take_id(self._tx)
        self._tx.execute(
            insert(surveys).values(
                organization_id=self._organization_id,
                id=survey_id,
                thread_id=thread.facts.thread_id,
                customer_id=thread.customer_id,
                kind=plan.asks,
                asked_at_ms=self._now_ms,
            )
        )
        for send in plan.sends:
            if send.purpose == "survey":
                self._add(thread.facts.thread_id, send, survey_id)

    def remember(self, facts: Facts, plan: Plan) -> None:
        """What has been said to whom."""
        changed: dict[str, Any] = {}
        if plan.invites:
            changed["invited_at_ms"] = self._now_ms
        if plan.told_sequence != facts.told_sequence:
            changed["store_told_sequence"] = plan.told_sequence
        if plan.auto_reply_period is not None:
            changed["auto_replied_period"] = plan.auto_reply_period
        if changed:
            self._remembered.append({"organization_id": self._organization_id, "thread_id": facts.thread_id, **changed})

    def flush(self, threads_of: Mapping[int, InThread]) -> list[Change]:
        """Write all of it; gives what ``deliveries.tell`` has to tell at the transaction's end."""
        if self._dispatches:
            self._tx.execute(insert(dispatches), self._dispatches)
        if self._told:
            self._lock_told()
        keys = [column.name for column in thread_outreach.primary_key.columns]
        # In the threads' order: a notice that failed locks those of several, too.
        for names, rows in groupby(self._remembered, key=tuple):
            new = upsert(self._tx, thread_outreach)
            # Not in one statement of many rows: each engine has its own limit of them.
            changing = new.on_conflict_do_update(
                index_elements=keys, set_={name: new.excluded[name] for name in names if name not in keys}
            )
            self._tx.execute(changing, list(rows))
        return deliveries.add(self._tx, self._organization_id, self._new, threads_of, now_ms=self._now_ms)

    def _lock_told(self) -> None:
        """Lock, in the threads' order, what is relied on together with what is changed."""
        ids = self._told.keys() | {row["thread_id"] for row in self._remembered}
        these = (_T.organization_id == self._organization_id, _T.thread_id.in_(sorted(ids)))
        query = select(_T.thread_id, _T.store_told_sequence).where(*these).order_by(_T.thread_id).with_for_update()
        now = {row.thread_id: row.store_told_sequence for row in self._tx.execute(query)}
        if any(now.get(thread_id) != sequence for thread_id, sequence in self._told.items()):
            raise Overtaken

    def _add(self, thread_id: int, send: Send, survey_id: int | None = None) -> int:
        dispatch_id = next(self._ids)
        sequences = [said.sequence for said in send.messages]
        self._dispatches.append(
            {
                "organization_id": self._organization_id,
                "id": dispatch_id,
                "thread_id": thread_id,
                "channel": send.channel,
                "audience": send.audience,
                "purpose": send.purpose,
                "address": send.address,
                "first_sequence": min(sequences, default=None),
                "last_sequence": max(sequences, default=None),
                "survey_id": survey_id,
                "state": "waiting",
                "attempts": 0,
                "due_at_ms": send.due_at_ms,
                "created_at_ms": self._now_ms,
            }
        )
        return dispatch_id


def closed_text(thread: Known, now_ms: int) -> str:
    """What a customer is told outside of opening hours, in their language.

    A time names its time zone when the customer's clock shows another one.
    """
    texts = for_locale(thread.locale, thread.business.locale)
    hours = thread.facts.store.hours
    opens_at_ms = hours.next_opening_ms(now_ms) if hours else None
    if opens_at_ms is None:
        return texts.gettext("Thank you for your message. We are closed now and will answer as soon as we can.")
    when = texts.weekday_and_time(opens_at_ms, thread.business.time_zone)
    reader = thread.facts.reader
    if time_zones.differs(thread.business.time_zone, opens_at_ms, phone=reader.phone, locale=thread.locale):
        place = texts.time_zone(opens_at_ms, thread.business.time_zone)
        when = texts.gettext("{when} ({place} time)", when=when, place=place)
    return texts.gettext("Thank you for your message. We are closed now and open again {when}.", when=when)


def _join(tx: Connection, organization_id: int, thread_id: int, send: Send) -> int | None:
    """Let messages go with what waits already; None when nothing does."""
    if not send.messages:
        return None
    waiting = (
        select(dispatches)
        .where(
            # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
            _D.organization_id + 0 == organization_id,
            *(_D.thread_id == thread_id, _D.state == "waiting", _D.attempts == 0),
            *(_D.channel == send.channel, _D.audience == send.audience, _D.purpose == send.purpose),
            _D.address == send.address,
        )
        .order_by(_D.id.desc())
        .limit(1)
        .with_for_update()
    )
    row = tx.execute(waiting).first()
    if row is None or _has_template(tx, organization_id, row):
        return None
    due_at_ms = max(row.due_at_ms, min(row.created_at_ms + send.put_off_at_most_ms, send.due_at_ms))
    tx.execute(
        update(dispatches)
        .where(_D.organization_id == organization_id, _D.id == row.id)
        .values(last_sequence=send.messages[-1].sequence, due_at_ms=due_at_ms)
    )
    dispatch_id: int = row.id
    return dispatch_id


def _has_template(tx: Connection, organization_id: int, row: Any) -> bool:
    m = messages.c
    query = select(m.id).where(
        m.organization_id == organization_id,
        m.thread_id == row.thread_id,
        m.sequence == row.first_sequence,
        m.content_sid.is_not(None),
    )
    return tx.execute(query).first() is not None
