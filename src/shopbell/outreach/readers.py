"""Where each conversation's customer is reached: at the identities that their last message there named.

A customer may have several addresses and numbers: after a merge, after a change, or because a family shares a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, select

from shopbell import customers
from shopbell.customers import Customer
from shopbell.identity import normal_email, phone_as_shown, phone_key
from shopbell.opt_outs import OptOuts
from shopbell.outreach.decisions import Reader
from shopbell.storage.schema import customer_identities, customer_merges

Kind = Literal["email", "phone"]


@dataclass(frozen=True, slots=True, repr=False)
class _Identity:
    """An address or a number, in normal form (``value``) and as it was sent (``shown``).

    Args:
        merge_id: the merge that brought it to the customer.
        is_verified: False for one that the customer only claimed.
    """

    kind: Kind
    value: str
    shown: str
    merge_id: int | None = None
    created_at_ms: int = 0
    is_verified: bool = True

    @property
    def number(self) -> str:
        """A phone number in E.164, in the spelling that the customer first used."""
        return phone_as_shown(self.value, self.shown)


def read_readers(
    tx: Connection,
    organization_id: int,
    threads: Sequence[Row[Any]],
    owners: Mapping[int, int],
    opt_outs: OptOuts,
    *,
    caller: str | None = None,
) -> dict[int, tuple[Customer, Reader]]:
    """Read where the customers of threads are reached.

    Args:
        tx: the transaction.
        organization_id: whose threads.
        threads: their rows.
        owners: for each thread's customer the one that it has become, or itself.
        opt_outs: knows who wants nothing more.
        caller: a number, in E.164, that counts instead of the last one.

    Returns:
        The customer and how to reach them, by the thread's id.
    """
    customer_ids = sorted(set(owners.values()))
    found = {one.id: one for one in customers.rows(tx, organization_id, customer_ids)}
    known = _identities(tx, organization_id, list(found.values()))
    merge_ids = _merge_ids(tx, organization_id, threads, owners)
    chosen: dict[int, tuple[_Identity | None, _Identity | None]] = {}
    for row in threads:
        mine = known[owners[row.customer_id]]
        email = _choose(mine, "email", row.last_email, merge_ids[row.id])
        chosen[row.id] = email, _choose(mine, "phone", caller or row.last_phone, merge_ids[row.id])
    emails = {email.value for email, _ in chosen.values() if email}
    phones = {phone.value for _, phone in chosen.values() if phone}
    ways = {("EMAIL", value) for value in emails}
    ways |= {(channel, value) for value in phones for channel in ("SMS", "WHATSAPP")}
    closed = opt_outs.among(tx, organization_id, ways)
    readers: dict[int, tuple[Customer, Reader]] = {}
    for row in threads:
        one, (email, phone) = found[owners[row.customer_id]], chosen[row.id]
        mine_of = {"EMAIL": email, "SMS": phone, "WHATSAPP": phone}
        named = caller or row.last_phone
        # A number may have two spellings: the one that was used last is the one that answers.
        number = named if _is_spelling_of(named, phone) else phone.number if phone else None
        named_phone_only = row.last_email is None and _is_spelling_of(row.last_phone, phone)
        readers[row.id] = (
            one,
            Reader(
                email=email.shown if email else None,
                phone=number,
                verified=frozenset(each.kind for each in (email, phone) if each and each.is_verified),
                prefers_text=named_phone_only,
                cannot="erased"
                if one.erased_at_ms is not None
                else "blocked"
                if one.blocked_at_ms is not None
                else None,
                closed=frozenset(
                    channel for channel, each in mine_of.items() if each and (channel, each.value) in closed
                ),
            ),
        )
    return readers


def _choose(known: Sequence[_Identity], kind: Kind, named: str | None, merge_id: int | None) -> _Identity | None:
    """The identity that the customer's last message named, if it is still theirs. It is not after an undone merge.

    Without it: the newest one of the customer who began the conversation, who may since have been merged into another.
    """
    of_kind = [each for each in known if each.kind == kind]
    key = phone_key(named) if named else None
    wanted = [each for each in of_kind if phone_key(each.value) == key]
    return max(
        wanted or of_kind,
        key=lambda each: (each.is_verified, each.merge_id == merge_id, each.created_at_ms, each.value),
        default=None,
    )


def _is_spelling_of(named: str | None, phone: _Identity | None) -> bool:
    return named is not None and phone is not None and phone_key(named) == phone_key(phone.value)


def _identities(tx: Connection, organization_id: int, found: Sequence[Customer]) -> dict[int, list[_Identity]]:
    """What each customer is known by, and what they only claimed."""
    c = customer_identities.c
    ids = [one.id for one in found]
    query = select(c.customer_id, c.kind, c.value, c.shown, c.merge_id, c.created_at_ms)
    known: dict[int, list[_Identity]] = {id_: [] for id_ in ids}
    for customer_id, *identity in tx.execute(
        query.where(customers.of_customers(customer_identities, organization_id, ids))
    ):
        known[customer_id].append(_Identity(*identity))
    for one in found:
        if said := one.unverified_email:
            known[one.id].append(_Identity("email", normal_email(said), said, is_verified=False))
        if said := one.unverified_phone:
            known[one.id].append(_Identity("phone", said, said, is_verified=False))
    return known


def _merge_ids(
    tx: Connection, organization_id: int, threads: Sequence[Row[Any]], owners: Mapping[int, int]
) -> dict[int, int | None]:
    """For each thread the merge that took its first customer's identities to its present one, by the thread's id."""
    merged = {row.customer_id for row in threads if row.customer_id != owners[row.customer_id]}
    took: dict[int, int] = {}
    if merged:
        c = customer_merges.c
        query = select(c.merged_customer_id, c.id).where(
            c.organization_id == organization_id, c.merged_customer_id.in_(sorted(merged)), c.undone_at_ms.is_(None)
        )
        took = {row.merged_customer_id: row.id for row in tx.execute(query)}
    return {row.id: took.get(row.customer_id, row.merge_id) for row in threads}
