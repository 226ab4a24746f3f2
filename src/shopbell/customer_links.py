"""Links in mails and texts that lead a customer to his conversation. Owns their table: keyed hashes only.

A link is good once, for a limited time, and as long as the conversation is his to whom it was sent.
"""

import re
import secrets
import string
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from shopbell import customers, identity
from shopbell.customers import Customer
from shopbell.keys import Keys
from shopbell.security import token_hash
from shopbell.storage.customer_schema import customer_links
from shopbell.storage.ids import take_id
from shopbell.storage.schema import threads

KEY_PURPOSE = "customer link"
PATH = "/t/"
"""What the link's path begins with; the token follows."""

_DAY_MS = 24 * 60 * 60 * 1_000
VALID_MS = {"EMAIL": 30 * _DAY_MS, "SMS": 7 * _DAY_MS, "WHATSAPP": 7 * _DAY_MS}
"""How long a link is good, by how it was sent."""

_KNOWN_MS = 180 * _DAY_MS
"""How long after its end a new one can be asked for."""

_CHARACTERS = string.ascii_letters + string.digits
# A text is short: 71 bits, which are guessed at against a limit. A mail has room for 256.
_LENGTHS = {"EMAIL": 43, "SMS": 12, "WHATSAPP": 12}

_FORM = re.compile(r"[A-Za-z0-9]{12}|[A-Za-z0-9]{43}", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class CustomerLink:
    """A link that was sent. Times are Unix ms.

    Args:
        organization_id: whose conversation.
        id: its own.
        thread_id: the conversation.
        business_id: with which business.
        customer: whose it is now.
        channel: by which it was sent.
        address: where it was sent.
        expires_at_ms: from when it is good for nothing.
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
        """Whether it opens the conversation at a time (Unix ms)."""
        return self.spent_at_ms is None and now_ms < self.expires_at_ms


class CustomerLinks:
    """Makes links, and knows them again.

    Args:
        keys: the installation's keys; links that were made with the former one are still good.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys.derive(KEY_PURPOSE)

    def make(
        self, tx: Connection, organization_id: int, thread_id: int, channel: str, address: str, *, now_ms: int
    ) -> str:
        """Make a link to a conversation.

        Args:
            tx: the transaction.
            organization_id: whose conversation.
            thread_id: the conversation.
            channel: by which it is sent: ``EMAIL``, ``SMS`` or ``WHATSAPP``.
            address: where it is sent.
            now_ms: the time in Unix ms.

        Returns:
            The token that follows ``PATH``; it is kept nowhere.
        """
        token = "".join(secrets.choice(_CHARACTERS) for _ in range(_LENGTHS[channel]))
        tx.execute(
            insert(customer_links).values(
                organization_id=organization_id,
                id=take_id(tx),
                thread_id=thread_id,
                channel=channel,
                address=address,
                token_hash=token_hash(self._keys[0], token),
                created_at_ms=now_ms,
                expires_at_ms=now_ms + VALID_MS[channel],
            )
        )
        return token

    def find(self, tx: Connection, token: str) -> CustomerLink | None:
        """The link with a token, whether it is good or not.

        Args:
            tx: the transaction.
            token: whatever somebody sent.

        Returns:
            None when there is none, or when the conversation is not his any more to whom it was sent: he was erased, or
            has another address, or a merge was undone.
        """
        if not _FORM.fullmatch(token):
            return None
        c, t = customer_links.c, threads.c
        # The token is what tells the organization.
        query = (
            select(customer_links, t.customer_id, t.business_id)
            .join(threads, (t.organization_id == c.organization_id) & (t.id == c.thread_id))
            .where(c.token_hash.in_([token_hash(key, token) for key in self._keys]))
        )
        row = tx.execute(query).first()
        if row is None:
            return None
        customer = customers.find(tx, row.organization_id, row.customer_id)
        if customer.erased_at_ms is not None or not _is_his(tx, customer, row.channel, row.address):
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


def spend(tx: Connection, link: CustomerLink, *, now_ms: int) -> bool:
    """Use a link up.

    Returns:
        Whether it was good; of two at once, one is told so.
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
    """Delete links of all organizations that have been over for so long that nobody asks for a new one by them.

    Returns:
        Whether there may be more.
    """
    c = customer_links.c
    old = select(c.token_hash).where(c.expires_at_ms < now_ms - _KNOWN_MS).order_by(c.expires_at_ms).limit(limit)
    hashes = tx.scalars(old).all()
    tx.execute(delete(customer_links).where(c.token_hash.in_(hashes)))
    return len(hashes) == limit


def has_reached(tx: Connection, organization_id: int, thread_id: int, email: str) -> bool:
    """Whether a link to a conversation that was mailed to an address was used: whoever reads its mails was there.

    Args:
        tx: the transaction.
        organization_id: whose conversation.
        thread_id: the conversation.
        email: the address in normal form.
    """
    c = customer_links.c
    spent = select(c.address).where(
        # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
        c.organization_id + 0 == organization_id,
        c.thread_id == thread_id,
        c.channel == "EMAIL",
        c.spent_at_ms.is_not(None),
        c.address.is_not(None),
    )
    return any(identity.normal_email(address) == email for address in set(tx.scalars(spent)))


def _is_his(tx: Connection, customer: Customer, channel: str, address: str | None) -> bool:
    if address is None:
        return False
    known = {each.value for each in customers.identities_of(tx, customer)}
    if channel != "EMAIL":
        said = customer.unverified_phone
        return identity.phone_key(address) in known | ({identity.phone_key(said)} if said else set())
    said = customer.unverified_email
    known |= {identity.normal_email(said)} if said else set()
    try:
        return identity.normal_email(address) in known
    except ValueError:
        return False
