"""Store single messages of customers, from chat, email, SMS and WhatsApp.

The messages of the widget route are stored in batches (``conversations/messages.py``).
"""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from shopbell.conversations.message_writer import MessageWriter, NewMessage
from shopbell.customers import canonical, customers
from shopbell.db.ids import take_id
from shopbell.db.schema.core import blocked_messages, messages, threads
from shopbell.errors import NotFound
from shopbell.events.record import InThread, upsert
from shopbell.runtime.clock import now_ms


@dataclass(frozen=True, slots=True, repr=False)
class Incoming:
    """A customer's message, checked.

    Args:
        organization_id: the organization of the customer.
        customer_id: the customer. If they were merged into another one, the message belongs to that one.
        business_id: the business that they write to.
        channel: ``WEB``, ``EMAIL``, ``SMS`` or ``WHATSAPP``; replies are sent by it.
        body: the text; may be empty if there is a file.
        external_id: the sender's id of the message; a message with the same id is stored once.
        attachment_id: a file of the organization.
        thread_id: the thread, if it is known. Customer and business are ignored then, because the thread may have been
            merged or transferred.
        email: the address that the message came from, in normal form.
        phone: the number that it came from, in E.164. Replies are sent to ``email`` or ``phone``; if both are None,
            they are sent where the previous ones were.
        keeps_channel: whether channel and address of replies stay as they are. True for a message that asks for no
            more messages on its channel.
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
    keeps_channel: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """A message that is stored now, or was stored before (``repeated``).

    The message of a blocked customer is stored outside of the thread and has the ``sequence`` 0."""

    thread_id: int
    message_id: int
    sequence: int
    repeated: bool = False


def create_inbound_message(tx: Connection, incoming: Incoming) -> Received:
    """Store a message of a customer; the thread becomes ``waiting``.

    Raises:
        NotFound: 404; there is no such customer or thread.
        Conflict: 409; the customer was erased.
    """
    organization_id = incoming.organization_id
    if incoming.thread_id is None:
        customer = customers.lock(tx, organization_id, incoming.customer_id)
        place = (customer.id, incoming.business_id, incoming.channel)
        thread = open_thread(tx, organization_id, *place, "resolved", now_ms=now_ms())
    else:
        thread = lock(tx, organization_id, incoming.thread_id)
        owner_id = canonical.canonical_ids(tx, organization_id, [thread.customer_id])[thread.customer_id]
        customer = customers.find(tx, organization_id, owner_id)
    customers.refuse_erased(customer)
    known = _find_repeated(tx, thread, incoming) or _find_apart(tx, customer.id, thread, incoming)
    if known is not None:
        return known
    stored_at_ms = now_ms()  # after the lock: messages are stored in the order of their times
    message_id = take_id(tx)
    if customer.blocked_at_ms is not None:
        unseen = {"organization_id": organization_id, "id": message_id, "customer_id": customer.id}
        business = {"business_id": thread.business_id, "body": incoming.body, "created_at_ms": stored_at_ms}
        tx.execute(insert(blocked_messages).values(external_id=incoming.external_id, **unseen, **business))
        return Received(thread.id, message_id, 0)
    changed = {} if incoming.keeps_channel else _reply_columns(incoming)
    message = NewMessage(
        incoming.body,
        from_customer=True,
        channel=incoming.channel,
        attachment_id=incoming.attachment_id,
        external_id=incoming.external_id,
    )
    with MessageWriter(tx, organization_id, now_ms=stored_at_ms) as writer:
        (one,) = writer.add(thread, [message], status="waiting", last_customer_message_at_ms=stored_at_ms, **changed)
    return Received(thread.id, one.message_id, one.thread.last_sequence)


def _reply_columns(incoming: Incoming) -> dict[str, str | None]:
    """The columns of the thread that say where replies are sent."""
    if incoming.email or incoming.phone:
        return {"channel": incoming.channel, "last_email": incoming.email, "last_phone": incoming.phone}
    return {"channel": incoming.channel}


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
    """Find or create the customer's thread with a business, and lock its row.

    Args:
        tx: the transaction.
        organization_id: the organization.
        customer_id: the customer.
        business_id: the business.
        channel: the channel of a new thread.
        status: the status of a new thread.
        phone: the customer's number in a new thread, in E.164.
        now_ms: the time in Unix ms.
    """
    c = threads.c
    same = (c.organization_id == organization_id, c.customer_id == customer_id, c.business_id == business_id)
    thread_id: int | None = tx.scalar(select(c.id).where(*same))
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
        thread_id = tx.execute(select(c.id).where(*same)).scalar_one()
    return lock(tx, organization_id, thread_id)


def lock(tx: Connection, organization_id: int, thread_id: int) -> InThread:
    """Lock the row of a thread, even if it has no message yet.

    The lock allows others to insert rows that refer to the thread: a transaction that has locked its outbound message
    does so, while one that has locked the thread may wait for the outbound message.

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
    # Without statistics, SQLite reads the whole conversation unless the index of external ids has all columns.
    same_id = select(c.id).where(*of_thread, c.external_id == incoming.external_id)
    query = select(c.id, c.sequence).where(of_thread[0], c.id.in_(same_id), c.from_customer)
    row = tx.execute(query).first()
    return None if row is None else Received(thread.id, row.id, row.sequence, repeated=True)


def _find_apart(tx: Connection, customer_id: int, thread: InThread, incoming: Incoming) -> Received | None:
    """Find a message that was stored while its customer was blocked.

    It stays there after the customer is unblocked.
    """
    if incoming.external_id is None:
        return None
    c = blocked_messages.c
    of_organization = c.organization_id == incoming.organization_id
    # As above: the index must contain all columns of the query.
    same_id = select(c.id).where(of_organization, c.customer_id == customer_id, c.external_id == incoming.external_id)
    in_business = (of_organization, c.id.in_(same_id), c.business_id == thread.business_id)
    message_id = tx.scalar(select(c.id).where(*in_business))
    return None if message_id is None else Received(thread.id, message_id, 0, repeated=True)
