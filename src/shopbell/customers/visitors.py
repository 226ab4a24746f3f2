"""Visitors of websites: anonymous ones, and those that their site identifies.

An address that a visitor types is stored as unverified and identifies no one: a visitor cannot become another customer
by typing their address. Only what the site's backend has signed identifies a customer.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, select

from shopbell.customers import canonical, customers, duplicates, identities, merges, sessions
from shopbell.customers.customers import Customer
from shopbell.customers.identity_tokens import Claims
from shopbell.customers.sessions import CustomerSession
from shopbell.db.lock_order import lock_customers_shared
from shopbell.db.schema.core import blocked_messages, customer_identities, customer_merges, possible_duplicates, threads
from shopbell.db.schema.customers import customer_sessions as customer_sessions_table
from shopbell.db.schema.customers import external_identities, surveys
from shopbell.events import record
from shopbell.events.actors import Actor
from shopbell.events.record import upsert
from shopbell.formats import identities as formats
from shopbell.runtime import clock

_API_NAMES = {
    "unverified_email": "unverifiedEmail",
    "unverified_phone": "unverifiedPhoneNumber",
    "first_name": "firstName",
    "last_name": "lastName",
}


def identify(tx: Connection, organization_id: int, claims: Claims, *, now_ms: int) -> int:
    """Find or create the customer that a site identifies: by the site's id, else the address, else the number.

    A customer with another id of the site is not found by address or number. Instead a new customer is created, and the
    two become possible duplicates. So do the owner of the address and the owner of the number, if they differ.

    Args:
        claims: those of a valid token.

    Returns:
        The customer's id.
    """
    lock_customers_shared(tx)  # before any row is locked: ``merge_into`` may follow
    held = _holders(tx, organization_id, claims)
    customer_id = _by_subject(tx, organization_id, claims.subject)
    if customer_id is None:
        found = next((id_ for id_ in held.values() if id_ is not None), None)
        is_new = found is None or _has_subject(tx, organization_id, found)
        if found is None or is_new:
            found = identities.create_anonymous(tx, organization_id, claims.locale, now_ms=now_ms)
        customer_id = _store_subject(tx, organization_id, claims.subject, found, now_ms=now_ms)
        if is_new and customer_id != found:
            identities.delete_unreferenced(tx, organization_id, found)
    customer = customers.lock(tx, organization_id, customer_id)
    for (kind, value), holder_id in held.items():
        if holder_id is None:
            holder_id = identities.claim(
                tx, organization_id, customer.id, kind, value, _shown(claims, kind), now_ms=now_ms
            )
        if holder_id != customer.id:
            duplicates.note(tx, organization_id, customer.id, holder_id, now_ms=now_ms)
    told = {"first_name": claims.first_name, "last_name": claims.last_name, "locale": claims.locale}
    _fill(tx, customer, told, now_ms=now_ms)
    return customer.id


def own_identities(
    tx: Connection, organization_id: int, customer_id: int, claims: Claims
) -> tuple[str | None, str | None]:
    """The address and the number of the claims, in normal form; None for those of another customer."""
    held = _holders(tx, organization_id, claims)
    own = {kind: value for (kind, value), holder_id in held.items() if holder_id == customer_id}
    return own.get("email"), claims.phone if "phone" in own else None


def is_same(tx: Connection, session: CustomerSession, claims: Claims) -> bool:
    """Whether a verified session belongs to the customer that the site identifies now."""
    if not session.verified:
        return False
    named = _by_subject(tx, session.organization_id, claims.subject)
    return named is not None and named == customers.find(tx, session.organization_id, session.customer_id).id


def merge_into(tx: Connection, session: CustomerSession, known_id: int) -> bool:
    """Merge an anonymous visitor, with their conversation, into the customer that the site identifies.

    It is an ordinary merge: it is in the audit log and can be undone. Visitors with an identity of their own are not
    merged, so that on a shared computer no customer becomes another one. Blocked visitors are not merged either, so
    that they stay blocked.

    Args:
        session: that of the visitor.
        known_id: the customer.

    Returns:
        Whether they were merged.
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
    if customers.identities_of(tx, visitor) or _has_subject(tx, organization_id, visitor.id):
        return False
    merges.merge(tx, organization_id, known.id, visitor.id, actor=Actor("customer", visitor.id))
    return True


def update_traits(
    tx: Connection,
    session: CustomerSession,
    *,
    email: str | None = None,
    phone: str | None = None,
    first_name: str | None = None,
    last_name: str | None = None,
) -> None:
    """Store what visitors say about themselves. For identified visitors, only unknown values are stored.

    Args:
        session: that of the visitor.
        email: as entered.
        phone: in E.164.

    Raises:
        NotFound: 404; the customer no longer exists.
        Conflict: 409; the customer was erased.
    """
    customer = customers.lock(tx, session.organization_id, session.customer_id)
    customers.refuse_erased(customer)
    known = {each.value for each in customers.identities_of(tx, customer)}
    said: dict[str, str | None] = {"first_name": first_name, "last_name": last_name}
    said["unverified_email"] = email if email and formats.normal_email(email) not in known else None
    said["unverified_phone"] = phone if phone and formats.phone_key(phone) not in known else None
    now_ms = clock.now_ms()
    names = ("first_name", "last_name")
    # Names from the site or an employee stay.
    fixed = [name for name in names if session.verified and getattr(customer, name)]
    changed = {
        name: value for name, value in said.items() if value and name not in fixed and value != getattr(customer, name)
    }
    _set(tx, customer, changed, now_ms=now_ms)


def delete_inactive(tx: Connection, now_ms: int, *, limit: int = 200) -> bool:
    """Delete one batch of expired sessions, and their visitors who never wrote anything.

    Returns:
        Whether there may be another batch.
    """
    ended = sessions.forget_expired(tx, now_ms, limit=limit)
    for organization_id, customer_id in sorted(set(ended)):
        (visitor,) = customers.lock_rows(tx, organization_id, [customer_id])
        facts = (visitor.first_name, visitor.last_name, visitor.company, visitor.blocked_at_ms, visitor.erased_at_ms)
        said = (visitor.unverified_email, visitor.unverified_phone, visitor.merged_into_id)
        if any(fact is not None for fact in (*facts, *said)) or _is_referenced(tx, organization_id, customer_id):
            continue
        identities.delete_unreferenced(tx, organization_id, customer_id)
    return len(ended) == limit


def _is_referenced(tx: Connection, organization_id: int, customer_id: int) -> bool:
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
    """The customers who have the address and the number of the claims, the address first."""
    return {
        (kind, value): identities.find_holder(tx, organization_id, kind, value) for kind, value in _identities(claims)
    }


def _identities(claims: Claims) -> Iterator[tuple[str, str]]:
    if claims.email is not None:
        yield "email", claims.email[1]
    if claims.phone is not None:
        yield "phone", formats.phone_key(claims.phone)


def _shown(claims: Claims, kind: str) -> str:
    return claims.email[0] if kind == "email" and claims.email else claims.phone or ""


def _by_subject(tx: Connection, organization_id: int, subject: str) -> int | None:
    c = external_identities.c
    query = select(c.customer_id).where(c.organization_id == organization_id, c.subject == subject)
    found: int | None = tx.scalar(query)
    return None if found is None else customers.find(tx, organization_id, found).id


def _has_subject(tx: Connection, organization_id: int, customer_id: int) -> bool:
    customer_ids = canonical.merged_ids(tx, organization_id, customer_id)
    of_them = customers.of_customers(external_identities, organization_id, customer_ids)
    return tx.scalar(select(external_identities.c.subject).where(of_them).limit(1)) is not None


def _store_subject(tx: Connection, organization_id: int, subject: str, customer_id: int, *, now_ms: int) -> int:
    """Store the site's id of a customer. Returns its customer: another one, if a concurrent request was faster."""
    row = {"organization_id": organization_id, "subject": subject, "customer_id": customer_id, "created_at_ms": now_ms}
    tx.execute(upsert(tx, external_identities).values(row).on_conflict_do_nothing())
    return _by_subject(tx, organization_id, subject) or customer_id


def _fill(tx: Connection, customer: Customer, told: dict[str, str | None], *, now_ms: int) -> None:
    """Set values that are not known yet; those from employees stay."""
    _set(
        tx, customer, {name: text for name, text in told.items() if text and not getattr(customer, name)}, now_ms=now_ms
    )


def _set(tx: Connection, customer: Customer, changed: dict[str, str], *, now_ms: int) -> None:
    if not changed:
        return
    customers.set_columns(tx, customer, **changed)
    fields = sorted(_API_NAMES[name] for name in changed if name in _API_NAMES)
    if fields:
        record.record(
            tx,
            customer.organization_id,
            "customer-updated",
            actor=Actor("customer", customer.id),
            now_ms=now_ms,
            customer_id=customer.id,
            details={"fields": fields},
        )
