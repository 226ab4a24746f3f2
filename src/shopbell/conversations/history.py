"""Store conversations that took place in another product.

Their messages keep their times and get no events, so that no webhook, employee or customer is notified. Each
conversation gets one event of the type ``import``, from which the inbox learns of it.

A customer has one conversation with each business. An imported one continues it if all of its messages come later.
Otherwise it gets a thread of its own, which belongs to a customer who is then merged into the other one: such threads
are listed with the customer's (``customers/merges.py``).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from shopbell.conversations import read_receipts, receive, threads
from shopbell.conversations.message_writer import MessageWriter, NewMessage
from shopbell.conversations.threads import Thread
from shopbell.customers import canonical, customers, identities
from shopbell.db.schema.core import THREAD_STATUSES, assignments, messages
from shopbell.db.schema.core import threads as threads_table
from shopbell.db.schema.imports import imported_conversations
from shopbell.events import record
from shopbell.events.actors import SYSTEM

_I = imported_conversations.c


@dataclass(frozen=True, slots=True, repr=False)
class Past:
    """A conversation from another product, checked.

    Args:
        source: product and id, such as ``zendesk:12345``.
        channel: where the customer is to be answered.
        status: the status at the end: ``waiting``, ``replied`` or ``resolved``.
        messages: one or more in order, each with its time.
        email: the customer's address in normal form; replies by email go there.
        phone: the customer's number in E.164; replies by SMS or WhatsApp go there.
        assignee_id: the employee who is assigned to it.
    """

    source: str
    channel: str
    status: str
    messages: Sequence[NewMessage]
    email: str | None = None
    phone: str | None = None
    assignee_id: int | None = None

    @property
    def began_at_ms(self) -> int:
        """The time of the first message in Unix ms."""
        return _at_ms(self.messages[0])


@dataclass(frozen=True, slots=True)
class Stored:
    """A conversation that was imported.

    Args:
        source: that of the conversation.
        thread: its thread; ``last_sequence`` is the place of its last message.
        message_ids: the ids of its messages, in order.
        status: the status of the thread.
        apart_customer_id: the owner of the thread who is to be merged into the customer; None if the thread is the
            customer's.
    """

    source: str
    thread: record.InThread
    message_ids: Sequence[int]
    status: str
    apart_customer_id: int | None = None


def find_imported(tx: Connection, organization_id: int, sources: Collection[str]) -> set[str]:
    """Those of these conversations that were imported before."""
    query = select(_I.source).where(_I.organization_id == organization_id, _I.source.in_(sorted(sources)))
    return set(tx.scalars(query))


def store(
    tx: Connection, organization_id: int, customer_id: int, business_id: int, past: Past, *, now_ms: int
) -> Stored:
    """Store a conversation. ``record_import`` records its event, at the end of the transaction.

    Args:
        tx: a transaction that began with ``lock_customers_shared``.
        customer_id: the customer, who is not merged into another one.
        business_id: the business.
        now_ms: the time of the import in Unix ms.
    """
    place = _find_place(tx, organization_id, customer_id, business_id, past.began_at_ms)
    apart_customer_id = None
    if place is None:
        owner_id = customer_id
        if _has_thread(tx, organization_id, customer_id, business_id):
            owner_id = apart_customer_id = identities.create_anonymous(tx, organization_id, now_ms=past.began_at_ms)
        new = (organization_id, owner_id, business_id, past.channel, past.status)
        place = receive.open_thread(tx, *new, now_ms=past.began_at_ms).id
    thread = _lock(tx, organization_id, place)
    # A thread of several conversations has the most urgent status.
    status = past.status if thread.last_sequence == 0 else min(past.status, thread.status, key=THREAD_STATUSES.index)
    with MessageWriter(tx, organization_id, now_ms=now_ms, records_events=False) as writer:
        inserted = writer.add(threads.in_thread(thread), past.messages, **_columns(thread, past, status))
    last = inserted[-1].thread
    tx.execute(
        insert(imported_conversations).values(
            organization_id=organization_id,
            source=past.source,
            thread_id=thread.id,
            first_sequence=thread.last_sequence + 1,
            last_sequence=last.last_sequence,
            began_at_ms=past.began_at_ms,
            oldest_at_ms=past.began_at_ms,
            imported_at_ms=now_ms,
        )
    )
    _assign(tx, thread, past.assignee_id, now_ms=_at_ms(past.messages[-1]))
    read_receipts.mark_imported(tx, organization_id, thread.id, last.last_sequence, now_ms=now_ms)
    return Stored(past.source, last, [one.message_id for one in inserted], status, apart_customer_id)


def record_import(tx: Connection, organization_id: int, stored: Stored, *, now_ms: int) -> None:
    """Record that a conversation was imported; this locks the organization's feed."""
    details = {"source": stored.source, "messages": len(stored.message_ids), "status": stored.status}
    record.record(tx, organization_id, "import", actor=SYSTEM, now_ms=now_ms, thread=stored.thread, details=details)


def delete_old(tx: Connection, organization_id: int, *, before_ms: int, limit: int) -> list[tuple[int, int]] | None:
    """Delete some imported messages from before a time in Unix ms.

    Their ids are those of the import, so they do not grow with the times of the messages.

    Args:
        limit: how many messages at most.

    Returns:
        Thread and id of each deleted message; None if there are no conversations left with old messages.
    """
    m = messages.c
    due = (_I.organization_id == organization_id, _I.oldest_at_ms < before_ms)
    query = select(imported_conversations).where(*due).order_by(_I.oldest_at_ms, _I.source)
    deleted: list[tuple[int, int]] = []
    rows = tx.execute(query.limit(limit)).all()
    for row in rows:
        of_conversation = and_(
            m.organization_id == organization_id,
            m.thread_id == row.thread_id,
            m.sequence.between(row.first_sequence, row.last_sequence),
        )
        old = select(m.id).where(of_conversation, m.created_at_ms < before_ms).order_by(m.sequence)
        ids = tx.scalars(old.limit(limit - len(deleted))).all()
        tx.execute(delete(messages).where(m.organization_id == organization_id, m.id.in_(ids)))
        deleted += [(row.thread_id, id_) for id_ in ids]
        oldest_at_ms = tx.scalar(select(func.min(m.created_at_ms)).where(of_conversation))
        this = update(imported_conversations).where(_I.organization_id == organization_id, _I.source == row.source)
        tx.execute(this.values(oldest_at_ms=oldest_at_ms))
        if len(deleted) == limit:
            break
    return deleted if rows else None


def _at_ms(message: NewMessage) -> int:
    if message.created_at_ms is None:
        raise ValueError("a message of an imported conversation has a time")
    return message.created_at_ms


def _lock(tx: Connection, organization_id: int, thread_id: int) -> Thread:
    """Lock the row of a thread, even if it has no messages."""
    t = threads_table.c
    query = select(threads_table).where(t.organization_id == organization_id, t.id == thread_id)
    return Thread(**tx.execute(query.with_for_update(key_share=True)).mappings().one())


def _has_thread(tx: Connection, organization_id: int, customer_id: int, business_id: int) -> bool:
    return any(row.business_id == business_id for row in customers.threads_of(tx, organization_id, [customer_id]))


def _find_place(
    tx: Connection, organization_id: int, customer_id: int, business_id: int, began_at_ms: int
) -> int | None:
    """The customer's thread that a conversation continues: their own, or one with imported messages only."""
    family = canonical.with_merged(tx, organization_id, customer_id)
    rows = [row for row in customers.threads_of(tx, organization_id, family) if row.business_id == business_id]
    for row in sorted(rows, key=lambda row: (row.customer_id != customer_id, row.id)):
        thread = _lock(tx, organization_id, row.id)
        if thread.last_sequence == 0 or _continues(tx, thread, began_at_ms, is_own=row.customer_id == customer_id):
            return thread.id
    return None


def _continues(tx: Connection, thread: Thread, began_at_ms: int, *, is_own: bool) -> bool:
    """Whether a conversation follows the messages of a thread."""
    of_thread = (_I.organization_id == thread.organization_id, _I.thread_id == thread.id)
    latest = select(func.max(_I.began_at_ms), func.max(_I.last_sequence)).where(*of_thread)
    began_last_ms, last_sequence = tx.execute(latest).one()
    # Conversations of one customer may overlap. They follow each other by the times at which they began.
    if last_sequence == thread.last_sequence:
        return bool(began_last_ms <= began_at_ms)
    m = messages.c
    last = select(m.created_at_ms).where(
        m.organization_id == thread.organization_id, m.thread_id == thread.id, m.sequence == thread.last_sequence
    )
    last_at_ms: int | None = tx.scalar(last)
    return is_own and (thread.updated_at_ms if last_at_ms is None else last_at_ms) <= began_at_ms


def _columns(thread: Thread, past: Past, status: str) -> dict[str, object]:
    """The columns of the thread that change."""
    last_at_ms = max(_at_ms(message) for message in past.messages)
    is_new = thread.last_sequence == 0
    columns: dict[str, object] = {
        "status": status,
        "updated_at_ms": last_at_ms if is_new else max(thread.updated_at_ms, last_at_ms),
        "channel": past.channel,
        "last_email": past.email,
        "last_phone": past.phone,
    }
    from_customer = [_at_ms(message) for message in past.messages if message.from_customer]
    if from_customer:
        columns["last_customer_message_at_ms"] = max(thread.last_customer_message_at_ms or 0, *from_customer)
    reply, author_id, other = thread.last_reply_sequence, thread.last_reply_author_id, thread.last_other_reply_sequence
    for sequence, message in enumerate(past.messages, thread.last_sequence + 1):
        if message.from_customer or message.internal:
            continue
        # As for emails of the business: the business, if it is not known which employee wrote the message.
        by = message.actor.employee_id or thread.business_id
        reply, author_id, other = sequence, by, other if by == author_id else reply
    return columns | {
        "last_reply_sequence": reply,
        "last_reply_author_id": author_id,
        "last_other_reply_sequence": other,
    }


def _assign(tx: Connection, thread: Thread, employee_id: int | None, *, now_ms: int) -> None:
    """Assign a thread that has no assignee, without an event: the employee must not be notified of old threads."""
    if employee_id is not None:
        key = {"organization_id": thread.organization_id, "thread_id": thread.id}
        new = record.upsert(tx, assignments).values(**key, employee_id=employee_id, assigned_at_ms=now_ms)
        tx.execute(new.on_conflict_do_nothing(index_elements=list(key)))
