"""Replies reach customers by email, combined and recorded."""

from typing import Any

import pytest

from harness.sent_messages import Post
from harness.smtp import Received, SmtpServer
from shopbell.notifications.content import LINES_MAX


def _text(mail: Received) -> str:
    body = mail.message.get_body(("plain",))
    assert body is not None
    text: str = body.get_content()
    return text


def _mails_to(post: Post, address: str) -> list[Received]:
    return [mail for mail in post.mails.received if mail.recipients == (address,)]


def test_a_reply_is_emailed_to_the_customer_and_recorded(post: Post) -> None:
    carol = post.shop.somebody()
    thread_id = post.shop.send(user={"email": carol})
    post.mails.wait_for(1)  # the invitation
    message_id = post.reply(thread_id, "Your bicycle is ready.")
    invitation, mail = post.mails.wait_for(2)
    assert mail.recipients == (carol,)
    assert "Your bicycle is ready." in _text(mail)
    assert "Hello, I need help with my order." in _text(mail)  # what was said before
    post.wait_for_delivery(message_id, "EMAIL", "sent")
    assert post.deliveries(message_id) == {("WEB", "customer"): ("queued", None), ("EMAIL", "customer"): ("sent", None)}
    # One conversation for a mail program.
    assert invitation.message["Subject"] == "Your conversation with Acme Boston"
    assert mail.message["Subject"] == "Re: Your conversation with Acme Boston"
    assert invitation.message["References"] == mail.message["References"]
    assert invitation.message["Message-ID"] != mail.message["Message-ID"]
    assert mail.message["Reply-To"].addresses[0].domain == "reply.acme.example"


def test_the_api_shows_the_delivery_status_of_a_reply(post: Post) -> None:
    thread_id = post.shop.send()
    message_id = post.reply(thread_id, "Your bicycle is ready.")
    post.wait_for_delivery(message_id, "EMAIL", "sent")
    shown = {
        (each["channel"], each["audience"], each["state"], each["reason"])
        for each in post.messages(thread_id)[1]["deliveries"]
    }
    assert shown == {("EMAIL", "customer", "sent", None), ("WEB", "customer", "queued", None)}
    feed = post.shop.server.client.get(
        "/api/events", params={"types": "message-delivery"}, headers={"token": post.shop.world.token}
    ).json()["events"]
    (event,) = [event for event in feed if event["messageId"] == message_id]
    assert event["data"] == {"channel": "EMAIL", "audience": "customer", "state": "sent", "reason": None}
    assert event["message"] is None


def test_quick_replies_are_sent_in_one_email(open_post: Any) -> None:
    with open_post(mail_batch_s=3_600) as post:
        carol = post.shop.somebody()
        thread_id = post.shop.send(user={"email": carol})
        sent = [post.reply(thread_id, f"Answer {number}.") for number in range(3)]
        post.mails.wait_for(1)  # the invitation
        post.let_time_pass()
        for message_id in sent:
            post.wait_for_delivery(message_id, "EMAIL", "sent")
        mails = _mails_to(post, carol)
        assert len(mails) == 2
        assert all(f"Answer {number}." in _text(mails[1]) for number in range(3))


def test_replies_that_exceed_one_email_are_sent_in_two(open_post: Any) -> None:
    with open_post(mail_batch_s=3_600) as post:
        post.business(invites_customers=False)
        carol = post.shop.somebody()
        thread_id = post.shop.send(user={"email": carol})
        sent = [post.reply(thread_id, f"Answer {number}.") for number in range(LINES_MAX + 10)]
        post.let_time_pass()
        for message_id in sent:
            post.wait_for_delivery(message_id, "EMAIL", "sent")
        said = "".join(_text(mail) for mail in post.mails.received)
        assert all(f"Answer {number}." in said for number in range(LINES_MAX + 10))
        assert len(post.mails.received) == 2


def test_messages_read_before_the_email_are_not_emailed(open_post: Any) -> None:
    with open_post(mail_batch_s=3_600) as post:
        carol = post.shop.somebody()
        thread_id = post.shop.send(user={"email": carol})
        post.mails.wait_for(1)  # the invitation
        message_id = post.reply(thread_id, "Your bicycle is ready.")
        post.wait_for_delivery(message_id, "EMAIL", "queued")
        post.shop.database.change(
            "INSERT INTO thread_reads (organization_id, thread_id, customer_sequence, store_sequence) "
            "VALUES (:organization, :thread, 2, 0)",
            organization=int(post.shop.world.acme),
            thread=int(thread_id),
        )
        post.let_time_pass()
        post.wait_for_delivery(message_id, "EMAIL", "read")
        assert len(_mails_to(post, carol)) == 1


def test_internal_notes_are_not_emailed(post: Post) -> None:
    carol = post.shop.somebody()
    thread_id = post.shop.send(user={"email": carol})
    note_id = post.reply(thread_id, "He is a regular.", internal=True)
    post.decided()
    assert post.deliveries(note_id) == {}


def test_an_unknown_mailbox_is_recorded_on_the_message(open_post: Any) -> None:
    with open_post(SmtpServer(answers={"RCPT": "550 5.1.1 Nobody here"})) as post:
        thread_id = post.shop.send()
        message_id = post.reply(thread_id, "Your bicycle is ready.")
        post.wait_for_delivery(message_id, "EMAIL", "failed")
        state, reason = post.deliveries(message_id)["EMAIL", "customer"]
        assert (state, bool(reason)) == ("failed", True)
        assert "Nobody" not in str(reason)


def test_a_busy_server_is_retried_later(open_post: Any) -> None:
    with open_post(SmtpServer(answers={"RCPT": "451 4.7.1 Greylisted"}), mail_batch_s=0) as post:
        thread_id = post.shop.send()
        post.reply(thread_id, "Your bicycle is ready.")
        query = "SELECT * FROM outbound_messages WHERE purpose = 'reply' AND attempts = 1 AND reason IS NOT NULL"
        post.wait_for_row(query)
        (row,) = post.shop.database.rows(query)
        assert row["state"] == "waiting"
        assert row["due_at_ms"] > row["created_at_ms"] + 20_000


def test_an_email_of_unknown_outcome_is_given_up_although_the_server_was_busy_since(open_post: Any) -> None:
    with open_post(SmtpServer(drop_at="DATA"), mail_batch_s=0) as post:
        post.business(invites_customers=False)
        message_id = post.reply(post.shop.send(), "Your bicycle is ready.")

        def try_again(after: int) -> None:
            tried = (
                "SELECT 1 FROM outbound_messages WHERE state = 'waiting' AND attempts = :count AND reason <> 'resent'"
            )
            post.wait_for_row(tried, count=after)
            assert post.shop.database.change("UPDATE outbound_messages SET due_at_ms = 1 WHERE state = 'waiting'") == 1

        post.wait_for_row("SELECT 1 FROM outbound_messages WHERE reason = 'to_be_resent'")
        post.mails.drop_at, post.mails.answers["RCPT"] = None, "451 4.7.1 Greylisted"
        try_again(after=1)
        post.wait_for_row("SELECT 1 FROM outbound_messages WHERE attempts = 2 AND reason <> 'resent'")
        post.mails.drop_at = "DATA"
        del post.mails.answers["RCPT"]
        try_again(after=2)
        post.wait_for_delivery(message_id, "EMAIL", "failed")
        (row,) = post.shop.database.rows("SELECT * FROM outbound_messages")
        assert (row["state"], row["reason"], row["attempts"]) == ("unknown", "unknown", 3)


def test_a_business_is_emailed_once_about_a_waiting_customer(post: Post) -> None:
    post.business(email="boston@acme.example", invites_customers=False)
    thread_id = post.shop.send(message="Is it ready?")
    post.mails.wait_for(1)
    post.shop.send(user={"email": _email_of(post, thread_id)}, message="Hello?")
    post.decided()
    (notice,) = _mails_to(post, "boston@acme.example")
    assert "Is it ready?" in _text(notice)
    assert notice.message["Auto-Submitted"] == "auto-generated"
    # After an answer, a new message of the customer causes a new email.
    post.reply(thread_id, "Tomorrow.")
    post.decided()
    post.shop.send(user={"email": _email_of(post, thread_id)}, message="And now?")
    post.wait_for_row(
        "SELECT 1 FROM outbound_messages WHERE purpose = 'store-notice' AND first_sequence = 4 AND state = 'sent'"
    )
    assert "And now?" in _text(_mails_to(post, "boston@acme.example")[1])


def test_a_failed_notification_does_not_delay_the_next_one(open_post: Any) -> None:
    with open_post(SmtpServer(answers={"RCPT": "550 5.1.1 Nobody here"})) as post:
        post.business(email="boston@acme.example", invites_customers=False)
        carol = post.shop.somebody()
        post.shop.send(user={"email": carol})
        notice = (
            "SELECT 1 FROM outbound_messages WHERE purpose = 'store-notice' AND state = 'failed' AND first_sequence = "
        )
        post.wait_for_row(notice + "1")
        post.shop.send(user={"email": carol}, message="Hello?")
        post.wait_for_row(notice + "2")


def test_a_business_without_notifications_gets_none(post: Post) -> None:
    post.business(email="boston@acme.example", tells_store=False)
    post.shop.send()
    post.mails.wait_for(1)  # the invitation
    post.decided()
    assert _mails_to(post, "boston@acme.example") == []


def test_a_customer_writing_out_of_hours_is_told_once_and_stays_waiting(post: Post) -> None:
    post.business(opening_hours='{"weekly": {}, "exceptions": []}', invites_customers=False)
    carol = post.shop.somebody()
    thread_id = post.shop.send(user={"email": carol, "locale": "fr"})
    post.wait_for_row("SELECT 1 FROM notification_state WHERE auto_replied_period IS NOT NULL")
    post.shop.send(user={"email": carol, "locale": "fr"})
    post.decided()
    said = [message for message in post.messages(thread_id) if not message["fromCustomer"]]
    assert [message["text"] for message in said] == [
        "Merci pour votre message. Nous sommes fermés actuellement et vous répondrons dès que possible."
    ]
    details = post.shop.server.client.get(
        "/api/get-customer-thread-details",
        params={"customerThreadId": thread_id},
        headers={"token": post.shop.world.token},
    ).json()
    assert details["status"] == "waiting"
    post.wait_for_delivery(said[0]["id"], "EMAIL", "sent")


def test_a_survey_follows_a_resolved_conversation(post: Post) -> None:
    post.business(survey="nps", invites_customers=False)
    carol = post.shop.somebody()
    thread_id = post.shop.send(user={"email": carol})
    message_id = post.reply(thread_id, "It is ready.")
    post.wait_for_delivery(message_id, "EMAIL", "sent")
    resolve = {"customerThreadId": thread_id, "status": "resolved"}
    assert post.shop.post(resolve, path="/api/update-thread-status").status_code == 200
    _, question = post.mails.wait_for(2)
    assert "How likely are you to recommend Acme Boston to others?" in _text(question)
    (asked,) = post.shop.database.rows("SELECT * FROM surveys")
    assert (asked["kind"], asked["answered_at_ms"]) == ("nps", None)


def test_messages_from_before_a_restore_are_held_back(open_post: Any, installation: Any) -> None:
    installation.database.change("INSERT INTO installation (name, value) VALUES ('deliveries_held_back', 'restored')")
    with open_post() as post:
        thread_id = post.shop.send()
        post.reply(thread_id, "Your bicycle is ready.")
        post.wait_for_log("held back: no notification is sent")
        assert post.shop.database.value("SELECT count(*) FROM outbound_messages") == 0
        assert post.shop.server.installation.run("webhooks", "resume").returncode == 0
        post.mails.wait_for(2)


def test_an_undeliverable_message_delays_no_others(post: Post) -> None:
    thread_id = post.shop.send()
    post.mails.wait_for(1)  # the invitation
    post.shop.database.change(
        "INSERT INTO outbound_messages (organization_id, id, thread_id, channel, audience, purpose, address, state, "
        "attempts, due_at_ms, created_at_ms) "
        "VALUES (:acme, 1, :thread, 'EMAIL', 'customer', 'link', 'no address', 'waiting', 0, 1, 1)",
        acme=int(post.shop.world.acme),
        thread=int(thread_id),
    )
    post.wait_for_delivery(post.reply(thread_id, "Your bicycle is ready."), "EMAIL", "sent")
    post.wait_for_row("SELECT 1 FROM outbound_messages WHERE id = 1 AND state = 'failed' AND reason = 'not_valid'")


@pytest.mark.parametrize(("purpose", "audience"), [("reply", "customer"), ("store-notice", "store")])
def test_no_empty_email_is_sent_for_deleted_or_otherwise_delivered_messages(
    post: Post, purpose: str, audience: str
) -> None:
    thread_id = post.shop.send()
    post.mails.wait_for(1)  # the invitation
    post.shop.database.change(
        "INSERT INTO outbound_messages (organization_id, id, thread_id, channel, audience, purpose, address, "
        "first_sequence, last_sequence, state, attempts, due_at_ms, created_at_ms) "
        "VALUES (:acme, 1, :thread, 'EMAIL', :audience, :purpose, 'carol@example.com', 1, 1, 'waiting', 0, 1, 1)",
        acme=int(post.shop.world.acme),
        thread=int(thread_id),
        audience=audience,
        purpose=purpose,
    )
    post.wait_for_row("SELECT 1 FROM outbound_messages WHERE id = 1 AND state <> 'waiting'")
    (row,) = post.shop.database.rows("SELECT * FROM outbound_messages WHERE id = 1")
    assert (row["state"], row["reason"]) == ("skipped", "nothing")
    assert len(post.mails.received) == 1


def test_logs_contain_no_address_and_no_message_text(post: Post) -> None:
    carol = post.shop.somebody()
    thread_id = post.shop.send(user={"email": carol}, message="canaryhello")
    post.wait_for_delivery(post.reply(thread_id, "canaryanswer"), "EMAIL", "sent")
    assert carol not in post.shop.server.log
    assert "canary" not in post.shop.server.log


def _email_of(post: Post, thread_id: str) -> str:
    query = (
        "SELECT shown FROM customer_identities JOIN threads USING (organization_id, customer_id) WHERE threads.id = :id"
    )
    address: str = post.shop.database.value(query, id=int(thread_id))
    return address
