"""What the file of an organization is made of: JSON Lines, the first of which says what it is and the last what it
must hold. ``organization_export.py`` writes it, ``organization_import.py`` reads it.

::

    {"shopbell": "organization", "format": 1, "version": "0.1.0", "exportedAtMs": …, "organizationId": 12344,
     "counts": {"organizations": 1, "businesses": 2, …}}
    {"table": "businesses", "row": {"organization_id": 12344, "id": 12345, …}}
    {"attachment": 12399, "base64": "…"}
    {"end": true, "lines": 4711, "sha256": "…"}

Rows come table by table, those that others refer to first; the SHA-256 is of all bytes before the last line. There is
no secret in it: no token, no webhook's secret or header.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Table

from shopbell.storage.customer_schema import (
    customer_links,
    customer_sessions,
    dispatches,
    message_deliveries,
    opt_outs,
    outreach_cursors,
    private_keys,
    publishable_keys,
    text_counts,
    text_recipients,
    upload_usage,
    used_nonces,
)
from shopbell.storage.delivery_schema import (
    deliveries,
    delivery_attempts,
    delivery_queues,
    webhook_subscriptions,
    webhooks,
)
from shopbell.storage.ids import ID_END
from shopbell.storage.schema import (
    FIRST_ID,
    api_tokens,
    attachments,
    idempotency_keys,
    installation,
    metadata,
    organizations,
)

KIND = "organization"
FORMAT = 1

LEFT_OUT = frozenset(
    {
        installation,  # no organization's
        api_tokens,  # secrets, and worth nothing under another installation's key
        idempotency_keys,  # of those tokens, and for a day
        # What was sent to whom, with the ids of the time, kept for 30 days: a log of this installation.
        deliveries,
        delivery_queues,
        delivery_attempts,
        webhook_subscriptions,  # follows from webhooks; those of a file are switched off
        # The same of mails and texts. What is imported is told to nobody: the cursor is set behind it.
        dispatches,
        outreach_cursors,
        text_counts,
        text_recipients,
        upload_usage,
        # Secrets, and what lets browsers and websites in: they lead to this installation.
        customer_links,
        customer_sessions,
        private_keys,
        publishable_keys,
        used_nonces,
        opt_outs,  # by hashes that only this installation's key makes
    }
)
"""Tables that are not in the file; whatever table comes later is, until somebody decides otherwise."""

LEFT_OUT_COLUMNS: Mapping[Table, frozenset[str]] = {
    # Secrets, and the state of the connection to a receiver.
    webhooks: frozenset(
        {
            "enabled",
            "sealed_extra_headers",
            "sealed_secret",
            "sealed_old_secret",
            "old_secret_expires_at_ms",
            "failing_since_ms",
            "failures",
            "disabled_reason",
        }
    ),
    message_deliveries: frozenset({"dispatch_id"}),
    # The name of the bytes in the store, which no two installations share.
    attachments: frozenset({"uuid"}),
}

_NUMBER = re.compile(r"\b[0-9]{1,16}\b")


def tables() -> list[Table]:
    """The tables of the file, those that others refer to first."""
    return [table for table in metadata.sorted_tables if table not in LEFT_OUT]


def columns(table: Table) -> list[Column[Any]]:
    """The columns of a table that are in the file."""
    return [column for column in table.columns if column.name not in LEFT_OUT_COLUMNS.get(table, ())]


def of_organization(table: Table) -> str:
    """The column that names the organization."""
    return "id" if table is organizations else "organization_id"


def id_columns(table: Table) -> tuple[str, ...]:
    """The columns that hold ids, the row's own or another's."""
    return tuple(
        column.name
        for column in columns(table)
        if isinstance(column.type, BigInteger) and (column.name == "id" or column.name.endswith("_id"))
    )


@dataclass(slots=True)
class Span:
    """The lowest and the highest id of a file."""

    first: int = ID_END
    last: int = 0

    def add(self, id_: int) -> int:
        """Take an id in; returns it as it is."""
        self.first, self.last = min(self.first, id_), max(self.last, id_)
        return id_


@dataclass(frozen=True, slots=True)
class Shift:
    """How ids of a file become ids of an installation: all of them move by one distance, into a block of ids that
    nothing else has. So references stay right and the order of ids stays that of time, without a table of all ids.

    Args:
        distance: from an id of the file to that of the installation.
    """

    distance: int

    def __call__(self, id_: int) -> int:
        """The id in the installation."""
        return id_ + self.distance


def with_ids(table: Table, row: dict[str, Any], ids: tuple[str, ...], change: Shift | Span) -> dict[str, Any]:
    """A row with other ids, in its columns and in what its texts say.

    Args:
        table: whose row.
        row: with the values of the file.
        ids: ``id_columns`` of that table.
        change: what becomes of each id; a ``Span`` only looks at it.
    """
    to = change if isinstance(change, Shift) else change.add
    changed = {**row, **{name: to(row[name]) for name in ids if row.get(name) is not None}}
    if table.name == "events" and row.get("details"):
        changed["details"] = json.dumps({name: _in_details(name, value, to) for name, value in _object(row["details"])})
    elif table.name == "audit_entries":  # such as "token 12"
        for name in ("actor", "subject"):
            changed[name] = _NUMBER.sub(lambda match: str(_moved(int(match[0]), to)), row[name])
    return changed


def _object(details: str) -> Any:
    value = json.loads(details)
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004 - what a reader of files expects of what is no JSON
    return value.items()


def _in_details(name: str, value: object, to: Callable[[int], int]) -> object:
    if not name.endswith("Id") or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _moved(value, to)
    return str(_moved(int(value), to)) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _moved(number: int, to: Callable[[int], int]) -> int:
    """What becomes of a number in a text, which is an id if it can be one."""
    return to(number) if FIRST_ID <= number < ID_END else number
