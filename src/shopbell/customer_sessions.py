"""Sessions: which customer a browser or an app speaks for, and what of him it may see. Owns their table.

A session is as good as whoever began it. A ``page`` was led to one conversation by a link in a mail or a text, and sees
that one. A ``widget`` begins with nothing, or with an identity that its site vouches for, and sees the one conversation
of its customer with one business. An ``app`` speaks for a customer by its backend's word, and sees all that he has.

A conversation counts as the customer's whatever customers have been merged since; after an undo it is whose it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from shopbell import customers
from shopbell.security import new_token, token_hash
from shopbell.storage.customer_schema import customer_sessions
from shopbell.storage.ids import take_id
from shopbell.storage.schema import customers as customers_table

KEY_PURPOSE = "customer session"
"""For ``Keys.derive``: the keys under which sessions are hashed."""

PREFIX = "sbs_"
_DAY_MS = 24 * 60 * 60 * 1_000
VALID_MS = 30 * _DAY_MS
"""How long a visitor's browser is known again, since it was last heard of."""

VOUCHED_MS = _DAY_MS
"""How long somebody else's word for who it is counts: it is asked for again then."""

_EXTEND_AFTER_MS = _DAY_MS
"""A session that is used is written anew no more often than this."""


@dataclass(frozen=True, slots=True)
class CustomerSession:
    """A session as it is kept: all about it but its token. Times are Unix ms.

    Args:
        organization_id: whose customer.
        id: its own.
        kind: ``page``, ``widget`` or ``app``.
        customer_id: who speaks, as he was known when it began; for one who was merged, whom he became counts.
        business_id: with which business a widget speaks.
        thread_id: the conversation of a page, and of a widget from its first message on.
        verified: whether somebody vouched for who it is.
        email: the address that it began with, in normal form; replies to its messages go there.
        phone: the number that it began with, in E.164; likewise.
        locale: in which language he wants to be spoken to.
        created_at_ms: when it began.
        expires_at_ms: from when it is refused.
        revoked_at_ms: when it was ended.
        token_hash: the keyed hash of its token.
    """

    organization_id: int
    id: int
    kind: str
    customer_id: int
    business_id: int | None
    thread_id: int | None
    verified: bool
    email: str | None = field(repr=False)
    phone: str | None = field(repr=False)
    locale: str | None
    created_at_ms: int
    expires_at_ms: int
    revoked_at_ms: int | None
    token_hash: str = field(repr=False)

    def is_valid(self, now_ms: int) -> bool:
        """Whether it may be used at a time (Unix ms)."""
        return self.revoked_at_ms is None and now_ms < self.expires_at_ms

    def wants_extension(self, now_ms: int) -> bool:
        """Whether its end is to be put off because it is used; never where somebody's word is to be asked again."""
        if self.kind == "app" or (self.kind == "widget" and self.verified):
            return False
        return self.expires_at_ms - now_ms < VALID_MS - _EXTEND_AFTER_MS


def create(
    tx: Connection,
    keys: Sequence[bytes],
    organization_id: int,
    kind: str,
    customer_id: int,
    *,
    business_id: int | None = None,
    thread_id: int | None = None,
    verified: bool = False,
    email: str | None = None,
    phone: str | None = None,
    locale: str | None = None,
    now_ms: int,
) -> tuple[CustomerSession, str]:
    """Begin a session.

    Args:
        tx: the transaction.
        keys: the keys derived for ``KEY_PURPOSE``, the current one first.
        organization_id: whose customer.
        kind: ``page``, ``widget`` or ``app``.
        customer_id: who speaks.
        business_id: with which business a widget speaks.
        thread_id: the conversation, where there is one already; a page must have one.
        verified: whether somebody vouches for who it is.
        email: the address that the customer begins it with, in normal form.
        phone: the number that they begin it with, in E.164.
        locale: BCP 47 tag in normal form.
        now_ms: the time in Unix ms.

    Returns:
        The session, and its token, which is kept nowhere.
    """
    secret = new_token(PREFIX)
    is_vouched = kind == "app" or (kind == "widget" and verified)
    session = CustomerSession(
        organization_id=organization_id,
        id=take_id(tx),
        kind=kind,
        customer_id=customer_id,
        business_id=business_id,
        thread_id=thread_id,
        verified=verified,
        email=email,
        phone=phone,
        locale=locale,
        created_at_ms=now_ms,
        expires_at_ms=now_ms + (VOUCHED_MS if is_vouched else VALID_MS),
        revoked_at_ms=None,
        token_hash=token_hash(keys[0], secret),
    )
    row = {column.name: getattr(session, column.name) for column in customer_sessions.c}
    tx.execute(insert(customer_sessions).values(row))
    return session, secret


# Streams ask this before each piece that they send: built once, it costs half. The token tells the organization.
_BY_HASH = (
    select(customer_sessions)
    .join(
        customers_table,
        (customers_table.c.organization_id == customer_sessions.c.organization_id)
        & (customers_table.c.id == customer_sessions.c.customer_id),
    )
    .where(
        customer_sessions.c.token_hash.in_(bindparam("hashes", expanding=True)),
        customers_table.c.erased_at_ms.is_(None),
    )
)


def find(tx: Connection, hashes: Sequence[str]) -> CustomerSession | None:
    """The session that has one of these hashes, valid or not; never one of a customer who was erased.

    Args:
        tx: the transaction.
        hashes: the keyed hash under each secret key, the current one first.
    """
    row = tx.execute(_BY_HASH, {"hashes": hashes}).mappings().first()
    return None if row is None else CustomerSession(**row)


def rekey(tx: Connection, session: CustomerSession, new_hash: str) -> None:
    """Keep a session under the current secret key from now on."""
    tx.execute(_one(session.organization_id, session.id).values(token_hash=new_hash))


def extend(tx: Connection, session: CustomerSession, *, now_ms: int) -> None:
    """Put the end of a session off, because it is used."""
    tx.execute(_one(session.organization_id, session.id).values(expires_at_ms=now_ms + VALID_MS))


def renew(
    tx: Connection, session: CustomerSession, *, email: str | None, phone: str | None, now_ms: int
) -> CustomerSession | None:
    """Let a verified widget session last from now on, because its site vouches for the same customer again.

    Args:
        tx: the transaction.
        session: the customer's.
        email: the address that the site names now, in normal form.
        phone: the number that it names now, in E.164.
        now_ms: the time in Unix ms.

    Returns:
        The session with its new end, or None if it has ended.
    """
    c = customer_sessions.c
    live = _one(session.organization_id, session.id).where(c.revoked_at_ms.is_(None), c.expires_at_ms > now_ms)
    changes: dict[str, Any] = {"email": email, "phone": phone, "expires_at_ms": now_ms + VOUCHED_MS}
    return replace(session, **changes) if tx.execute(live.values(changes)).rowcount else None


def settle_in(tx: Connection, session: CustomerSession, thread_id: int) -> None:
    """Note the conversation of a widget, which its first message opened."""
    if session.kind == "widget" and session.thread_id != thread_id:
        tx.execute(_one(session.organization_id, session.id).values(thread_id=thread_id))


def revoke(tx: Connection, organization_id: int, session_id: int, *, now_ms: int) -> None:
    """End a session for good; one that has ended keeps the time of it."""
    mine = _one(organization_id, session_id).where(customer_sessions.c.revoked_at_ms.is_(None))
    tx.execute(mine.values(revoked_at_ms=now_ms))


def revoke_all(tx: Connection, organization_id: int, customer_ids: Sequence[int], *, now_ms: int) -> None:
    """End all sessions of these customers for good, and forget with which identities they began."""
    his = customers.of_customers(customer_sessions, organization_id, customer_ids)
    ended_at_ms = func.coalesce(customer_sessions.c.revoked_at_ms, now_ms)
    tx.execute(update(customer_sessions).where(his).values(revoked_at_ms=ended_at_ms, email=None, phone=None))


def forget_expired(tx: Connection, now_ms: int, *, limit: int = 1_000) -> list[tuple[int, int]]:
    """Delete sessions that ended by themselves, of all organizations.

    Args:
        tx: the transaction.
        now_ms: the time in Unix ms.
        limit: how many at most.

    Returns:
        Whose they were, by organization and customer, one for each; as many as ``limit`` when there may be more.
    """
    c = customer_sessions.c
    ended = select(c.organization_id, c.customer_id, c.token_hash).where(c.expires_at_ms < now_ms)
    rows = tx.execute(ended.order_by(c.expires_at_ms).limit(limit)).all()
    tx.execute(delete(customer_sessions).where(c.token_hash.in_([row.token_hash for row in rows])))
    return [(row.organization_id, row.customer_id) for row in rows]


def threads_of(tx: Connection, session: CustomerSession) -> list[int]:
    """The conversations that a session may see, by ascending id: of a page or a widget at most one."""
    organization_id = session.organization_id
    family = customers.family(tx, organization_id, session.customer_id)
    rows = customers.threads_of(tx, organization_id, family)
    if session.kind == "app":
        return [row.id for row in rows]
    thread_id = session.thread_id
    if thread_id is None:  # another request may have opened it since the session was looked up
        c = customer_sessions.c
        mine = select(c.thread_id).where(c.organization_id == organization_id, c.id == session.id)
        thread_id = tx.scalar(mine)
    if thread_id is not None:
        named = [row.id for row in rows if row.id == thread_id]
        if named or session.kind == "page":
            return named
    owner_id = family[0]
    return [row.id for row in rows if row.business_id == session.business_id and row.customer_id == owner_id]


def _one(organization_id: int, session_id: int) -> Any:
    c = customer_sessions.c
    return update(customer_sessions).where(c.organization_id == organization_id, c.id == session_id)
