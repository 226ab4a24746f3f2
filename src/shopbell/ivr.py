"""A phone system asks what to do with a call: the caller is sent a welcome by SMS, so that he can go on in writing."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, select

from shopbell import customers, events, organizations
from shopbell.incoming import open_thread
from shopbell.opt_outs import OptOuts
from shopbell.organizations import Business
from shopbell.outreach import deliveries
from shopbell.outreach.callers import customer_of
from shopbell.outreach.decisions import Plan, Rules, reach
from shopbell.outreach.facts import read_facts
from shopbell.outreach.plans import write_sends
from shopbell.outreach.saying import say
from shopbell.storage.customer_schema import dispatches
from shopbell.storage.schema import businesses
from shopbell.texts import for_locale

WELCOMED_EVERY_MS = 24 * 60 * 60 * 1_000
"""Who calls again soon is not sent another welcome: each costs money."""

Situation = Literal["nobody", "hidden", "welcomed", "unwelcomed"]


@dataclass(frozen=True, slots=True)
class Call:
    """What to do with a call.

    Args:
        situation: whether a business has the number, and the caller has a welcome.
        forward_number: where to put it through to, in E.164; None when a sentence is spoken instead.
    """

    situation: Situation
    forward_number: str | None = None


def take(
    tx: Connection,
    organization_id: int,
    caller: str | None,
    called: str,
    rules: Rules,
    opt_outs: OptOuts,
    *,
    now_ms: int,
) -> Call:
    """Take a call, open the caller's conversation and have him sent a welcome.

    Args:
        tx: the transaction; nothing may follow in it.
        organization_id: whose phone system asks.
        caller: his number in E.164; None when it is hidden.
        called: the number that he dialled, in E.164.
        rules: what this installation can send.
        opt_outs: knows who wants no texts.
        now_ms: the time in Unix ms.
    """
    business = _business(tx, organization_id, called)
    if business is None:
        return Call("nobody")
    if caller is None:
        return Call("hidden")
    is_welcome = _welcome(tx, business, caller, rules, opt_outs, now_ms)
    return Call("welcomed" if is_welcome else "unwelcomed", business.voice_forward_number)


def _business(tx: Connection, organization_id: int, number: str) -> Business | None:
    c = businesses.c
    query = (
        select(c.id)
        .where(c.organization_id == organization_id, c.phone_number == number, c.deactivated_at_ms.is_(None))
        .order_by(c.id)
    )
    business_id = tx.scalar(query.limit(1))
    return None if business_id is None else organizations.find_business(tx, organization_id, business_id)


def _welcome(tx: Connection, business: Business, caller: str, rules: Rules, opt_outs: OptOuts, now_ms: int) -> bool:
    """Whether the caller has a text to go on from, now or from a call before."""
    organization_id = business.organization_id
    customer_id = customer_of(tx, organization_id, caller, now_ms=now_ms)
    customer = customers.find(tx, organization_id, customer_id)
    if customer.blocked_at_ms is not None or customer.erased_at_ms is not None:
        return False
    # It needs no reply yet.
    his = (customer.id, business.id, "SMS", "replied")
    thread = open_thread(tx, organization_id, *his, phone=caller, now_ms=now_ms)
    if _was_welcomed(tx, organization_id, thread.id, now_ms):
        return True
    texts = for_locale(customer.locale, business.locale)
    body = texts.gettext(
        "{business}: thank you for your call. Write to us here and we will answer.", business=business.name
    )
    placed, said = say(tx, organization_id, thread, body, "SMS", now_ms=now_ms)
    plan = Plan(None)
    facts = read_facts(tx, organization_id, [thread.id], opt_outs, caller=caller)[thread.id].facts
    reach(plan, facts, said, "welcome", rules, now_ms=now_ms)
    changes = write_sends(tx, organization_id, placed, plan, now_ms=now_ms)
    events.record(tx, organization_id, "message", now_ms=now_ms, thread=placed, message_id=said.message_id)
    deliveries.tell(tx, organization_id, changes, now_ms=now_ms)
    return bool(plan.sends)


def _was_welcomed(tx: Connection, organization_id: int, thread_id: int, now_ms: int) -> bool:
    c = dispatches.c
    query = select(c.id).where(
        # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
        c.organization_id + 0 == organization_id,
        *(c.thread_id == thread_id, c.purpose == "welcome", c.created_at_ms > now_ms - WELCOMED_EVERY_MS),
    )
    return tx.execute(query.limit(1)).first() is not None
