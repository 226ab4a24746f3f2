"""Import conversations from the files of another product.

All files are read first, and then written in the order in which the conversations began. Both steps need little memory,
however large the files are. An import that is interrupted has written whole conversations; the next one continues.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import Connection

from shopbell.db.database import Database
from shopbell.events import audit
from shopbell.imports.formats import Format
from shopbell.imports.people import Staff
from shopbell.imports.planning import Planned, Rules, plan
from shopbell.imports.reading import Progress, read_files
from shopbell.imports.report import Report
from shopbell.imports.spool import Spool
from shopbell.imports.tagging import Tagging
from shopbell.imports.writing import DryRun, Outcome, Writer, Writes
from shopbell.organizations import employees
from shopbell.runtime.clock import now_ms

BATCH_MESSAGES = 100
"""A transaction has at least one conversation, and no more conversations after this number of messages: on SQLite, a
server that runs waits for it."""

PAUSE_S = 0.01
"""Pause after a transaction, so that a server that runs can write."""


def import_conversations(
    database: Database,
    files: Sequence[Path],
    format_: Format,
    rules: Rules,
    report: Report,
    *,
    is_strict: bool,
    actor: str,
    on_progress: Progress,
) -> None:
    """Import conversations.

    Args:
        files: the files of one export.
        report: receives what was done; if it is that of a dry run, nothing is written.
        is_strict: whether the first broken record ends the import before anything is written.
        actor: the actor of the audit entry.

    Raises:
        CommandError: a file cannot be read, or a record is broken and ``is_strict``.
        StorageError: the database failed; what was written stays.
    """
    organization_id = rules.organization_id
    with Spool() as spool:
        read_files(files, format_, spool, report, is_strict=is_strict, on_progress=on_progress)
        staff = Staff(database.read_now(employees.find_all, organization_id))
        tagging = Tagging(database, organization_id, report, actor=actor)
        writes: Writes
        if report.is_dry_run:
            writes = DryRun(database, organization_id, spool)
        else:
            writes = Writer(database, organization_id, tagging, spool)
        _write(writes, tagging, plan(database, spool, rules, staff, report), spool, report, on_progress)
        report.customers_new, report.customers_known = spool.count_customers()
    if report.conversations and not report.is_dry_run:
        subject = f"{report.conversations} conversations from {rules.source}"
        database.write_now(_audit, organization_id, actor, subject)


def _write(
    writes: Writes, tagging: Tagging, planned: Iterable[Planned], spool: Spool, report: Report, on_progress: Progress
) -> None:
    total = spool.size
    for batch in _batches(planned):
        for each in batch:
            tagging.create(each.tags, each.place)
        left = batch
        while left:
            outcomes = writes.write(left)
            for each, outcome in zip(left, outcomes, strict=False):
                _note(each, outcome, spool, report)
            left = left[len(outcomes) :]
            on_progress("checking" if report.is_dry_run else "writing", report.conversations, total)
        if not report.is_dry_run:
            time.sleep(PAUSE_S)


def _batches(planned: Iterable[Planned]) -> Iterator[list[Planned]]:
    batch: list[Planned] = []
    size = 0
    for each in planned:
        batch.append(each)
        size += len(each.past.messages)
        if size >= BATCH_MESSAGES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _note(planned: Planned, outcome: Outcome, spool: Spool, report: Report) -> None:
    if outcome.found is None:
        id_ = planned.past.source.partition(":")[2]
        report.skip("conversation", outcome.skipped or "", planned.place, id_)
        return
    spool.add_customer(outcome.found.customer_id, is_new=outcome.found.is_new)
    report.conversations += 1
    report.messages += len(planned.past.messages)


def _audit(tx: Connection, organization_id: int, actor: str, subject: str) -> None:
    audit.record(tx, organization_id, actor, "conversations.import", subject, now_ms=now_ms())
