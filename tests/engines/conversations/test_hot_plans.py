"""How PostgreSQL finds the rows of a batch, and how it updates threads."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from psycopg.errors import Diagnostic
from sqlalchemy import Connection, make_url, text

from harness.installation import Installation
from harness.world import World
from shopbell.conversations.messages import Send, Sent, create_customer_messages
from shopbell.conversations.replies import WHATSAPP, Replied, Reply, create_replies
from shopbell.db.postgres import PostgresDatabase
from shopbell.events.actors import Actor
from shopbell.http.widget import ROUTE

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

ROWS = 20_000
BATCH = 20
READ_MAX = 10 * BATCH
"""A node of a plan that finds its rows by key reads fewer, also if it runs several times."""

_EXPLAIN = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_format": "json",
    "client_min_messages": "log",
}
_FILL = (
    "INSERT INTO organizations (id, name, created_at_ms)"
    " SELECT 1000000 + i, 'Other', 0 FROM generate_series(1, :rows) i",
    "INSERT INTO feeds (organization_id, last_position) SELECT 1000000 + i, 0 FROM generate_series(1, :rows) i",
    "INSERT INTO customers (organization_id, id, locale, created_at_ms)"
    " SELECT :acme, 2000000 + i, 'en', 0 FROM generate_series(1, :rows) i",
    "INSERT INTO customer_identities (organization_id, kind, value, customer_id, shown, created_at_ms)"
    " SELECT :acme, 'email', 'c' || i || '@example.com', 2000000 + i, '', 0 FROM generate_series(1, :rows) i",
    "INSERT INTO threads (organization_id, id, customer_id, business_id, channel, status, last_sequence,"
    " created_at_ms, updated_at_ms)"
    " SELECT :acme, 3000000 + i, 2000000 + i, :boston, 'WEB', 'waiting', 1, 0, 0 FROM generate_series(1, :rows) i",
    "INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, body, created_at_ms, channel)"
    " SELECT :acme, 3000000 + i, 1, 4000000 + i, true, '', 0, 'WHATSAPP' FROM generate_series(1, :rows) i",
    "INSERT INTO idempotency_keys (organization_id, caller_id, route, key, body_hash, result_id, created_at_ms)"
    f" SELECT :acme, :token, '{ROUTE}', 'expired' || i, '', 1, 0 FROM generate_series(1, :rows) i",
    "INSERT INTO delivery_queues (organization_id, webhook_id, thread_id, background, position, due_at_ms)"
    " SELECT :acme, 7, 3000000 + i, 0, 1, 0 FROM generate_series(1, :rows) i",
)
_FEW = (
    "INSERT INTO webhooks (organization_id, id, url, enabled, topics, payload_version, sealed_secret, created_at_ms)"
    " VALUES (:acme, 7, 'https://example.com/', true, 'messages', 'envelope', '', 0)",
    "INSERT INTO webhook_subscriptions VALUES (:acme, 'messages', 7)",
    "INSERT INTO idempotency_keys (organization_id, caller_id, route, key, body_hash, result_id, created_at_ms)"
    f" VALUES (:acme, :token, '{ROUTE}', 'early0', '', 1, 0)",
)


class Hot:
    """Batches on a connection that reports its plans.

    Args:
        installation: a PostgreSQL installation.
        people: its organizations.
    """

    def __init__(self, installation: Installation, people: World) -> None:
        url = make_url(installation.database.url).set(drivername="postgresql+psycopg")
        options = " ".join(f"-c {name}={value}" for name, value in _EXPLAIN.items())
        self.database = PostgresDatabase(url.update_query_dict({"options": options}))
        self.plans: list[dict[str, Any]] = []
        self._acme, self._boston, self._token = (int(each) for each in (people.acme, people.boston, people.token_id))

    async def connect(self) -> None:
        """Open the connection."""

        def nothing() -> Any:
            return
            yield

        await self.database.run(nothing)
        assert self.database._connection is not None
        self.database._connection._connection.add_notice_handler(self._note)

    def fill(self, statements: tuple[str, ...] = _FILL) -> None:
        """Insert many rows into the tables of the hot path."""
        values = {"acme": self._acme, "boston": self._boston, "token": self._token, "rows": ROWS}

        def insert(tx: Connection) -> None:
            tx.execute(text("SET LOCAL statement_timeout = 0"))
            for statement in statements:
                used = {name: value for name, value in values.items() if f":{name}" in statement}
                tx.execute(text(statement), used)

        self.database.write_now(insert)

    async def message(self, prefix: str, numbers: range, key: str = "") -> list[int]:
        """Send messages of these customers to Boston; returns their threads.

        Args:
            prefix: the beginning of their addresses.
            numbers: the rest of their addresses.
            key: the beginning of the idempotency keys; new ones unless told.
        """
        key = key or f"{time.time_ns()}-"
        sends = []
        for number in numbers:
            email = f"{prefix}{number}@example.com"
            identity = (self._acme, "email", email)
            used = (self._acme, self._token, ROUTE, f"{key}{number}")
            sends.append(Send(self._acme, self._boston, "hello", ((identity, email),), "fr", used, "0" * 64))
        outcomes = await self.database.run(lambda: create_customer_messages(sends))
        return [outcome.thread_id for outcome in outcomes if isinstance(outcome, Sent)]

    async def reply(self, threads: list[int]) -> None:
        """Reply in these threads."""
        replies = []
        for thread_id in threads:
            key = (self._acme, self._token, "reply", f"{thread_id}{time.time_ns()}")
            message_id = thread_id + 1_000_000 if thread_id > 3_000_000 else None
            replies.append(
                Reply(
                    self._acme,
                    Actor("token", self._token),
                    thread_id,
                    "hello",
                    content_sid="HX1",
                    channel=WHATSAPP,
                    last_seen_message_id=message_id,
                    key=key,
                    body_hash="0" * 64,
                )
            )
        outcomes = await self.database.run(lambda: create_replies(replies))
        assert all(isinstance(outcome, Replied) for outcome in outcomes), outcomes

    def _note(self, notice: Diagnostic) -> None:
        _, found, plan = (notice.message_primary or "").partition("plan:\n")
        if found:
            self.plans.append(json.loads(plan))


def _run(hot: Hot, use: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        try:
            await hot.connect()
            await use()
        finally:
            await hot.database.close()

    asyncio.run(run())


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _wasteful(plans: list[dict[str, Any]]) -> list[str]:
    """The nodes that read too much.

    They read a table from end to end, or many more rows than the batch has.
    """
    found = []
    for each in plans:
        for node in _nodes(each["Plan"]):
            names = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
            read = sum(node.get(name, 0) for name in names) * node.get("Actual Loops", 1)
            kind, table = node["Node Type"], node.get("Relation Name")
            reads = table is not None or "Join Filter" in node
            if reads and (kind == "Seq Scan" or read > READ_MAX):
                found.append(f"{kind} of {table}, {read} rows: {each['Query Text']}")
    return found


def _tables(plans: list[dict[str, Any]]) -> set[str]:
    return {str(node.get("Relation Name")) for each in plans for node in _nodes(each["Plan"])}


async def _some_of_each(hot: Hot) -> None:
    new = f"new{time.time_ns()}-"
    hot.plans.clear()
    await hot.reply(await hot.message(new, range(BATCH)))
    await hot.reply(await hot.message("c", range(1, 1 + BATCH), key="expired"))
    assert {"customers", "threads", "messages", "events", "feeds", "deliveries", "idempotency_keys"} <= _tables(
        hot.plans
    )
    assert _wasteful(hot.plans) == []


def test_plans_made_on_empty_tables_find_rows_by_key_in_large_ones(installation: Installation, people: World) -> None:
    hot = Hot(installation, people)
    hot.fill(_FEW)

    async def use() -> None:
        await hot.reply(await hot.message("first", range(2), key="early"))  # plans everything
        await asyncio.to_thread(hot.fill)
        await _some_of_each(hot)

    _run(hot, use)


def test_plans_made_on_large_tables_find_rows_by_key(installation: Installation, people: World) -> None:
    hot = Hot(installation, people)
    hot.fill((*_FEW, *_FILL, "ANALYZE"))
    _run(hot, lambda: _some_of_each(hot))


def test_a_statement_that_reads_a_whole_table_is_noticed(installation: Installation, people: World) -> None:
    hot = Hot(installation, people)
    hot.fill()

    async def use() -> None:
        assert hot.database._connection is not None
        for where in ("updated_at_ms = 1", "organization_id > 0 AND updated_at_ms = 1"):
            hot.plans.clear()
            await hot.database._connection.execute(f"SELECT count(*) FROM threads WHERE {where}")
            assert len(_wasteful(hot.plans)) == 1, hot.plans

    _run(hot, use)


def test_messages_update_threads_without_their_indexes(installation: Installation, people: World) -> None:
    hot = Hot(installation, people)
    hot.fill()
    # While an ANALYZE runs, no page is pruned, and an update may find no room on its page.
    tables = installation.database.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for table in tables:
        installation.database.change(f"ALTER TABLE {table['tablename']} SET (autovacuum_enabled = off)")
    updates = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'threads'"

    async def use() -> None:
        connection = hot.database._connection
        assert connection is not None
        for first in range(1, 20):
            await hot.message("c", range(first, ROWS, ROWS // BATCH))
        await connection.execute("SELECT pg_stat_force_next_flush()")
        [[updated, heap_only]] = await connection.execute(updates)
        assert (updated, heap_only) == (b"%d" % (19 * BATCH),) * 2

    _run(hot, use)
