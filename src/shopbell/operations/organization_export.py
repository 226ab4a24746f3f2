"""Export an organization to one file: a snapshot, with a few rows in memory at a time."""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import orjson
from sqlalchemy import ColumnElement, Connection, Table, func, select

from shopbell import __version__
from shopbell.attachments.attachments import blob_name
from shopbell.attachments.store import Store
from shopbell.db.database import Database
from shopbell.db.schema.core import attachments
from shopbell.db.schema.webhooks import webhooks
from shopbell.operations.organization_tables import FORMAT, KIND, columns, organization_column, tables
from shopbell.organizations import organizations

_PAGE_ROWS = 500
_CHUNK_BYTES = 196_608  # a multiple of three, so that the base64 of a chunk needs no padding

Progress = Callable[[str, int, int], None]
"""Called with the current step, the items done, and all items of the step."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of an export.

    Args:
        counts: the number of rows of each table.
        attachments: the number of attachments whose bytes are in the file; None if not requested.
        missing: ids of attachments whose bytes are not in the store.
    """

    organization_id: int
    lines: int
    sha256: str
    counts: dict[str, int]
    attachments: int | None
    missing: tuple[int, ...]

    def as_json(self) -> dict[str, object]:
        """Return the result for ``--json``."""
        return {
            "organizationId": str(self.organization_id),
            "lines": self.lines,
            "sha256": self.sha256,
            "rows": self.counts,
            "attachments": self.attachments,
            "missingAttachments": [str(id_) for id_ in self.missing],
        }


class _Lines:
    """Writes, counts and hashes lines."""

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
        out: the file, open for writing.
        store: contains the attachments; None leaves their bytes out.
        now_ms: current time in Unix ms.

    Raises:
        CommandError: the organization does not exist.
        StorageError: the database or the store failed.
    """
    lines = _Lines(out)
    counts, blobs = database.snapshot_now(_write_rows, lines, organization_id, now_ms, on_progress)
    missing = asyncio.run(_write_attachments(store, lines, blobs, on_progress)) if store else []
    sha256 = lines.sha256
    lines.write({"end": True, "lines": lines.count + 1, "sha256": sha256})
    stored = len(blobs) - len(missing) if store else None
    return Exported(organization_id, lines.count, sha256, counts, stored, tuple(missing))


def _write_rows(
    tx: Connection, lines: _Lines, organization_id: int, now_ms: int, on_progress: Progress
) -> tuple[dict[str, int], list[tuple[int, str]]]:
    """Write all rows; return the counts by table, and the id and blob name of each attachment."""
    organizations.get(tx, organization_id)
    wanted = {table: _where(table, organization_id) for table in tables()}
    counts = {
        str(table.name): int(tx.execute(select(func.count()).where(*where)).scalar_one())
        for table, where in wanted.items()
    }
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
    for table, where in wanted.items():
        name, done = str(table.name), 0
        names = [str(column.name) for column in columns(table)]  # orjson refuses SQLAlchemy's subclass of str
        on_progress(name, 0, counts[name])
        query = select(*columns(table)).where(*where).order_by(*table.primary_key.columns)
        for page in tx.execute(query, execution_options={"yield_per": _PAGE_ROWS}).partitions():
            for row in page:
                lines.write({"table": name, "row": dict(zip(names, row, strict=True))})
            done += len(page)
            on_progress(name, done, counts[name])
    c = attachments.c
    files = select(c.id, c.uuid).where(c.organization_id == organization_id, c.absent_since_ms.is_(None))
    return counts, [(id_, blob_name(organization_id, uuid)) for id_, uuid in tx.execute(files)]


def _where(table: Table, organization_id: int) -> list[ColumnElement[bool]]:
    where = [table.c[organization_column(table)] == organization_id]
    if table is webhooks:  # deleted ones only remain for their logs
        where.append(webhooks.c.deleted_at_ms.is_(None))
    return where


async def _write_attachments(
    store: Store, lines: _Lines, blobs: list[tuple[int, str]], on_progress: Progress
) -> list[int]:
    """Write the bytes of the attachments; return the ids of those that the store does not have."""
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
