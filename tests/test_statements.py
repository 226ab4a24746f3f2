"""The hot path writes a batch with a fixed number of statements: the number that its docstring states."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from harness.installation import Installation
from harness.world import World
from shopbell import messages
from shopbell.http.widget import ROUTE
from shopbell.idempotency import IDEMPOTENCY_MS
from shopbell.messages import Outcome, Send, Sent, from_customers
from shopbell.storage.database import Database
from shopbell.storage.postgres import PostgresDatabase
from shopbell.storage.sqlite import SqliteDatabase

SIZES = (1, 10, 100)
Batch = Callable[[int], list[Send]]


def _stated(engine: str) -> int:
    """What the docstring says for an engine."""
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[engine]
    found = re.search(rf"^ +{name} +(\d+):", messages.__doc__ or "", re.MULTILINE)
    assert found is not None, "the docstring states no number"
    return int(found[1])


class CountingCursor(psycopg.AsyncCursor[tuple[Any, ...]]):
    """The driver's cursor, which also counts."""

    executed: "list[str]" = []  # noqa: RUF012 - shared on purpose

    async def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a statement and count it."""
        self.executed.append(str(query))
        return await super().execute(query, *args, **kwargs)


class Counted:
    """A database whose driver tells what it executes."""

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
                    database._writer.set_trace_callback(executed.append)
                else:
                    CountingCursor.executed = executed
                done.append((executed, await database.run(lambda batch=batch: from_customers(batch))))  # type: ignore[misc]
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
            assert self._database._connection is not None
            self._database._connection.cursor_factory = CountingCursor


def _new_customers(people: World, prefix: str, *, key: bool) -> Batch:
    """Customers whom nobody knows, with both identities and a locale."""

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
    """Somebody is told of Acme's messages."""
    acme = int(people.acme)
    installation.database.change(
        "INSERT INTO webhooks (organization_id, id, url, enabled, topics, payload_version, sealed_secret,"
        " created_at_ms) VALUES (:acme, 7, 'https://example.com/', true, 'messages', 'envelope', '', 0)",
        acme=acme,
    )
    installation.database.change("INSERT INTO webhook_subscriptions VALUES (:acme, 'messages', 7)", acme=acme)


def _block_somebody(installation: Installation, people: World) -> Send:
    """A customer whom nobody wants to hear of any more, and his next message."""
    batch = _new_customers(people, "blocked", key=False)(1)
    Counted(installation).run([batch])
    installation.database.change("UPDATE customers SET blocked_at_ms = 1")
    return batch[0]


def test_the_most_that_a_batch_takes_is_what_the_docstring_says(
    engine: str, installation: Installation, people: World
) -> None:
    _subscribe(installation, people)
    blocked = _block_somebody(installation, people)
    done = Counted(installation).run([[blocked, *_all_kinds_at_once(people, size)] for size in SIZES[1:]])
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
    assert deliveries == sum(SIZES[1:]) + 3  # two customers wrote twice, and the blocked one before he was
    assert queues == deliveries - 2  # each second customer wrote twice, and what waits in a conversation is one queue


def test_expired_keys_that_are_used_again_take_one_statement_more(
    engine: str, installation: Installation, people: World
) -> None:
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
def test_on_postgresql_everything_is_written_by_one_statement(installation: Installation, people: World) -> None:
    [(executed, _)] = Counted(installation).run([_all_kinds_at_once(people, 10)])
    writing = [statement for statement in executed if "INSERT" in statement]
    assert len(writing) == 1
    assert not any(statement.startswith(("BEGIN", "COMMIT")) for statement in executed)
