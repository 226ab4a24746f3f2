"""The unsubscribe link of emails.

Ends all further emails of the organization to that address.
"""

from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from shopbell.customers import customers
from shopbell.customers.opt_outs import OptOuts
from shopbell.db.schema.core import businesses, threads
from shopbell.db.schema.customers import outbound_messages
from shopbell.email.answer_links import digest
from shopbell.email.reply_addresses import Audience
from shopbell.email.unsubscribe import Subscription
from shopbell.formats.identities import normal_email

_AUDIENCES = {Audience.CUSTOMER: "customer", Audience.BUSINESS: "store"}


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription.

    Args:
        business_name: the sender of the emails.
        gets_emails: whether more emails are sent to the address; False if it is gone.
        locale: the locale of the business.
        brand_color: the color of the business, ``#rrggbb``.
    """

    business_name: str
    gets_emails: bool
    locale: str
    brand_color: str | None


def find(tx: Connection, subscription: Subscription, opt_outs: OptOuts) -> Subscribed | None:
    """Find a subscription.

    Returns:
        None if its conversation is gone.
    """
    t, b = threads.c, businesses.c
    of_thread = (t.organization_id == subscription.organization_id, t.id == subscription.thread_id)
    of_business = (b.organization_id == t.organization_id) & (b.id == t.business_id)
    query = select(b.name, b.locale, b.brand_color).select_from(threads.join(businesses, of_business))
    business = tx.execute(query.where(*of_thread)).first()
    if business is None:
        return None
    way = _way(tx, subscription)
    is_closed = way is None or bool(opt_outs.among(tx, subscription.organization_id, [way]))
    return Subscribed(business.name, not is_closed, business.locale, business.brand_color)


def change(tx: Connection, subscription: Subscription, opt_outs: OptOuts, *, gets_emails: bool, now_ms: int) -> None:
    """End the emails, or start them again; repeating it changes nothing."""
    way = _way(tx, subscription)
    if way is None:
        return
    if gets_emails:
        opt_outs.remove(tx, subscription.organization_id, way)
    else:
        opt_outs.add(tx, subscription.organization_id, way, now_ms=now_ms)


def _way(tx: Connection, subscription: Subscription) -> tuple[str, str] | None:
    """The address that the email with the link was sent to, if it is still stored."""
    mailed = _mailed(tx, subscription)
    if subscription.address_digest is None:
        return ("EMAIL", mailed[0]) if mailed else None
    known = (*mailed, *_own(tx, subscription))
    address = next((each for each in known if digest(each) == subscription.address_digest), None)
    return None if address is None else ("EMAIL", address)


def _mailed(tx: Connection, subscription: Subscription) -> list[str]:
    """Recipients of emails about a conversation, in normal form, newest first."""
    c = outbound_messages.c
    query = (
        select(c.address)
        .where(
            c.thread_id == subscription.thread_id,
            # The zero keeps SQLite from using the primary key, which would read all rows of the organization.
            c.organization_id + 0 == subscription.organization_id,
            *(c.channel == "EMAIL", c.audience == _AUDIENCES[subscription.audience], c.address.is_not(None)),
        )
        .group_by(c.address)
        .order_by(func.max(c.id).desc())
    )
    mailed: list[str] = []
    for address in tx.scalars(query):
        with suppress(ValueError):  # no email was sent to an invalid address
            mailed.append(normal_email(address))
    return mailed


def _own(tx: Connection, subscription: Subscription) -> list[str]:
    """The present addresses of the recipient: retention may have deleted the emails."""
    organization_id, t, b = subscription.organization_id, threads.c, businesses.c
    of_thread = (t.organization_id == organization_id, t.id == subscription.thread_id)
    row = tx.execute(select(t.customer_id, t.business_id).where(*of_thread)).first()
    if row is None:
        return []
    if subscription.audience is Audience.BUSINESS:
        of_business = (b.organization_id == organization_id, b.id == row.business_id)
        email = tx.scalar(select(b.email).where(*of_business))
        return [normal_email(email)] if email else []
    customer = customers.find(tx, organization_id, row.customer_id)
    known = [each.value for each in customers.identities_of(tx, customer) if each.kind == "email"]
    return [*known, normal_email(customer.unverified_email)] if customer.unverified_email else known
