"""How many pages a message writes on SQLite.

This does not depend on the machine or on the number of messages.
"""

import asyncio
from pathlib import Path

import pytest
from bench.fill import fill_sqlite
from bench.load import FIRST_CUSTOMER
from bench.servers import Shop
from sqlalchemy import make_url, text

from harness.installation import Installation
from harness.world import World
from shopbell.conversations.messages import Outcome, Send, Sent, create_customer_messages
from shopbell.db.sqlite import SqliteDatabase, connect

CUSTOMERS = 4_000
EACH = 5
FRAME_BYTES = 4096 + 24
BODY = "No earlier message has this text."

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


@pytest.fixture
def path(installation: Installation, people: World) -> Path:
    """A database with many messages of many customers."""
    path = Path(make_url(installation.database.url).database or "")
    fill_sqlite(path, Shop(int(people.acme), int(people.boston), ""), [(CUSTOMERS, EACH)])
    return path


def _write(path: Path, batch: list[Send]) -> tuple[list[Outcome], list[bytes]]:
    """Write a batch; gives the outcomes and the pages that it wrote."""

    async def run() -> tuple[list[Outcome], list[bytes]]:
        database = SqliteDatabase(path)
        outcomes = await database.run(lambda: create_customer_messages(batch))
        log = path.with_name(f"{path.name}-wal").read_bytes()
        await database.close()
        return outcomes, [log[begin : begin + FRAME_BYTES] for begin in range(32, len(log), FRAME_BYTES)]

    first = connect(path)
    first.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    first.close()
    return asyncio.run(run())


def _send(people: World, customer: int) -> Send:
    acme, email = int(people.acme), f"c{FIRST_CUSTOMER + customer}@example.com"
    return Send(acme, int(people.boston), BODY, (((acme, "email", email), email),), "en")


def test_a_message_of_a_known_customer_writes_two_pages(people: World, path: Path) -> None:
    batch = [_send(people, customer) for customer in range(0, CUSTOMERS, CUSTOMERS // 50)]
    _, pages = _write(path, batch)
    # The thread's page and one of the index by which it is read; few others, however large the batch is.
    assert len(pages) <= 2 * len(batch) + 20
    # The messages of all customers are stored beside each other.
    assert len([page for page in pages if BODY.encode() in page]) <= 4


def test_messages_follow_those_that_the_benchmark_filled_in(installation: Installation, people: World) -> None:
    path = Path(make_url(installation.database.url).database or "")
    first_thread = fill_sqlite(path, Shop(int(people.acme), int(people.boston), ""), [(3, 50), (7, 2)])
    outcomes, _ = _write(path, [_send(people, customer) for customer in range(10)])
    assert outcomes[:3] == [Sent(first_thread + number) for number in range(3)]
    assert installation.database.value("SELECT count(*) FROM customer_identities WHERE kind = 'email'") == 10
    database = SqliteDatabase(path)
    counts = database.read_now(
        lambda tx: tx.execute(
            text("SELECT count(*), max(sequence) FROM messages GROUP BY thread_id ORDER BY thread_id")
        ).all()
    )
    asyncio.run(database.close())
    assert [tuple(row) for row in counts] == [(51, 51)] * 3 + [(3, 3)] * 7
