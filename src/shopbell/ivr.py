"""Take calls that a phone system reports, and welcome the callers by SMS."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from shopbell import customers, events, organizations
from shopbell.events import InThread
from shopbell.identity import phone_spellings
from shopbell.incoming import open_thread
from shopbell.opt_outs import OptOuts
from shopbell.organizations import Business
from shopbell.outreach import deliveries
from shopbell.outreach.callers import customer_of
from shopbell.outreach.decisions import Plan, reach
from shopbell.outreach.deliveries import Change
from shopbell.outreach.facts import read_facts
from shopbell.outreach.plans import write_sends
from shopbell.outreach.rules import Rules
from shopbell.outreach.saying import say
from shopbell.storage.customer_schema import dispatches
from shopbell.storage.schema import businesses
from shopbell.texts import for_locale

WELCOMED_EVERY_MS = 24 * 60 * 60 * 1_000
"""A caller who calls again within this time gets no second welcome: each costs money."""


@dataclass(frozen=True, slots=True)
class Call:
    """What to do with a call.

    Args:
        has_business: whether a business has the number that was called.
        forward_number: where to put it through to, in E.164; None when a sentence is spoken instead.
        is_hidden: whether the caller's own number is hidden.
    """

    has_business: bool
    forward_number: str | None = None
    is_hidden: bool = False


def take(
    tx: Connection,
    organization_id: int,
    caller: str | None,
    called: str,
    rules: Rules,
    opt_outs: OptOuts,
    *,
    context: str | None = None,
    now_ms: int,
) -> Call:
    """Take a call, open the caller's conversation and have them sent a welcome.

    Args:
        tx: the transaction; nothing may follow in it.
        organization_id: whose phone system asks.
        caller: their number in E.164; None when it is hidden.
        called: the number that was dialled, in E.164.
        rules: what this installation can send.
        opt_outs: knows who wants no texts.
        context: what the phone system says about the call; a note in the conversation keeps it.
        now_ms: the time in Unix ms.
    """
    business = _business(tx, organization_id, called)
    if business is None:
        return Call(has_business=False)
    if caller is None:
        return Call(has_business=True, is_hidden=True)
    _welcome(tx, business, caller, context, rules, opt_outs, now_ms)
    return Call(has_business=True, forward_number=business.voice_forward_number)


def _business(tx: Connection, organization_id: int, number: str) -> Business | None:
    c = businesses.c
    query = (
        select(c.id)
        .where(
            c.organization_id == organization_id,
            c.phone_number.in_(phone_spellings(number)),
            c.deactivated_at_ms.is_(None),
        )
        .order_by(c.id)
    )
    business_id = tx.scalar(query.limit(1))
    return None if business_id is None else organizations.find_business(tx, organization_id, business_id)


def _welcome(
    tx: Connection,
    business: Business,
    caller: str,
    context: str | None,
    rules: Rules,
    opt_outs: OptOuts,
    now_ms: int,
) -> None:
    """Open the caller's conversation, keep the call's context there, and send a welcome unless they have one."""
    organization_id = business.organization_id
    customer_id = customer_of(tx, organization_id, caller, now_ms=now_ms)
    customer = customers.find(tx, organization_id, customer_id)
    if customer.blocked_at_ms is not None or customer.erased_at_ms is not None:
        return
    # It needs no reply yet.
    his = (customer.id, business.id, "SMS", "replied")
    thread = open_thread(tx, organization_id, *his, phone=caller, now_ms=now_ms)
    told: list[tuple[InThread, int]] = []
    if context is not None:
        note = for_locale(business.locale).gettext("Phone call. Context: {context}", context=context)
        thread, noted = say(tx, organization_id, thread, note, None, internal=True, now_ms=now_ms)
        told.append((thread, noted.message_id))
    changes: list[Change] = []
    if not _was_welcomed(tx, organization_id, thread.id, now_ms):
        texts = for_locale(customer.locale, business.locale)
        body = texts.gettext(
            "{business}: thank you for your call. Write to us here and we will answer.", business=business.name
        )
        thread, said = say(tx, organization_id, thread, body, "SMS", now_ms=now_ms)
        told.append((thread, said.message_id))
        plan = Plan(None)
        facts = read_facts(tx, organization_id, [thread.id], opt_outs, caller=caller)[thread.id].facts
        reach(plan, facts, said, "welcome", rules, now_ms=now_ms)
        changes = write_sends(tx, organization_id, thread, plan, now_ms=now_ms)
    for placed, message_id in told:
        events.record(tx, organization_id, "message", now_ms=now_ms, thread=placed, message_id=message_id)
    deliveries.tell(tx, organization_id, changes, now_ms=now_ms)


def _was_welcomed(tx: Connection, organization_id: int, thread_id: int, now_ms: int) -> bool:
    c = dispatches.c
    query = select(c.id).where(
        # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
        c.organization_id + 0 == organization_id,
        *(c.thread_id == thread_id, c.purpose == "welcome", c.created_at_ms > now_ms - WELCOMED_EVERY_MS),
    )
    return tx.execute(query.limit(1)).first() is not None
