"""Who a website's visitor is: somebody new, somebody whom his site vouches for, or both in turn.

What a visitor says of himself is kept beside the customer, and he is not known by it: nobody becomes another customer
by typing that one's address. What his site's backend signed makes him known.
"""

import time
from collections.abc import Iterator

from sqlalchemy import Connection, delete, insert, select

from shopbell import customer_sessions, customers, events, identity, merges
from shopbell.customer_sessions import CustomerSession
from shopbell.customers import Customer
from shopbell.events import upsert
from shopbell.identity_tokens import Claims
from shopbell.storage.customer_schema import customer_sessions as customer_sessions_table
from shopbell.storage.customer_schema import external_identities, surveys
from shopbell.storage.ids import take_id
from shopbell.storage.schema import (
    blocked_messages,
    customer_identities,
    customer_merges,
    possible_duplicates,
    threads,
)
from shopbell.storage.schema import customers as customers_table
from shopbell.storage.turns import give_way

ACTOR = "identity token"
"""How the audit names it when a visitor turned out to be a known customer."""

_OUTSIDE = {
    "unverified_email": "unverifiedEmail",
    "unverified_phone": "unverifiedPhoneNumber",
    "first_name": "firstName",
    "last_name": "lastName",
}


def arrive(tx: Connection, organization_id: int, locale: str | None, *, now_ms: int) -> int:
    """A customer of whom nothing is known.

    Returns:
        His id.
    """
    id_ = take_id(tx)
    row = {"organization_id": organization_id, "id": id_, "locale": locale, "created_at_ms": now_ms}
    tx.execute(insert(customers_table).values(row))
    return id_


def recognise(tx: Connection, organization_id: int, claims: Claims, *, now_ms: int) -> int:
    """The customer whom a site means, found by what it calls him, else by his address, else by his number.

    Somebody whom the site called something else before is not found by address or number: there is a new customer then,
    and the two are noted as possible duplicates. So are customers of whom one has the address and another the number.

    Args:
        tx: the transaction.
        organization_id: whose site.
        claims: what a good token says.
        now_ms: the time in Unix ms.

    Returns:
        His id; a new customer's where there was none.
    """
    give_way(tx)  # before any row is locked: ``join`` may follow, which is a merge
    held = _holders(tx, organization_id, claims)
    customer_id = _called(tx, organization_id, claims.subject)
    if customer_id is None:
        found = next((id_ for id_ in held.values() if id_ is not None), None)
        is_new = found is None or _has_another_name(tx, organization_id, found)
        if found is None or is_new:
            found = arrive(tx, organization_id, claims.locale, now_ms=now_ms)
        customer_id = _name(tx, organization_id, claims.subject, found, now_ms=now_ms)
        if is_new and customer_id != found:
            _forget(tx, organization_id, found)
    customer = customers.lock(tx, organization_id, customer_id)
    for (kind, value), holder_id in held.items():
        if holder_id is None:
            holder_id = _claim(tx, customer, kind, value, _shown(claims, kind), now_ms=now_ms)
        if holder_id != customer.id:
            _note_duplicate(tx, organization_id, customer.id, holder_id, now_ms=now_ms)
    told = {"first_name": claims.first_name, "last_name": claims.last_name, "locale": claims.locale}
    _fill(tx, customer, told, now_ms=now_ms)
    return customer.id


def own_identities(
    tx: Connection, organization_id: int, customer_id: int, claims: Claims
) -> tuple[str | None, str | None]:
    """The address and the number of the claims, in normal form; None for one that is another customer's."""
    held = _holders(tx, organization_id, claims)
    own = {kind: value for (kind, value), holder_id in held.items() if holder_id == customer_id}
    return own.get("email"), claims.phone if "phone" in own else None


def is_same(tx: Connection, session: CustomerSession, claims: Claims) -> bool:
    """Whether a verified session is of the customer that a site names now, by the id of the site."""
    if not session.verified:
        return False
    named = _called(tx, session.organization_id, claims.subject)
    return named is not None and named == customers.find(tx, session.organization_id, session.customer_id).id


def join(tx: Connection, session: CustomerSession, known_id: int) -> bool:
    """Let a visitor become the customer that he turned out to be, with what he wrote before.

    It is a merge, as an employee does it: the conversation moves where the customer has none with that business, else
    it is listed with his, the audit tells of it, and it can be undone. To move the messages into another conversation
    would be none of this. Nobody is merged who is known by anything himself, so on a shared computer no customer
    becomes another; and a block is not shaken off.

    Args:
        tx: the transaction.
        session: the visitor's.
        known_id: the customer.

    Returns:
        Whether it was done.
    """
    organization_id = session.organization_id
    if session.verified or session.kind != "widget":
        return False
    (visitor,) = customers.rows(tx, organization_id, [session.customer_id])
    known = customers.find(tx, organization_id, known_id)
    if visitor.id == known.id or visitor.merged_into_id is not None or visitor.erased_at_ms is not None:
        return False
    if visitor.blocked_at_ms is not None or known.blocked_at_ms is not None or known.erased_at_ms is not None:
        return False
    if customers.identities_of(tx, visitor) or _has_another_name(tx, organization_id, visitor.id):
        return False
    merges.merge(tx, organization_id, known.id, visitor.id, ACTOR)
    return True


def introduce(
    tx: Connection,
    session: CustomerSession,
    *,
    email: str | None = None,
    phone: str | None = None,
    first_name: str | None = None,
    last_name: str | None = None,
) -> None:
    """Keep what a visitor says of himself; of who is vouched for, only what is not known yet.

    Args:
        tx: the transaction.
        session: the visitor's.
        email: as he wrote it.
        phone: in E.164.
        first_name: his first name.
        last_name: his last name.

    Raises:
        NotFound: 404; there is no such customer any more.
        Conflict: 409; he was erased.
    """
    customer = customers.lock(tx, session.organization_id, session.customer_id)
    customers.refuse_erased(customer)
    known = {each.value for each in customers.identities_of(tx, customer)}
    said: dict[str, str | None] = {"first_name": first_name, "last_name": last_name}
    said["unverified_email"] = email if email and identity.normal_email(email) not in known else None
    said["unverified_phone"] = phone if phone and identity.phone_key(phone) not in known else None
    now_ms = time.time_ns() // 1_000_000
    names = ("first_name", "last_name")
    # Names that his site or an employee gave him stay.
    fixed = [name for name in names if session.verified and getattr(customer, name)]
    changed = {
        name: value for name, value in said.items() if value and name not in fixed and value != getattr(customer, name)
    }
    _set(tx, customer, changed, now_ms=now_ms)


def forget_silent(tx: Connection, now_ms: int, *, limit: int = 200) -> bool:
    """Delete sessions that are over, and the visitors who said nothing while they had one: nobody ever saw them.

    Args:
        tx: the transaction.
        now_ms: the time in Unix ms.
        limit: how many sessions at most.

    Returns:
        Whether there may be more.
    """
    ended = customer_sessions.forget_expired(tx, now_ms, limit=limit)
    for organization_id, customer_id in sorted(set(ended)):
        (visitor,) = customers.lock_rows(tx, organization_id, [customer_id])
        facts = (visitor.first_name, visitor.last_name, visitor.company, visitor.blocked_at_ms, visitor.erased_at_ms)
        said = (visitor.unverified_email, visitor.unverified_phone, visitor.merged_into_id)
        if any(fact is not None for fact in (*facts, *said)) or _is_named(tx, organization_id, customer_id):
            continue
        _forget(tx, organization_id, customer_id)
    return len(ended) == limit


def _forget(tx: Connection, organization_id: int, customer_id: int) -> None:
    """Delete a customer to whom nothing refers."""
    c = customers_table.c
    tx.execute(delete(customers_table).where(c.organization_id == organization_id, c.id == customer_id))


def _is_named(tx: Connection, organization_id: int, customer_id: int) -> bool:
    """Whether anything refers to a customer."""
    of_one = (threads, customer_identities, external_identities, customer_sessions_table, blocked_messages, surveys)
    places = [(table.c.organization_id, table.c.customer_id) for table in of_one]
    d, m = possible_duplicates.c, customer_merges.c
    places += [(d.organization_id, d.customer_id), (d.organization_id, d.other_customer_id)]
    places += [(m.organization_id, m.kept_customer_id), (m.organization_id, m.merged_customer_id)]
    return any(
        tx.scalar(select(customer).where(organization == organization_id, customer == customer_id).limit(1)) is not None
        for organization, customer in places
    )


def _holders(tx: Connection, organization_id: int, claims: Claims) -> dict[tuple[str, str], int | None]:
    """Whose each address or number of the claims is, the address first."""
    c = customer_identities.c
    held: dict[tuple[str, str], int | None] = {}
    for kind, value in _identities(claims):
        query = select(c.customer_id).where(c.organization_id == organization_id, c.kind == kind, c.value == value)
        held[kind, value] = tx.scalar(query)
    return held


def _identities(claims: Claims) -> Iterator[tuple[str, str]]:
    if claims.email is not None:
        yield "email", claims.email[1]
    if claims.phone is not None:
        yield "phone", identity.phone_key(claims.phone)


def _shown(claims: Claims, kind: str) -> str:
    return claims.email[0] if kind == "email" and claims.email else claims.phone or ""


def _called(tx: Connection, organization_id: int, subject: str) -> int | None:
    c = external_identities.c
    query = select(c.customer_id).where(c.organization_id == organization_id, c.subject == subject)
    found: int | None = tx.scalar(query)
    return None if found is None else customers.find(tx, organization_id, found).id


def _has_another_name(tx: Connection, organization_id: int, customer_id: int) -> bool:
    family = customers.family(tx, organization_id, customer_id)
    his = customers.of_customers(external_identities, organization_id, family)
    return tx.scalar(select(external_identities.c.subject).where(his).limit(1)) is not None


def _name(tx: Connection, organization_id: int, subject: str, customer_id: int, *, now_ms: int) -> int:
    """Note what a site calls a customer; where another request was quicker, its customer counts."""
    row = {"organization_id": organization_id, "subject": subject, "customer_id": customer_id, "created_at_ms": now_ms}
    tx.execute(upsert(tx, external_identities).values(row).on_conflict_do_nothing())
    return _called(tx, organization_id, subject) or customer_id


def _claim(tx: Connection, customer: Customer, kind: str, value: str, shown: str, *, now_ms: int) -> int:
    """Let a customer be known by an address or a number that is nobody's; returns whose it is then."""
    c = customer_identities.c
    new = {"kind": kind, "value": value, "shown": shown, "customer_id": customer.id, "created_at_ms": now_ms}
    row = upsert(tx, customer_identities).values(organization_id=customer.organization_id, **new)
    # The widget route may be giving it to somebody at this moment.
    tx.execute(row.on_conflict_do_nothing(index_elements=[c.organization_id, c.kind, c.value]))
    query = select(c.customer_id).where(c.organization_id == customer.organization_id, c.kind == kind, c.value == value)
    holder_id: int = tx.execute(query).scalar_one()
    return holder_id


def _note_duplicate(tx: Connection, organization_id: int, one_id: int, other_id: int, *, now_ms: int) -> None:
    first, second = sorted((one_id, other_id))
    row = {"organization_id": organization_id, "customer_id": first, "other_customer_id": second}
    tx.execute(upsert(tx, possible_duplicates).values(**row, found_at_ms=now_ms).on_conflict_do_nothing())


def _fill(tx: Connection, customer: Customer, told: dict[str, str | None], *, now_ms: int) -> None:
    """Set what is not known of a customer; what an employee wrote stays."""
    _set(
        tx, customer, {name: text for name, text in told.items() if text and not getattr(customer, name)}, now_ms=now_ms
    )


def _set(tx: Connection, customer: Customer, changed: dict[str, str], *, now_ms: int) -> None:
    if not changed:
        return
    customers.set_columns(tx, customer, **changed)
    fields = sorted(_OUTSIDE[name] for name in changed if name in _OUTSIDE)
    if fields:
        events.record(
            tx,
            customer.organization_id,
            "customer-updated",
            now_ms=now_ms,
            customer_id=customer.id,
            details={"fields": fields},
        )
