"""Every statement of the API names its organization, so that Citus could route it to one machine.

The tables would be distributed by ``organization_id``: docs/growth.md. Workers claim work of all organizations, and are
not part of this.
"""

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, ForeignKeyConstraint, Index, Table, UniqueConstraint, event

import shopbell.db.schema.functions as functions
from harness import api_objects
from harness.api_routes import API_ROUTES, Route
from harness.shop import Shop
from shopbell.db.hot_connection import HotConnection
from shopbell.db.schema.core import metadata

SHARD_KEY = "organization_id"

OF_ALL_SHARDS = {
    "installation": "settings of the installation; a reference table",
    "organizations": "small; a reference table",
    "passkey_challenges": "challenges of sign-ins that have no organization yet; they live for minutes",
}
"""Tables without an organization."""

UNIQUE_SECRETS = {
    ("api_tokens", "token_hash"),
    ("attachments", "uuid"),
    ("customer_links", "token_hash"),
    ("customer_sessions", "token_hash"),
    ("employee_sessions", "token_hash"),
    ("invitations", "token_hash"),
    ("oidc_identities", "issuer", "subject"),
    ("passkeys", "credential_id"),
    ("publishable_keys", "key"),
}
"""Unique across organizations: what a caller shows before their organization is known."""

TABLES = [table for table in metadata.sorted_tables if SHARD_KEY in table.c]


def test_every_key_of_an_organizations_table_contains_the_organization() -> None:
    assert {table.name for table in metadata.sorted_tables if SHARD_KEY not in table.c} == set(OF_ALL_SHARDS)
    for table in TABLES:
        assert SHARD_KEY in table.primary_key.columns, table.name
        for constraint in table.constraints:
            if isinstance(constraint, ForeignKeyConstraint) and constraint.referred_table.name not in OF_ALL_SHARDS:
                assert SHARD_KEY in constraint.column_keys, constraint.name
    assert {key for table in TABLES for key in _unique_keys(table) if SHARD_KEY not in key} == UNIQUE_SECRETS


def _unique_keys(table: Table) -> Iterator[tuple[str, ...]]:
    uniques = [each for each in table.constraints if isinstance(each, UniqueConstraint)]
    indexes = [each for each in table.indexes if each.unique]
    for unique in (*uniques, *indexes):
        columns = unique.expressions if isinstance(unique, Index) else unique.columns
        yield (table.name, *(getattr(column, "name", str(column)) for column in columns))


_NO_ALIAS = "WHERE|ON|SET|JOIN|LEFT|INNER|CROSS|ORDER|GROUP|LIMIT|FOR|UNION|USING"
_NAME = rf"\w+(?:\s+(?:AS\s+)?(?!(?:{_NO_ALIAS}|AS)\b)\w+)?"
_TABLES_OF = re.compile(rf"\b(?:FROM|JOIN|UPDATE|USING)\s+({_NAME}(?:\s*,\s*{_NAME})*)", re.IGNORECASE)
_INSERT = re.compile(r"\bINSERT\s+INTO\s+(\w+)\s*\(([^)]*)\)", re.IGNORECASE)
_OTHER_INDEX = re.compile(rf"\b({SHARD_KEY})\s*\+\s*(?:0\b|%\(\w+\)s(?:::\w+)?)")
"""`organization_id + 0`, which keeps an engine from an index that begins with the organization."""


def unrouted(sql: str) -> list[str]:
    """The tables in a statement whose organization it neither names nor takes from another table."""
    sql = re.sub(r"'[^']*'", "''", re.sub(r"--[^\n]*", "", sql)).replace('"', "")
    names = {table.name for table in TABLES}
    found = [table for table, columns in _INSERT.findall(sql) if table in names and SHARD_KEY not in columns]
    for match in _TABLES_OF.finditer(sql):
        for item in match[1].split(","):
            table, *rest = item.split()
            alias = rest[-1] if rest else table
            if table in names and not _is_bound(sql, alias):
                found.append(table)
    return found


def _is_bound(sql: str, alias: str) -> bool:
    column = rf"(?:\b{alias}\.|(?<![.\w])){SHARD_KEY}"
    return bool(
        re.search(rf"{column}\s*(?:=|IN\b|,[^=()]*\)\s*(?:=|IN\b))|=\s*(?:\(\s*)?{column}\b", sql, re.IGNORECASE)
    )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT t.id FROM threads AS t WHERE t.id = 1",
        "SELECT 1 FROM threads JOIN messages ON messages.thread_id = threads.id WHERE threads.organization_id = 1",
        "UPDATE threads SET status = 'organization_id = 1' WHERE id = 1",
        "DELETE FROM drafts WHERE drafts.id = 1",
        "INSERT INTO drafts (id) VALUES (1)",
        "SELECT organization_id FROM threads",
        "SELECT 1 FROM threads WHERE threads.organization_id + 0 = 1",
    ],
)
def test_control_a_statement_without_its_organization_is_found(sql: str) -> None:
    assert unrouted(sql)


def test_the_function_that_stores_messages_routes_each_statement() -> None:
    (path,) = functions.__path__
    for file in Path(path).glob("*.sql"):
        statements = file.read_text().split(";")
        assert len(statements) > 5
        for statement in statements:
            assert unrouted(statement) == [], statement


EXCEPTIONS = {
    "WHERE api_tokens.token_hash IN ": "a token is looked up before its organization is known",
    "businesses.organization_id != ": "a telephone number belongs to one organization of the installation",
}
"""Parts of the statements that search all organizations, and why they do."""

BY_OTHER_INDEX = {
    *("blocked_messages", "customer_identities", "customer_links", "customer_sessions", "deliveries", "drafts"),
    *("events", "external_identities", "mail_details", "outbound_messages", "surveys", "thread_tags"),
    *("delivery_queues", "message_deliveries"),
}
"""Tables with statements that name the organization as `organization_id + 0`. Citus would send these to all machines.
"""


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_every_statement_of_the_api_names_its_organization(
    shops: Callable[..., Shop], engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: set[str] = set()
    execute = HotConnection.execute

    def note(_connection: Any, _cursor: Any, sql: str, *_: object) -> None:
        if threading.current_thread() is not threading.main_thread():  # the server's threads, not the test's
            statements.add(sql)

    async def note_hot(connection: HotConnection, sql: str, *arguments: Any) -> Any:
        statements.add(sql)
        return await execute(connection, sql, *arguments)

    monkeypatch.setattr(HotConnection, "execute", note_hot)
    event.listen(Engine, "before_cursor_execute", note)
    try:
        shop = shops(engine, run_worker="false", attachments_url=f"file://{tmp_path}")
        own = api_objects.make(shop, shop.world.token, shop.world.boston)
        for route in API_ROUTES:
            if not _succeeds(shop, route, own):  # an earlier route has used up what this one needs
                own = api_objects.make(shop, shop.world.token, shop.world.boston)
                assert _succeeds(shop, route, own), route
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len(statements) > 200
    nameless = {sql for sql in statements if unrouted(_OTHER_INDEX.sub(r"\1", sql))}
    assert {sql for sql in nameless if not any(part in sql for part in EXCEPTIONS)} == set()
    assert {table for sql in statements - nameless for table in unrouted(sql)} <= BY_OTHER_INDEX


def _succeeds(shop: Shop, route: Route, own: dict[str, str]) -> bool:
    return all(request.send(shop, route.sender(shop.world)).status_code == 200 for request in route.requests(own))
