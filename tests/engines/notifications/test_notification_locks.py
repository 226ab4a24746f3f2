"""Notification workers neither deadlock nor text a new number twice."""

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
from shopbell.channels.open_channels import open_channels
from shopbell.conversations.receive import lock
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.notifications import feed_consumer, outbox
from shopbell.notifications.limits import Budget, Wait, consume
from shopbell.notifications.policy import Plan, Said, Send
from shopbell.notifications.prepare import Prepared, Preparer
from shopbell.notifications.schedule import DecisionOutdated, write_sends
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings

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


def test_preparing_a_reply_and_queueing_the_next_one_do_not_deadlock(
    installation: Installation, people: World, settings: Settings, database: Database
) -> None:
    acme, preparer = int(people.acme), Preparer(settings, KEYS, open_channels(settings, KEYS))
    rules = preparer.rules
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        shop.database.change("UPDATE businesses SET invites_customers = :no, tells_store = :no", no=False)
        carol = shop.somebody()
        thread_id = int(shop.send(user={"email": carol}))
        answer = {"customerThreadId": str(thread_id), "text": "Yes, it is."}
        assert shop.post(answer, path="/api/send-message-to-customer-thread").status_code == 200
    now_ms = time.time_ns() // 1_000_000
    decided = database.write_now(feed_consumer.read_and_decide, acme, rules, preparer.opt_outs, now_ms=now_ms)
    assert decided is not None
    assert database.write_now(feed_consumer.write_decided, decided, rules, now_ms=now_ms)

    def write_next(tx: Connection) -> None:
        said = Said(1, 3, now_ms, from_customer=False)
        plan = Plan(None, [Send("EMAIL", "customer", "reply", carol, now_ms, (said,))])
        write_sends(tx, acme, decided.known[thread_id].thread, plan, now_ms=now_ms)

    tries: list[int] = []

    def pack(tx: Connection) -> object:
        tries.append(1)
        return preparer.prepare(tx, ("EMAIL",), frozenset(), now_ms=now_ms + 1)

    with ThreadPoolExecutor(1) as threads:
        writing = Holding(database, lambda tx: lock(tx, acme, thread_id), write_next)
        packing = threads.submit(database.write_now, pack)
        wait_until_it_goes_on(installation, packing)
        writing.end()
        assert isinstance(packing.result(TIMEOUT_S), Prepared)
    assert (writing.tries, len(tries)) == (1, 1)  # a deadlock is tried again


def test_of_two_concurrent_texts_to_a_new_number_one_waits_for_the_pause(
    installation: Installation, people: World, database: Database
) -> None:
    acme, budget, now_ms = int(people.acme), Budget(1_000, 60_000), time.time_ns() // 1_000_000

    def text(tx: Connection, number: str) -> object:
        return consume(tx, budget, acme, number, 1, now_ms=now_ms)

    with ThreadPoolExecutor(2) as threads:
        # A transaction that holds the day's count stops both after they have read the number.
        other = Holding(database, lambda tx: text(tx, "another number"), lambda _: None)
        both = [threads.submit(database.write_now, text, "new number") for _ in range(2)]
        wait_until_it_goes_on(installation, *both)
        other.end()
        outcomes = [each.result(TIMEOUT_S) for each in both]
    assert sorted(outcomes, key=str) == sorted([None, Wait(now_ms + 60_000)], key=str)


def test_a_business_is_notified_of_a_message_that_arrives_while_a_notification_fails(
    installation: Installation, people: World, settings: Settings, database: Database
) -> None:
    acme, preparer = int(people.acme), Preparer(settings, KEYS, open_channels(settings, KEYS))
    rules = preparer.rules
    now_ms = time.time_ns() // 1_000_000
    notices = "SELECT state, first_sequence FROM outbound_messages WHERE purpose = 'store-notice' ORDER BY id"

    def decide() -> feed_consumer.Decided:
        decided = database.write_now(feed_consumer.read_and_decide, acme, rules, preparer.opt_outs, now_ms=now_ms)
        assert decided is not None
        return decided

    def fail(tx: Connection) -> None:
        row = outbox.find(tx, acme, notice_id)
        assert row is not None
        outbox.end(tx, row, "failed", "mailbox_unknown", "failed", now_ms=now_ms)

    with installation.serving(run_worker=False) as server, ThreadPoolExecutor(1) as threads:
        shop = Shop(server, people)
        shop.database.change(
            "UPDATE businesses SET invites_customers = :no, email = 'boston@acme.example' WHERE id = :id",
            no=False,
            id=int(people.boston),
        )
        carol = shop.somebody()
        shop.send(user={"email": carol})
        assert database.write_now(feed_consumer.write_decided, decide(), rules, now_ms=now_ms)
        notice_id = shop.database.value("SELECT id FROM outbound_messages")
        shop.database.change("UPDATE outbound_messages SET attempts = 1")  # it is under way
        shop.send(user={"email": carol}, message="Hello?")
        decided = decide()
        failing = Holding(database, fail, lambda _: None)
        writing = threads.submit(database.write_now, feed_consumer.write_decided, decided, rules, now_ms=now_ms)
        wait_until_it_goes_on(installation, writing)
        failing.end()
        with pytest.raises(DecisionOutdated):
            writing.result(TIMEOUT_S)
        assert database.write_now(feed_consumer.write_decided, decide(), rules, now_ms=now_ms)
        assert [tuple(row.values()) for row in shop.database.rows(notices)] == [("failed", 1), ("waiting", 2)]
