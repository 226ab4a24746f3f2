"""Daily limits (UTC) for the bytes of uploaded files. Owns their counters.

Bytes are counted before they are stored, in pieces while they arrive, and given back if the file is not kept. So
parallel uploads to several processes never exceed a limit together. If a process is killed, what it has counted stays
counted until the end of the day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import structlog
from sqlalchemy import ColumnElement, Connection, and_, delete, select, tuple_, update

from shopbell.attachments import attachments
from shopbell.attachments.attachments import Attachment
from shopbell.db.database import Database
from shopbell.db.schema.customers import upload_usage
from shopbell.errors import Quota, QuotaExceeded, StorageError
from shopbell.events.record import upsert
from shopbell.security.keys import Keys
from shopbell.security.tokens import token_hash
from shopbell.settings.settings import Settings

PIECE_BYTES = 4 * 1_048_576
"""How many bytes are counted at once, at most, before they arrive."""

_DAY_MS = 24 * 60 * 60 * 1_000
_KEPT_DAYS = 2

_WHOSE = {
    "address": "this network address",
    "customers": "all customers of the organization",
    "organization": "the organization",
    "session": "this session",
}

log = structlog.get_logger()


class UploadQuotaExceeded(QuotaExceeded):
    """429: a file exceeds what may be uploaded in a day.

    Args:
        limit: the limit that it exceeds.
        retry_after_s: seconds until the next day.
    """

    def __init__(self, limit: "Limit", retry_after_s: int) -> None:
        quota = Quota(f"uploads of {limit.kind}", limit.max_bytes, _DAY_MS // 1_000, "content-bytes")
        super().__init__(retry_after_s, quota)
        self.detail = (
            f"The uploads of {_WHOSE[limit.kind]} may have {limit.max_bytes} bytes a day, and this file exceeds that. "
            f"Send a smaller file, or wait {retry_after_s} s for the next day (UTC)."
        )
        self.args = (self.detail,)

    def members(self) -> Mapping[str, object]:
        return {} if self.quota is None else {"maxBytes": self.quota.amount}


@dataclass(frozen=True, slots=True)
class Limit:
    """One daily limit that a file counts against.

    Args:
        kind: what the limit is for. ``customers`` are all customers of the organization together.
        max_bytes: most bytes a day.
        subject: which session or address it is for; empty for the organization and its customers.
    """

    kind: Literal["address", "customers", "organization", "session"]
    max_bytes: int
    subject: str = ""


def organization_limits(settings: Settings) -> tuple[Limit, ...]:
    """The limits for a file that an organization's own program or employee sends."""
    return (Limit("organization", settings.attachment_quota_bytes),)


def customer_limits(settings: Settings, session: str) -> tuple[Limit, ...]:
    """The limits for a file that a customer sends.

    Args:
        settings: those of this process.
        session: the id of the session, or a name for the conversation if the file comes without one, by mail.
    """
    return (
        *organization_limits(settings),
        # Customers must not keep employees from sending files.
        Limit("customers", settings.attachment_quota_bytes // 2),
        Limit("session", settings.attachment_quota_per_session_bytes, session),
    )


def address_limit(settings: Settings, keys: Keys, organization_id: int, address: str) -> Limit:
    """The limit for the files of one network address, which is kept as a keyed hash."""
    subject = token_hash(keys.derive("upload quota")[0], f"{organization_id} {address}")
    return Limit("address", settings.attachment_quota_per_address_bytes, subject)


class UploadMeter:
    """Counts one file while it arrives. As a context manager it gives back what was counted beyond what is kept.

    Args:
        database: has the counters.
        organization_id: whose file it is.
        limits: those that the file counts against.
        now_ms: the time in Unix ms; the whole file counts for this day.
    """

    def __init__(self, database: Database, organization_id: int, limits: Sequence[Limit], *, now_ms: int) -> None:
        self._database = database
        self._counters = (organization_id, limits, now_ms // _DAY_MS)
        self._retry_after_s = -(-(_DAY_MS - now_ms % _DAY_MS) // 1_000)
        self._counted_bytes = 0
        self.kept_bytes = 0
        """How many bytes are kept: the whole file's, once it is in the store."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        surplus_bytes = self._counted_bytes - self.kept_bytes
        if surplus_bytes <= 0:
            return
        try:
            await self._database.write(give_back, *self._counters, surplus_bytes)
        except StorageError:  # it stays counted until the end of the day
            log.warning("cannot give back bytes of an upload", organization=self._counters[0])

    async def take(self, arrived_bytes: int, *, least_bytes: int | None) -> None:
        """Count bytes that have arrived, before they are stored.

        Args:
            arrived_bytes: how many bytes of the file have arrived so far.
            least_bytes: how long the whole file is at least; None if nothing is known of that.

        Raises:
            UploadQuotaExceeded: 429, the file has more bytes than a limit leaves.
            StorageError: 503.
        """
        if arrived_bytes <= self._counted_bytes:
            return
        needed_bytes = max(arrived_bytes, least_bytes or 0) - self._counted_bytes
        expected_bytes = arrived_bytes + PIECE_BYTES if least_bytes is None else least_bytes
        wanted_bytes = max(arrived_bytes - self._counted_bytes, min(expected_bytes - self._counted_bytes, PIECE_BYTES))
        counted_bytes = await self._database.write(take, *self._counters, needed_bytes, wanted_bytes)
        if isinstance(counted_bytes, Limit):
            raise UploadQuotaExceeded(counted_bytes, self._retry_after_s)
        self._counted_bytes += counted_bytes


def take(
    tx: Connection, organization_id: int, limits: Sequence[Limit], day: int, needed_bytes: int, wanted_bytes: int
) -> int | Limit:
    """Count bytes against limits: against all of them or none.

    Args:
        organization_id: whose file it is.
        limits: those that it counts against.
        day: days since 1970, UTC.
        needed_bytes: how many bytes each limit must leave.
        wanted_bytes: how many bytes to count, if each limit leaves as many.

    Returns:
        How many bytes were counted: those wanted, or as many as the limits leave. If a limit leaves fewer than needed,
        that limit.
    """
    counters = _locked(tx, organization_id, limits, day)
    left = {limit: limit.max_bytes - counters[limit.kind] for limit in limits}
    tightest = min(left, key=lambda limit: left[limit])
    if left[tightest] < needed_bytes:
        return tightest
    counted_bytes = min(wanted_bytes, left[tightest])
    counted = update(upload_usage).where(_those(organization_id, limits, day))
    tx.execute(counted.values(used_bytes=upload_usage.c.used_bytes + counted_bytes))
    return counted_bytes


def give_back(tx: Connection, organization_id: int, limits: Sequence[Limit], day: int, length_bytes: int) -> None:
    """Take back bytes that were counted.

    Args:
        organization_id: whose file it is.
        limits: those that it was counted against.
        day: the day that it was counted on.
        length_bytes: how many bytes.
    """
    _locked(tx, organization_id, limits, day)
    counted = update(upload_usage).where(_those(organization_id, limits, day))
    tx.execute(counted.values(used_bytes=upload_usage.c.used_bytes - length_bytes))


def remove_uploads(
    tx: Connection, organization_id: int, limits: Sequence[Limit], files: Sequence[Attachment], *, now_ms: int
) -> None:
    """Remove the unused ones of these files, and take back their bytes.

    Args:
        organization_id: whose files they are.
        limits: those that they were counted against.
        files: those of one upload, counted on the day of ``created_at_ms``.
    """
    removed = attachments.remove_unused(tx, organization_id, [file.id for file in files], now_ms=now_ms)
    length_bytes = sum(file.length_bytes for file in files if file.id in removed)
    if length_bytes:
        give_back(tx, organization_id, limits, files[0].created_at_ms // _DAY_MS, length_bytes)


def forget_old(tx: Connection, now_ms: int, *, limit: int = 1_000) -> bool:
    """Delete the counters of past days, of all organizations.

    Args:
        limit: how many rows at most.

    Returns:
        Whether there may be more.
    """
    key = upload_usage.primary_key.columns
    old = select(*key).where(upload_usage.c.day < now_ms // _DAY_MS - _KEPT_DAYS).limit(limit)
    return tx.execute(delete(upload_usage).where(tuple_(*key).in_(old))).rowcount == limit


def _locked(tx: Connection, organization_id: int, limits: Sequence[Limit], day: int) -> dict[str, int]:
    """The bytes used by the kinds of limits. Absent counters are made, and all are locked in one order."""
    c = upload_usage.c
    rows = [
        {"organization_id": organization_id, "day": day, "kind": kind, "subject": subject, "used_bytes": 0}
        for kind, subject in sorted((limit.kind, limit.subject) for limit in limits)
    ]
    tx.execute(upsert(tx, upload_usage).values(rows).on_conflict_do_nothing())
    used = select(c.kind, c.used_bytes).where(_those(organization_id, limits, day)).order_by(c.kind)
    return {row.kind: row.used_bytes for row in tx.execute(used.with_for_update())}


def _those(organization_id: int, limits: Sequence[Limit], day: int) -> ColumnElement[bool]:
    c = upload_usage.c
    named = tuple_(c.kind, c.subject).in_([(limit.kind, limit.subject) for limit in limits])
    return and_(c.organization_id == organization_id, c.day == day, named)
