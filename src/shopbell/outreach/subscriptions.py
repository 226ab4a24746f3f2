"""What the link in a mail ends: all further mails of the organization's to the address that it went to."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from shopbell.identity import normal_email
from shopbell.mail.addresses import Audience
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
    """

    business_name: str
    gets_mails: bool


def find(tx: Connection, subscription: Subscription, opt_outs: OptOuts) -> Subscribed | None:
    """Look a subscription up.

    Returns:
        None when its conversation is gone.
    """
    t, b = threads.c, businesses.c
    of_thread = (t.organization_id == subscription.organization_id, t.id == subscription.thread_id)
    of_business = (b.organization_id == t.organization_id) & (b.id == t.business_id)
    name = tx.scalar(select(b.name).select_from(threads.join(businesses, of_business)).where(*of_thread))
    if name is None:
        return None
    way = _way(tx, subscription)
    is_closed = way is None or bool(opt_outs.among(tx, subscription.organization_id, [way]))
    return Subscribed(name, gets_mails=not is_closed)


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
    """The address that the mails of a conversation go to: the last one that is known."""
    c = dispatches.c
    query = (
        select(c.address)
        .where(
            c.thread_id == subscription.thread_id,
            # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
            c.organization_id + 0 == subscription.organization_id,
            *(c.channel == "EMAIL", c.audience == _AUDIENCES[subscription.audience], c.address.is_not(None)),
        )
        .order_by(c.id.desc())
        .limit(1)
    )
    address = tx.scalar(query)
    return ("EMAIL", normal_email(address)) if address else None
