"""Recipients' addresses and numbers are deleted when no longer needed."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from harness.installation import SECRET_KEY, Installation
from harness.shop import Shop
from harness.world import World
from shopbell import app
from shopbell.channels.open_channels import open_channels
from shopbell.customers.opt_outs import OptOuts
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.notifications import feed_consumer, limits
from shopbell.notifications.prepare import Preparer
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings

KEYS = Keys((SECRET_KEY.encode(),))
DAY_MS = limits.DAY_MS


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


@pytest.mark.parametrize("was_read", [False, True])
def test_a_notification_decided_before_an_erasure_stores_no_address(
    installation: Installation, people: World, settings: Settings, database: Database, was_read: bool
) -> None:
    preparer, acme = Preparer(settings, KEYS, open_channels(settings, KEYS)), int(people.acme)
    rules = preparer.rules
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        carol = shop.somebody()
        thread_id = shop.send(user={"email": carol})
        answer = shop.post(
            {"customerThreadId": thread_id, "text": "Yes, it is."}, path="/api/send-message-to-customer-thread"
        )
        assert answer.status_code == 200, answer.text
        now_ms = time.time_ns() // 1_000_000
        decided = database.write_now(feed_consumer.read_and_decide, acme, rules, OptOuts(KEYS), now_ms=now_ms)
        assert decided is not None
        erased = shop.post({}, path=f"/api/customers/{shop.customer_of(thread_id)}/erase")
        assert erased.status_code == 200, erased.text
        if was_read:
            shop.database.change(
                "INSERT INTO thread_reads (organization_id, thread_id, customer_sequence) VALUES (:o, :t, 2)",
                o=acme,
                t=int(thread_id),
            )
        assert database.write_now(feed_consumer.write_decided, decided, rules, now_ms=now_ms)
        found = "SELECT count(*) FROM outbound_messages WHERE address = :a"
        assert shop.database.value(found, a=carol) > 0
        later_ms = now_ms + DAY_MS
        while database.write_now(preparer.prepare, ("EMAIL",), frozenset(), now_ms=later_ms) is not None:
            pass
        assert shop.database.value(found, a=carol) == 0
        query = "SELECT state, reason FROM outbound_messages WHERE audience = 'customer'"
        assert {tuple(row.values()) for row in shop.database.rows(query)} == {("failed", "erased")}


def test_numbers_are_deleted_after_a_day_and_sms_usage_after_a_month(
    installation: Installation, people: World, database: Database
) -> None:
    now_ms = time.time_ns() // 1_000_000
    today = now_ms // DAY_MS
    change = installation.database.change
    for organization in (int(people.acme), int(people.globex)):
        for name, at_ms in (("old", now_ms - DAY_MS - 60_000), ("new", now_ms - DAY_MS + 60_000)):
            change("INSERT INTO throttles VALUES (:o, :h, :m)", o=organization, h=name, m=at_ms)
        for day in (today - 40, today - 32, today - 30, today):
            change("INSERT INTO sms_usage VALUES (:o, :d, 1)", o=organization, d=day)
    assert database.write_now(limits.forget_old, now_ms, limit=1)
    asyncio.run(app._forget_expired(database))
    kept = installation.database.rows("SELECT address_hash FROM throttles")
    assert [row["address_hash"] for row in kept] == ["new", "new"]
    days = installation.database.rows("SELECT day FROM sms_usage ORDER BY day")
    assert [row["day"] for row in days] == [today - 30, today - 30, today, today]
    assert not database.write_now(limits.forget_old, now_ms)
