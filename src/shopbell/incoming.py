"""Customers' messages that come by any other way than the widget route: a session, a mail, a text.

An ordinary transaction for each: people type them. Thousands a second come by the widget route (``messages.py``).
"""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from shopbell import customers, events
from shopbell.errors import NotFound
from shopbell.events import InThread, upsert
from shopbell.storage.ids import take_id
from shopbell.storage.schema import blocked_messages, messages, threads


@dataclass(frozen=True, slots=True, repr=False)
class Incoming:
    """A customer's message, checked.

    Args:
        organization_id: whose customer.
        customer_id: who writes; for one who was merged, whom he became counts.
        business_id: to whom.
        channel: ``WEB``, ``EMAIL``, ``SMS`` or ``WHATSAPP``; the answer goes that way.
        body: the text, which may be empty beside a file.
        external_id: what the sender's side calls it: a message that comes again is known by it.
        attachment_id: the organization's file that it carries.
        thread_id: a thread of this customer, where it is known: it counts then, whatever has been merged or transferred
            since, and not the two above.
        email: the address that the message came from, in normal form.
        phone: the number that it came from, in E.164. Replies go to these two; where both are None, they go where
            those to the message before it went.
    """

    organization_id: int
    customer_id: int
    business_id: int
    channel: str
    body: str
    external_id: str | None = None
    attachment_id: int | None = None
    thread_id: int | None = None
    email: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A message is stored, or was stored when it came before (``repeated``). One of a blocked customer is kept apart:
    it has no place in the thread (``sequence`` 0)."""

    thread_id: int
    message_id: int
    sequence: int
    repeated: bool = False


def receive(tx: Connection, incoming: Incoming) -> Received:
    """Store a customer's message; the thread becomes ``waiting``.

    Raises:
        NotFound: 404; there is no such customer or thread.
        Conflict: 409; the customer was erased.
    """
    organization_id = incoming.organization_id
    if incoming.thread_id is None:
        customer = customers.lock(tx, organization_id, incoming.customer_id)
        his = (customer.id, incoming.business_id, incoming.channel)
        thread = open_thread(tx, organization_id, *his, "resolved", now_ms=_now_ms())
    else:
        thread = lock(tx, organization_id, incoming.thread_id)
        owner_id = customers.owners(tx, organization_id, [thread.customer_id])[thread.customer_id]
        customer = customers.find(tx, organization_id, owner_id)
    customers.refuse_erased(customer)
    known = _find_repeated(tx, thread, incoming) or _find_apart(tx, customer.id, thread, incoming)
    if known is not None:
        return known
    now_ms = _now_ms()  # not before: whoever wrote first has the lock first
    message_id = take_id(tx)
    if customer.blocked_at_ms is not None:
        unseen = {"organization_id": organization_id, "id": message_id, "customer_id": customer.id}
        business = {"business_id": thread.business_id, "body": incoming.body, "created_at_ms": now_ms}
        tx.execute(insert(blocked_messages).values(external_id=incoming.external_id, **unseen, **business))
        return Received(thread.id, message_id, 0)
    sequence = thread.last_sequence + 1
    c = threads.c
    named = {"last_email": incoming.email, "last_phone": incoming.phone} if incoming.email or incoming.phone else {}
    tx.execute(
        update(threads)
        .where(c.organization_id == organization_id, c.id == thread.id)
        .values(
            last_sequence=sequence,
            status="waiting",
            channel=incoming.channel,
            updated_at_ms=now_ms,
            last_customer_message_at_ms=now_ms,
            **named,
        )
    )
    tx.execute(
        insert(messages).values(
            organization_id=organization_id,
            thread_id=thread.id,
            sequence=sequence,
            id=message_id,
            from_customer=True,
            internal=False,
            body=incoming.body,
            created_at_ms=now_ms,
            attachment_id=incoming.attachment_id,
            external_id=incoming.external_id,
            channel=incoming.channel,
        )
    )
    place = InThread(thread.id, thread.customer_id, thread.business_id, sequence)
    events.record(tx, organization_id, "message", now_ms=now_ms, thread=place, message_id=message_id)
    return Received(thread.id, message_id, sequence)


def open_thread(
    tx: Connection,
    organization_id: int,
    customer_id: int,
    business_id: int,
    channel: str,
    status: str,
    *,
    phone: str | None = None,
    now_ms: int,
) -> InThread:
    """The customer's one conversation with a business, and its row's lock; a new one has no message yet.

    Args:
        tx: the transaction.
        organization_id: whose customer.
        customer_id: the customer.
        business_id: the business.
        channel: by which a new one is held.
        status: of a new one.
        phone: the number, in E.164, at which the customer is reached in a new one.
        now_ms: the time in Unix ms.
    """
    c = threads.c
    his = (c.organization_id == organization_id, c.customer_id == customer_id, c.business_id == business_id)
    thread_id: int | None = tx.scalar(select(c.id).where(*his))
    if thread_id is None:
        new = upsert(tx, threads).values(
            organization_id=organization_id,
            id=take_id(tx),
            customer_id=customer_id,
            business_id=business_id,
            channel=channel,
            status=status,
            last_sequence=0,
            last_phone=phone,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )
        # The widget route may be opening it at this moment.
        tx.execute(new.on_conflict_do_nothing(index_elements=[c.organization_id, c.customer_id, c.business_id]))
        thread_id = tx.execute(select(c.id).where(*his)).scalar_one()
    return lock(tx, organization_id, thread_id)


def lock(tx: Connection, organization_id: int, thread_id: int) -> InThread:
    """A thread, and its row's lock; one that nobody has seen yet, too.

    Rows that refer to it can still be written: whoever has its dispatch does so, and whoever has the thread waits for
    the dispatch.

    Raises:
        NotFound: 404.
    """
    c = threads.c
    query = select(c.id, c.customer_id, c.business_id, c.last_sequence)
    this = query.where(c.organization_id == organization_id, c.id == thread_id)
    row = tx.execute(this.with_for_update(key_share=True)).first()
    if row is None:
        raise NotFound
    return InThread(*row)


def _find_repeated(tx: Connection, thread: InThread, incoming: Incoming) -> Received | None:
    if incoming.external_id is None:
        return None
    c = messages.c
    of_thread = (c.organization_id == incoming.organization_id, c.thread_id == thread.id)
    # Without statistics SQLite reads the whole conversation by the primary key, unless the index holds all it asks.
    called_so = select(c.sequence).where(*of_thread, c.external_id == incoming.external_id)
    query = select(c.id, c.sequence).where(*of_thread, c.sequence.in_(called_so), c.from_customer)
    row = tx.execute(query).first()
    return None if row is None else Received(thread.id, row.id, row.sequence, repeated=True)


def _find_apart(tx: Connection, customer_id: int, thread: InThread, incoming: Incoming) -> Received | None:
    """What was kept apart when it came before; it stays there when the customer is heard again, too."""
    if incoming.external_id is None:
        return None
    c = blocked_messages.c
    of_organization = c.organization_id == incoming.organization_id
    # As above: the index must hold all that is asked of it.
    called_so = select(c.id).where(of_organization, c.customer_id == customer_id, c.external_id == incoming.external_id)
    in_business = (of_organization, c.id.in_(called_so), c.business_id == thread.business_id)
    message_id = tx.scalar(select(c.id).where(*in_business))
    return None if message_id is None else Received(thread.id, message_id, 0, repeated=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
