"""Import customers from a CSV file."""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection

from shopbell.customers import contacts
from shopbell.customers.contacts import Contact, Found
from shopbell.db.database import Database
from shopbell.db.lock_order import lock_customers_shared
from shopbell.events import audit
from shopbell.imports import contacts_csv
from shopbell.imports.model import BrokenRecord
from shopbell.imports.people import contact_of
from shopbell.imports.reading import Progress, note_broken
from shopbell.imports.report import Place, Report
from shopbell.imports.run import PAUSE_S
from shopbell.imports.spool import Spool
from shopbell.imports.writing import DryRun
from shopbell.runtime.clock import now_ms

_BATCH = 200
"""The number of customers of a transaction."""


def import_contacts(
    database: Database,
    path: Path,
    organization_id: int,
    report: Report,
    *,
    columns: Mapping[str, str],
    region: str | None,
    is_strict: bool,
    actor: str,
    on_progress: Progress,
) -> None:
    """Create or complete the customers of a CSV file.

    Args:
        report: receives what was done; if it is that of a dry run, nothing is written.
        columns: the heading for each of ``contacts_csv.FIELDS`` that was named by hand.
        region: the country of phone numbers without a country code.
        is_strict: whether the first broken row ends the import before anything is written.
        actor: the actor of the audit entry.

    Raises:
        CommandError: the file cannot be read, or a row is broken and ``is_strict``.
        StorageError: the database failed; what was written stays.
    """
    if is_strict:
        for _ in _read(path, columns, region, Report(is_dry_run=True), is_strict=True):
            pass
    with Spool() as spool:
        dry_run = DryRun(database, organization_id, spool)
        rows = _read(path, columns, region, report, is_strict=False)
        done = 0
        while batch := list(islice(rows, _BATCH)):
            if report.is_dry_run:
                found = [dry_run.find(contact) for contact in batch]
            else:
                found = database.write_now(_write, organization_id, batch)
                time.sleep(PAUSE_S)
            for each in found:
                spool.add_customer(each.customer_id, is_new=each.is_new)
            done += len(batch)
            on_progress("checking" if report.is_dry_run else "writing", done, 0)
        report.customers_new, report.customers_known = spool.count_customers()
    if done and not report.is_dry_run:
        database.write_now(_audit, organization_id, actor, f"{done} contacts")


def _read(
    path: Path, columns: Mapping[str, str], region: str | None, report: Report, *, is_strict: bool
) -> Iterator[Contact]:
    """Read the contacts of a file, and count what is left out."""
    at_ms = now_ms()
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        for number, found in contacts_csv.read(file, path, columns):
            place = Place(path.name, number)
            if isinstance(found, BrokenRecord):
                note_broken(found, place, report, is_strict=is_strict)
                continue
            contact = contact_of(found, region, at_ms, report, place)
            if contact.identities:
                yield contact
            else:
                note_broken(
                    BrokenRecord("has no valid email address or phone number"), place, report, is_strict=is_strict
                )


def _write(tx: Connection, organization_id: int, batch: Sequence[Contact]) -> list[Found]:
    lock_customers_shared(tx)
    at_ms = now_ms()
    found = [contacts.find_or_create(tx, organization_id, contact, now_ms=at_ms) for contact in batch]
    for each in found:
        contacts.record_filled(tx, organization_id, each, now_ms=at_ms)
    return found


def _audit(tx: Connection, organization_id: int, actor: str, subject: str) -> None:
    audit.record(tx, organization_id, actor, "contacts.import", subject, now_ms=now_ms())
