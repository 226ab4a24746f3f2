"""Links in emails and texts that open a customer's conversation. Owns their table, which holds keyed hashes only.

A link works once, for a limited time, and only while the conversation belongs to the customer who got it.
"""

import re
import secrets
import string
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from shopbell.customers import customers
from shopbell.customers.customers import Customer
from shopbell.db.ids import take_id
from shopbell.db.schema.core import threads
from shopbell.db.schema.customers import customer_links
from shopbell.formats.channels import IDENTITY_KINDS, identity_value
from shopbell.formats.identities import normal_email
from shopbell.security.keys import Keys
from shopbell.security.tokens import token_hash

KEY_PURPOSE = "customer link"
PATH = "/t/"
"""The path of a link, followed by its token."""

_DAY_MS = 24 * 60 * 60 * 1_000
_KNOWN_MS = 180 * _DAY_MS
"""How long after its expiry a new link can be requested."""

_CHARACTERS = string.ascii_letters + string.digits
# A text must be short: 71 bits are enough, because guesses are limited. An email has room for 256, and is read later.
_EMAIL_LENGTH, _EMAIL_VALID_MS = 43, 30 * _DAY_MS
_TEXT_LENGTH, _TEXT_VALID_MS = 12, 7 * _DAY_MS

_FORM = re.compile(r"[A-Za-z0-9]{12}|[A-Za-z0-9]{43}", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class CustomerLink:
    """A link that was sent. Times are Unix ms.

    Args:
        business_id: the business of the conversation.
        customer: the present owner of the conversation.
        channel: the channel by which it was sent.
        address: the address or number to which it was sent.
        spent_at_ms: when it was used.
    """

    organization_id: int
    id: int
    thread_id: int
    business_id: int
    customer: Customer
    channel: str
    address: str
    expires_at_ms: int
    spent_at_ms: int | None

    def is_good(self, now_ms: int) -> bool:
        """Whether it is valid at a time (Unix ms)."""
        return self.spent_at_ms is None and now_ms < self.expires_at_ms


class CustomerLinks:
    """Creates and finds links.

    Args:
        keys: the secret keys; links that were made with the old one are still valid.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys.derive(KEY_PURPOSE)

    def make(
        self, tx: Connection, organization_id: int, thread_id: int, channel: str, address: str, *, now_ms: int
    ) -> str:
        """Create a link to a conversation.

        Args:
            channel: the channel by which it is sent.
            address: the address or number to which it is sent.

        Returns:
            The token that follows ``PATH``; it is not stored.
        """
        is_emailed = IDENTITY_KINDS[channel] == "email"
        length, valid_ms = (_EMAIL_LENGTH, _EMAIL_VALID_MS) if is_emailed else (_TEXT_LENGTH, _TEXT_VALID_MS)
        token = "".join(secrets.choice(_CHARACTERS) for _ in range(length))
        tx.execute(
            insert(customer_links).values(
                organization_id=organization_id,
                id=take_id(tx),
                thread_id=thread_id,
                channel=channel,
                address=address,
                token_hash=token_hash(self._keys[0], token),
                created_at_ms=now_ms,
                expires_at_ms=now_ms + valid_ms,
            )
        )
        return token

    def find(self, tx: Connection, token: str) -> CustomerLink | None:
        """The link with a token, valid or not.

        Args:
            token: as sent; any text.

        Returns:
            None if there is no such link, or the conversation no longer belongs to the customer who got it:
            they were erased, have another address, or a merge was undone.
        """
        if not _FORM.fullmatch(token):
            return None
        c, t = customer_links.c, threads.c
        # The token determines the organization.
        query = (
            select(customer_links, t.customer_id, t.business_id)
            .join(threads, (t.organization_id == c.organization_id) & (t.id == c.thread_id))
            .where(c.token_hash.in_([token_hash(key, token) for key in self._keys]))
        )
        row = tx.execute(query).first()
        if row is None:
            return None
        customer = customers.find(tx, row.organization_id, row.customer_id)
        if customer.erased_at_ms is not None or not _is_theirs(tx, customer, row.channel, row.address):
            return None
        return CustomerLink(
            organization_id=row.organization_id,
            id=row.id,
            thread_id=row.thread_id,
            business_id=row.business_id,
            customer=customer,
            channel=row.channel,
            address=row.address,
            expires_at_ms=row.expires_at_ms,
            spent_at_ms=row.spent_at_ms,
        )


def consume(tx: Connection, link: CustomerLink, *, now_ms: int) -> bool:
    """Mark a link as used.

    Returns:
        Whether it was valid. Of two concurrent calls, only one returns True.
    """
    c = customer_links.c
    good = (
        c.organization_id == link.organization_id,
        c.id == link.id,
        c.spent_at_ms.is_(None),
        c.expires_at_ms > now_ms,
    )
    return tx.execute(update(customer_links).where(*good).values(spent_at_ms=now_ms)).rowcount == 1


def forget_old(tx: Connection, now_ms: int, *, limit: int = 1_000) -> bool:
    """Delete one batch of links, of all organizations, that are too old to request a new one.

    Returns:
        Whether there may be another batch.
    """
    c = customer_links.c
    old = select(c.token_hash).where(c.expires_at_ms < now_ms - _KNOWN_MS).order_by(c.expires_at_ms).limit(limit)
    hashes = tx.scalars(old).all()
    tx.execute(delete(customer_links).where(c.token_hash.in_(hashes)))
    return len(hashes) == limit


def has_reached(tx: Connection, organization_id: int, thread_id: int, email: str) -> bool:
    """Whether a link that was emailed to an address was used: its owner has opened the conversation.

    Args:
        email: the address in normal form.
    """
    c = customer_links.c
    spent = select(c.address).where(
        # The ``+ 0`` keeps SQLite off the primary key, where it would read all rows of the organization.
        c.organization_id + 0 == organization_id,
        c.thread_id == thread_id,
        c.channel == "EMAIL",
        c.spent_at_ms.is_not(None),
        c.address.is_not(None),
    )
    return any(normal_email(address) == email for address in set(tx.scalars(spent)))


def _is_theirs(tx: Connection, customer: Customer, channel: str, address: str | None) -> bool:
    if address is None:
        return False
    kind = IDENTITY_KINDS[channel]
    known = {each.value for each in customers.identities_of(tx, customer) if each.kind == kind}
    if kind in customer.unverified:
        known.add(identity_value(kind, customer.unverified[kind]))
    try:
        return identity_value(kind, address) in known
    except ValueError:
        return False
