"""Write planned conversations, or find out what writing them would do.

Both count the same, so that a dry run has the report of the import.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from sqlalchemy import Connection

from shopbell.channels.email import store as emails
from shopbell.conversations import history
from shopbell.conversations.history import Stored
from shopbell.customers import contacts, customers, identities, merges
from shopbell.customers.contacts import Contact, Found
from shopbell.db.database import Database
from shopbell.db.lock_order import lock_customers_shared
from shopbell.events.actors import SYSTEM
from shopbell.imports.planning import Planned
from shopbell.imports.spool import Spool
from shopbell.imports.tagging import Tagging
from shopbell.inbox import reads, tags
from shopbell.runtime.clock import now_ms


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a conversation.

    Args:
        skipped: why it was left out; None if it was imported.
        found: its customer, if it was imported.
    """

    skipped: str | None = None
    found: Found | None = None


class Writes(Protocol):
    """Imports conversations."""

    def write(self, batch: Sequence[Planned]) -> list[Outcome]:
        """Import the first conversations of a batch, at least one; returns what became of each."""


class Writer:
    """Imports each batch in one transaction.

    Args:
        database: the database.
        organization_id: the organization.
        tagging: has created the tags.
        spool: remembers customers without address and number.
    """

    def __init__(
        self,
        database: Database,
        organization_id: int,
        tagging: Tagging,
        spool: Spool,
    ) -> None:
        self._database = database
        self._organization_id = organization_id
        self._tagging = tagging
        self._spool = spool

    def write(self, batch: Sequence[Planned]) -> list[Outcome]:
        """Import the first conversations of a batch in one transaction."""
        outcomes = self._database.write_now(self._write, batch)
        for planned, outcome in zip(batch, outcomes, strict=False):
            if outcome.found is not None and not planned.contact.identities:
                self._spool.add_anonymous(planned.person_key, outcome.found.customer_id)
        return outcomes

    def _write(self, tx: Connection, batch: Sequence[Planned]) -> list[Outcome]:
        lock_customers_shared(tx)
        organization_id, at_ms = self._organization_id, now_ms()
        # Another import may have been faster.
        known = history.find_imported(tx, organization_id, [planned.past.source for planned in batch])
        outcomes: list[Outcome] = []
        imported: list[tuple[Found, Stored]] = []
        anonymous: dict[str, int] = {}
        for planned in batch:
            if planned.past.source in known:
                outcomes.append(Outcome("imported before"))
                continue
            found = self._customer(tx, planned, anonymous, at_ms)
            if found.is_blocked:
                outcomes.append(Outcome("its customer is blocked"))
                continue
            stored = self._store(tx, planned, found, at_ms)
            imported.append((found, stored))
            outcomes.append(Outcome(found=found))
            if stored.apart_customer_id is not None:
                merges.merge(tx, organization_id, found.customer_id, stored.apart_customer_id, actor=SYSTEM)
                break  # the merge has locked the feed, which must be the last lock of a transaction
        for found, stored in imported:
            contacts.record_filled(tx, organization_id, found, now_ms=at_ms)
            history.record_import(tx, organization_id, stored, now_ms=at_ms)
        return outcomes

    def _customer(self, tx: Connection, planned: Planned, anonymous: dict[str, int], at_ms: int) -> Found:
        if not planned.contact.identities:
            known = anonymous.get(planned.person_key) or self._spool.anonymous(planned.person_key)
            if known is not None:
                return Found(known, is_new=False)
        found = contacts.find_or_create(tx, self._organization_id, planned.contact, now_ms=at_ms)
        if not planned.contact.identities:
            anonymous[planned.person_key] = found.customer_id
        return found

    def _store(self, tx: Connection, planned: Planned, found: Found, at_ms: int) -> Stored:
        place = (self._organization_id, found.customer_id, planned.business_id)
        stored = history.store(tx, *place, planned.past, now_ms=at_ms)
        thread_id = stored.thread.id
        if planned.subject:
            is_first = stored.thread.last_sequence == len(stored.message_ids)
            told = (self._organization_id, thread_id, stored.message_ids[0], planned.subject)
            emails.note_subject(tx, *told, is_first=is_first)
        tags.add_quietly(tx, self._organization_id, thread_id, self._tagging.ids(planned.tags))
        if stored.status != "waiting":
            last_sequence = stored.thread.last_sequence
            reads.mark_read_by_all(tx, self._organization_id, thread_id, last_sequence, now_ms=at_ms)
        return stored


class DryRun:
    """Finds out what ``Writer`` would do.

    Args:
        database: the database, which is only read.
        organization_id: the organization.
        spool: remembers the customers who would be created.
    """

    def __init__(self, database: Database, organization_id: int, spool: Spool) -> None:
        self._database = database
        self._organization_id = organization_id
        self._spool = spool
        self._new_ids = count(-1, -1)

    def write(self, batch: Sequence[Planned]) -> list[Outcome]:
        """Find out what would become of the conversations of a batch."""
        return [self._outcome(planned) for planned in batch]

    def find(self, contact: Contact) -> Found:
        """Find the customer that a contact would get. Those who would be created have negative ids."""
        holders = [self._holder(kind, value) for kind, value, _ in contact.identities]
        known = next((holder for holder in holders if holder is not None), None)
        customer_id = next(self._new_ids) if known is None else known
        for (kind, value, _), holder in zip(contact.identities, holders, strict=True):
            if holder is None:
                self._spool.add_holder(kind, value, customer_id)
        return Found(customer_id, is_new=known is None)

    def _outcome(self, planned: Planned) -> Outcome:
        if not planned.contact.identities:
            known = self._spool.anonymous(planned.person_key)
            if known is not None:
                return Outcome(found=Found(known, is_new=False))
        found = self.find(planned.contact)
        if not planned.contact.identities:
            self._spool.add_anonymous(planned.person_key, found.customer_id)
        if found.customer_id > 0 and self._database.read_now(_is_blocked, self._organization_id, found.customer_id):
            return Outcome("its customer is blocked")
        return Outcome(found=found)

    def _holder(self, kind: str, value: str) -> int | None:
        known = self._spool.holder(kind, value)
        if known is None:
            known = self._database.read_now(_find_holder, self._organization_id, kind, value)
        return known


def _find_holder(tx: Connection, organization_id: int, kind: str, value: str) -> int | None:
    holder_id = identities.find_holder(tx, organization_id, kind, value)
    return None if holder_id is None else customers.find(tx, organization_id, holder_id).id


def _is_blocked(tx: Connection, organization_id: int, customer_id: int) -> bool:
    return customers.find(tx, organization_id, customer_id).blocked_at_ms is not None
