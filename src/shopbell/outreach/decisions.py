"""What must be sent to whom because of what has happened in a thread. Pure: nothing here reads, writes or sends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from shopbell.hours import OpeningHours
from shopbell.outreach.rules import Rules

MAIL_WAITS_AT_MOST = 3
"""How many times a mail's window may pass while answers still join it."""
_DAY_MS = 24 * 60 * 60 * 1_000
SURVEY_EVERY_MS = 30 * _DAY_MS
TOO_LATE_MS = {"EMAIL": 5 * _DAY_MS, "SMS": _DAY_MS, "WHATSAPP": _DAY_MS}
"""After how long nothing is sent any more: an answer that comes days later is worse than one that is said to have
failed."""
INVITED_WITHIN_MS = _DAY_MS

Channel = Literal["WEB", "EMAIL", "SMS", "WHATSAPP"]
Audience = Literal["customer", "store"]
Purpose = Literal["reply", "invitation", "link", "welcome", "auto-reply", "survey", "store-notice"]


@dataclass(frozen=True, slots=True)
class Reader:
    """A customer as he can be reached.

    Args:
        email: his address, where he has one.
        phone: his number, where he has one.
        verified: for which of the two somebody vouched: a site's backend, or he himself by writing from there.
        prefers_text: whether the last message named the number and no address.
        cannot: why nothing may be sent to him at all.
        closed: the channels by which he wants nothing more.
    """

    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    verified: frozenset[Literal["email", "phone"]] = frozenset({"email", "phone"})
    prefers_text: bool = False
    cannot: Literal["erased", "blocked"] | None = None
    closed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Store:
    """A business as far as it matters here.

    Args:
        email: where it is told of customers who wait; None where it is not told.
        lacks_email: whether it should be told, but has no address.
        invites: whether who writes first is sent a link.
        hours: when it is open; None where customers are not told.
        survey: what customers are asked when a thread is resolved.
    """

    email: str | None = field(default=None, repr=False)
    lacks_email: bool = False
    invites: bool = True
    hours: OpeningHours | None = None
    survey: Literal["nps", "csat"] | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """How a thread stands before the news.

    Args:
        thread_id: the thread.
        channel: where the customer last wrote.
        status: the thread's.
        last_reply_sequence: place of the last message that an employee or a program sent; an automatic one is none.
        read_sequence: up to where the customer has read.
        reader: the customer.
        store: the business.
        told_sequence: the message with which the store was told that he waits; None when it was not.
        is_invited: whether he was sent a link.
        auto_replied_period: for which closed period he was told so.
        last_asked_ms: when he was last asked anything, in any of his threads.
    """

    thread_id: int
    channel: str
    status: str
    last_reply_sequence: int
    read_sequence: int
    reader: Reader
    store: Store
    told_sequence: int | None = None
    is_invited: bool = False
    auto_replied_period: int | None = None
    last_asked_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A message that the customer sees.

    Args:
        message_id: its id.
        sequence: its place.
        at_ms: when, in Unix ms.
        from_customer: whether it is his.
        channel: by which it came or is to go; None for the thread's own.
        is_template: whether it is made from one.
    """

    message_id: int
    sequence: int
    at_ms: int
    from_customer: bool
    channel: str | None = None
    is_template: bool = False


@dataclass(frozen=True, slots=True)
class Turned:
    """The thread's status was set by hand, at a time in Unix ms."""

    status: str
    at_ms: int


News = Said | Turned


@dataclass(frozen=True, slots=True)
class Send:
    """Something is to be sent.

    Args:
        channel: by which it goes.
        audience: to whom.
        purpose: what for.
        address: where to.
        due_at_ms: when, in Unix ms.
        messages: what it is about.
        joins: whether these messages may go with one of this purpose that waits already.
        put_off_at_most_ms: how long the whole may wait from its beginning on while more joins it.
    """

    channel: Channel
    audience: Audience
    purpose: Purpose
    address: str = field(repr=False)
    due_at_ms: int
    messages: tuple[Said, ...] = ()
    joins: bool = True
    put_off_at_most_ms: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """A message's way that needs no sending: it stands in the widget, or cannot be sent."""

    message: Said
    channel: Channel
    state: Literal["queued", "read", "failed"]
    reason: str | None = None
    audience: Audience = "customer"


@dataclass(slots=True)
class Plan:
    """What follows from the news of one thread.

    Args:
        sends: what is to be sent.
        records: ways of messages that need no sending.
        told_sequence: as of ``Facts``, from now on.
        invites: whether he is sent a link now.
        auto_reply_period: the closed period for which he is told so now.
        asks: what he is asked now.
    """

    told_sequence: int | None
    sends: list[Send] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    invites: bool = False
    auto_reply_period: int | None = None
    asks: Literal["nps", "csat"] | None = None


def decide(facts: Facts, news: Sequence[News], rules: Rules, *, now_ms: int) -> Plan:
    """Decide what follows from news.

    Args:
        facts: how the thread stands.
        news: what has happened, in its order.
        rules: what this installation can do.
        now_ms: the time in Unix ms.
    """
    plan = Plan(told_sequence=facts.told_sequence)
    for one in news:
        match one:
            case Turned(status="resolved", at_ms=at_ms):
                plan.told_sequence = None
                if now_ms - at_ms <= TOO_LATE_MS["EMAIL"]:
                    _ask(plan, facts, rules, now_ms)
            case Turned():
                pass
            case Said(from_customer=True):
                _hear(plan, facts, one, rules, now_ms)
            case Said(sequence=sequence) if sequence > facts.last_reply_sequence:
                pass  # an automatic one: what follows from it was written together with it
            case Said():
                plan.told_sequence = None
                reach(plan, facts, one, "reply", rules, now_ms=now_ms)
    return plan


def reach(
    plan: Plan,
    facts: Facts,
    message: Said,
    purpose: Literal["reply", "auto-reply", "welcome"],
    rules: Rules,
    *,
    now_ms: int,
) -> None:
    """Let a message of the organization reach the customer: where he last wrote, else by address. An automatic one goes
    to no address that nobody vouched for.

    Args:
        plan: what is decided so far; it grows.
        facts: how the thread stands.
        message: what was said.
        purpose: why.
        rules: what this installation can do.
        now_ms: the time in Unix ms.
    """
    # No human took part in an automatic one, and it quotes him: anybody could have us write to anybody.
    reader = _vouched_for(facts.reader) if purpose == "auto-reply" else facts.reader
    way = message.channel or facts.channel
    if way == "WEB":
        is_read = facts.read_sequence >= message.sequence
        plan.records.append(Record(message, "WEB", "read" if is_read else "queued"))
        # By address as well: nobody knows whether he ever opens the page again.
        if is_read or reader.cannot or not (reader.email or reader.phone):
            return
        way = "SMS" if _is_texted(reader, rules) or reader.email is None else "EMAIL"
    channel: Channel = "EMAIL" if way == "EMAIL" else "WHATSAPP" if way == "WHATSAPP" else "SMS"
    address = reader.email if channel == "EMAIL" else reader.phone
    if purpose == "auto-reply" and address is None:
        return
    # Nobody has looked for long: no worker ran, or a backup was restored.
    is_late = now_ms - message.at_ms > TOO_LATE_MS[channel]
    reason = _hindrance(reader, channel, address, rules) or ("too_old" if is_late else None)
    if reason is not None or address is None:
        plan.records.append(Record(message, channel, "failed", reason))
        return
    plan.sends.append(
        Send(
            channel=channel,
            audience="customer",
            purpose=purpose,
            address=address,
            due_at_ms=now_ms + (rules.mail_batch_ms if channel == "EMAIL" else 0),
            messages=(message,),
            joins=not message.is_template,
            put_off_at_most_ms=MAIL_WAITS_AT_MOST * rules.mail_batch_ms if channel == "EMAIL" else 0,
        )
    )


def _hear(plan: Plan, facts: Facts, message: Said, rules: Rules, now_ms: int) -> None:
    """The customer has said something."""
    store, reader = facts.store, facts.reader
    if reader.cannot:
        return
    is_waiting = facts.status == "waiting" and message.sequence > facts.last_reply_sequence
    if is_waiting:
        _tell_store(plan, store, message, rules, now_ms)
    is_first = message.sequence == 1 and now_ms - message.at_ms <= INVITED_WITHIN_MS
    if is_first and message.channel in (None, "WEB") and store.invites and not facts.is_invited:
        _invite(plan, facts, rules, now_ms)
    if store.hours is not None and is_waiting:
        period = store.hours.closed_period_id(now_ms)
        is_of_now = period == store.hours.closed_period_id(message.at_ms)
        if period is not None and is_of_now and period != facts.auto_replied_period:
            plan.auto_reply_period = period


def _tell_store(plan: Plan, store: Store, message: Said, rules: Rules, now_ms: int) -> None:
    """Mail the store that the customer waits, or record why it is not mailed."""
    if store.email is None:
        # Of such a store the feed's reader sees few messages but the first ones: later ones have no record.
        if store.lacks_email and message.sequence == 1:
            plan.records.append(Record(message, "EMAIL", "failed", "no_address", "store"))
        return
    if (reason := rules.hindrance("EMAIL")) is not None:
        plan.records.append(Record(message, "EMAIL", "failed", reason, "store"))
        return
    # A later message joins a notice that has not been sent yet, or is left for the store to see.
    joins = plan.told_sequence is not None
    if not joins:
        plan.told_sequence = message.sequence
    plan.sends.append(
        Send(
            channel="EMAIL",
            audience="store",
            purpose="store-notice",
            address=store.email,
            due_at_ms=now_ms + rules.mail_batch_ms,
            messages=(message,),
            joins=joins,
            put_off_at_most_ms=MAIL_WAITS_AT_MOST * rules.mail_batch_ms,
        )
    )


def _invite(plan: Plan, facts: Facts, rules: Rules, now_ms: int) -> None:
    """Send a link; to an address that nobody vouched for only with the first answer, or anybody could have us write to
    anybody."""
    reader = _vouched_for(facts.reader)
    if plan.invites:
        return
    if _is_texted(reader, rules):
        plan.invites = True
        plan.sends.append(Send("SMS", "customer", "invitation", reader.phone or "", now_ms, joins=False))
    elif _can_mail(reader, rules):
        plan.invites = True
        plan.sends.append(Send("EMAIL", "customer", "invitation", reader.email or "", now_ms, joins=False))


def _ask(plan: Plan, facts: Facts, rules: Rules, now_ms: int) -> None:
    """A thread was resolved: ask how it was, if anybody has answered."""
    reader, asked_ms = facts.reader, facts.last_asked_ms
    is_early = asked_ms is not None and now_ms - asked_ms < SURVEY_EVERY_MS
    if facts.store.survey is None or facts.status != "resolved" or plan.asks or is_early:
        return
    if reader.cannot or not facts.last_reply_sequence:
        return
    plan.asks = facts.store.survey
    is_mailed = facts.channel == "EMAIL" or (facts.channel == "WEB" and not _is_texted(reader, rules))
    if is_mailed and _can_mail(reader, rules):
        due_at_ms = now_ms + rules.mail_batch_ms
        plan.sends.append(Send("EMAIL", "customer", "survey", reader.email or "", due_at_ms, joins=False))


def _vouched_for(reader: Reader) -> Reader:
    """The customer without what he only says of himself: that one address is his proves nothing of another."""
    return replace(
        reader,
        email=reader.email if "email" in reader.verified else None,
        phone=reader.phone if "phone" in reader.verified else None,
    )


def _is_texted(reader: Reader, rules: Rules) -> bool:
    """Whether a customer of the web gets a text, and no mail. An address comes first, unless they last named a number
    only."""
    return _can_text(reader, rules) and (reader.prefers_text or not _can_mail(reader, rules))


def _can_mail(reader: Reader, rules: Rules) -> bool:
    return reader.email is not None and "EMAIL" not in reader.closed and rules.sends_mails


def _can_text(reader: Reader, rules: Rules) -> bool:
    return reader.phone is not None and "SMS" not in reader.closed and rules.sends_texts


def _hindrance(reader: Reader, channel: Channel, address: str | None, rules: Rules) -> str | None:
    """Why nothing can go this way; None when it can."""
    if reader.cannot:
        return reader.cannot
    if address is None:
        return "no_address"
    return "opted_out" if channel in reader.closed else rules.hindrance(channel)


def joined(sends: Iterable[Send]) -> list[Send]:
    """Put together what goes to one reader for one reason.

    Args:
        sends: in their order.
    """
    together: list[Send] = []
    for send in sends:
        for place, one in enumerate(together):
            same = (one.channel, one.audience, one.purpose, one.address) == (
                *(send.channel, send.audience, send.purpose),
                send.address,
            )
            if same and send.joins and one.messages and not any(said.is_template for said in one.messages):
                together[place] = replace(one, due_at_ms=send.due_at_ms, messages=(*one.messages, *send.messages))
                break
        else:
            together.append(send)
    return together
