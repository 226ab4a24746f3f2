"""The format of an organization's file: JSON Lines, in this order.

::

    {"shopbell": "organization", "format": 1, "version": "0.1.0", "exportedAtMs": …, "organizationId": 12344,
     "counts": {"organizations": 1, "businesses": 2, …}}
    {"table": "businesses", "row": {"organization_id": 12344, "id": 12345, …}}
    {"attachment": 12399, "base64": "…"}
    {"end": true, "lines": 4711, "sha256": "…"}

Rows come table by table, and each table follows the tables to which it refers. An attachment has any number of lines in
a row. The SHA-256 covers all bytes before the last line. The file contains no secrets: no tokens, and no secrets or
headers of webhooks.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import BigInteger, Column, Table

from shopbell.db.ids import ID_END
from shopbell.db.schema.core import FIRST_ID, metadata

KIND = "organization"
FORMAT = 1

LEFT_OUT = frozenset(
    {
        "installation",  # belongs to no organization
        # Secrets and access of browsers, apps and websites: they only work with this installation's key and address.
        *("api_tokens", "idempotency_keys", "customer_links", "customer_sessions", "private_keys", "publishable_keys"),
        *("used_nonces", "opt_outs"),
        *("passwords", "passkeys", "totp_secrets", "recovery_codes", "employee_sessions", "invitations"),
        "oidc_identities",
        "passkey_challenges",  # belongs to no organization
        # Logs of this installation, with ids from the time of the delivery. The import creates no deliveries: it
        # disables the webhooks and sets the cursor of notifications to the last event.
        *("deliveries", "delivery_queues", "delivery_attempts", "webhook_subscriptions"),
        *("outbound_messages", "notification_cursors", "sms_usage", "throttles", "upload_usage"),
        *("inbox_threads", "inbox_cursors"),  # derived
        *("actions", "action_items"),  # for the undo of the last day
        *("push_subscriptions", "push_cursors", "pushes"),  # browsers subscribe with this installation's key
    }
)
"""Tables that are not in the file. New tables are, unless they are added here."""

LEFT_OUT_COLUMNS: Mapping[str, frozenset[str]] = {
    # Secrets, and the state of the connection to the receiver.
    "webhooks": frozenset(
        {
            *("enabled", "failing_since_ms", "failures", "disabled_reason"),
            *("sealed_extra_headers", "sealed_secret", "sealed_old_secret", "old_secret_expires_at_ms"),
        }
    ),
    "message_deliveries": frozenset({"outbound_message_id"}),
    "attachments": frozenset({"uuid"}),  # the name in the store, which is unique to an installation
}

_TEXTS_WITH_IDS: Mapping[str, tuple[str, ...]] = {
    "audit_entries": ("actor", "subject"),  # such as "token 12"
    "saved_views": ("query",),  # such as "view=open&tagId=12399"
}

_NUMBER = re.compile(r"\b[0-9]{1,16}\b")


def tables() -> list[Table]:
    """List the tables of the file; each follows the tables to which it refers."""
    return [table for table in metadata.sorted_tables if table.name not in LEFT_OUT]


def columns(table: Table) -> list[Column[Any]]:
    """List the columns of a table that are in the file."""
    return [column for column in table.columns if column.name not in LEFT_OUT_COLUMNS.get(table.name, ())]


def organization_column(table: Table) -> str:
    """Return the column that contains the organization's id."""
    return "id" if table.name == "organizations" else "organization_id"


def is_id(column: Column[Any]) -> bool:
    """Whether a column contains ids, of the row itself or of another."""
    return isinstance(column.type, BigInteger) and (column.name == "id" or column.name.endswith("_id"))


def map_ids(table: Table, row: dict[str, Any], change: Callable[[int], int]) -> dict[str, Any]:
    """Return a copy of a row with other ids, in columns and in text that contains ids.

    Raises:
        ValueError: the details of an event are not a JSON object.
    """
    ids = [str(column.name) for column in columns(table) if is_id(column)]
    changed = {**row, **{name: change(row[name]) for name in ids if row.get(name) is not None}}
    if table.name == "events" and row.get("details"):
        details = json.loads(row["details"])
        if not isinstance(details, dict):
            raise ValueError("not a JSON object")
        changed["details"] = json.dumps({name: _map_detail(name, value, change) for name, value in details.items()})
    for name in _TEXTS_WITH_IDS.get(table.name, ()):
        changed[name] = _map_text(row[name], change)
    return changed


def _map_detail(name: str, value: object, change: Callable[[int], int]) -> object:
    if name.endswith("Ids") and isinstance(value, list):
        return [_map_detail("Id", each, change) for each in value]
    if not name.endswith("Id") or isinstance(value, bool) or not isinstance(value, int | str):
        return value
    if isinstance(value, int):
        return _map_number(value, change)
    return _map_text(value, change) if _NUMBER.fullmatch(value) else value


def _map_text(text: str, change: Callable[[int], int]) -> str:
    return _NUMBER.sub(lambda match: str(_map_number(int(match[0]), change)), text)


def _map_number(number: int, change: Callable[[int], int]) -> int:
    """Change a number from a text if it can be an id."""
    return change(number) if FIRST_ID <= number < ID_END else number
