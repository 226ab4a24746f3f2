"""Workers reach for the same rows at once: none waits for another that waits for it, and no number is new to two."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection

from harness.installation import SECRET_KEY, Installation
from harness.shop import Shop
from harness.waiting import TIMEOUT_S, wait_until
from harness.world import World
from shopbell.incoming import lock
from shopbell.keys import Keys
from shopbell.outreach import cursor, dispatches
from shopbell.outreach.budgets import Budget, Wait, spend
from shopbell.outreach.counter import Counter, Packed
from shopbell.outreach.decisions import Plan, Said, Send
from shopbell.outreach.plans import Overtaken, write_sends
from shopbell.outreach.rules import rules_of
from shopbell.settings import Settings
from shopbell.storage.database import Database
from shopbell.storage.open import open_database

KEYS = Keys((SECRET_KEY.encode(),))
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
    "AND state = 'active'"
)


@pytest.fixture
def settings(installation: Installation) -> Settings:
    """Those of the installation, whose mails wait for no more."""
    mails = {"smtp_url": "smtp://127.0.0.1:25", "mail_from": "shop@acme.example"}
    return Settings(database_url=installation.database.url, secret_key=SECRET_KEY, mail_batch_s=0, **mails)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The installation's database, as its workers see it."""
    opened = open_database(settings)
    yield opened
    asyncio.run(opened.close())


class Holding:
    """A transaction that has done its work, and ends when it is told to.

    Args:
        database: where.
        work: what it does.
        more: what it does at the end, once it is told to.
    """

    def __init__(
        self, database: Database, work: Callable[[Connection], Any], more: Callable[[Connection], Any]
    ) -> None:
        self._work, self._more = work, more
        self._done, self._may_end = Event(), Event()
        self.tries = 0
        self._threads = ThreadPoolExecutor(1)
        self._outcome = self._threads.submit(database.write_now, self._run)
        assert self._done.wait(TIMEOUT_S)

    def _run(self, tx: Connection) -> Any:
        self.tries += 1
        self._work(tx)
        self._done.set()
        assert self._may_end.wait(TIMEOUT_S)
        return self._more(tx)

    def end(self) -> Any:
        """Let it end; what it did last."""
        self._may_end.set()
        outcome = self._outcome.result(TIMEOUT_S)
        self._threads.shutdown()
        return outcome


def wait_until_it_goes_on(installation: Installation, *futures: Any) -> None:
    """Wait until each of these has ended, or waits for a lock; on SQLite all who write do."""
    if installation.database.is_sqlite:
        return

    def is_so() -> bool:
        running = sum(not future.done() for future in futures)
        return bool(running == installation.database.value(WAITING))

    wait_until(is_so, lambda: "one of them neither ends nor waits")


def test_who_packs_an_answer_and_who_writes_the_next_one_down_do_not_wait_for_each_other(
    installation: Installation, people: World, settings: Settings, database: Database
) -> None:
    acme, counter, rules = int(people.acme), Counter(settings, KEYS), rules_of(settings)
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        shop.database.change("UPDATE businesses SET invites_customers = :no, tells_store = :no", no=False)
        carol = shop.somebody()
        thread_id = int(shop.send(user={"email": carol}))
        answer = {"customerThreadId": str(thread_id), "text": "Yes, it is."}
        assert shop.post(answer, path="/api/send-message-to-customer-thread").status_code == 200
    now_ms = time.time_ns() // 1_000_000
    decided = database.write_now(cursor.read_and_decide, acme, rules, counter.opt_outs, now_ms=now_ms)
    assert decided is not None
    assert database.write_now(cursor.write_decided, decided, rules, now_ms=now_ms)

    def write_next(tx: Connection) -> None:
        said = Said(1, 3, now_ms, from_customer=False)
        plan = Plan(None, [Send("EMAIL", "customer", "reply", carol, now_ms, (said,))])
        write_sends(tx, acme, decided.known[thread_id].thread, plan, now_ms=now_ms)

    tries: list[int] = []

    def pack(tx: Connection) -> object:
        tries.append(1)
        return counter.pack(tx, ("EMAIL",), frozenset(), now_ms=now_ms + 1)

    with ThreadPoolExecutor(1) as threads:
        writing = Holding(database, lambda tx: lock(tx, acme, thread_id), write_next)
        packing = threads.submit(database.write_now, pack)
        wait_until_it_goes_on(installation, packing)
        writing.end()
        assert isinstance(packing.result(TIMEOUT_S), Packed)
    assert (writing.tries, len(tries)) == (1, 1)  # a deadlock is tried again


def test_of_two_texts_at_once_to_a_number_that_was_sent_none_before_one_waits_for_its_pause(
    installation: Installation, people: World, database: Database
) -> None:
    acme, budget, now_ms = int(people.acme), Budget(1_000, 60_000), time.time_ns() // 1_000_000

    def text(tx: Connection, number: str) -> object:
        return spend(tx, budget, acme, number, 1, now_ms=now_ms)

    with ThreadPoolExecutor(2) as threads:
        # Whoever holds the day's count keeps both where they have looked at the number.
        other = Holding(database, lambda tx: text(tx, "another number"), lambda _: None)
        both = [threads.submit(database.write_now, text, "new number") for _ in range(2)]
        wait_until_it_goes_on(installation, *both)
        other.end()
        outcomes = [each.result(TIMEOUT_S) for each in both]
    assert sorted(outcomes, key=str) == sorted([None, Wait(now_ms + 60_000)], key=str)


def test_a_store_whose_notice_fails_while_it_is_taken_to_know_is_told_of_the_next_message(
    installation: Installation, people: World, settings: Settings, database: Database
) -> None:
    acme, counter, rules = int(people.acme), Counter(settings, KEYS), rules_of(settings)
    now_ms = time.time_ns() // 1_000_000
    notices = "SELECT state, first_sequence FROM dispatches WHERE purpose = 'store-notice' ORDER BY id"

    def decide() -> cursor.Decided:
        decided = database.write_now(cursor.read_and_decide, acme, rules, counter.opt_outs, now_ms=now_ms)
        assert decided is not None
        return decided

    def fail(tx: Connection) -> None:
        row = dispatches.find(tx, acme, notice_id)
        assert row is not None
        dispatches.end(tx, row, "failed", "mailbox_unknown", "failed", now_ms=now_ms)

    with installation.serving(run_worker=False) as server, ThreadPoolExecutor(1) as threads:
        shop = Shop(server, people)
        shop.database.change(
            "UPDATE businesses SET invites_customers = :no, email = 'boston@acme.example' WHERE id = :id",
            no=False,
            id=int(people.boston),
        )
        carol = shop.somebody()
        shop.send(user={"email": carol})
        assert database.write_now(cursor.write_decided, decide(), rules, now_ms=now_ms)
        notice_id = shop.database.value("SELECT id FROM dispatches")
        shop.database.change("UPDATE dispatches SET attempts = 1")  # it is under way
        shop.send(user={"email": carol}, message="Hello?")
        decided = decide()
        failing = Holding(database, fail, lambda _: None)
        writing = threads.submit(database.write_now, cursor.write_decided, decided, rules, now_ms=now_ms)
        wait_until_it_goes_on(installation, writing)
        failing.end()
        with pytest.raises(Overtaken):
            writing.result(TIMEOUT_S)
        assert database.write_now(cursor.write_decided, decide(), rules, now_ms=now_ms)
        assert [tuple(row.values()) for row in shop.database.rows(notices)] == [("failed", 1), ("waiting", 2)]
