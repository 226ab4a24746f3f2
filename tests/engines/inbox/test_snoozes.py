"""When snoozes end, on both engines."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.inbox import call, events_of
from harness.installation import SECRET_KEY, Installation
from harness.shop import Shop
from harness.world import World
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.events.actors import SYSTEM
from shopbell.inbox import snoozes
from shopbell.inbox.snoozes import ENDED_AT_ONCE, Outlook
from shopbell.settings.settings import Settings

NOW_MS = 1_800_000_000_000
UNTIL_MS = NOW_MS + 3_600_000
REPLY = "/api/send-message-to-customer-thread"


@pytest.fixture
def shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A server without a worker process: the tests do its work."""
    with installation.serving(run_worker=False) as server:
        yield Shop(server, people)


@pytest.fixture
def database(installation: Installation, shop: Shop) -> Iterator[Database]:
    """The same database, as the worker process sees it."""
    opened = open_database(Settings(database_url=installation.database.url, secret_key=SECRET_KEY))
    yield opened
    asyncio.run(opened.close())


class Worker:
    """Does the work of a worker process."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.positions: Any = {}

    def look(self, now_ms: int = NOW_MS) -> Outlook:
        """Find the snoozes that end."""
        outlook = self.database.read_now(snoozes.look, self.positions, now_ms=now_ms)
        self.positions = outlook.positions
        return outlook

    def work(self, now_ms: int = NOW_MS) -> int:
        """Find and end snoozes once; returns how many ended."""
        over = self.look(now_ms).over
        return sum(self.database.write_now(snoozes.end_over, id_, ids, now_ms=now_ms) for id_, ids in over.items())


@pytest.fixture
def worker(database: Database) -> Worker:
    """A worker process that has not looked yet."""
    return Worker(database)


def snooze(database: Database, shop: Shop, thread_id: str, until_ms: int = UNTIL_MS, **options: Any) -> bool:
    """Snooze a conversation of Acme's at ``NOW_MS``."""
    options = {"keep": False, "actor": SYSTEM, "now_ms": NOW_MS} | options
    return database.write_now(snoozes.snooze, int(shop.world.acme), int(thread_id), until_ms, **options)


def endings(shop: Shop, thread_id: str) -> list[str]:
    """Why the snoozes of a conversation ended."""
    return [details["endedBy"] for details in events_of(shop, thread_id, "snooze") if details["until"] is None]


def snoozed(shop: Shop) -> set[str]:
    """The conversations that are snoozed."""
    return {str(row["thread_id"]) for row in shop.database.rows("SELECT thread_id FROM snoozes")}


def test_a_snooze_ends_at_its_time_and_not_before(shop: Shop, database: Database, worker: Worker) -> None:
    waiting, replied = shop.send(), shop.send()
    call(shop, REPLY, customerThreadId=replied, text="Did it help?")
    assert snooze(database, shop, waiting)
    assert snooze(database, shop, replied, UNTIL_MS + 1)
    assert worker.work() == 0
    assert worker.look(UNTIL_MS - 1).next_due_ms == UNTIL_MS
    assert worker.work(UNTIL_MS - 1) == 0
    assert worker.work(UNTIL_MS) == 1
    assert snoozed(shop) == {replied}
    assert worker.look(UNTIL_MS).next_due_ms == UNTIL_MS + 1
    assert worker.work(UNTIL_MS + 1) == 1
    assert [shop.thread(id_)["status"] for id_ in (waiting, replied)] == ["waiting", "waiting"]
    assert [endings(shop, id_) for id_ in (waiting, replied)] == [["time"], ["time"]]
    assert [len(events_of(shop, id_, "status")) for id_ in (waiting, replied)] == [0, 1]
    assert worker.look(UNTIL_MS + 1).next_due_ms is None


def test_a_message_of_the_customer_ends_a_snooze_unless_it_is_kept(
    shop: Shop, database: Database, worker: Worker
) -> None:
    email, other = shop.somebody(), shop.somebody()
    thread_id, kept = shop.send(user={"email": email}), shop.send(user={"email": other})
    snooze(database, shop, thread_id)
    snooze(database, shop, kept, keep=True)
    assert worker.work() == 0
    for internal in (True, False):
        call(shop, REPLY, customerThreadId=thread_id, text="We look into it.", internal=internal)
    assert worker.work() == 0
    shop.send(user={"email": other})
    shop.send(user={"email": email})
    call(shop, REPLY, customerThreadId=thread_id, text="Thank you.")
    assert worker.work() == 1
    assert endings(shop, thread_id) == ["message"]
    assert shop.thread(thread_id)["status"] == "replied"
    assert snoozed(shop) == {kept}


def test_a_message_before_the_snooze_does_not_end_it(shop: Shop, database: Database, worker: Worker) -> None:
    email = shop.somebody()
    thread_id = shop.send(user={"email": email})
    shop.send(user={"email": email})
    snooze(database, shop, thread_id)
    shop.send()  # a new event of the organization
    assert worker.work() == 0


def test_a_snooze_ends_when_its_conversation_is_resolved_or_transferred(
    shop: Shop, database: Database, worker: Worker
) -> None:
    resolved, transferred = shop.send(), shop.send()
    for thread_id in (resolved, transferred):
        snooze(database, shop, thread_id, keep=True)
    call(shop, "/api/update-thread-status", customerThreadId=resolved, status="resolved")
    call(shop, "/api/transfer-customer-thread", customerThreadId=transferred, businessId=shop.world.paris)
    assert worker.work() == 2
    assert [endings(shop, id_) for id_ in (resolved, transferred)] == [["status"], ["transfer"]]
    assert shop.thread(resolved)["status"] == "resolved"


def test_a_later_snooze_replaces_the_earlier_one(shop: Shop, database: Database, worker: Worker) -> None:
    email = shop.somebody()
    thread_id = shop.send(user={"email": email})
    assert snooze(database, shop, thread_id)
    assert not snooze(database, shop, thread_id)
    shop.send(user={"email": email})
    assert snooze(database, shop, thread_id, UNTIL_MS + 1)  # after that message
    assert worker.work(UNTIL_MS) == 0
    assert [details["until"] for details in events_of(shop, thread_id, "snooze")] == [UNTIL_MS, UNTIL_MS + 1]


def test_only_organizations_with_news_are_searched(
    shop: Shop, database: Database, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[list[int]] = []
    search: Callable[[Any], Any] = snoozes._over
    monkeypatch.setattr(snoozes, "_over", lambda ids: (searched.append(list(ids)), search(ids))[1])
    thread_id = shop.send()
    shop.send(token=shop.world.globex_token, businessId=shop.world.london)
    snooze(database, shop, thread_id)
    for _ in range(2):
        worker.look()
    shop.send(token=shop.world.globex_token, businessId=shop.world.london)
    worker.look()
    shop.send()
    worker.look()
    assert searched == [[int(shop.world.acme)]] * 2


def _snooze_many(shop: Shop, count: int, *, until_ms: int, status: str) -> None:
    """Create snoozed conversations of Acme's with this status."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    of = {"o": int(shop.world.acme), "b": int(shop.world.boston), "until": until_ms, "status": status}
    key, times = "organization_id, id, ", "created_at_ms, updated_at_ms"
    for table, columns, values in (
        ("customers", f"{key}created_at_ms", ":o, 5000000 + i, 1"),
        (
            "threads",
            f"{key}customer_id, business_id, channel, status, last_sequence, {times}",
            ":o, 5000000 + i, 5000000 + i, :b, 'WEB', :status, 1, 1, 1",
        ),
        (
            "snoozes",
            "organization_id, thread_id, until_ms, keep, business_id, last_sequence, created_at_ms",
            ":o, 5000000 + i, :until, false, :b, 1, 1",
        ),
    ):
        names = {name: value for name, value in of.items() if f":{name}" in values}
        shop.database.change(f"INSERT INTO {table} ({columns}) {numbers} SELECT {values} FROM n", **names)


def test_many_snoozes_end_in_small_transactions(shop: Shop, worker: Worker) -> None:
    _snooze_many(shop, 2 * ENDED_AT_ONCE + 1, until_ms=NOW_MS, status="replied")
    assert [worker.work() for _ in range(4)] == [ENDED_AT_ONCE, ENDED_AT_ONCE, 1, 0]


def test_an_organization_that_has_to_wait_is_not_forgotten(shop: Shop, database: Database, worker: Worker) -> None:
    shop.send()
    _snooze_many(shop, ENDED_AT_ONCE + 1, until_ms=UNTIL_MS, status="resolved")
    globex, token = int(shop.world.globex), shop.world.globex_token
    thread_id = shop.send(token=token, businessId=shop.world.london)
    options = {"keep": False, "actor": SYSTEM, "now_ms": NOW_MS}
    database.write_now(snoozes.snooze, globex, int(thread_id), UNTIL_MS, **options)
    call(shop, "/api/update-thread-status", token, customerThreadId=thread_id, status="resolved")
    assert [worker.work() for _ in range(3)] == [ENDED_AT_ONCE, 2, 0]
    assert endings(shop, thread_id) == ["status"]


def test_of_two_workers_one_ends_a_snooze(shop: Shop, database: Database, worker: Worker) -> None:
    thread_id = shop.send()
    snooze(database, shop, thread_id)
    other = Worker(database)
    found = [each.look(UNTIL_MS).over for each in (worker, other)]
    assert found[0] == found[1] == {int(shop.world.acme): [int(thread_id)]}
    ended = [
        database.write_now(snoozes.end_over, int(shop.world.acme), [int(thread_id)], now_ms=UNTIL_MS) for _ in found
    ]
    assert ended == [1, 0]
    assert endings(shop, thread_id) == ["time"]


def test_an_outdated_look_ends_nothing(shop: Shop, database: Database, worker: Worker) -> None:
    thread_id = shop.send()
    snooze(database, shop, thread_id)
    over = worker.look(UNTIL_MS).over
    snooze(database, shop, thread_id, UNTIL_MS + 1)
    (ids,) = over.values()
    assert database.write_now(snoozes.end_over, int(shop.world.acme), ids, now_ms=UNTIL_MS) == 0
    assert snoozed(shop) == {thread_id}
