"""Find how customers are reached.

They are reached at the identities that their last message in the conversation named. A customer may have several
addresses and numbers: after a merge, after a change, or because a family shares a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from shopbell.customers import customers
from shopbell.customers.customers import Customer
from shopbell.customers.opt_outs import OptOuts, Way
from shopbell.db.schema.core import customer_identities, customer_merges
from shopbell.formats.channels import IDENTITY_KINDS, identity_value
from shopbell.formats.identities import phone_as_shown, phone_key
from shopbell.notifications.policy import Reader

_KINDS = sorted(set(IDENTITY_KINDS.values()))


@dataclass(frozen=True, slots=True, repr=False)
class _Identity:
    """An address or number.

    ``value`` is its normal form, ``shown`` what the customer first wrote.

    Args:
        merge_id: the merge that gave it to the customer.
        is_verified: False if the customer only claimed it.
    """

    kind: str
    value: str
    shown: str
    merge_id: int | None = None
    created_at_ms: int = 0
    is_verified: bool = True

    @property
    def address(self) -> str:
        """The address to write to.

        A phone number in E.164; anything else as the customer first wrote it.
        """
        return phone_as_shown(self.value, self.shown) if self.kind == "phone" else self.shown


def read_readers(
    tx: Connection,
    organization_id: int,
    threads: Sequence[Row[Any]],
    owners: Mapping[int, int],
    opt_outs: OptOuts,
    *,
    caller: str | None = None,
) -> dict[int, tuple[Customer, Reader]]:
    """Find how the customers of threads are reached.

    Args:
        tx: the transaction.
        organization_id: the organization.
        threads: their rows.
        owners: the customer of each thread after merges, by the customer's id in the thread.
        opt_outs: finds customers who want no more messages.
        caller: a number, in E.164, that replaces the last one.

    Returns:
        The customer and how to reach them, by thread id.
    """
    customer_ids = sorted(set(owners.values()))
    found = {one.id: one for one in customers.rows(tx, organization_id, customer_ids)}
    known = _identities(tx, organization_id, list(found.values()))
    merge_ids = _merge_ids(tx, organization_id, threads, owners)
    chosen: dict[int, dict[str, _Identity]] = {}
    for row in threads:
        mine, named = known[owners[row.customer_id]], _named(row, caller)
        found_ones = {kind: _choose(mine, kind, named.get(kind), merge_ids[row.id]) for kind in _KINDS}
        chosen[row.id] = {kind: identity for kind, identity in found_ones.items() if identity is not None}
    ways = {way for of_thread in chosen.values() for way in _ways(of_thread)}
    closed = opt_outs.among(tx, organization_id, ways)
    readers: dict[int, tuple[Customer, Reader]] = {}
    for row in threads:
        one, of_thread, named = found[owners[row.customer_id]], chosen[row.id], _named(row, caller)
        addresses = {kind: identity.address for kind, identity in of_thread.items()}
        # A number may have two spellings: the one that was used last is the one that works.
        if _is_spelling_of(named.get("phone"), of_thread.get("phone")):
            addresses["phone"] = named["phone"]
        names_phone_only = row.last_email is None and _is_spelling_of(row.last_phone, of_thread.get("phone"))
        readers[row.id] = (
            one,
            Reader(
                addresses=addresses,
                verified=frozenset(kind for kind, identity in of_thread.items() if identity.is_verified),
                preferred="phone" if names_phone_only else None,
                cannot="erased"
                if one.erased_at_ms is not None
                else "blocked"
                if one.blocked_at_ms is not None
                else None,
                closed=frozenset(channel for channel, value in _ways(of_thread) if (channel, value) in closed),
            ),
        )
    return readers


def _named(row: Row[Any], caller: str | None) -> dict[str, str]:
    """The address of each kind that the last message named."""
    named = {"email": row.last_email, "phone": caller or row.last_phone}
    return {kind: address for kind, address in named.items() if address}


def _ways(identities: Mapping[str, _Identity]) -> list[Way]:
    """All channels by which identities, by kind, can be reached."""
    return [(channel, identities[kind].value) for channel, kind in IDENTITY_KINDS.items() if kind in identities]


def _choose(known: Sequence[_Identity], kind: str, named: str | None, merge_id: int | None) -> _Identity | None:
    """The identity that the customer's last message named, if it is still theirs.

    After an undone merge, it may not be. Then it is the newest identity of the customer who started the conversation,
    who may have been merged since.
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
    """The identities of each customer, verified and claimed."""
    c = customer_identities.c
    ids = [one.id for one in found]
    query = select(c.customer_id, c.kind, c.value, c.shown, c.merge_id, c.created_at_ms)
    known: dict[int, list[_Identity]] = {id_: [] for id_ in ids}
    for customer_id, *identity in tx.execute(
        query.where(customers.of_customers(customer_identities, organization_id, ids))
    ):
        known[customer_id].append(_Identity(*identity))
    for one in found:
        for kind, said in one.unverified.items():
            known[one.id].append(_Identity(kind, identity_value(kind, said), said, is_verified=False))
    return known


def _merge_ids(
    tx: Connection, organization_id: int, threads: Sequence[Row[Any]], owners: Mapping[int, int]
) -> dict[int, int | None]:
    """The merge that moved each thread's first customer, by thread id."""
    merged = {row.customer_id for row in threads if row.customer_id != owners[row.customer_id]}
    took: dict[int, int] = {}
    if merged:
        c = customer_merges.c
        query = select(c.merged_customer_id, c.id).where(
            c.organization_id == organization_id, c.merged_customer_id.in_(sorted(merged)), c.undone_at_ms.is_(None)
        )
        took = {row.merged_customer_id: row.id for row in tx.execute(query)}
    return {row.id: took.get(row.customer_id, row.merge_id) for row in threads}
