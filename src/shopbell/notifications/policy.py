"""Decide which notifications an event causes, with pure functions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from shopbell.notifications.capabilities import Capabilities, Rules
from shopbell.organizations.opening_hours import OpeningHours

BATCHES_MAX = 3
"""How many times the batch window of a message may pass while replies still join it."""
BUSINESS_CHANNEL = "EMAIL"
"""Businesses are notified by email only."""
_DAY_MS = 24 * 60 * 60 * 1_000
SURVEY_EVERY_MS = 30 * _DAY_MS
SURVEY_WITHIN_MS = 5 * _DAY_MS
INVITED_WITHIN_MS = _DAY_MS

Audience = Literal["customer", "store"]
Purpose = Literal["reply", "invitation", "link", "welcome", "auto-reply", "survey", "store-notice"]


@dataclass(frozen=True, slots=True)
class Reader:
    """How a customer can be reached.

    Args:
        addresses: their address of each kind of identity that they have.
        verified: the kinds of which it is verified: by a site's backend, or because they wrote from there.
        preferred: the kind that their last message named, if it named only one.
        cannot: why nothing at all may be sent to them.
        closed: the channels by which they want no more messages.
    """

    addresses: Mapping[str, str] = field(default_factory=dict, repr=False)
    verified: frozenset[str] = frozenset()
    preferred: str | None = None
    cannot: Literal["erased", "blocked"] | None = None
    closed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Business:
    """What decisions need to know of a business.

    Args:
        email: where it is notified of waiting customers; None if it is not.
        lacks_email: whether it should be notified, but has no address.
        invites: whether customers get a link after their first message.
        hours: its opening hours; None if customers are not told of them.
        survey: what customers are asked when a thread is resolved.
    """

    email: str | None = field(default=None, repr=False)
    lacks_email: bool = False
    invites: bool = True
    hours: OpeningHours | None = None
    survey: Literal["nps", "csat"] | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """The state of a thread before the events.

    Args:
        thread_id: the thread.
        channel: where the customer last wrote.
        status: the status of the thread.
        last_reply_sequence: sequence of the last message of an employee or a program; automatic messages do not count.
        read_sequence: the place up to which the customer has read.
        reader: the customer.
        business: the business.
        notified_sequence: the message with which the business was notified that the customer waits; None if it was not.
        is_invited: whether the customer was sent a link.
        auto_replied_period: the closed period in which the customer got an automatic reply.
        last_asked_ms: when the customer was last asked to answer a survey, in any of their threads.
    """

    thread_id: int
    channel: str
    status: str
    last_reply_sequence: int
    read_sequence: int
    reader: Reader
    business: Business
    notified_sequence: int | None = None
    is_invited: bool = False
    auto_replied_period: int | None = None
    last_asked_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A message that the customer sees.

    Args:
        message_id: its id.
        sequence: its place.
        at_ms: its time in Unix ms.
        from_customer: whether the customer wrote it.
        channel: the channel that it came by or is sent by; None for that of the thread.
        is_template: whether it was made from a template.
    """

    message_id: int
    sequence: int
    at_ms: int
    from_customer: bool
    channel: str | None = None
    is_template: bool = False


@dataclass(frozen=True, slots=True)
class Turned:
    """The status of the thread was set by hand, at a time in Unix ms."""

    status: str
    at_ms: int


Event = Said | Turned


@dataclass(frozen=True, slots=True)
class Send:
    """An outbound message that is to be created.

    Args:
        channel: the channel that it is sent by.
        audience: the customer or the business.
        purpose: what for.
        address: the recipient's address.
        due_at_ms: when, in Unix ms.
        messages: the messages that it carries.
        joins: whether these messages may join a waiting one with the same purpose.
        put_off_at_most_ms: how long the first message may wait while more join it.
    """

    channel: str
    audience: Audience
    purpose: Purpose
    address: str = field(repr=False)
    due_at_ms: int
    messages: tuple[Said, ...] = ()
    joins: bool = True
    put_off_at_most_ms: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """A delivery record of a message in the widget, or that cannot be sent."""

    message: Said
    channel: str
    state: Literal["queued", "read", "failed"]
    reason: str | None = None
    audience: Audience = "customer"


@dataclass(slots=True)
class Plan:
    """What follows from the events of one thread.

    Args:
        sends: the outbound messages.
        records: the delivery records that need no sending.
        notified_sequence: the new value of that in ``Context``.
        invites: whether the customer is sent a link now.
        auto_reply_period: the closed period for which the customer gets an automatic reply now.
        asks: the survey that the customer is asked to answer now.
    """

    notified_sequence: int | None
    sends: list[Send] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    invites: bool = False
    auto_reply_period: int | None = None
    asks: Literal["nps", "csat"] | None = None


def decide(context: Context, news: Sequence[Event], rules: Rules, *, now_ms: int) -> Plan:
    """Decide what follows from events.

    Args:
        context: the state of the thread.
        news: the events, in order.
        rules: what this installation can send.
        now_ms: the time in Unix ms.
    """
    plan = Plan(notified_sequence=context.notified_sequence)
    for one in news:
        match one:
            case Turned(status="resolved", at_ms=at_ms):
                plan.notified_sequence = None
                if now_ms - at_ms <= SURVEY_WITHIN_MS:
                    _ask(plan, context, rules, now_ms)
            case Turned():
                pass
            case Said(from_customer=True):
                _hear(plan, context, one, rules, now_ms)
            case Said(sequence=sequence) if sequence > context.last_reply_sequence:
                pass  # an automatic message: what follows was stored together with it
            case Said():
                plan.notified_sequence = None
                reach(plan, context, one, "reply", rules, now_ms=now_ms)
    return plan


def reach(
    plan: Plan,
    context: Context,
    message: Said,
    purpose: Literal["reply", "auto-reply", "welcome"],
    rules: Rules,
    *,
    now_ms: int,
) -> None:
    """Send a message to the customer: where they last wrote, or else to an address.

    An automatic message is sent to verified addresses only.

    Args:
        plan: the decisions so far; this adds to them.
        context: the state of the thread.
        message: the message.
        purpose: why it is sent.
        rules: what this installation can send.
        now_ms: the time in Unix ms.
    """
    # No person checks an automatic reply, and it quotes the customer: strangers could use us to write to anyone.
    reader = _verified(context.reader) if purpose == "auto-reply" else context.reader
    way = message.channel or context.channel
    if way == "WEB":
        is_read = context.read_sequence >= message.sequence
        plan.records.append(Record(message, "WEB", "read" if is_read else "queued"))
        # By another channel too: the customer may never open the page again.
        known = [each for each in rules.values() if each.reaches_visitors and each.identity_kind in reader.addresses]
        if is_read or reader.cannot or not known:
            return
        channel = next(_reaching(reader, rules), known[0])
    else:
        channel = rules[way]
    address = reader.addresses.get(channel.identity_kind)
    if purpose == "auto-reply" and address is None:
        return
    # The feed was not consumed for a long time: no worker ran, or a backup was restored.
    is_late = now_ms - message.at_ms > channel.too_late_ms
    reason = _hindrance(reader, channel, address) or ("too_old" if is_late else None)
    if reason is not None or address is None:
        plan.records.append(Record(message, channel.name, "failed", reason))
        return
    plan.sends.append(
        Send(
            channel=channel.name,
            audience="customer",
            purpose=purpose,
            address=address,
            due_at_ms=now_ms + channel.batch_ms,
            messages=(message,),
            joins=not message.is_template,
            put_off_at_most_ms=BATCHES_MAX * channel.batch_ms,
        )
    )


def _hear(plan: Plan, context: Context, message: Said, rules: Rules, now_ms: int) -> None:
    """Decide what follows from a message of the customer."""
    business, reader = context.business, context.reader
    if reader.cannot:
        return
    is_waiting = context.status == "waiting" and message.sequence > context.last_reply_sequence
    if is_waiting:
        _notify_business(plan, business, message, rules, now_ms)
    is_first = message.sequence == 1 and now_ms - message.at_ms <= INVITED_WITHIN_MS
    if is_first and message.channel in (None, "WEB") and business.invites and not context.is_invited:
        _invite(plan, context, rules, now_ms)
    if business.hours is not None and is_waiting:
        period = business.hours.closed_period_id(now_ms)
        is_of_now = period == business.hours.closed_period_id(message.at_ms)
        if period is not None and is_of_now and period != context.auto_replied_period:
            plan.auto_reply_period = period


def _notify_business(plan: Plan, business: Business, message: Said, rules: Rules, now_ms: int) -> None:
    """Email the business that the customer waits, or record why it is not notified."""
    if business.email is None:
        # The feed consumer reads only the first messages to such a business: later ones have no record.
        if business.lacks_email and message.sequence == 1:
            plan.records.append(Record(message, BUSINESS_CHANNEL, "failed", "no_address", "store"))
        return
    channel = rules[BUSINESS_CHANNEL]
    if channel.hindrance is not None:
        plan.records.append(Record(message, BUSINESS_CHANNEL, "failed", channel.hindrance, "store"))
        return
    # A later message joins an email that has not been sent yet. Otherwise the business sees it in the conversation.
    joins = plan.notified_sequence is not None
    if not joins:
        plan.notified_sequence = message.sequence
    plan.sends.append(
        Send(
            channel=BUSINESS_CHANNEL,
            audience="store",
            purpose="store-notice",
            address=business.email,
            due_at_ms=now_ms + channel.batch_ms,
            messages=(message,),
            joins=joins,
            put_off_at_most_ms=BATCHES_MAX * channel.batch_ms,
        )
    )


def _invite(plan: Plan, context: Context, rules: Rules, now_ms: int) -> None:
    """Send a link.

    An unverified address gets it only with the first reply, or strangers could use us to write to anyone.
    """
    reader = _verified(context.reader)
    if plan.invites:
        return
    for channel in _reaching(reader, rules):
        plan.invites = True
        address = reader.addresses[channel.identity_kind]
        plan.sends.append(Send(channel.name, "customer", "invitation", address, now_ms, joins=False))
        break


def _ask(plan: Plan, context: Context, rules: Rules, now_ms: int) -> None:
    """Ask for feedback on a resolved thread, if it has a reply."""
    reader, asked_ms = context.reader, context.last_asked_ms
    is_early = asked_ms is not None and now_ms - asked_ms < SURVEY_EVERY_MS
    if context.business.survey is None or context.status != "resolved" or plan.asks or is_early:
        return
    if reader.cannot or not context.last_reply_sequence:
        return
    plan.asks = context.business.survey
    channel = next(_reaching(reader, rules), None) if context.channel == "WEB" else rules[context.channel]
    if channel and channel.carries_surveys and _can_reach(reader, channel):
        address, due_at_ms = reader.addresses[channel.identity_kind], now_ms + channel.batch_ms
        plan.sends.append(Send(channel.name, "customer", "survey", address, due_at_ms, joins=False))


def _verified(reader: Reader) -> Reader:
    """The customer without unverified addresses.

    If one address is verified, that proves nothing about another.
    """
    verified = {kind: address for kind, address in reader.addresses.items() if kind in reader.verified}
    return replace(reader, addresses=verified)


def _reaching(reader: Reader, rules: Rules) -> Iterator[Capabilities]:
    """The channels that can reach a customer of the website, best first.

    Email comes before SMS, unless their last message named only a number.
    """
    able = [channel for channel in rules.values() if channel.reaches_visitors and _can_reach(reader, channel)]
    return iter(sorted(able, key=lambda channel: channel.identity_kind != reader.preferred))


def _can_reach(reader: Reader, channel: Capabilities) -> bool:
    return _hindrance(reader, channel, reader.addresses.get(channel.identity_kind)) is None


def _hindrance(reader: Reader, channel: Capabilities, address: str | None) -> str | None:
    """Why nothing can be sent to this address by this channel; None if it can."""
    if reader.cannot:
        return reader.cannot
    if address is None:
        return "no_address"
    return "opted_out" if channel.name in reader.closed else channel.hindrance


def joined(sends: Iterable[Send]) -> list[Send]:
    """Combine outbound messages with the same recipient and purpose, in order."""
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
