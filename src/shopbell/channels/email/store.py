"""Store an email in its conversation.

It becomes a message of the customer, a reply of the business, or a note.

- To the customer's signed address: a message of the customer, if they sent it from an address of theirs. Otherwise
the address was forwarded to someone else, and the email becomes a note that only employees see, with its sender.
- To the business's signed address: a reply, if it comes from the address of the business or of an employee, and the
receiving server has verified that (DMARC, or SPF for that domain). Otherwise it becomes a note.

Automatic replies become notes too, so that they reopen nothing and no one is notified.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, or_, select

from shopbell.attachments.attachments import Attachment
from shopbell.conversations.message_writer import MessageWriter, NewMessage
from shopbell.conversations.receive import Incoming, create_inbound_message
from shopbell.conversations.replies import is_window_open
from shopbell.conversations.threads import Thread, in_thread, last_by_whatsapp_ms, lock
from shopbell.customers import customers
from shopbell.customers.customers import Customer
from shopbell.db.schema.core import businesses, employees, messages, threads
from shopbell.db.schema.customers import mail_details
from shopbell.email.parse import IncomingEmail
from shopbell.email.reply_addresses import Audience, ReplyAddress
from shopbell.errors import NotFound
from shopbell.events.actors import SYSTEM, Actor
from shopbell.formats.identities import normal_email
from shopbell.notifications.schedule import remember_email
from shopbell.runtime.clock import lately

EMAILS_PER_HOUR = 60
"""Most emails per conversation and hour, which ends a loop between two programs. Emails of strangers and programs are
counted apart, so that they do not block the customer."""

_HOUR_MS = 60 * 60 * 1_000
_SUBJECT_MAX_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class InboundEmail:
    """An email that is to be stored.

    Args:
        to: the conversation, and the side that gets it.
        email: the parsed email.
        external_id: identifies it when it is delivered again.
        files: its files that are in the attachment store.
        body: its text without quotations, with the names of files that are not stored.
        full_text: its whole text. Links of Shopbell are removed from both.
    """

    to: ReplyAddress
    email: IncomingEmail
    external_id: str
    files: Sequence[Attachment]
    body: str
    full_text: str


def store_email(tx: Connection, email: InboundEmail, *, now_ms: int) -> bool:
    """Store an email in its conversation.

    Args:
        tx: the transaction; nothing may follow in it.
        email: the email with its files.
        now_ms: the time in Unix ms.

    Returns:
        False if there are too many in this hour; then it is not stored.

    Raises:
        NotFound: there is no such conversation.
        Conflict: its customer was erased.
    """
    organization_id, thread_id = email.to.organization_id, email.to.thread_id
    t = threads.c
    customer_id = tx.scalar(select(t.customer_id).where(t.organization_id == organization_id, t.id == thread_id))
    if customer_id is None:
        raise NotFound
    customer = customers.lock(tx, organization_id, customer_id)
    customers.refuse_erased(customer)
    thread = lock(tx, organization_id, thread_id)
    if not is_new(tx, email.to, email.external_id):
        return True
    origin = _origin_of(tx, customer, thread, email.to, email.email)
    if not _has_room(tx, thread, origin, now_ms):
        return False
    if origin.is_customers:
        _keep_customers(tx, email, thread)
    elif origin.author_id is not None and _may_answer(tx, thread, now_ms):
        _store_reply(tx, email, thread, origin.author_id, now_ms)
    else:
        _keep_note(tx, email, thread, is_foreign=origin.is_foreign, now_ms=now_ms)
    return True


def has_room(tx: Connection, to: ReplyAddress, email: IncomingEmail, *, now_ms: int) -> bool:
    """Whether ``store_email`` would not find too many emails in this hour. Without a conversation, it does not."""
    t = threads.c
    query = select(threads).where(t.organization_id == to.organization_id, t.id == to.thread_id)
    row = tx.execute(query).mappings().first()
    if row is None:
        return True
    thread = Thread(**row)
    customer = customers.find(tx, thread.organization_id, thread.customer_id)
    return _has_room(tx, thread, _origin_of(tx, customer, thread, to, email), now_ms)


class _Origin(NamedTuple):
    """Who wrote an email: the customer, an author of the business, a program, or a stranger (``is_foreign``)."""

    is_customers: bool
    author_id: int | None
    is_foreign: bool
    is_automatic: bool


def _origin_of(tx: Connection, customer: Customer, thread: Thread, to: ReplyAddress, email: IncomingEmail) -> _Origin:
    is_customers = to.audience is Audience.CUSTOMER and not email.is_automatic
    if is_customers and customer.blocked_at_ms is None:
        is_customers = _is_from_customer(tx, customer, email)
    author_id = _author_of(tx, thread, email) if to.audience is Audience.BUSINESS else None
    is_foreign = not is_customers and author_id is None and not email.is_automatic
    return _Origin(is_customers, author_id, is_foreign, email.is_automatic)


def _has_room(tx: Connection, thread: Thread, origin: _Origin, now_ms: int) -> bool:
    is_doubtful = origin.is_foreign or origin.is_automatic
    return _count_recent(tx, thread, now_ms, is_doubtful=is_doubtful) < EMAILS_PER_HOUR


def _may_answer(tx: Connection, thread: Thread, now_ms: int) -> bool:
    heard_ms = last_by_whatsapp_ms(tx, thread.organization_id, [thread.id])[thread.id]
    return is_window_open(thread.channel, heard_ms, now_ms)


def _is_from_customer(tx: Connection, customer: Customer, email: IncomingEmail) -> bool:
    """Whether an email comes from the customer's address, verified or claimed.

    If the receiving server found the sender forged, it does not: the reply address may have been forwarded. An address
    is not verified by a reply from it: if a stranger named another person's address and that person replied "that was
    not me", they would get everything that the stranger writes from then on.
    """
    if email.sender is None or (email.authentication is not None and email.authentication.dmarc == "fail"):
        return False
    if any(one.kind == "email" and one.value == email.sender for one in customers.identities_of(tx, customer)):
        return True
    return bool(customer.unverified_email) and normal_email(customer.unverified_email or "") == email.sender


def _keep_customers(tx: Connection, email: InboundEmail, thread: Thread) -> None:
    """Store the text and each further file as messages of the customer."""
    subject = _one_line(email.email.subject)[:_SUBJECT_MAX_CHARACTERS] or None
    remember_email(tx, thread.organization_id, thread.id, subject=subject, header_id=email.email.message_id)
    bodies = [email.body, *[""] * (len(email.files) - 1)]
    for place, body in enumerate(bodies):
        file = email.files[place] if place < len(email.files) else None
        received = create_inbound_message(
            tx,
            Incoming(
                organization_id=thread.organization_id,
                customer_id=thread.customer_id,
                business_id=thread.business_id,
                channel="EMAIL",
                body=body,
                external_id=_numbered(email.external_id, place),
                attachment_id=file.id if file else None,
                thread_id=thread.id,
                email=email.email.sender,
            ),
        )
        if place == 0 and received.sequence:  # it is 0 for a blocked customer
            _note_details(tx, email, thread, received.message_id, is_foreign=False)


def _store_reply(tx: Connection, email: InboundEmail, thread: Thread, author_id: int, now_ms: int) -> None:
    """Store an email of the business as a reply to the customer."""
    # Without an employee, an unknown one of the business wrote it.
    actor = Actor("employee", author_id if author_id != thread.business_id else None)
    with MessageWriter(tx, thread.organization_id, now_ms=now_ms) as writer:
        first, *_ = writer.add_reply(thread, _messages(email, actor=actor), author_id)
        _note_details(tx, email, thread, first.message_id, is_foreign=False)


def _keep_note(tx: Connection, email: InboundEmail, thread: Thread, *, is_foreign: bool, now_ms: int) -> None:
    """Store an email from an unverified sender or a program as a note."""
    with MessageWriter(tx, thread.organization_id, now_ms=now_ms) as writer:
        first, *_ = writer.add(in_thread(thread), _messages(email, internal=True))
        _note_details(tx, email, thread, first.message_id, is_foreign=is_foreign)


def _messages(email: InboundEmail, *, internal: bool = False, actor: Actor = SYSTEM) -> list[NewMessage]:
    """One message for the text and the first file, and one for each other file."""
    return [
        NewMessage(
            email.body if place == 0 else "",
            internal=internal,
            actor=actor,
            attachment_id=email.files[place].id if place < len(email.files) else None,
            external_id=_numbered(email.external_id, place),
        )
        for place in range(max(1, len(email.files)))
    ]


def _note_details(tx: Connection, email: InboundEmail, thread: Thread, message_id: int, *, is_foreign: bool) -> None:
    read, proofs = email.email, email.email.authentication
    full_text = email.full_text
    tx.execute(
        insert(mail_details).values(
            organization_id=thread.organization_id,
            message_id=message_id,
            thread_id=thread.id,
            sender=read.sender,
            sender_name=_one_line(read.sender_name) or None,
            subject=_one_line(read.subject) or None,
            full_text=full_text if full_text.strip() != email.body.strip() else None,
            spf=proofs.spf if proofs else None,
            dkim=proofs.dkim if proofs else None,
            dmarc=proofs.dmarc if proofs else None,
            foreign_sender=is_foreign,
            automatic=read.is_automatic,
        )
    )


def note_subject(
    tx: Connection, organization_id: int, thread_id: int, message_id: int, subject: str, *, is_first: bool
) -> None:
    """Store the subject of a message that is being imported.

    Args:
        is_first: whether it is the first message of the thread; then replies by email get its subject.
    """
    line = _one_line(subject)[:_SUBJECT_MAX_CHARACTERS]
    row = {"organization_id": organization_id, "message_id": message_id, "thread_id": thread_id, "subject": line}
    tx.execute(insert(mail_details).values(row))
    if is_first:
        remember_email(tx, organization_id, thread_id, subject=line, header_id=None)


def _author_of(tx: Connection, thread: Thread, email: IncomingEmail) -> int | None:
    """Return the id of the employee or business that verifiably sent an email."""
    proofs = email.authentication
    if email.sender is None or proofs is None or not proofs.proves(email.sender):
        return None
    e, b = employees.c, businesses.c
    employee_id: int | None = tx.scalar(
        select(e.id).where(
            e.organization_id == thread.organization_id, e.email == email.sender, e.deactivated_at_ms.is_(None)
        )
    )
    if employee_id is not None:
        return employee_id
    own = tx.scalar(select(b.email).where(b.organization_id == thread.organization_id, b.id == thread.business_id))
    return thread.business_id if own and normal_email(own) == email.sender else None


def is_open(tx: Connection, to: ReplyAddress) -> bool:
    """Whether the conversation of an address exists, and its customer was not erased."""
    t = threads.c
    query = select(t.customer_id).where(t.organization_id == to.organization_id, t.id == to.thread_id)
    customer_id = tx.scalar(query)
    return customer_id is not None and customers.find(tx, to.organization_id, customer_id).erased_at_ms is None


def is_new(tx: Connection, to: ReplyAddress, external_id: str) -> bool:
    """Whether an email is not stored in its conversation yet."""
    c = messages.c
    # Only the id: for a column that is not in the index, SQLite would read the whole conversation.
    query = select(c.id).where(
        c.organization_id == to.organization_id, c.thread_id == to.thread_id, c.external_id == external_id
    )
    return tx.execute(query).first() is None


def _count_recent(tx: Connection, thread: Thread, now_ms: int, *, is_doubtful: bool) -> int:
    """Count the last hour's emails of strangers and programs, or all others."""
    d, m = mail_details.c, messages.c
    doubtful = or_(d.foreign_sender, d.automatic)
    query = (
        select(func.count())
        .select_from(mail_details.join(messages, (m.organization_id == d.organization_id) & (m.id == d.message_id)))
        .where(
            d.organization_id + 0 == thread.organization_id,
            d.thread_id == thread.id,
            lately(m.created_at_ms, _HOUR_MS, now_ms),
            doubtful if is_doubtful else ~doubtful,
        )
    )
    return tx.execute(query).scalar_one()


def _numbered(external_id: str, place: int) -> str:
    return external_id if place == 0 else f"{external_id}#{place}"


def storable(text: str) -> str:
    """Remove what databases do not accept from a text."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _one_line(text: str) -> str:
    return " ".join(storable(text).split())
