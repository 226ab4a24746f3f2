"""Notifications of a business are limited per hour and omit no conversation."""

import asyncio
import time
from typing import Any

import pytest

from harness.installation import SECRET_KEY, Installation
from harness.sent_messages import Post
from harness.smtp import Received, SmtpServer
from harness.waiting import wait_until
from harness.world import World
from shopbell.db.connect import open_database
from shopbell.notifications import limits
from shopbell.notifications.limits import HOUR_MS, Wait
from shopbell.settings.settings import Settings

BOSTON = "boston@acme.example"
OUTCOMES = "SELECT state, reason FROM outbound_messages WHERE purpose = 'store-notice' ORDER BY id"
STANDING = "SELECT thread_id FROM outbound_messages WHERE purpose = 'store-notice' AND state = 'waiting'"


def lines_of(mail: Received) -> list[str]:
    """The plain part of a mail."""
    body = mail.message.get_body(("plain",))
    assert body is not None
    text: str = body.get_content()
    return text.splitlines()


def let_write(post: Post, count: int) -> list[str]:
    """Let strangers write, each his own words; the threads, once what follows is decided and put in order."""
    threads = [post.shop.send(message=f"Question {number}.") for number in range(count)]
    post.decided()
    return threads


def wait_until_put_off(post: Post, *, counted: int) -> str:
    """Wait until so many mails are counted in another one that waits, and nothing else does; the thread of that one."""

    def is_so() -> bool:
        rows = post.shop.database.rows(OUTCOMES)
        waiting = [row for row in rows if row["state"] == "waiting"]
        return len(waiting) == 1 and [row["reason"] for row in rows].count("counted") == counted

    wait_until(is_so, lambda: f"{post.shop.database.rows(OUTCOMES)}\n{post.shop.server.log}")
    return str(post.shop.database.value(STANDING))


def let_an_hour_pass(post: Post) -> None:
    """Make it that the mails of this hour were sent long ago."""
    post.shop.database.change("UPDATE throttles SET last_at_ms = 1")
    post.shop.database.change("UPDATE outbound_messages SET due_at_ms = 1 WHERE state = 'waiting'")


def told(post: Post, thread_id: str) -> str:
    """What became of the store's mail about a thread's first message."""
    (first, *_) = post.shop.messages(thread_id)
    return post.deliveries(first["id"]).get(("EMAIL", "store"), ("undecided",))[0]


def test_many_conversations_are_few_emails_and_the_next_one_counts_the_waiting(open_post: Any) -> None:
    with open_post(store_mails_per_hour=2) as post:
        post.business(email=BOSTON, invites_customers=False)
        threads = let_write(post, 6)
        standing = wait_until_put_off(post, counted=3)
        assert len(post.mails.wait_for(2)) == 2
        let_an_hour_pass(post)
        mails = post.mails.wait_for(3)
        assert {mail.recipients for mail in mails} == {(BOSTON,)}
        assert [mail for mail in mails[:2] if "more conversation" in str(lines_of(mail))] == []
        assert "3 more conversations are waiting." in lines_of(mails[2])
        assert f"Question {threads.index(standing)}." in lines_of(mails[2])
        for thread_id in threads:
            wait_until(lambda thread_id=thread_id: told(post, thread_id) == "sent", lambda: post.shop.server.log)  # type: ignore[misc]
        assert len(post.mails.received) == 3


def test_another_business_is_notified_as_usual(open_post: Any) -> None:
    with open_post(store_mails_per_hour=1) as post:
        post.business(email=BOSTON, invites_customers=False)
        post.shop.database.change(
            "UPDATE businesses SET email = :email, invites_customers = :no WHERE id = :id",
            email=BOSTON,
            no=False,
            id=int(post.shop.world.paris),
        )
        let_write(post, 3)
        wait_until_put_off(post, counted=1)
        thread_id = post.shop.send(businessId=post.shop.world.paris, message="Bonjour")
        wait_until(lambda: told(post, thread_id) == "sent", lambda: post.shop.server.log)
        assert "Bonjour" in lines_of(post.mails.received[1])


@pytest.mark.parametrize("how", ["answered", "erased"])
def test_resolved_conversations_are_left_out_and_the_email_is_about_the_next_one(open_post: Any, how: str) -> None:
    with open_post(store_mails_per_hour=1) as post:
        post.business(email=BOSTON, invites_customers=False)
        threads = let_write(post, 5)
        standing = wait_until_put_off(post, counted=3)
        others = [thread_id for thread_id in threads if told(post, thread_id) == "queued" and thread_id != standing]
        if how == "answered":
            post.reply(standing, "Yes.")
        else:
            customer_id = post.shop.customer_of(standing)
            assert post.shop.post({}, path=f"/api/customers/{customer_id}/erase").status_code == 200
        post.reply(others[2], "Yes.")
        post.decided()
        let_an_hour_pass(post)
        wait_until(lambda: told(post, others[0]) == "sent", lambda: post.shop.server.log)
        _, mail = [mail for mail in post.mails.received if mail.recipients == (BOSTON,)]
        assert f"Question {threads.index(others[0])}." in lines_of(mail)
        assert f"Question {threads.index(standing)}." not in lines_of(mail)
        assert "1 more conversation is waiting." in lines_of(mail)
        assert [told(post, thread_id) for thread_id in others] == ["sent", "sent", "read"]
        assert told(post, standing) == "read"


def test_a_failed_email_counts_as_notification_of_no_conversation(open_post: Any) -> None:
    with open_post(SmtpServer(answers={"RCPT": "550 5.1.1 Nobody here"}), store_mails_per_hour=1) as post:
        post.business(email=BOSTON, invites_customers=False)
        threads = let_write(post, 4)
        wait_until_put_off(post, counted=2)
        let_an_hour_pass(post)
        for thread_id in threads:
            wait_until(lambda thread_id=thread_id: told(post, thread_id) == "failed", lambda: post.shop.server.log)  # type: ignore[misc]
        assert (
            post.shop.database.value(
                "SELECT count(*) FROM notification_state WHERE store_notified_sequence IS NOT NULL"
            )
            == 0
        )


def test_the_hourly_emails_go_out_at_once_and_then_evenly_spaced(installation: Installation, people: World) -> None:
    database = open_database(Settings(database_url=installation.database.url, secret_key=SECRET_KEY))
    now_ms, acme = time.time_ns() // 1_000_000, int(people.acme)

    def spend(at_ms: int, mailbox: str = "boston") -> Wait | None:
        return database.write_now(limits.consume_notice, 4, acme, mailbox, now_ms=now_ms + at_ms)

    quarter_ms = HOUR_MS // 4
    assert [spend(0) for _ in range(4)] == [None] * 4
    assert spend(1) == Wait(now_ms + quarter_ms)
    assert spend(2) == Wait(now_ms + quarter_ms)  # asking costs nothing
    assert spend(2, "paris") is None
    assert spend(quarter_ms) is None
    assert spend(quarter_ms) == Wait(now_ms + 2 * quarter_ms)
    assert [spend(10 * HOUR_MS) for _ in range(4)] == [None] * 4
    assert spend(10 * HOUR_MS) is not None
    assert spend(0) is None  # the clock was set back
    asyncio.run(database.close())
