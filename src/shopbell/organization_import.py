"""Make an organization of a file: all of it, under new ids, or nothing.

The attachments' bytes are put into the store first and all rows are one transaction after that. Only a process that is
killed in between, or a database that fails, leaves bytes that no row tells of; they harm nobody.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from shopbell import audit, feed, webhooks
from shopbell.attachments import blob_name
from shopbell.blobs.store import Store
from shopbell.errors import CommandError, StorageError
from shopbell.identity import phone_key
from shopbell.organization_archive import Shift, id_columns, with_ids
from shopbell.organization_file import File, Piece, Row, look_through, read
from shopbell.sealing import Seals
from shopbell.storage.customer_schema import outreach_cursors
from shopbell.storage.database import Database
from shopbell.storage.delivery_schema import webhooks as webhooks_table
from shopbell.storage.ids import take_block
from shopbell.storage.running import alone
from shopbell.storage.schema import attachments, customer_identities
from shopbell.storage.sqlite import SqliteDatabase

_BATCH = 500
BESIDE_A_SERVER_LINES = 20_000
"""How large a file SQLite imports while a server runs: its one writer is busy until the end, and messages wait."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made.

    Args:
        organization_id: the new organization's.
        counts: the rows of each table.
        attachments: how many attachments' bytes came along.
        missing: how many attachments have none.
        webhooks: how many webhooks wait to be switched on.
    """

    organization_id: int
    counts: dict[str, int]
    attachments: int
    missing: int
    webhooks: int

    def as_json(self) -> dict[str, object]:
        """As programs get it."""
        return {
            "organizationId": str(self.organization_id),
            "rows": self.counts,
            "attachments": self.attachments,
            "missingAttachments": self.missing,
            "webhooks": self.webhooks,
        }


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a file becomes rows here."""

    file: File
    shift: Shift
    seals: Seals
    namespace: uuid.UUID

    @property
    def organization_id(self) -> int:
        return self.shift(self.file.organization_id)

    def uuid(self, attachment_id: int) -> str:
        """The new name of an attachment's bytes, by its id in the file."""
        return str(uuid.uuid5(self.namespace, str(attachment_id)))

    def row(self, row: Row) -> dict[str, Any]:
        """A row as it is inserted."""
        values = with_ids(row.table, row.values, id_columns(row.table), self.shift)
        if row.table is attachments:
            values["uuid"] = self.uuid(row.values["id"])
        elif row.table is webhooks_table:
            # Switched off: the receivers know another installation, and not this secret.
            values |= {"enabled": False, "sealed_secret": self.seals.seal(webhooks.new_secret())}
        return values


def import_file(
    database: Database, path: Path, *, store: Store | None, seals: Seals, now_ms: int, on_progress: Progress
) -> Imported:
    """Make an organization of a file.

    Args:
        database: gets the rows.
        path: the file, as ``organization_export.export`` wrote it; every line is checked before anything is written.
        store: gets the attachments' bytes.
        seals: for ``webhooks.SEALING_PURPOSE``.
        now_ms: the time in Unix ms.
        on_progress: is told how it goes.

    Raises:
        CommandError: the file is not whole or not right, or it is large and a server runs on SQLite.
        StorageError: the database or the store failed; nothing was imported.
    """
    on_progress("checking", 0, 0)
    with path.open("rb") as file:
        looked = look_through(file)
    if looked.stored and store is None:
        raise CommandError("the file has attachments, but SHOPBELL_ATTACHMENTS_URL does not say where to keep them")
    is_large = isinstance(database, SqliteDatabase) and looked.lines > BESIDE_A_SERVER_LINES
    with alone(database) if is_large else nullcontext():
        first = database.write_now(take_block, looked.span.last - looked.span.first + 1)
        plan = _Plan(looked, Shift(first - looked.span.first), seals, uuid.uuid4())
        try:
            if store is not None and looked.stored:
                asyncio.run(_store(store, path, plan, on_progress))
            _write(database, path, plan, now_ms, on_progress)
        except StorageError:
            raise  # a commit that was cut off may have happened: then its files must be there
        except BaseException:
            if store is not None and looked.stored:
                asyncio.run(_give_up(store, plan))
            raise
    files = looked.counts.get("attachments", 0)
    return Imported(
        plan.organization_id,
        looked.counts,
        len(looked.stored),
        files - len(looked.stored),
        looked.counts.get("webhooks", 0),
    )


def _write(database: Database, path: Path, plan: _Plan, now_ms: int, on_progress: Progress) -> None:
    try:
        database.write_now(_insert, path, plan, now_ms, on_progress)
    except IntegrityError:
        database.write_now(_find_contradiction, path, plan, on_progress)


def _insert(tx: Connection, path: Path, plan: _Plan, now_ms: int, on_progress: Progress) -> None:
    for rows in _rows(path, plan, on_progress):
        tx.execute(insert(rows[0].table), [plan.row(row) for row in rows])
    key_phones(tx, plan.organization_id)
    # Whatever the file tells of has been told where it came from.
    place = {"organization_id": plan.organization_id, "position": feed.last_position(tx, plan.organization_id)}
    tx.execute(insert(outreach_cursors).values(place))
    subject = f"organization {plan.organization_id}"
    audit.record(tx, plan.organization_id, audit.COMMAND_LINE, "organization.import", subject, now_ms=now_ms)


def key_phones(tx: Connection, organization_id: int) -> None:
    """Give numbers of older files their keys; of two spellings only one has it."""
    i = customer_identities.c
    phones = (i.organization_id == organization_id, i.kind == "phone")
    for value in tx.scalars(select(i.value).where(*phones, i.value.like("+5%"))).all():
        key = phone_key(value)
        if key != value and tx.scalar(select(i.value).where(*phones, i.value == key)) is None:
            tx.execute(update(customer_identities).where(*phones, i.value == value).values(value=key))


def _find_contradiction(tx: Connection, path: Path, plan: _Plan, on_progress: Progress) -> NoReturn:
    """Insert again what could not be inserted, until the line is found; not at once, because thousands of savepoints
    in a transaction slow PostgreSQL down for everybody.

    Raises:
        CommandError: always, with the line's number.
    """
    for rows in _rows(path, plan, on_progress):
        try:
            with tx.begin_nested():
                tx.execute(insert(rows[0].table), [plan.row(row) for row in rows])
        except IntegrityError:
            for row in rows:
                _insert_one(tx, row, plan)
    raise CommandError("the rows of the file contradict those of this installation; nothing was imported")


def _insert_one(tx: Connection, row: Row, plan: _Plan) -> None:
    try:
        with tx.begin_nested():
            tx.execute(insert(row.table), [plan.row(row)])
    except IntegrityError:  # its text would quote the row
        raise CommandError(
            f"line {row.line} contradicts the lines before it or the rules of {row.table.name}; nothing was imported"
        ) from None


def _rows(path: Path, plan: _Plan, on_progress: Progress) -> Iterator[list[Row]]:
    """The file's rows, batch by batch."""
    with path.open("rb") as file:
        for rows in _batches(row for row in read(file, plan.file) if isinstance(row, Row)):
            on_progress("importing", rows[-1].line, plan.file.lines)
            yield rows


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows that can be inserted by one statement: of one table, with the same columns."""
    batch: list[Row] = []
    for row in rows:
        if batch and (
            len(batch) == _BATCH or row.table is not batch[0].table or row.values.keys() != batch[0].values.keys()
        ):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


async def _store(store: Store, path: Path, plan: _Plan, on_progress: Progress) -> None:
    """Put the attachments' bytes into the store."""
    with path.open("rb") as file:
        pieces = (piece for piece in read(file, plan.file) if isinstance(piece, Piece))
        piece = next(pieces, None)
        done = 0
        while piece is not None:
            id_ = piece.attachment_id
            on_progress("attachments", done, len(plan.file.stored))
            async with store.incoming() as incoming:
                while piece is not None and piece.attachment_id == id_:
                    await store.add(incoming, piece.content)
                    piece = next(pieces, None)
                await store.keep(incoming, blob_name(plan.organization_id, plan.uuid(id_)))
            done += 1


async def _give_up(store: Store, plan: _Plan) -> None:
    for id_ in plan.file.stored:
        await store.delete(blob_name(plan.organization_id, plan.uuid(id_)))
