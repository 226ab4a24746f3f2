"""What the link in a mail ends: all further mails of the organization's to the address that it went to."""

from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from shopbell import customers
from shopbell.identity import normal_email
from shopbell.mail.addresses import Audience
from shopbell.mail.answer_links import digest
from shopbell.mail.unsubscribe import Subscription
from shopbell.opt_outs import OptOuts
from shopbell.storage.customer_schema import dispatches
from shopbell.storage.schema import businesses, threads

_AUDIENCES = {Audience.CUSTOMER: "customer", Audience.STORE: "store"}


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What is known of a subscription.

    Args:
        business_name: whose mails they are.
        gets_mails: whether more mails go to the address; not when it is gone.
        locale: the business's.
        brand_color: the business's, ``#rrggbb``.
    """

    business_name: str
    gets_mails: bool
    locale: str
    brand_color: str | None


def find(tx: Connection, subscription: Subscription, opt_outs: OptOuts) -> Subscribed | None:
    """Look a subscription up.

    Returns:
        None when its conversation is gone.
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


def change(tx: Connection, subscription: Subscription, opt_outs: OptOuts, *, gets_mails: bool, now_ms: int) -> None:
    """End the mails, or begin them again; once more changes nothing."""
    way = _way(tx, subscription)
    if way is None:
        return
    if gets_mails:
        opt_outs.remove(tx, subscription.organization_id, way)
    else:
        opt_outs.add(tx, subscription.organization_id, way, now_ms=now_ms)


def _way(tx: Connection, subscription: Subscription) -> tuple[str, str] | None:
    """The address that the link's mail went to, as long as anything here knows it."""
    mailed = _mailed(tx, subscription)
    if subscription.address_digest is None:
        return ("EMAIL", mailed[0]) if mailed else None
    known = (*mailed, *_own(tx, subscription))
    address = next((each for each in known if digest(each) == subscription.address_digest), None)
    return None if address is None else ("EMAIL", address)


def _mailed(tx: Connection, subscription: Subscription) -> list[str]:
    """The addresses that mails about a conversation went to, in normal form, the last one first."""
    c = dispatches.c
    query = (
        select(c.address)
        .where(
            c.thread_id == subscription.thread_id,
            # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
            c.organization_id + 0 == subscription.organization_id,
            *(c.channel == "EMAIL", c.audience == _AUDIENCES[subscription.audience], c.address.is_not(None)),
        )
        .group_by(c.address)
        .order_by(func.max(c.id).desc())
    )
    mailed: list[str] = []
    for address in tx.scalars(query):
        with suppress(ValueError):  # nothing was mailed to what is no address
            mailed.append(normal_email(address))
    return mailed


def _own(tx: Connection, subscription: Subscription) -> list[str]:
    """The addresses that the conversation's side has now: retention may have deleted the mails."""
    organization_id, t, b = subscription.organization_id, threads.c, businesses.c
    of_thread = (t.organization_id == organization_id, t.id == subscription.thread_id)
    row = tx.execute(select(t.customer_id, t.business_id).where(*of_thread)).first()
    if row is None:
        return []
    if subscription.audience is Audience.STORE:
        of_business = (b.organization_id == organization_id, b.id == row.business_id)
        email = tx.scalar(select(b.email).where(*of_business))
        return [normal_email(email)] if email else []
    customer = customers.find(tx, organization_id, row.customer_id)
    known = [each.value for each in customers.identities_of(tx, customer) if each.kind == "email"]
    return [*known, normal_email(customer.unverified_email)] if customer.unverified_email else known
