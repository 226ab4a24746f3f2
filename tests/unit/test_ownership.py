"""Which package may import what and write which table."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src/shopbell"

OWNERS = {
    "accounts": [
        "business_roles",
        "employee_sessions",
        "invitations",
        "oidc_identities",
        "organization_roles",
        "passkey_challenges",
        "passkeys",
        "passwords",
        "recovery_codes",
        "totp_secrets",
    ],
    "attachments": ["attachments", "upload_usage"],
    "channels": ["mail_details"],
    "conversations": [
        "assignments",
        "blocked_messages",
        "idempotency_keys",
        "imported_conversations",
        "messages",
        "surveys",
        "templates",
        "thread_reads",
        "threads",
    ],
    "customers": [
        "customer_identities",
        "customer_links",
        "customer_merges",
        "customer_sessions",
        "customers",
        "external_identities",
        "opt_outs",
        "possible_duplicates",
    ],
    "db": ["ids", "installation"],
    "events": ["audit_entries", "events", "feeds"],
    "inbox": [
        "action_items",
        "actions",
        "draft_attachments",
        "drafts",
        "employee_reads",
        "inbox_cursors",
        "inbox_threads",
        "mentions",
        "saved_replies",
        "saved_reply_attachments",
        "saved_views",
        "scheduled_messages",
        "snoozes",
        "tags",
        "thread_tags",
    ],
    "notifications": [
        "message_deliveries",
        "notification_state",
        "outbound_messages",
        "notification_cursors",
        "sms_usage",
        "throttles",
    ],
    "organizations": [
        "api_tokens",
        "businesses",
        "employees",
        "organizations",
        "private_keys",
        "publishable_keys",
        "used_nonces",
    ],
    "web_push": ["push_cursors", "push_subscriptions", "pushes"],
    "webhooks": ["deliveries", "delivery_attempts", "delivery_queues", "webhook_subscriptions", "webhooks"],
}
"""The tables of each package."""

OTHERS = {
    # An event and its deliveries are one write, in ordinary transactions as on the hot path.
    ("events", "deliveries"),
    ("events", "delivery_queues"),
    # A merge moves conversations, and an erasure deletes the customer's addresses in them.
    ("customers", "threads"),
    # An import writes every table. Retention deletes from several.
    ("operations", "customer_identities"),
    ("operations", "installation"),
    ("operations", "notification_state"),
    ("operations", "outbound_messages"),
    ("operations", "notification_cursors"),
    ("operations", "surveys"),
}
"""The tables that a package writes although another one owns them."""

WRITES = {"delete", "insert", "postgresql_insert", "sqlite_insert", "update", "upsert"}


def modules(package: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((SOURCE / package).rglob("*.py")):
        yield str(path.relative_to(SOURCE)), ast.parse(path.read_text())


def imports(module: ast.Module) -> Iterator[str]:
    """The full names of what a module imports, wherever the import stands."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def written_tables(module: ast.Module) -> Iterator[str]:
    """The tables that a module names in an insert, update or delete."""
    tables = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("shopbell.db.schema")
        for alias in node.names
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in WRITES:
            yield from (tables[each.id] for each in node.args if isinstance(each, ast.Name) and each.id in tables)


@pytest.mark.parametrize("package", ["cli", "http"])
def test_the_command_line_and_the_api_use_no_tables_and_write_no_audit_entries_or_events(package: str) -> None:
    # `events.record` also has the types of events.
    writers = {"shopbell.events.audit", "shopbell.events.record", "shopbell.events.record.record"}
    found = [
        (path, name)
        for path, module in modules(package)
        for name in imports(module)
        if name in writers or name.startswith("shopbell.db.schema")
    ]
    assert found == []


def test_the_command_line_imports_nothing_from_the_api() -> None:
    # `serve` runs the server.
    runs = "shopbell.http.server.server.run"
    found = {each for _, module in modules("cli") for each in imports(module) if each.startswith("shopbell.http")}
    assert found <= {runs}


def test_a_package_writes_only_its_own_tables() -> None:
    owner_of = {table: package for package, tables in OWNERS.items() for table in tables}
    written = {
        (package, table)
        for package in sorted(path.name for path in SOURCE.iterdir() if path.is_dir())
        for _, module in modules(package)
        for table in written_tables(module)
    }
    assert len(written) > 40  # or this test reads the sources wrongly
    others = {(package, table) for package, table in written if owner_of[table] != package}
    assert others - OTHERS == set()


def test_messages_are_inserted_only_by_the_hot_path_and_the_message_writer() -> None:
    inserts = re.compile(
        r"INSERT\s+INTO\s+messages\b|\b(?:insert|upsert)\((?:tx,\s*)?(?:\w+\.)?messages\b", re.IGNORECASE
    )
    sources = (*SOURCE.rglob("*.py"), *SOURCE.rglob("*.sql"))
    found = {str(path.relative_to(SOURCE)) for path in sources if inserts.search(path.read_text())}
    on_sqlite = {"conversations/messages_sqlite.py", "conversations/replies_sqlite.py"}
    assert found == {*on_sqlite, "db/schema/functions/store_messages_v1.sql", "conversations/message_writer.py"}
