"""Import an organization from a file under new ids: all of it or nothing.

The attachments are stored first; then one transaction inserts all rows. If the process is killed in between, or the
database fails, bytes without rows remain in the store; they do no harm.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from shopbell.attachments.attachments import blob_name
from shopbell.attachments.store import Store
from shopbell.db.database import Database
from shopbell.db.ids import take_block
from shopbell.db.instance_lock import exclusive_lock
from shopbell.db.schema.core import customer_identities
from shopbell.db.schema.customers import notification_cursors
from shopbell.db.sqlite import SqliteDatabase
from shopbell.errors import CommandError, StorageError
from shopbell.events import audit, feed
from shopbell.formats.identities import phone_key
from shopbell.inbox import scheduled_messages
from shopbell.operations.organization_file import Contents, Piece, Row, check, read
from shopbell.operations.organization_tables import map_ids
from shopbell.security.encryption import Cipher
from shopbell.webhooks import endpoints

_BATCH_ROWS = 500
BESIDE_A_SERVER_LINES = 20_000
"""Largest file that SQLite imports while a server runs: its only writer is busy until the end, and messages wait."""

Progress = Callable[[str, int, int], None]
"""Called with the current step, the items done, and all items of the step."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import.

    Args:
        organization_id: the id of the new organization.
        counts: the number of rows of each table.
        attachments: the number of attachments whose bytes were imported.
        missing: the number of attachments whose bytes are not in the file.
        webhooks: the number of webhooks; all are disabled.
    """

    organization_id: int
    counts: dict[str, int]
    attachments: int
    missing: int
    webhooks: int

    def as_json(self) -> dict[str, object]:
        """Return the result for ``--json``."""
        return {
            "organizationId": str(self.organization_id),
            "rows": self.counts,
            "attachments": self.attachments,
            "missingAttachments": self.missing,
            "webhooks": self.webhooks,
        }


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a file becomes rows of this installation.

    All ids move by the same ``distance`` into a block of ids that nothing else uses. So references remain valid and the
    order of ids remains that of time, without a table of all ids.
    """

    path: Path
    contents: Contents
    distance: int
    cipher: Cipher
    namespace: uuid.UUID
    on_progress: Progress

    @property
    def organization_id(self) -> int:
        return self.contents.organization_id + self.distance

    def uuid(self, attachment_id: int) -> str:
        """Return the new name of an attachment in the store, from its id in the file."""
        return str(uuid.uuid5(self.namespace, str(attachment_id)))

    def blob_name(self, attachment_id: int) -> str:
        return blob_name(self.organization_id, self.uuid(attachment_id))

    def values(self, row: Row) -> dict[str, Any]:
        """Return the values to insert for a row."""
        values = map_ids(row.table, row.values, lambda id_: id_ + self.distance)
        if row.table.name == "attachments":
            values["uuid"] = self.uuid(row.values["id"])
        elif row.table.name == "webhooks":
            # Disabled with a new secret: the receivers have the secret of the other installation.
            values |= {"enabled": False, "sealed_secret": self.cipher.encrypt(endpoints.new_secret())}
        return values

    def batches(self) -> Iterator[list[Row]]:
        """Yield the rows in batches that one statement can insert: of one table and with the same columns."""
        with self.path.open("rb") as file:
            rows = (row for row in read(file, self.contents) if isinstance(row, Row))
            for _, group in groupby(rows, key=lambda row: (row.table.name, row.values.keys())):
                while batch := list(islice(group, _BATCH_ROWS)):
                    self.on_progress("importing", batch[-1].line, self.contents.lines)
                    yield batch


def import_file(
    database: Database,
    path: Path,
    *,
    store: Store | None,
    cipher: Cipher,
    actor: str,
    now_ms: int,
    on_progress: Progress,
) -> Imported:
    """Import an organization.

    Args:
        path: a file from ``organization_export.export``; every line is checked before anything is written.
        store: receives the attachments.
        cipher: for ``endpoints.SEALING_PURPOSE``.
        actor: the actor of the audit entry.
        now_ms: current time in Unix ms.

    Raises:
        CommandError: the file is incomplete or invalid, or it is large and a server is running on SQLite.
        StorageError: the database or the store failed; nothing was imported.
    """
    on_progress("checking", 0, 0)
    with path.open("rb") as file:
        contents = check(file)
    if contents.stored and store is None:
        raise CommandError("the file has attachments; set SHOPBELL_ATTACHMENTS_URL to store them")
    is_large = isinstance(database, SqliteDatabase) and contents.lines > BESIDE_A_SERVER_LINES
    with exclusive_lock(database) if is_large else nullcontext():
        first_id = database.write_now(take_block, contents.last_id - contents.first_id + 1)
        plan = _Plan(path, contents, first_id - contents.first_id, cipher, uuid.uuid4(), on_progress)
        try:
            if store is not None and contents.stored:
                asyncio.run(_store(store, plan))
            try:
                database.write_now(_insert, plan, actor, now_ms)
            except IntegrityError:
                database.write_now(_find_conflict, plan)
        except StorageError:
            raise  # the commit may have succeeded; then its files must exist
        except BaseException:
            if store is not None and contents.stored:
                asyncio.run(_delete(store, plan))
            raise
    stored, counts = len(contents.stored), contents.counts
    missing = counts.get("attachments", 0) - stored
    return Imported(plan.organization_id, counts, stored, missing, counts.get("webhooks", 0))


def _insert(tx: Connection, plan: _Plan, actor: str, now_ms: int) -> None:
    for rows in plan.batches():
        tx.execute(insert(rows[0].table), [plan.values(row) for row in rows])
    key_phones(tx, plan.organization_id)
    scheduled_messages.refuse_imported(tx, plan.organization_id, now_ms=now_ms)
    # No notifications about imported events: the previous installation sent them.
    position = feed.last_position(tx, plan.organization_id)
    tx.execute(insert(notification_cursors).values(organization_id=plan.organization_id, position=position))
    subject = f"organization {plan.organization_id}"
    audit.record(tx, plan.organization_id, actor, "organization.import", subject, now_ms=now_ms)


def key_phones(tx: Connection, organization_id: int) -> None:
    """Replace phone numbers from older files by their keys; of two spellings, only one gets the key."""
    i = customer_identities.c
    phones = (i.organization_id == organization_id, i.kind == "phone")
    for value in tx.scalars(select(i.value).where(*phones, i.value.like("+5%"))).all():
        key = phone_key(value)
        if key != value and tx.scalar(select(i.value).where(*phones, i.value == key)) is None:
            tx.execute(update(customer_identities).where(*phones, i.value == value).values(value=key))


def _find_conflict(tx: Connection, plan: _Plan) -> NoReturn:
    """Insert again to find the line that violates a constraint.

    The first attempt has no savepoints, because thousands of them in one transaction slow PostgreSQL down for all
    clients. For the same reason only the rows of the failing batch get one savepoint each.

    Raises:
        CommandError: always; names the line.
    """
    for rows in plan.batches():
        try:
            with tx.begin_nested():
                tx.execute(insert(rows[0].table), [plan.values(row) for row in rows])
        except IntegrityError:
            for row in rows:
                try:
                    with tx.begin_nested():
                        tx.execute(insert(row.table), [plan.values(row)])
                except IntegrityError:  # its text would quote the row
                    raise CommandError(
                        f"line {row.line} contradicts the lines before it or the rules of {row.table.name}; "
                        "nothing was imported"
                    ) from None
    raise CommandError("rows of the file conflict with this installation; nothing was imported")


async def _store(store: Store, plan: _Plan) -> None:
    """Put the attachments into the store."""
    with plan.path.open("rb") as file:
        pieces = (piece for piece in read(file, plan.contents) if isinstance(piece, Piece))
        for done, (id_, group) in enumerate(groupby(pieces, key=lambda piece: piece.attachment_id)):
            plan.on_progress("attachments", done, len(plan.contents.stored))
            async with store.incoming() as incoming:
                for piece in group:
                    await store.add(incoming, piece.content)
                await store.keep(incoming, plan.blob_name(id_))


async def _delete(store: Store, plan: _Plan) -> None:
    for id_ in plan.contents.stored:
        await store.delete(plan.blob_name(id_))
