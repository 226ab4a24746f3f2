"""Opt-outs from emails and texts. Owns their table, which holds keyed hashes of addresses only."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, and_, delete, select

from shopbell.db.schema.customers import opt_outs
from shopbell.events.record import upsert
from shopbell.formats.channels import IDENTITY_KINDS
from shopbell.formats.identities import phone_spellings
from shopbell.security.keys import Keys
from shopbell.security.tokens import token_hash

KEY_PURPOSE = "opt-out"

Way = tuple[str, str]
"""A channel, and an address in normal form or a number in E.164."""


class OptOuts:
    """Stores and finds opt-outs.

    Args:
        keys: the secret keys; opt-outs that were stored with the old one still count.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys.derive(KEY_PURPOSE)

    def hash_of(self, way: Way) -> str:
        """The hash of an address; the same for all spellings of a number."""
        return self._hashes(way)[0]

    def add(self, tx: Connection, organization_id: int, way: Way, *, now_ms: int) -> None:
        """Opt out. Doing it again changes nothing."""
        values = {"organization_id": organization_id, "channel": way[0], "address_hash": self.hash_of(way)}
        tx.execute(upsert(tx, opt_outs).values(**values, at_ms=now_ms).on_conflict_do_nothing())

    def remove(self, tx: Connection, organization_id: int, way: Way) -> None:
        """Opt in again."""
        c = opt_outs.c
        of_channel = and_(c.organization_id == organization_id, c.channel == way[0])
        tx.execute(delete(opt_outs).where(of_channel, c.address_hash.in_(self._hashes(way))))

    def among(self, tx: Connection, organization_id: int, ways: Collection[Way]) -> frozenset[Way]:
        """Those that have opted out."""
        by_hash: dict[Way, list[Way]] = {}
        for way in ways:
            for each in self._hashes(way):
                by_hash.setdefault((way[0], each), []).append(way)
        if not by_hash:
            return frozenset()
        c = opt_outs.c
        query = select(c.channel, c.address_hash).where(
            c.organization_id == organization_id,
            c.channel.in_(sorted({channel for channel, _ in by_hash})),
            c.address_hash.in_(sorted({each for _, each in by_hash})),
        )
        found = (by_hash.get((channel, address_hash), []) for channel, address_hash in tx.execute(query))
        return frozenset(way for several in found for way in several)

    def _hashes(self, way: Way) -> Sequence[str]:
        channel, address = way
        # Older opt-outs are stored under the spelling of the number instead of its key.
        spellings = phone_spellings(address) if IDENTITY_KINDS.get(channel) == "phone" else [address]
        return [token_hash(key, f"{channel} {spelling}") for spelling in spellings for key in self._keys]
