"""Write all of an organization to one file, as it is at one moment, a few rows in memory at a time."""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import orjson
from sqlalchemy import ColumnElement, Connection, Table, func, select

from shopbell import __version__, organizations
from shopbell.attachments import blob_name
from shopbell.blobs.store import Store
from shopbell.organization_archive import FORMAT, KIND, columns, of_organization, tables
from shopbell.storage.database import Database
from shopbell.storage.delivery_schema import webhooks
from shopbell.storage.schema import attachments

_PAGE = 500
_CHUNK_BYTES = 196_608  # a multiple of three: base64 of a piece needs no padding

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Args:
        counts: the rows of each table.
        attachments: how many attachments' bytes are in it; None where they were not asked for.
        missing: attachments whose bytes are not in the store.
    """

    organization_id: int
    lines: int
    sha256: str
    counts: dict[str, int]
    attachments: int | None
    missing: tuple[int, ...]

    def as_json(self) -> dict[str, object]:
        """As programs get it."""
        return {
            "organizationId": str(self.organization_id),
            "lines": self.lines,
            "sha256": self.sha256,
            "rows": self.counts,
            "attachments": self.attachments,
            "missingAttachments": [str(id_) for id_ in self.missing],
        }


class _Lines:
    """Writes lines and counts them."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.count = 0
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, line: dict[str, object]) -> None:
        content = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        self._out.write(content)
        self._digest.update(content)
        self.count += 1


def export(
    database: Database,
    organization_id: int,
    out: BinaryIO,
    *,
    store: Store | None,
    now_ms: int,
    on_progress: Progress,
) -> Exported:
    """Write an organization to a file.

    Args:
        database: has it.
        organization_id: which.
        out: the file, open for writing.
        store: has the attachments' bytes; None leaves them out.
        now_ms: the time in Unix ms.
        on_progress: is told how it goes.

    Raises:
        CommandError: there is no such organization.
        StorageError: the database or the store failed.
    """
    lines = _Lines(out)
    counts, blobs = database.snapshot_now(_write_rows, lines, organization_id, now_ms, on_progress)
    missing = asyncio.run(_write_bytes(store, lines, blobs, on_progress)) if store else []
    sha256 = lines.sha256
    lines.write({"end": True, "lines": lines.count + 1, "sha256": sha256})
    in_it = len(blobs) - len(missing) if store else None
    return Exported(organization_id, lines.count, sha256, counts, in_it, tuple(missing))


def _write_rows(
    tx: Connection, lines: _Lines, organization_id: int, now_ms: int, on_progress: Progress
) -> tuple[dict[str, int], list[tuple[int, str]]]:
    """Write all rows; returns how many of each table, and the attachments with the names of their bytes."""
    organizations.get(tx, organization_id)
    counts = {str(table.name): _count(tx, table, organization_id) for table in tables()}
    lines.write(
        {
            "shopbell": KIND,
            "format": FORMAT,
            "version": __version__,
            "exportedAtMs": now_ms,
            "organizationId": organization_id,
            "counts": counts,
        }
    )
    for table in tables():
        name, total, done = str(table.name), counts[table.name], 0
        names = [str(column.name) for column in columns(table)]
        on_progress(name, 0, total)
        rows = select(*columns(table)).where(*_mine(table, organization_id)).order_by(*table.primary_key.columns)
        for page in tx.execute(rows, execution_options={"yield_per": _PAGE}).partitions():
            for row in page:
                lines.write({"table": name, "row": dict(zip(names, row, strict=True))})
            done += len(page)
            on_progress(name, done, total)
    c = attachments.c
    files = select(c.id, c.uuid).where(c.organization_id == organization_id, c.absent_since_ms.is_(None))
    return counts, [(id_, blob_name(organization_id, uuid)) for id_, uuid in tx.execute(files)]


def _mine(table: Table, organization_id: int) -> list[ColumnElement[bool]]:
    mine = [table.c[of_organization(table)] == organization_id]
    if table is webhooks:  # what was deleted stays for its log alone
        mine.append(webhooks.c.deleted_at_ms.is_(None))
    return mine


def _count(tx: Connection, table: Table, organization_id: int) -> int:
    count: int = tx.execute(select(func.count()).where(*_mine(table, organization_id))).scalar_one()
    return count


async def _write_bytes(store: Store, lines: _Lines, blobs: list[tuple[int, str]], on_progress: Progress) -> list[int]:
    missing = []
    for done, (id_, name) in enumerate(blobs):
        on_progress("attachments", done, len(blobs))
        pieces = await store.read(name)
        if pieces is None:
            missing.append(id_)
            continue
        rest = b""
        async for piece in pieces:
            rest += piece
            while len(rest) >= _CHUNK_BYTES:
                lines.write({"attachment": id_, "base64": base64.b64encode(rest[:_CHUNK_BYTES]).decode()})
                rest = rest[_CHUNK_BYTES:]
        if rest:
            lines.write({"attachment": id_, "base64": base64.b64encode(rest).decode()})
    return missing
