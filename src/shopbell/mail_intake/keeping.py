"""Keeps a mail in its conversation: as the customer's answer, as the store's, or as a note.

Who may answer in whose name:

- To the customer's signed address, the customer, from an address by which he is known. Anybody else who got hold of it
  is not him: what he wrote is left as a note that only employees see, with his address beside it.
- To the store's signed address, the business's own address or that of an employee, if the receiving server has proved
  it (DMARC, or SPF for that very domain). Everything else is left as a note, and never sent to the customer.

Programs' answers are notes as well, so that they reopen nothing and nobody is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, or_, select, update

from shopbell import customers, events, incoming
from shopbell.attachments import Attachment
from shopbell.clock import lately
from shopbell.customers import Customer
from shopbell.errors import NotFound
from shopbell.events import upsert
from shopbell.identity import normal_email
from shopbell.incoming import Incoming
from shopbell.mail.addresses import Audience, ReplyAddress
from shopbell.mail.parse import IncomingMail
from shopbell.replies import is_window_open
from shopbell.storage.customer_schema import mail_details, thread_outreach
from shopbell.storage.ids import take_id
from shopbell.storage.schema import businesses, employees, messages, threads
from shopbell.threads import Thread, in_thread, last_by_whatsapp_ms, lock

MAILS_PER_HOUR = 60
"""Most mails that one conversation takes in an hour: two machines that answer each other end there. Those of machines
and of strangers have a count of their own, so that they keep nobody else's out."""

_HOUR_MS = 60 * 60 * 1_000
_SUBJECT_MAX_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it is kept.

    Args:
        to: which side of which conversation it answers.
        mail: as it was read.
        external_id: by which it is known when it comes again.
        files: those of its files that are kept, in the store already.
        body: what it says, without what it quotes and with the names of files that are not kept.
        full_text: all that it says. In neither is a link of ours.
    """

    to: ReplyAddress
    mail: IncomingMail
    external_id: str
    files: Sequence[Attachment]
    body: str
    full_text: str


def keep(tx: Connection, mail: Mail, *, now_ms: int) -> bool:
    """Keep a mail in its conversation.

    Args:
        tx: the transaction; nothing may follow in it.
        mail: the mail, with its files.
        now_ms: the time in Unix ms.

    Returns:
        False when it is one of too many in this hour, and is not kept.

    Raises:
        NotFound: 404; there is no such conversation.
        Conflict: 409; its customer was erased.
    """
    organization_id, thread_id = mail.to.organization_id, mail.to.thread_id
    t = threads.c
    customer_id = tx.scalar(select(t.customer_id).where(t.organization_id == organization_id, t.id == thread_id))
    if customer_id is None:
        raise NotFound
    customer = customers.lock(tx, organization_id, customer_id)
    customers.refuse_erased(customer)
    is_customers = mail.to.audience is Audience.CUSTOMER and not mail.mail.is_automatic
    if is_customers and customer.blocked_at_ms is None:
        is_customers = _is_his(tx, customer, mail.mail)
    thread = lock(tx, organization_id, thread_id)
    if not is_new(tx, mail.to, mail.external_id):
        return True
    author_id = _author_of(tx, thread, mail.mail) if mail.to.audience is Audience.STORE else None
    is_foreign = not is_customers and author_id is None and not mail.mail.is_automatic
    is_doubtful = is_foreign or mail.mail.is_automatic
    if _count_recent(tx, thread, now_ms, is_doubtful=is_doubtful) >= MAILS_PER_HOUR:
        return False
    if is_customers:
        _keep_customers(tx, mail, thread)
    elif author_id is not None and _may_answer(tx, thread, now_ms):
        _keep_stores(tx, mail, thread, author_id, now_ms)
    else:
        _keep_note(tx, mail, thread, is_foreign=is_foreign, now_ms=now_ms)
    return True


def _may_answer(tx: Connection, thread: Thread, now_ms: int) -> bool:
    heard_ms = last_by_whatsapp_ms(tx, thread.organization_id, [thread.id])[thread.id]
    return is_window_open(thread.channel, heard_ms, now_ms)


def _is_his(tx: Connection, customer: Customer, mail: IncomingMail) -> bool:
    """Whether a mail is from the customer's address, or from one that he said was his. A mail of which the receiving
    server says that its sender is forged is nobody's: a reply address may have been forwarded with a mail.

    He is not known by an address because somebody answered from it: who answers "that was not me" would give a stranger
    who named his address all that he writes to the store from then on.
    """
    if mail.sender is None or (mail.authentication is not None and mail.authentication.dmarc == "fail"):
        return False
    if any(one.kind == "email" and one.value == mail.sender for one in customers.identities_of(tx, customer)):
        return True
    return bool(customer.unverified_email) and normal_email(customer.unverified_email or "") == mail.sender


def _keep_customers(tx: Connection, mail: Mail, thread: Thread) -> None:
    """The customer's answer: its text, and a message for each of its files but the first."""
    _remember_mail(tx, mail, thread)
    bodies = [mail.body, *[""] * (len(mail.files) - 1)]
    for place, body in enumerate(bodies):
        file = mail.files[place] if place < len(mail.files) else None
        received = incoming.receive(
            tx,
            Incoming(
                organization_id=thread.organization_id,
                customer_id=thread.customer_id,
                business_id=thread.business_id,
                channel="EMAIL",
                body=body,
                external_id=_numbered(mail.external_id, place),
                attachment_id=file.id if file else None,
                thread_id=thread.id,
                email=mail.mail.sender,
            ),
        )
        if place == 0 and received.sequence:  # a blocked customer's is kept apart
            _note_details(tx, mail, thread, received.message_id, is_foreign=False)


def _remember_mail(tx: Connection, mail: Mail, thread: Thread) -> None:
    """What the next mail to the customer goes on from."""
    o = thread_outreach.c
    subject = _one_line(mail.mail.subject)[:_SUBJECT_MAX_CHARACTERS] or None
    new = upsert(tx, thread_outreach).values(
        organization_id=thread.organization_id,
        thread_id=thread.id,
        mail_subject=subject,
        mail_header_id=mail.mail.message_id,
    )
    # The first subject stays: programs keep a conversation together by it.
    kept_subject = func.coalesce(o.mail_subject, new.excluded.mail_subject)
    tx.execute(
        new.on_conflict_do_update(
            index_elements=[o.organization_id, o.thread_id],
            set_={"mail_subject": kept_subject, "mail_header_id": new.excluded.mail_header_id},
        )
    )


def _keep_stores(tx: Connection, mail: Mail, thread: Thread, author_id: int, now_ms: int) -> None:
    """The store's answer, which goes on to the customer as one that was written in any other way."""
    employee_id = author_id if author_id != thread.business_id else None
    message_id, last_sequence = _add_messages(tx, mail, thread, employee_id, is_internal=False, now_ms=now_ms)
    is_same = author_id == thread.last_reply_author_id
    t = threads.c
    tx.execute(
        update(threads)
        .where(t.organization_id == thread.organization_id, t.id == thread.id)
        .values(
            status="replied",
            last_reply_sequence=last_sequence,
            last_reply_author_id=author_id,
            last_other_reply_sequence=thread.last_other_reply_sequence if is_same else thread.last_reply_sequence,
        )
    )
    _note_details(tx, mail, thread, message_id, is_foreign=False)
    _tell(tx, thread, last_sequence, now_ms)


def _keep_note(tx: Connection, mail: Mail, thread: Thread, *, is_foreign: bool, now_ms: int) -> None:
    """What nobody may take for the customer's or the store's word."""
    message_id, last_sequence = _add_messages(tx, mail, thread, None, is_internal=True, now_ms=now_ms)
    _note_details(tx, mail, thread, message_id, is_foreign=is_foreign)
    _tell(tx, thread, last_sequence, now_ms)


def _add_messages(
    tx: Connection, mail: Mail, thread: Thread, employee_id: int | None, *, is_internal: bool, now_ms: int
) -> tuple[int, int]:
    """Write a mail into a thread. The id of its first message, and the place of its last one."""
    bodies = [mail.body, *[""] * (len(mail.files) - 1)]
    rows = [
        {
            "organization_id": thread.organization_id,
            "thread_id": thread.id,
            "sequence": thread.last_sequence + 1 + place,
            "id": take_id(tx),
            "from_customer": False,
            "internal": is_internal,
            "body": body,
            "created_at_ms": now_ms,
            "employee_id": employee_id,
            "attachment_id": mail.files[place].id if place < len(mail.files) else None,
            "external_id": _numbered(mail.external_id, place),
        }
        for place, body in enumerate(bodies)
    ]
    last_sequence = thread.last_sequence + len(rows)
    t = threads.c
    tx.execute(
        update(threads)
        .where(t.organization_id == thread.organization_id, t.id == thread.id)
        .values(last_sequence=last_sequence, updated_at_ms=now_ms)
    )
    tx.execute(insert(messages), rows)
    return int(str(rows[0]["id"])), last_sequence


def _tell(tx: Connection, thread: Thread, last_sequence: int, now_ms: int) -> None:
    c = messages.c
    written = select(c.id, c.sequence).where(
        c.organization_id == thread.organization_id,
        *(c.thread_id == thread.id, c.sequence > thread.last_sequence, c.sequence <= last_sequence),
    )
    place = in_thread(thread)
    for row in tx.execute(written.order_by(c.sequence)).all():
        at = events.InThread(place.id, place.customer_id, place.business_id, row.sequence)
        events.record(tx, thread.organization_id, "message", now_ms=now_ms, thread=at, message_id=row.id)


def _note_details(tx: Connection, mail: Mail, thread: Thread, message_id: int, *, is_foreign: bool) -> None:
    read, proofs = mail.mail, mail.mail.authentication
    full_text = mail.full_text
    tx.execute(
        insert(mail_details).values(
            organization_id=thread.organization_id,
            message_id=message_id,
            thread_id=thread.id,
            sender=read.sender,
            sender_name=_one_line(read.sender_name) or None,
            subject=_one_line(read.subject) or None,
            full_text=full_text if full_text.strip() != mail.body.strip() else None,
            spf=proofs.spf if proofs else None,
            dkim=proofs.dkim if proofs else None,
            dmarc=proofs.dmarc if proofs else None,
            foreign_sender=is_foreign,
            automatic=read.is_automatic,
        )
    )


def _author_of(tx: Connection, thread: Thread, mail: IncomingMail) -> int | None:
    """Who of the store wrote a mail, as far as that is proved: an employee's id, or the business's own."""
    proofs = mail.authentication
    if mail.sender is None or proofs is None or not proofs.proves(mail.sender):
        return None
    e, b = employees.c, businesses.c
    employee_id: int | None = tx.scalar(
        select(e.id).where(
            e.organization_id == thread.organization_id, e.email == mail.sender, e.deactivated_at_ms.is_(None)
        )
    )
    if employee_id is not None:
        return employee_id
    own = tx.scalar(select(b.email).where(b.organization_id == thread.organization_id, b.id == thread.business_id))
    return thread.business_id if own and normal_email(own) == mail.sender else None


def is_open(tx: Connection, to: ReplyAddress) -> bool:
    """Whether the conversation that an address answers exists, and its customer was not erased."""
    t = threads.c
    query = select(t.customer_id).where(t.organization_id == to.organization_id, t.id == to.thread_id)
    customer_id = tx.scalar(query)
    return customer_id is not None and customers.find(tx, to.organization_id, customer_id).erased_at_ms is None


def is_new(tx: Connection, to: ReplyAddress, external_id: str) -> bool:
    """Whether a mail has not been kept in its conversation yet."""
    c = messages.c
    # The index holds the sequence, and not the id: for that one SQLite would read the whole conversation.
    query = select(c.sequence).where(
        c.organization_id == to.organization_id, c.thread_id == to.thread_id, c.external_id == external_id
    )
    return tx.execute(query).first() is None


def _count_recent(tx: Connection, thread: Thread, now_ms: int, *, is_doubtful: bool) -> int:
    """How many mails came in the last hour: those of strangers and machines, or those of all others."""
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
    """A text as every database takes it."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _one_line(text: str) -> str:
    return " ".join(storable(text).split())
