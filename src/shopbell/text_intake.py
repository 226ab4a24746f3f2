"""What becomes of texts that come in, and of what providers tell of ours.

A text is to the business whose number it was sent to. Where several have that number, or it is the operator's own for
all of them, it goes on with the conversation in which its sender was last written to by text. A stranger's text to a
number that several organizations have is to nobody.

What answers a text is the customer's of that conversation, even if he only said that the number was his.
"""

import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, Row, func, select, text, tuple_, update

from shopbell import customers, incoming, organizations
from shopbell.errors import Conflict
from shopbell.events import record
from shopbell.identity import phone_key, phone_spellings, provider_phone, region_of
from shopbell.incoming import Incoming
from shopbell.keys import Keys
from shopbell.opt_outs import OptOuts
from shopbell.organizations import Business
from shopbell.outreach import deliveries, dispatches
from shopbell.outreach.callers import customer_of
from shopbell.outreach.decisions import Plan, Send
from shopbell.outreach.plans import write_sends
from shopbell.outreach.saying import say
from shopbell.storage.customer_schema import dispatches as dispatches_table
from shopbell.storage.database import Database
from shopbell.storage.schema import businesses, customer_identities, messages, threads
from shopbell.texting import opt_out
from shopbell.texting.inbound import InboundText, StatusReport
from shopbell.texts import for_locale
from shopbell.wakes.hub import Wakes

ANSWERED_WITHIN_MS = 7 * 24 * 60 * 60 * 1_000
"""How long a text may be answered by whoever has a number that a customer only named."""

# Spelled out: it is the way to the index of texts.
_IS_TEXT = text("dispatches.channel IN ('SMS', 'WHATSAPP')")
_REFERENCE = re.compile(r"([0-9]{1,16})-([0-9]{1,16})", re.ASCII)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text belongs.

    Args:
        business: to whom it is.
        thread_id: the conversation that it goes on with; None for the one that its sender has with the business.
    """

    business: Business
    thread_id: int | None


class TextIntake:
    """Keeps texts and reports.

    Args:
        database: where they are kept.
        keys: the installation's keys.
        wakes: hears of what was kept.
        operators: the senders of businesses without a number of their own; None for one that is not set.
    """

    def __init__(self, database: Database, keys: Keys, wakes: Wakes, *operators: str | None) -> None:
        self._database = database
        self._operators = frozenset(phone_key(provider_phone(each, None)) for each in operators if each is not None)
        self._opt_outs = OptOuts(keys)
        self._wakes = wakes

    async def receive(self, text: InboundText) -> None:
        """Keep a text, once; one that is to nobody is let go.

        Raises:
            StorageError: it is not kept.
        """
        now_ms = time.time_ns() // 1_000_000
        try:
            organization_id = await self._database.write(keep, text, self._opt_outs, self._operators, now_ms=now_ms)
        except Conflict:  # its sender's conversation is one of somebody who was erased
            return
        if organization_id is None:
            log.warning("a text came to a number that no business has", channel=text.channel)
        else:
            self._wakes.announce([organization_id])

    async def report(self, report: StatusReport) -> None:
        """Keep what became of a text.

        Raises:
            StorageError: it is not kept.
        """
        organization_id = await self._database.write(note, report, now_ms=time.time_ns() // 1_000_000)
        if organization_id is not None:
            self._wakes.announce([organization_id])


def note(tx: Connection, report: StatusReport, *, now_ms: int) -> int | None:
    """Move a dispatch on; a report of a text that nobody knows changes nothing.

    Args:
        tx: the transaction; nothing may follow in it.
        report: what the provider told.
        now_ms: the time in Unix ms.

    Returns:
        Whose text it was.
    """
    if report.status == "queued":
        return None
    which = _referred(report.reference)
    if which is None and report.provider_id is not None:
        which = dispatches.find_by_provider_id(tx, report.provider_id)
    if which is None or not dispatches.report(tx, *which, report.status, report.reason, now_ms=now_ms):
        return None
    return which[0]


def keep(
    tx: Connection, text: InboundText, opt_outs: OptOuts, operators: Collection[str], *, now_ms: int
) -> int | None:
    """Keep a text.

    Args:
        tx: the transaction; nothing may follow in it.
        text: the text.
        opt_outs: notes who wants nothing more.
        operators: the keys of the numbers from which businesses write that have none of their own.
        now_ms: the time in Unix ms.

    Returns:
        Whose it is; None when it is to nobody.

    Raises:
        Conflict: 409; the conversation's customer was erased.
    """
    recipient = provider_phone(text.recipient, None)
    sender = provider_phone(text.sender, region_of(recipient) or _region_at(tx, recipient))
    written = _written_to(tx, text.channel, sender)
    if (known := _kept_before(tx, text, sender, written)) is not None:
        return known
    place = _place(tx, text.channel, sender, recipient, written, operators, now_ms=now_ms)
    if place is None:
        return None
    business = place.business
    if text.asked is not None:
        _do_as_asked(tx, text, text.asked, sender, place, opt_outs, now_ms)
        return business.organization_id
    # A thread says by itself whose it is; nobody is made known by a number that somebody else only named.
    is_known = place.thread_id is None
    customer_id = customer_of(tx, business.organization_id, sender, now_ms=now_ms) if is_known else 0
    incoming.receive(tx, _arrived(text, sender, business, customer_id, place.thread_id))
    return business.organization_id


def _kept_before(tx: Connection, text: InboundText, sender: str, written: Sequence[Row[Any]]) -> int | None:
    """Whose a text is that has come before, where another conversation may have been written to since; else None."""
    t, m = threads.c, messages.c
    organization_id: int
    for organization_id in {row.organization_id for row in written}:
        known_id = _known_by(tx, organization_id, sender)
        family = [] if known_id is None else customers.family(tx, organization_id, known_id)
        his = select(t.id).where(t.organization_id == organization_id, t.customer_id.in_(family))
        ids = {*tx.scalars(his), *(row.thread_id for row in written if row.organization_id == organization_id)}
        of_threads = (m.organization_id == organization_id, m.thread_id.in_(ids))
        # The index must hold all that is asked, or SQLite reads whole conversations.
        called_so = select(m.thread_id, m.sequence).where(*of_threads, m.external_id == text.provider_id)
        these = tuple_(m.thread_id, m.sequence).in_(tx.execute(called_so).all())
        if tx.scalar(select(m.id).where(m.organization_id == organization_id, these, m.from_customer).limit(1)):
            return organization_id
    return None


def _place(
    tx: Connection,
    channel: str,
    sender: str,
    recipient: str,
    written: Sequence[Row[Any]],
    operators: Collection[str],
    *,
    now_ms: int,
) -> Place | None:
    ids = {(row.organization_id, row.id) for row in _businesses_at(tx, recipient)}
    for thread in written:
        business = organizations.find_business(tx, thread.organization_id, thread.business_id)
        if business is None:
            continue
        # Whoever has the operator's number for his own is not answered what others wrote from it.
        is_operators = not ids or (
            phone_key(recipient) in operators and (channel != "SMS" or not business.phone_number)
        )
        if is_operators or (business.organization_id, business.id) in ids:
            return Place(business, _thread_of_answer(tx, thread, sender, now_ms))
    # A stranger's text is never guessed to be one organization's or another's.
    is_ones = len({organization_id for organization_id, _ in ids}) == 1
    business = organizations.find_business(tx, *min(ids)) if is_ones else None
    return Place(business, None) if business else None


def _businesses_at(tx: Connection, number: str) -> list[Row[Any]]:
    """The businesses that have a number, by ascending id."""
    b = businesses.c
    query = select(b.organization_id, b.id, b.default_region).where(
        b.phone_number.in_(phone_spellings(number)), b.deactivated_at_ms.is_(None)
    )
    return list(tx.execute(query.order_by(b.organization_id, b.id)))


def _region_at(tx: Connection, number: str) -> str | None:
    """The country of the business that has a short code."""
    return next((row.default_region for row in _businesses_at(tx, number)), None)


def _written_to(tx: Connection, channel: str, number: str) -> list[Row[Any]]:
    """The threads in which a number was sent texts, the latest first."""
    d, t = dispatches_table.c, threads.c
    last_id, last_ms = func.max(d.id).label("last_id"), func.max(d.created_at_ms).label("last_ms")
    query = (
        select(d.organization_id, d.thread_id, t.business_id, t.customer_id, last_id, last_ms)
        .join(threads, (t.organization_id == d.organization_id) & (t.id == d.thread_id))
        .where(
            _IS_TEXT,
            d.address.in_(phone_spellings(number)),
            d.channel == channel,
            d.audience == "customer",
            d.attempts > 0,
        )
        .group_by(d.organization_id, d.thread_id, t.business_id, t.customer_id)
        .order_by(last_id.desc())
    )
    return list(tx.execute(query))


def _thread_of_answer(tx: Connection, written: Row[Any], number: str, now_ms: int) -> int | None:
    """The thread that an answer to a text goes on with; None for the one of whoever is known by the number.

    A customer who only said that the number is his gets the answer to what was texted to it, and is not known by it
    for that. Anybody may name anybody's number: what its owner writes much later is not an answer to a text.
    """
    organization_id = written.organization_id
    owner_id = customers.owners(tx, organization_id, [written.customer_id])[written.customer_id]
    known_id = _known_by(tx, organization_id, number)
    if known_id is not None:
        return written.thread_id if known_id == owner_id else None
    said = customers.find(tx, organization_id, owner_id).unverified_phone
    is_his = said is not None and phone_key(said) == phone_key(number)
    return written.thread_id if is_his and now_ms - written.last_ms < ANSWERED_WITHIN_MS else None


def _do_as_asked(
    tx: Connection, text: InboundText, asked: opt_out.Asked, sender: str, place: Place, opt_outs: OptOuts, now_ms: int
) -> None:
    """End texts, or take them up again, and say so where the provider does not. The word stands in the conversation as
    well, if there is one: "cancel" may answer a question, too."""
    business = place.business
    thread_id = place.thread_id or _thread_of(tx, business, sender)
    received = None
    if thread_id is not None:
        t = threads.c
        of_thread = (t.organization_id == business.organization_id, t.id == thread_id)
        before = tx.execute(select(t.channel, t.last_email, t.last_phone).where(*of_thread)).mappings().one()
        received = incoming.receive(tx, _arrived(text, sender, business, 0, thread_id))
        if received.repeated:
            return
        if asked.intent == "stop":  # who wants no texts is not answered by one
            tx.execute(update(threads).where(*of_thread).values(before))
    if asked.intent == "stop":
        opt_outs.add(tx, business.organization_id, (text.channel, sender), now_ms=now_ms)
    elif asked.intent == "start":
        opt_outs.remove(tx, business.organization_id, (text.channel, sender))
    # A blocked customer's has no place in the thread, and he is sent nothing.
    if received is None or not received.sequence or text.is_answered:
        return
    texts = for_locale(asked.language, business.locale)
    thread = incoming.lock(tx, business.organization_id, received.thread_id)
    body = opt_out.answer(asked.intent, texts, business.name)
    placed, said = say(tx, business.organization_id, thread, body, text.channel, now_ms=now_ms)
    answer = Send(text.channel, "customer", "link", sender, now_ms, (said,), joins=False)
    changes = write_sends(tx, business.organization_id, placed, Plan(None, [answer]), now_ms=now_ms)
    record(tx, business.organization_id, "message", now_ms=now_ms, thread=placed, message_id=said.message_id)
    deliveries.tell(tx, business.organization_id, changes, now_ms=now_ms)


def _thread_of(tx: Connection, business: Business, number: str) -> int | None:
    """The conversation of whoever has this number with a business."""
    t = threads.c
    owner_id = _known_by(tx, business.organization_id, number)
    if owner_id is None:
        return None
    return tx.scalar(
        select(t.id).where(
            t.organization_id == business.organization_id, t.customer_id == owner_id, t.business_id == business.id
        )
    )


def _known_by(tx: Connection, organization_id: int, number: str) -> int | None:
    """Who is known by a number."""
    i = customer_identities.c
    known = select(i.customer_id).where(
        i.organization_id == organization_id, i.kind == "phone", i.value == phone_key(number)
    )
    customer_id = tx.scalar(known)
    return None if customer_id is None else customers.find(tx, organization_id, customer_id).id


def _arrived(text: InboundText, sender: str, business: Business, customer_id: int, thread_id: int | None) -> Incoming:
    return Incoming(
        organization_id=business.organization_id,
        customer_id=customer_id,
        business_id=business.id,
        channel=text.channel,
        body=_body(text),
        external_id=text.provider_id,
        thread_id=thread_id,
        phone=sender,
    )


def _body(text: InboundText) -> str:
    """What it says; files stay with the provider, and are named by their types."""
    files = [f"[{media.content_type}]" for media in text.media]
    return "\n".join(part for part in (text.text, *files) if part).replace("\0", "")


def _referred(reference: str | None) -> tuple[int, int] | None:
    match = _REFERENCE.fullmatch(reference or "")
    return (int(match[1]), int(match[2])) if match else None
