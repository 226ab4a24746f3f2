"""Store decisions.

They consist of outbound messages, delivery records, automatic messages and surveys.

Locks are taken in the order of all transactions: threads by id, and the feed last.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from shopbell.conversations import receive, surveys
from shopbell.conversations.message_writer import MessageWriter
from shopbell.db.ids import take_ids
from shopbell.db.schema.core import messages
from shopbell.db.schema.customers import notification_state, outbound_messages
from shopbell.events.record import InThread, upsert
from shopbell.i18n.translations import for_locale
from shopbell.notifications import delivery_status, time_zones
from shopbell.notifications.automatic_messages import post_system_message
from shopbell.notifications.capabilities import Rules
from shopbell.notifications.context import KnownThread
from shopbell.notifications.delivery_status import Change, New
from shopbell.notifications.policy import Context, Plan, Send, joined, reach

_D, _T = outbound_messages.c, notification_state.c


class DecisionOutdated(Exception):
    """An email to the business has failed on which a decision relied."""


def write_plans(
    tx: Connection,
    organization_id: int,
    plans: Mapping[int, Plan],
    known: Mapping[int, KnownThread],
    rules: Rules,
    *,
    now_ms: int,
) -> None:
    """Store the decisions about threads.

    Uses few statements, because on SQLite all other writers wait.

    Args:
        tx: the transaction; nothing may follow in it.
        organization_id: the organization.
        plans: the decisions, by thread.
        known: the threads.
        rules: what this installation can send.
        now_ms: the time in Unix ms.

    Raises:
        DecisionOutdated: roll back, and decide again.
    """
    # Locked before anything else is written, and in the order of all transactions.
    locked = {
        thread_id: receive.lock(tx, organization_id, thread_id)
        for thread_id, plan in sorted(plans.items())
        if plan.auto_reply_period is not None
    }
    with MessageWriter(tx, organization_id, now_ms=now_ms) as writer:
        for thread_id, in_thread in sorted(locked.items()):
            thread = known[thread_id]
            _, message = post_system_message(writer, in_thread, closed_text(thread, now_ms), None)
            reach(plans[thread_id], thread.context, message, "auto-reply", rules, now_ms=now_ms)
        writing = _Writing(tx, organization_id, now_ms, ids_for=sum(len(plan.sends) for plan in plans.values()))
        for thread_id, plan in sorted(plans.items()):
            if writing.sends(known[thread_id].thread, plan):
                writing.rely_on(known[thread_id].context)
            if plan.asks is not None:
                writing.question(known[thread_id], plan)
            writing.remember(known[thread_id].context, plan)
        changes = writing.flush({thread_id: known[thread_id].thread for thread_id in plans})
    delivery_status.record_changes(tx, organization_id, changes, now_ms=now_ms)


def write_sends(tx: Connection, organization_id: int, thread: InThread, plan: Plan, *, now_ms: int) -> list[Change]:
    """Store outbound messages and delivery records of a thread.

    Args:
        tx: the transaction.
        organization_id: the organization.
        thread: the thread.
        plan: the decisions; its survey is ignored.
        now_ms: the time in Unix ms.

    Returns:
        What ``delivery_status.record_changes`` must record at the end of the transaction.
    """
    writing = _Writing(tx, organization_id, now_ms, ids_for=len(plan.sends))
    writing.sends(thread, plan)
    return writing.flush({thread.id: thread})


def remember_email(
    tx: Connection, organization_id: int, thread_id: int, *, subject: str | None, header_id: str | None
) -> None:
    """Note a customer's email, so that the next email to them continues it.

    Args:
        tx: the transaction.
        organization_id: the organization.
        thread_id: the thread.
        subject: its subject. The first one of a thread stays, because mail programs group emails by it.
        header_id: its ``Message-ID``.
    """
    new = upsert(tx, notification_state).values(
        organization_id=organization_id, thread_id=thread_id, mail_subject=subject, mail_header_id=header_id
    )
    kept_subject = func.coalesce(_T.mail_subject, new.excluded.mail_subject)
    tx.execute(
        new.on_conflict_do_update(
            index_elements=[_T.organization_id, _T.thread_id],
            set_={"mail_subject": kept_subject, "mail_header_id": new.excluded.mail_header_id},
        )
    )


class _Writing:
    """Collects rows and writes them together.

    Args:
        tx: the transaction.
        organization_id: the organization.
        now_ms: the time in Unix ms.
        ids_for: most outbound messages that there may be.
    """

    def __init__(self, tx: Connection, organization_id: int, now_ms: int, *, ids_for: int) -> None:
        self._tx = tx
        self._organization_id = organization_id
        self._now_ms = now_ms
        self._ids = iter(take_ids(tx, ids_for))
        self._outbound_messages: list[dict[str, Any]] = []
        self._new: list[New] = []
        self._remembered: list[dict[str, Any]] = []
        self._expected: dict[int, int | None] = {}

    def sends(self, thread: InThread, plan: Plan) -> bool:
        """Add outbound messages and delivery records of a thread.

        Returns:
            Whether an email is left out because the business was notified before.
        """
        is_known = False
        for each in plan.records:
            message = each.message
            place = (thread.id, message.message_id, message.sequence, each.channel, each.audience)
            self._new.append(New(*place, each.state, each.reason))
        for send in joined(send for send in plan.sends if send.purpose != "survey"):
            outbound_message_id = _join(self._tx, self._organization_id, thread.id, send) if send.joins else None
            if outbound_message_id is None:
                if send.joins and send.purpose == "store-notice":
                    is_known = True
                    continue
                outbound_message_id = self._add(thread.id, send)
            self._new += [
                New(
                    thread.id,
                    said.message_id,
                    said.sequence,
                    send.channel,
                    send.audience,
                    "queued",
                    None,
                    outbound_message_id,
                )
                for said in send.messages
            ]
        return is_known

    def rely_on(self, context: Context) -> None:
        """Fail in ``flush`` if the business was not notified as the decision assumed."""
        self._expected[context.thread_id] = context.notified_sequence

    def question(self, thread: KnownThread, plan: Plan) -> None:
        """Add a survey."""
        survey_id = surveys.ask(
            self._tx,
            self._organization_id,
            thread.context.thread_id,
            thread.customer_id,
            str(plan.asks),
            now_ms=self._now_ms,
        )
        for send in plan.sends:
            if send.purpose == "survey":
                self._add(thread.context.thread_id, send, survey_id)

    def remember(self, context: Context, plan: Plan) -> None:
        """Add notifications that were sent."""
        changed: dict[str, Any] = {}
        if plan.invites:
            changed["invited_at_ms"] = self._now_ms
        if plan.notified_sequence != context.notified_sequence:
            changed["store_notified_sequence"] = plan.notified_sequence
        if plan.auto_reply_period is not None:
            changed["auto_replied_period"] = plan.auto_reply_period
        if changed:
            self._remembered.append(
                {"organization_id": self._organization_id, "thread_id": context.thread_id, **changed}
            )

    def flush(self, threads_of: Mapping[int, InThread]) -> list[Change]:
        """Write everything.

        Returns:
            What ``delivery_status.record_changes`` must record at the end of the transaction.
        """
        if self._outbound_messages:
            self._tx.execute(insert(outbound_messages), self._outbound_messages)
        if self._expected:
            self._check_notified()
        keys = [column.name for column in notification_state.primary_key.columns]
        # In the order of threads: a failed email to the business locks several of them too.
        for names, rows in groupby(self._remembered, key=tuple):
            new = upsert(self._tx, notification_state)
            # Not in one statement with many rows: each engine limits their number.
            changing = new.on_conflict_do_update(
                index_elements=keys, set_={name: new.excluded[name] for name in names if name not in keys}
            )
            self._tx.execute(changing, list(rows))
        return delivery_status.add(self._tx, self._organization_id, self._new, threads_of, now_ms=self._now_ms)

    def _check_notified(self) -> None:
        """Lock the rows that the decision relied on or changes, in thread order."""
        ids = self._expected.keys() | {row["thread_id"] for row in self._remembered}
        these = (_T.organization_id == self._organization_id, _T.thread_id.in_(sorted(ids)))
        query = select(_T.thread_id, _T.store_notified_sequence).where(*these).order_by(_T.thread_id).with_for_update()
        now = {row.thread_id: row.store_notified_sequence for row in self._tx.execute(query)}
        if any(now.get(thread_id) != sequence for thread_id, sequence in self._expected.items()):
            raise DecisionOutdated

    def _add(self, thread_id: int, send: Send, survey_id: int | None = None) -> int:
        outbound_message_id = next(self._ids)
        sequences = [said.sequence for said in send.messages]
        self._outbound_messages.append(
            {
                "organization_id": self._organization_id,
                "id": outbound_message_id,
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
        return outbound_message_id


def closed_text(thread: KnownThread, now_ms: int) -> str:
    """The automatic reply outside of opening hours, in the customer's language.

    A time names its time zone if the customer's clock shows another time.
    """
    texts = for_locale(thread.locale, thread.business.locale)
    hours = thread.context.business.hours
    opens_at_ms = hours.next_opening_ms(now_ms) if hours else None
    if opens_at_ms is None:
        return texts.gettext("Thank you for your message. We are currently closed and will reply as soon as we can.")
    when = texts.weekday_and_time(opens_at_ms, thread.business.time_zone)
    reader = thread.context.reader
    if time_zones.differs(
        thread.business.time_zone, opens_at_ms, phone=reader.addresses.get("phone"), locale=thread.locale
    ):
        place = texts.time_zone(opens_at_ms, thread.business.time_zone)
        when = texts.gettext("{when} ({place} time)", when=when, place=place)
    return texts.gettext("Thank you for your message. We are currently closed. We reopen on {when}.", when=when)


def _join(tx: Connection, organization_id: int, thread_id: int, send: Send) -> int | None:
    """Add messages to a waiting outbound message; None if there is none."""
    if not send.messages:
        return None
    waiting = (
        select(outbound_messages)
        .where(
            # The zero keeps SQLite from using the primary key, which would read all rows of the organization.
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
        update(outbound_messages)
        .where(_D.organization_id == organization_id, _D.id == row.id)
        .values(last_sequence=send.messages[-1].sequence, due_at_ms=due_at_ms)
    )
    outbound_message_id: int = row.id
    return outbound_message_id


def _has_template(tx: Connection, organization_id: int, row: Any) -> bool:
    m = messages.c
    query = select(m.id).where(
        m.organization_id == organization_id,
        m.thread_id == row.thread_id,
        m.sequence == row.first_sequence,
        m.content_sid.is_not(None),
    )
    return tx.execute(query).first() is not None
