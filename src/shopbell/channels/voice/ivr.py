"""Take calls that a phone system reports, and welcome the callers by SMS."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from shopbell.conversations.message_writer import MessageWriter
from shopbell.conversations.receive import open_thread
from shopbell.customers import customers
from shopbell.customers.identities import find_or_create
from shopbell.customers.opt_outs import OptOuts
from shopbell.db.schema.core import businesses
from shopbell.db.schema.customers import outbound_messages
from shopbell.formats.identities import phone_spellings
from shopbell.i18n.translations import for_locale
from shopbell.notifications import delivery_status
from shopbell.notifications.automatic_messages import post_system_message
from shopbell.notifications.capabilities import Rules
from shopbell.notifications.context import read_known_threads
from shopbell.notifications.delivery_status import Change
from shopbell.notifications.policy import Plan, reach
from shopbell.notifications.schedule import write_sends
from shopbell.organizations import organizations
from shopbell.organizations.organizations import Business

WELCOMED_EVERY_MS = 24 * 60 * 60 * 1_000
"""A caller who calls again within this time gets no second welcome, because each costs money."""


@dataclass(frozen=True, slots=True)
class Call:
    """What to do with a call.

    Args:
        has_business: whether a business has the number that was called.
        forward_number: where to connect the call, in E.164; None to speak a sentence instead.
        is_hidden: whether the caller's number is hidden.
        locale: the language of the business, for a spoken sentence; None if none is spoken.
    """

    has_business: bool
    forward_number: str | None = None
    is_hidden: bool = False
    locale: str | None = None


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
    """Accept a call: open the caller's conversation, and send them a welcome.

    Args:
        tx: the transaction; nothing may follow in it.
        organization_id: the organization of the phone system.
        caller: the caller's number in E.164; None if it is hidden.
        called: the number that was called, in E.164.
        rules: what this installation can send.
        opt_outs: finds customers who want no texts.
        context: what the phone system says about the call; stored as a note in the conversation.
        now_ms: the time in Unix ms.
    """
    business = _business(tx, organization_id, called)
    if business is None:
        return Call(has_business=False)
    if caller is None:
        return Call(has_business=True, is_hidden=True, locale=business.locale)
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
    """Open the caller's conversation, store the context, send a welcome."""
    organization_id = business.organization_id
    customer_id = find_or_create(tx, organization_id, "phone", caller, now_ms=now_ms)
    customer = customers.find(tx, organization_id, customer_id)
    if customer.blocked_at_ms is not None or customer.erased_at_ms is not None:
        return
    # It needs no reply yet.
    place = (customer.id, business.id, "SMS", "replied")
    thread = open_thread(tx, organization_id, *place, phone=caller, now_ms=now_ms)
    changes: list[Change] = []
    with MessageWriter(tx, organization_id, now_ms=now_ms) as writer:
        if context is not None:
            note = for_locale(business.locale).gettext("Phone call. Context: {context}", context=context)
            thread, _ = post_system_message(writer, thread, note, None, internal=True)
        if not _was_welcomed(tx, organization_id, thread.id, now_ms):
            texts = for_locale(customer.locale, business.locale)
            body = texts.gettext(
                "{business}: thank you for calling. Reply to this text with your question and we will get back to you.",
                business=business.name,
            )
            thread, said = post_system_message(writer, thread, body, "SMS")
            plan = Plan(None)
            known = read_known_threads(tx, organization_id, [thread.id], opt_outs, caller=caller)[thread.id].context
            reach(plan, known, said, "welcome", rules, now_ms=now_ms)
            changes = write_sends(tx, organization_id, thread, plan, now_ms=now_ms)
    delivery_status.record_changes(tx, organization_id, changes, now_ms=now_ms)


def _was_welcomed(tx: Connection, organization_id: int, thread_id: int, now_ms: int) -> bool:
    c = outbound_messages.c
    query = select(c.id).where(
        # The zero keeps SQLite from using the primary key, which would read all rows of the organization.
        c.organization_id + 0 == organization_id,
        *(c.thread_id == thread_id, c.purpose == "welcome", c.created_at_ms > now_ms - WELCOMED_EVERY_MS),
    )
    return tx.execute(query.limit(1)).first() is not None
