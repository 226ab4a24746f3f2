"""Receive SMS and WhatsApp messages, and reports about sent ones.

A message belongs to the business with the number that it was sent to. If several have that number, or it is the
operator's for all of them, it continues the conversation in which its sender last got a text. A stranger's message to a
number that several organizations share is dropped.

A reply to a text belongs to the customer of that conversation, even if they only claimed the number.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from sqlalchemy import Connection, Row, func, select, text

from shopbell.conversations.message_writer import MessageWriter
from shopbell.conversations.receive import Incoming, create_inbound_message, lock
from shopbell.customers import canonical, customers
from shopbell.customers.identities import find_or_create
from shopbell.customers.opt_outs import OptOuts
from shopbell.db.database import Database
from shopbell.db.schema.core import businesses, customer_identities, messages, threads
from shopbell.db.schema.customers import outbound_messages as outbound_messages_table
from shopbell.errors import Conflict
from shopbell.formats.identities import phone_key, phone_spellings, provider_phone, region_of
from shopbell.i18n.translations import for_locale
from shopbell.notifications import delivery_status, outbox
from shopbell.notifications.automatic_messages import post_system_message
from shopbell.notifications.policy import Plan, Send
from shopbell.notifications.schedule import write_sends
from shopbell.organizations import organizations
from shopbell.organizations.organizations import Business
from shopbell.realtime.hub import PubSub
from shopbell.runtime import clock
from shopbell.security.keys import Keys
from shopbell.sms import stop_words
from shopbell.sms.inbound import InboundText, StatusReport

ANSWERED_WITHIN_MS = 7 * 24 * 60 * 60 * 1_000
"""How long a reply counts as the customer's, if they only claimed the number."""

# As raw SQL, because the partial index needs exactly this condition.
_IS_TEXT = text("outbound_messages.channel IN ('SMS', 'WHATSAPP')")
_REFERENCE = re.compile(r"([0-9]{1,16})-([0-9]{1,16})", re.ASCII)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Place:
    """The conversation that a message belongs to.

    Args:
        business: its business.
        thread_id: the thread; None for the sender's own thread with the business.
    """

    business: Business
    thread_id: int | None


class TextReceiver:
    """Stores inbound messages and reports.

    Args:
        database: where they are stored.
        keys: the installation's keys.
        pubsub: publishes news.
        operators: the senders of businesses without a number of their own; None if one is not set.
    """

    def __init__(self, database: Database, keys: Keys, pubsub: PubSub, *operators: str | None) -> None:
        self._database = database
        self._operators = frozenset(phone_key(provider_phone(each, None)) for each in operators if each is not None)
        self._opt_outs = OptOuts(keys)
        self._pubsub = pubsub

    async def receive(self, text: InboundText) -> None:
        """Store a message, once; drop it if it belongs to no business.

        Raises:
            StorageError: it is not stored.
        """
        now_ms = clock.now_ms()
        try:
            organization_id = await self._database.write(
                store_text, text, self._opt_outs, self._operators, now_ms=now_ms
            )
        except Conflict:  # the customer of the conversation was erased
            return
        if organization_id is None:
            log.warning("text message to a number that no business has", channel=text.channel)
        else:
            self._pubsub.publish([organization_id])

    async def report(self, report: StatusReport) -> None:
        """Store a provider's report.

        Raises:
            StorageError: it is not stored.
        """
        organization_id = await self._database.write(store_report, report, now_ms=clock.now_ms())
        if organization_id is not None:
            self._pubsub.publish([organization_id])


def store_report(tx: Connection, report: StatusReport, *, now_ms: int) -> int | None:
    """Update an outbound message; a report about an unknown message changes nothing.

    Args:
        tx: the transaction; nothing may follow in it.
        report: the provider's report.
        now_ms: the time in Unix ms.

    Returns:
        The organization of the message.
    """
    if report.status == "queued":
        return None
    which = _referred(report.reference)
    if which is None and report.provider_id is not None:
        which = outbox.find_by_provider_id(tx, report.provider_id)
    if which is None or not outbox.report(tx, *which, report.status, report.reason, now_ms=now_ms):
        return None
    return which[0]


def store_text(
    tx: Connection, text: InboundText, opt_outs: OptOuts, operators: Collection[str], *, now_ms: int
) -> int | None:
    """Store a message.

    Args:
        tx: the transaction; nothing may follow in it.
        text: the message.
        opt_outs: stores who wants no more messages.
        operators: the keys of the operator's numbers, from which businesses without a number write.
        now_ms: the time in Unix ms.

    Returns:
        Its organization; None if it belongs to no business.

    Raises:
        Conflict: the customer of the conversation was erased.
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
    if text.keyword is not None:
        _apply_keyword(tx, text, text.keyword, sender, place, opt_outs, now_ms)
        return business.organization_id
    # The thread determines the customer. A claimed number does not become an identity by a reply.
    is_known, organization_id = place.thread_id is None, business.organization_id
    customer_id = find_or_create(tx, organization_id, "phone", sender, now_ms=now_ms) if is_known else 0
    create_inbound_message(tx, _arrived(text, sender, business, customer_id, place.thread_id))
    return organization_id


def _kept_before(tx: Connection, text: InboundText, sender: str, written: Sequence[Row[Any]]) -> int | None:
    """The organization of a message that is stored already; None if it is new."""
    t, m = threads.c, messages.c
    organization_id: int
    for organization_id in {row.organization_id for row in written}:
        known_id = _known_by(tx, organization_id, sender)
        family = [] if known_id is None else canonical.merged_ids(tx, organization_id, known_id)
        own = select(t.id).where(t.organization_id == organization_id, t.customer_id.in_(family))
        ids = {*tx.scalars(own), *(row.thread_id for row in written if row.organization_id == organization_id)}
        of_threads = (m.organization_id == organization_id, m.thread_id.in_(ids))
        # The index must contain all columns of the query, or SQLite reads whole conversations.
        called_so = tx.scalars(select(m.id).where(*of_threads, m.external_id == text.provider_id)).all()
        these = (m.organization_id == organization_id, m.id.in_(called_so))
        if tx.scalar(select(m.id).where(*these, m.from_customer).limit(1)):
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
        # A business that has the operator's number as its own does not get the replies to other businesses.
        is_operators = not ids or (
            phone_key(recipient) in operators and (channel != "SMS" or not business.phone_number)
        )
        if is_operators or (business.organization_id, business.id) in ids:
            return Place(business, _thread_of_answer(tx, thread, sender, now_ms))
    # A stranger's message is never assigned to an organization by guessing.
    is_ones = len({organization_id for organization_id, _ in ids}) == 1
    business = organizations.find_business(tx, *min(ids)) if is_ones else None
    return Place(business, None) if business else None


def _businesses_at(tx: Connection, number: str) -> list[Row[Any]]:
    """The businesses with a number, by ascending id."""
    b = businesses.c
    query = select(b.organization_id, b.id, b.default_region).where(
        b.phone_number.in_(phone_spellings(number)), b.deactivated_at_ms.is_(None)
    )
    return list(tx.execute(query.order_by(b.organization_id, b.id)))


def _region_at(tx: Connection, number: str) -> str | None:
    """The country of the business that has a short code."""
    return next((row.default_region for row in _businesses_at(tx, number)), None)


def _written_to(tx: Connection, channel: str, number: str) -> list[Row[Any]]:
    """The threads in which a number got texts, newest first."""
    d, t = outbound_messages_table.c, threads.c
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
    """The thread that a reply to a text continues.

    None for the thread of the customer with this number.

    A customer who only claimed the number gets the reply to what was sent to it, but the number does not become their
    identity. Anyone can claim a number: what its owner writes much later is not a reply.
    """
    organization_id = written.organization_id
    owner_id = canonical.canonical_ids(tx, organization_id, [written.customer_id])[written.customer_id]
    known_id = _known_by(tx, organization_id, number)
    if known_id is not None:
        return written.thread_id if known_id == owner_id else None
    said = customers.find(tx, organization_id, owner_id).unverified_phone
    is_his = said is not None and phone_key(said) == phone_key(number)
    return written.thread_id if is_his and now_ms - written.last_ms < ANSWERED_WITHIN_MS else None


def _apply_keyword(
    tx: Connection,
    text: InboundText,
    keyword: stop_words.Keyword,
    sender: str,
    place: Place,
    opt_outs: OptOuts,
    now_ms: int,
) -> None:
    """Stop or resume texts, and confirm that if the provider does not.

    The word is also stored in the conversation, if there is one: "cancel" may be the reply to a question.
    """
    business = place.business
    thread_id = place.thread_id or _thread_of(tx, business, sender)
    received = None
    if thread_id is not None:
        incoming = _arrived(text, sender, business, 0, thread_id)
        # Replies to a customer who wants no more texts are not sent by text.
        received = create_inbound_message(tx, replace(incoming, keeps_channel=keyword.intent == "stop"))
        if received.repeated:
            return
    if keyword.intent == "stop":
        opt_outs.add(tx, business.organization_id, (text.channel, sender), now_ms=now_ms)
    elif keyword.intent == "start":
        opt_outs.remove(tx, business.organization_id, (text.channel, sender))
    # The message of a blocked customer is stored outside of the thread, and they get no confirmation.
    if received is None or not received.sequence or text.is_answered:
        return
    texts = for_locale(keyword.language, business.locale)
    thread = lock(tx, business.organization_id, received.thread_id)
    body = stop_words.keyword_reply(keyword.intent, texts, business.name)
    with MessageWriter(tx, business.organization_id, now_ms=now_ms) as writer:
        placed, said = post_system_message(writer, thread, body, text.channel)
        answer = Send(text.channel, "customer", "link", sender, now_ms, (said,), joins=False)
        changes = write_sends(tx, business.organization_id, placed, Plan(None, [answer]), now_ms=now_ms)
    delivery_status.record_changes(tx, business.organization_id, changes, now_ms=now_ms)


def _thread_of(tx: Connection, business: Business, number: str) -> int | None:
    """The thread of the customer with this number and a business."""
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
    """The customer with this number as an identity."""
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
    """The text of a message.

    Files stay with the provider; the text names their types.
    """
    files = [f"[{media.content_type}]" for media in text.media]
    return "\n".join(part for part in (text.text, *files) if part).replace("\0", "")


def _referred(reference: str | None) -> tuple[int, int] | None:
    match = _REFERENCE.fullmatch(reference or "")
    return (int(match[1]), int(match[2])) if match else None
