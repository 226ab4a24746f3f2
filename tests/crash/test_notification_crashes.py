"""A worker that dies while sending repeats no SMS and loses no email."""

from dataclasses import replace
from typing import Any

import broken_notifications

from harness.installation import Installation
from harness.sent_messages import Post
from harness.shop import Shop
from harness.smtp import SmtpServer
from harness.twilio import NUMBER, SID, TOKEN, FakeTwilio, fake_twilio
from harness.waiting import wait_until
from harness.workers import WorkerProcess
from harness.world import World

QUICK = {
    "delivery_timeout_s": 1,
    "delivery_connect_timeout_s": 1,
    "delivery_lease_s": 2,
    "smtp_timeout_s": 60,
    "smtp_connect_timeout_s": 20,
    "poll_interval_s": 0.1,
    "mail_batch_s": 0,
    "sms_cooldown_s": 0,
}


def _texts_after_a_crash(installation: Installation, people: World, program: Any, twilio: FakeTwilio) -> Post:
    """Let a worker die right after Twilio has read a text, and another one go on."""
    settings = {
        **QUICK,
        "delivery_timeout_s": 20,
        "delivery_lease_s": 21,
        "sms_provider": "twilio",
        "twilio_account_sid": SID,
        "twilio_auth_token": TOKEN,
        "twilio_api_url": twilio.url,
        "sms_from": NUMBER,
        "public_url": "https://chat.acme.example",
    }
    twilio.script.append("hang")
    with installation.serving(run_worker=False) as server:
        post = Post(Shop(server, people), SmtpServer(), installation.folder)
        post.business(invites_customers=False)
        thread_id = post.shop.send(user={"phoneNumber": post.shop.some_number()})
        post.reply(thread_id, "Yes, it is.")
        first = WorkerProcess(replace(installation, server_program=program), 1, **settings)
        wait_until(lambda: twilio.received, lambda: first.log)
        first.kill()
        # Its lease is over, as if the time had gone by.
        assert post.shop.database.change("UPDATE outbound_messages SET due_at_ms = 1 WHERE state = 'waiting'")
        second = WorkerProcess(installation, 2, **settings)
        wait_until(
            lambda: post.shop.database.value("SELECT count(*) FROM outbound_messages WHERE state = 'waiting'") == 0,
            lambda: second.log,
        )
        second.terminate()
    return post


def test_an_sms_of_a_dead_worker_is_not_sent_again_and_marked(installation: Installation, people: World) -> None:
    with fake_twilio() as twilio:
        post = _texts_after_a_crash(installation, people, installation.server_program, twilio)
        assert len(twilio.received) == 1
    (row,) = post.shop.database.rows("SELECT * FROM outbound_messages")
    assert (row["state"], row["reason"], row["attempts"]) == ("unknown", "unknown", 1)
    (record,) = post.shop.database.rows("SELECT * FROM message_deliveries WHERE channel = 'SMS'")
    assert (record["state"], record["reason"]) == ("failed", "unknown")


def test_control_without_counting_the_attempt_first_an_sms_is_sent_twice(
    installation: Installation, people: World
) -> None:
    with fake_twilio() as twilio:
        _texts_after_a_crash(installation, people, broken_notifications.program("counts_afterwards"), twilio)
        assert len(twilio.received) == 2


def test_an_email_of_a_dead_worker_is_sent_once_more_with_the_same_id(
    installation: Installation, people: World
) -> None:
    with SmtpServer(dawdle_at="DATA") as mails, installation.serving(run_worker=False) as server:
        settings = {**QUICK, "smtp_url": mails.url, "smtp_starttls": "never"}
        settings["mail_from"] = "shop@acme.example"
        post = Post(Shop(server, people), mails, installation.folder)
        post.business(invites_customers=False)
        thread_id = post.shop.send()
        message_id = post.reply(thread_id, "Yes, it is.")
        first = WorkerProcess(installation, 1, **settings)
        post.wait_for_row("SELECT 1 FROM outbound_messages WHERE attempts = 1")
        wait_until(lambda: mails.hellos, lambda: first.log)
        first.kill()
        mails.dawdle_at = None
        assert post.shop.database.change("UPDATE outbound_messages SET due_at_ms = 1 WHERE state = 'waiting'")
        second = WorkerProcess(installation, 2, **settings)
        (mail,) = mails.wait_for(1)
        post.wait_for_delivery(message_id, "EMAIL", "sent")
        second.terminate()
        (row,) = post.shop.database.rows("SELECT * FROM outbound_messages")
    assert (row["state"], row["attempts"]) == ("sent", 2)
    assert mail.message["Message-ID"].startswith("<")


def test_two_workers_send_each_email_once(installation: Installation, people: World) -> None:
    with SmtpServer() as mails, installation.serving(run_worker=False) as server:
        settings = {**QUICK, "smtp_url": mails.url, "smtp_starttls": "never"}
        settings["mail_from"] = "shop@acme.example"
        post = Post(Shop(server, people), mails, installation.folder)
        workers = [WorkerProcess(installation, number, **settings) for number in (1, 2)]
        threads = [post.shop.send() for _ in range(20)]
        for thread_id in threads:
            post.reply(thread_id, "Yes, it is.")
        mails.wait_for(40)
        wait_until(
            lambda: post.shop.database.value("SELECT count(*) FROM outbound_messages WHERE state = 'sent'") == 40,
            lambda: "\n".join(worker.log for worker in workers),
        )
        for worker in workers:
            worker.terminate()
        ids = [mail.message["Message-ID"] for mail in mails.received]
    assert (len(ids), len(set(ids))) == (40, 40)
