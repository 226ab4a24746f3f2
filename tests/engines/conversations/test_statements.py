"""The hot path writes a batch with a fixed number of statements."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from harness.installation import Installation
from harness.world import World
from shopbell.conversations import messages
from shopbell.conversations.idempotency import IDEMPOTENCY_MS
from shopbell.conversations.messages import Outcome, Send, Sent, create_customer_messages
from shopbell.db import ids
from shopbell.db.database import Database
from shopbell.db.ids import TAKE_IDS, IdStock
from shopbell.db.postgres import PostgresDatabase
from shopbell.db.rowset import Values
from shopbell.db.sqlite import SqliteDatabase
from shopbell.http.widget import ROUTE

SIZES = (1, 10, 100)
Batch = Callable[[int], list[Send]]


def _stated(engine: str) -> int:
    """What the docstring says for an engine."""
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[engine]
    found = re.search(rf"^ +{name} +(\d+):", messages.__doc__ or "", re.MULTILINE)
    assert found is not None, "the docstring states no number"
    return int(found[1])


class CountingWriter:
    """The connection of SQLite's writer, which also counts.

    A statement that is executed for many rows counts once.
    """

    def __init__(self, connection: Any, executed: list[str]) -> None:
        self.connection = connection
        self._executed = executed

    def execute(self, sql: str, *parameters: Any) -> Any:
        """Run a statement and count it."""
        self._executed.append(sql.strip())
        return self.connection.execute(sql, *parameters)

    def executemany(self, sql: str, rows: Any) -> Any:
        """Run a statement for all rows and count it once."""
        self._executed.append(sql.strip())
        return self.connection.executemany(sql, rows)

    def cursor(self) -> "CountingWriter":
        """Count the statements of a cursor, too."""
        return CountingWriter(self.connection.cursor(), self._executed)

    def commit(self) -> None:
        """Commit and count it."""
        self._executed.append("COMMIT")
        self.connection.commit()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


class Counted:
    """A database whose driver tells what it executes.

    Attributes:
        reservations: how often PostgreSQL reserved ids; these statements are not in the lists.
    """

    reservations = 0

    def __init__(self, installation: Installation) -> None:
        url = make_url(installation.database.url)
        self._database: Database = (
            SqliteDatabase(Path(url.database or ""))
            if installation.database.is_sqlite
            else PostgresDatabase(url.set(drivername="postgresql+psycopg"))
        )

    def run(self, batches: Sequence[list[Send]]) -> list[tuple[list[str], list[Outcome]]]:
        """Write the batches one after the other; gives the statements and the outcomes of each."""
        return asyncio.run(self._run(batches))

    async def _run(self, batches: Sequence[list[Send]]) -> list[tuple[list[str], list[Outcome]]]:
        done = []
        database = self._database
        try:
            await self._connect()
            for batch in batches:
                executed: list[str] = []
                if isinstance(database, SqliteDatabase):
                    writer = getattr(database._writer, "connection", database._writer)
                    database._writer = CountingWriter(writer, executed)
                else:
                    self._executed = executed
                done.append((executed, await database.run(lambda batch=batch: create_customer_messages(batch))))  # type: ignore[misc]
        finally:
            await database.close()
        return done

    async def _connect(self) -> None:
        """Open the connection that batches are written on; the first program would."""

        def nothing() -> Any:
            return
            yield

        await self._database.run(nothing)
        if isinstance(self._database, PostgresDatabase):
            connection = self._database._connection
            assert connection is not None
            execute, command = connection.execute, connection.command

            async def counted(sql: str, parameters: Values = ()) -> list[Values]:
                if sql != TAKE_IDS.postgresql.sql:
                    self._executed.append(sql)
                else:
                    self.reservations += 1
                return await execute(sql, parameters)

            async def counted_command(sql: str) -> None:
                self._executed.append(sql)
                await command(sql)

            connection.execute, connection.command = counted, counted_command  # type: ignore[method-assign]


def _new_customers(people: World, prefix: str, *, key: bool) -> Batch:
    """New customers with both identities and a locale."""

    def batch(size: int) -> list[Send]:
        sends = []
        for number in range(size):
            email = f"{prefix}-{size}-{number}@example.com"
            phone = f"+1617{2_000_000 + size * 1_000 + number + 500_000 * key}"
            acme = int(people.acme)
            sends.append(
                Send(
                    organization_id=acme,
                    business_id=int(people.boston),
                    body=f"hello {number}",
                    identities=(((acme, "email", email), email), ((acme, "phone", phone), phone)),
                    locale="en",
                    key=(acme, int(people.token_id), ROUTE, email) if key else None,
                    body_hash="0" * 64 if key else None,
                )
            )
        return sends

    return batch


def _all_kinds_at_once(people: World, size: int) -> list[Send]:
    """New and known customers, keys, locales, and an address and a number that are two customers'."""
    sends = _new_customers(people, f"all-{size}", key=True)(size)
    first, second, *others = sends
    by_phone, by_email = first.identities[1], second.identities[0]
    second = Send(first.organization_id, first.business_id, "hello", (by_email,), "fr")
    both = Send(first.organization_id, first.business_id, "hello", (by_email, by_phone))
    return [first, second, both, *others]


def test_batches_of_1_10_and_100_take_the_same_number_of_statements(
    engine: str, installation: Installation, people: World
) -> None:
    with_key = _new_customers(people, "keyed", key=True)
    without = _new_customers(people, "plain", key=False)
    kinds = [[with_key(size) for size in SIZES], [without(size) for size in SIZES]]
    known = [without(size) for size in SIZES]  # the same again: their customers are known by now
    for batches in [*kinds, known]:
        counts = [len(executed) for executed, outcomes in Counted(installation).run(batches)]
        assert counts[0] == counts[1] == counts[2], counts
        assert counts[0] <= _stated(engine)


def _subscribe(installation: Installation, people: World) -> None:
    """Subscribe a webhook to Acme's messages."""
    acme = int(people.acme)
    installation.database.change(
        "INSERT INTO webhooks (organization_id, id, url, enabled, topics, payload_version, sealed_secret,"
        " created_at_ms) VALUES (:acme, 7, 'https://example.com/', true, 'messages', 'envelope', '', 0)",
        acme=acme,
    )
    installation.database.change("INSERT INTO webhook_subscriptions VALUES (:acme, 'messages', 7)", acme=acme)


def _block_somebody(installation: Installation, people: World) -> Send:
    """Block a customer; returns their next message."""
    batch = _new_customers(people, "blocked", key=False)(1)
    Counted(installation).run([batch])
    installation.database.change("UPDATE customers SET blocked_at_ms = 1")
    return batch[0]


def test_the_maximum_of_statements_matches_the_docstring(
    engine: str, installation: Installation, people: World
) -> None:
    _subscribe(installation, people)
    blocked = _block_somebody(installation, people)
    waiting, resolved = _new_customers(people, "known", key=False)(2)
    Counted(installation).run([[waiting, resolved]])
    batches = [[blocked, waiting, resolved, *_all_kinds_at_once(people, size)] for size in SIZES[1:]]
    done = []
    for batch in batches:
        installation.database.change(
            "UPDATE threads SET status = 'resolved' WHERE last_email = :email", email=resolved.identities[0][1]
        )
        done += Counted(installation).run([batch])
    for executed, outcomes in done:
        assert all(isinstance(outcome, Sent) for outcome in outcomes)
        assert len(executed) == _stated(engine), executed
    if engine == "sqlite":
        for executed, _ in done:
            assert executed[0].startswith("BEGIN")
            assert executed[-1] == "COMMIT"
    assert installation.database.value("SELECT count(*) FROM possible_duplicates") == 2
    assert installation.database.value("SELECT count(*) FROM blocked_messages") == 2
    deliveries, queues = (
        installation.database.value(f"SELECT count(*) FROM {name}") for name in ("deliveries", "delivery_queues")
    )
    # Two customers wrote twice in a batch, the blocked one before they were blocked, and two in each batch and before.
    assert deliveries == sum(SIZES[1:]) + 3 + 6
    assert queues == deliveries - 2 - 4  # what waits in a conversation is one queue


def test_reused_expired_keys_take_one_more_statement(engine: str, installation: Installation, people: World) -> None:
    with_key = _new_customers(people, "keyed", key=True)
    Counted(installation).run([with_key(10)])
    (fresh, _), (replayed, outcomes) = Counted(installation).run([with_key(100), with_key(10)])
    assert all(outcome.replayed for outcome in outcomes if isinstance(outcome, Sent))
    assert len(replayed) < len(fresh)
    now_ms = time.time_ns() // 1_000_000
    installation.database.change("UPDATE idempotency_keys SET created_at_ms = :old", old=now_ms - IDEMPOTENCY_MS)
    # Their customers are known by now, as those of the second batch were not: both are written again to compare.
    [(expired, outcomes)] = Counted(installation).run([with_key(10)])
    installation.database.change("DELETE FROM idempotency_keys")
    [(unused, _)] = Counted(installation).run([with_key(10)])
    assert not any(outcome.replayed for outcome in outcomes if isinstance(outcome, Sent))
    assert len(expired) == len(unused) + 1


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_postgresql_writes_everything_with_one_function(installation: Installation, people: World) -> None:
    [(executed, _)] = Counted(installation).run([_all_kinds_at_once(people, 10)])
    writing = [statement for statement in executed if "store_messages" in statement]
    assert len(writing) == 1
    assert not any(statement.startswith(("BEGIN", "COMMIT")) for statement in executed)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_postgresql_reserves_ids_for_many_batches_at_once(
    installation: Installation, people: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "_STOCK_LIFE_S", 3_600.0)
    counted = Counted(installation)
    batches = [_new_customers(people, f"many-{number}", key=False)(10) for number in range(2 * IdStock.BATCHES)]
    counted.run(batches)
    assert counted.reservations == 2
    assert installation.database.value("SELECT count(DISTINCT id) FROM messages") == 10 * len(batches)
    assert installation.database.value("SELECT max(id) FROM messages") < installation.database.value(
        "SELECT nextval('ids')"
    )


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_ids_that_were_reserved_long_ago_stay_unused(
    installation: Installation, people: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "_STOCK_LIFE_S", 0.0)
    counted = Counted(installation)
    counted.run([_new_customers(people, f"old-{number}", key=False)(10) for number in range(3)])
    assert counted.reservations == 3
