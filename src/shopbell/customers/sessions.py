"""Sessions of customers' browsers and apps, and the conversations that they may see. Owns their table.

A ``page`` was opened by a link in an email or a text, and sees that conversation. A ``widget`` starts anonymously, or
with an identity that its site has signed, and sees the customer's conversation with one business. An ``app`` acts for a
customer of its backend, and sees all of their conversations. Merged customers count as one.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from shopbell.customers import canonical, customers
from shopbell.db.ids import take_id
from shopbell.db.schema.core import customers as customers_table
from shopbell.db.schema.customers import customer_sessions
from shopbell.security.tokens import new_token, token_hash

KEY_PURPOSE = "customer session"
"""For ``Keys.derive``: the keys with which tokens of sessions are hashed."""

PREFIX = "sbs_"
_DAY_MS = 24 * 60 * 60 * 1_000
VALID_MS = 30 * _DAY_MS
"""How long the session of a visitor lasts after its last use."""

VOUCHED_MS = _DAY_MS
"""How long a proved identity is valid before it must be proved again."""

_EXTEND_AFTER_MS = _DAY_MS
"""The least time between two extensions of a session."""


@dataclass(frozen=True, slots=True)
class CustomerSession:
    """A session as it is stored, without its token. Times are Unix ms.

    Args:
        kind: ``page``, ``widget`` or ``app``.
        customer_id: the customer at the start of the session; they may have been merged since.
        business_id: the business of a widget.
        thread_id: the conversation of a page, or of a widget after its first message.
        verified: whether the identity was proved.
        email: the address at the start, in normal form; replies go there.
        phone: the number at the start, in E.164; replies go there.
        locale: the language of the customer.
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
        """Whether it is valid at a time (Unix ms)."""
        return self.revoked_at_ms is None and now_ms < self.expires_at_ms

    def wants_extension(self, now_ms: int) -> bool:
        """Whether to extend it because it is used; never if the identity must be proved again."""
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
    """Start a session.

    Args:
        keys: the keys derived for ``KEY_PURPOSE``, the current one first.
        kind: ``page``, ``widget`` or ``app``.
        business_id: the business of a widget.
        thread_id: the conversation, if there is one already; a page must have one.
        verified: whether the identity was proved.
        email: the customer's address, in normal form.
        phone: the customer's number, in E.164.
        locale: BCP 47 tag in normal form.

    Returns:
        The session and its token, which is not stored.
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


# Streams run this often: building it once halves the cost. The token determines the organization.
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


def find_all(tx: Connection, hashes: Collection[str]) -> dict[str, CustomerSession]:
    """The sessions with these hashes, by hash, whether they are valid or not.

    Sessions of erased customers are left out.
    """
    rows = tx.execute(_BY_HASH, {"hashes": list(hashes)}).mappings()
    return {row["token_hash"]: CustomerSession(**row) for row in rows}


def rekey(tx: Connection, session: CustomerSession, new_hash: str) -> None:
    """Store the hash of a session's token, made with the current secret key."""
    tx.execute(_one(session.organization_id, session.id).values(token_hash=new_hash))


def extend(tx: Connection, session: CustomerSession, *, now_ms: int) -> None:
    """Extend a session that is used."""
    tx.execute(_one(session.organization_id, session.id).values(expires_at_ms=now_ms + VALID_MS))


def renew(
    tx: Connection, session: CustomerSession, *, email: str | None, phone: str | None, now_ms: int
) -> CustomerSession | None:
    """Extend a verified widget session whose site has signed the same identity again.

    Args:
        email: the address that the site sends now, in normal form.
        phone: the number that the site sends now, in E.164.

    Returns:
        The session with its new end, or None if it has ended.
    """
    c = customer_sessions.c
    live = _one(session.organization_id, session.id).where(c.revoked_at_ms.is_(None), c.expires_at_ms > now_ms)
    changes: dict[str, Any] = {"email": email, "phone": phone, "expires_at_ms": now_ms + VOUCHED_MS}
    return replace(session, **changes) if tx.execute(live.values(changes)).rowcount else None


def settle_in(tx: Connection, session: CustomerSession, thread_id: int) -> None:
    """Store the conversation of a widget, which its first message has opened."""
    if session.kind == "widget" and session.thread_id != thread_id:
        tx.execute(_one(session.organization_id, session.id).values(thread_id=thread_id))


def revoke(tx: Connection, organization_id: int, session_id: int, *, now_ms: int) -> None:
    """End a session for good; a session that has ended stays as it is."""
    mine = _one(organization_id, session_id).where(customer_sessions.c.revoked_at_ms.is_(None))
    tx.execute(mine.values(revoked_at_ms=now_ms))


def revoke_all(tx: Connection, organization_id: int, customer_ids: Sequence[int], *, now_ms: int) -> None:
    """End all sessions of these customers for good, and delete the identities at their start."""
    of_customers = customers.of_customers(customer_sessions, organization_id, customer_ids)
    ended_at_ms = func.coalesce(customer_sessions.c.revoked_at_ms, now_ms)
    tx.execute(update(customer_sessions).where(of_customers).values(revoked_at_ms=ended_at_ms, email=None, phone=None))


def forget_expired(tx: Connection, now_ms: int, *, limit: int = 1_000) -> list[tuple[int, int]]:
    """Delete one batch of expired sessions of all organizations.

    Returns:
        For each session, its organization and customer. With ``limit`` of them, there may be more.
    """
    c = customer_sessions.c
    ended = select(c.organization_id, c.customer_id, c.token_hash).where(c.expires_at_ms < now_ms)
    rows = tx.execute(ended.order_by(c.expires_at_ms).limit(limit)).all()
    tx.execute(delete(customer_sessions).where(c.token_hash.in_([row.token_hash for row in rows])))
    return [(row.organization_id, row.customer_id) for row in rows]


def threads_of(tx: Connection, session: CustomerSession) -> list[int]:
    """The conversations that a session may see, by ascending id; for a page or a widget at most one."""
    return threads_of_all(tx, session.organization_id, [session])[session.id]


def threads_of_all(tx: Connection, organization_id: int, found: Collection[CustomerSession]) -> dict[int, list[int]]:
    """As ``threads_of``, for sessions of one organization; by the id of the session."""
    owners = canonical.canonical_ids(tx, organization_id, {session.customer_id for session in found})
    merged = canonical.all_with_merged(tx, organization_id, set(owners.values()))
    rows = customers.threads_of(tx, organization_id, [id_ for ids in merged.values() for id_ in ids])
    of_customer: dict[int, list[Any]] = {}
    for row in rows:
        of_customer.setdefault(row.customer_id, []).append(row)
    # Another request may have opened the conversation since the session was read.
    opened = _threads_opened(tx, organization_id, [session.id for session in found if session.thread_id is None])
    result = {}
    for session in found:
        canonical_id = owners[session.customer_id]
        mine = sorted((row for id_ in merged[canonical_id] for row in of_customer.get(id_, ())), key=lambda row: row.id)
        thread_id = session.thread_id or opened.get(session.id)
        result[session.id] = _visible(session, canonical_id, thread_id, mine)
    return result


def _threads_opened(tx: Connection, organization_id: int, session_ids: Sequence[int]) -> dict[int, int | None]:
    c = customer_sessions.c
    query = select(c.id, c.thread_id).where(c.organization_id == organization_id, c.id.in_(session_ids))
    return {row.id: row.thread_id for row in tx.execute(query)} if session_ids else {}


def _visible(session: CustomerSession, canonical_id: int, thread_id: int | None, rows: Sequence[Any]) -> list[int]:
    if session.kind == "app":
        return [row.id for row in rows]
    if thread_id is not None:
        named = [row.id for row in rows if row.id == thread_id]
        if named or session.kind == "page":
            return named
    return [row.id for row in rows if row.business_id == session.business_id and row.customer_id == canonical_id]


def _one(organization_id: int, session_id: int) -> Any:
    c = customer_sessions.c
    return update(customer_sessions).where(c.organization_id == organization_id, c.id == session_id)
