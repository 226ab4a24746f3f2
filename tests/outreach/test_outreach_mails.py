"""Answers reach customers by mail: one mail for several, none for what was read, each with a record."""

from typing import Any

import pytest

from harness.post import Post
from harness.smtp import Received, SmtpServer
from shopbell.outreach.letters import LINES_MAX


def _text(mail: Received) -> str:
    body = mail.message.get_body(("plain",))
    assert body is not None
    text: str = body.get_content()
    return text


def _mails_to(post: Post, address: str) -> list[Received]:
    return [mail for mail in post.mails.received if mail.recipients == (address,)]


def test_an_answer_is_mailed_to_the_customer_and_recorded(post: Post) -> None:
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


def test_the_api_shows_what_became_of_an_answer(post: Post) -> None:
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


def test_quick_answers_come_in_one_mail(open_post: Any) -> None:
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


def test_more_answers_than_one_mail_has_room_for_come_in_two(open_post: Any) -> None:
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


def test_what_the_customer_has_read_meanwhile_is_not_mailed(open_post: Any) -> None:
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


def test_a_note_for_colleagues_is_mailed_to_nobody(post: Post) -> None:
    carol = post.shop.somebody()
    thread_id = post.shop.send(user={"email": carol})
    note_id = post.reply(thread_id, "He is a regular.", internal=True)
    post.decided()
    assert post.deliveries(note_id) == {}


def test_a_mailbox_that_does_not_exist_is_said_on_the_message(open_post: Any) -> None:
    with open_post(SmtpServer(answers={"RCPT": "550 5.1.1 Nobody here"})) as post:
        thread_id = post.shop.send()
        message_id = post.reply(thread_id, "Your bicycle is ready.")
        post.wait_for_delivery(message_id, "EMAIL", "failed")
        state, reason = post.deliveries(message_id)["EMAIL", "customer"]
        assert (state, bool(reason)) == ("failed", True)
        assert "Nobody" not in str(reason)


def test_a_server_that_is_busy_is_tried_again_later(open_post: Any) -> None:
    with open_post(SmtpServer(answers={"RCPT": "451 4.7.1 Greylisted"}), mail_batch_s=0) as post:
        thread_id = post.shop.send()
        post.reply(thread_id, "Your bicycle is ready.")
        query = "SELECT * FROM dispatches WHERE purpose = 'reply' AND attempts = 1 AND reason IS NOT NULL"
        post.wait_for_row(query)
        (row,) = post.shop.database.rows(query)
        assert row["state"] == "waiting"
        assert row["due_at_ms"] > row["created_at_ms"] + 20_000


def test_a_mail_that_may_have_gone_out_twice_is_given_up_though_the_server_was_busy_in_between(open_post: Any) -> None:
    with open_post(SmtpServer(drop_at="DATA"), mail_batch_s=0) as post:
        post.business(invites_customers=False)
        message_id = post.reply(post.shop.send(), "Your bicycle is ready.")

        def try_again(after: int) -> None:
            tried = "SELECT 1 FROM dispatches WHERE state = 'waiting' AND attempts = :count AND reason <> 'resent'"
            post.wait_for_row(tried, count=after)
            assert post.shop.database.change("UPDATE dispatches SET due_at_ms = 1 WHERE state = 'waiting'") == 1

        post.wait_for_row("SELECT 1 FROM dispatches WHERE reason = 'to_be_resent'")
        post.mails.drop_at, post.mails.answers["RCPT"] = None, "451 4.7.1 Greylisted"
        try_again(after=1)
        post.wait_for_row("SELECT 1 FROM dispatches WHERE attempts = 2 AND reason <> 'resent'")
        post.mails.drop_at = "DATA"
        del post.mails.answers["RCPT"]
        try_again(after=2)
        post.wait_for_delivery(message_id, "EMAIL", "failed")
        (row,) = post.shop.database.rows("SELECT * FROM dispatches")
        assert (row["state"], row["reason"], row["attempts"]) == ("unknown", "unknown", 3)


def test_a_business_is_mailed_once_that_a_customer_waits(post: Post) -> None:
    post.business(email="boston@acme.example", invites_customers=False)
    thread_id = post.shop.send(message="Is it ready?")
    post.mails.wait_for(1)
    post.shop.send(user={"email": _email_of(post, thread_id)}, message="Hello?")
    post.decided()
    (notice,) = _mails_to(post, "boston@acme.example")
    assert "Is it ready?" in _text(notice)
    assert notice.message["Auto-Submitted"] == "auto-generated"
    # When somebody has answered and the customer writes again, it is told anew.
    post.reply(thread_id, "Tomorrow.")
    post.decided()
    post.shop.send(user={"email": _email_of(post, thread_id)}, message="And now?")
    post.wait_for_row(
        "SELECT 1 FROM dispatches WHERE purpose = 'store-notice' AND first_sequence = 4 AND state = 'sent'"
    )
    assert "And now?" in _text(_mails_to(post, "boston@acme.example")[1])


def test_a_notice_that_could_not_be_delivered_does_not_keep_the_next_one_back(open_post: Any) -> None:
    with open_post(SmtpServer(answers={"RCPT": "550 5.1.1 Nobody here"})) as post:
        post.business(email="boston@acme.example", invites_customers=False)
        carol = post.shop.somebody()
        post.shop.send(user={"email": carol})
        notice = "SELECT 1 FROM dispatches WHERE purpose = 'store-notice' AND state = 'failed' AND first_sequence = "
        post.wait_for_row(notice + "1")
        post.shop.send(user={"email": carol}, message="Hello?")
        post.wait_for_row(notice + "2")


def test_a_business_that_is_not_to_be_told_is_not(post: Post) -> None:
    post.business(email="boston@acme.example", tells_store=False)
    post.shop.send()
    post.mails.wait_for(1)  # the invitation
    post.decided()
    assert _mails_to(post, "boston@acme.example") == []


def test_who_writes_to_a_closed_shop_is_told_so_once_and_goes_on_to_wait(post: Post) -> None:
    post.business(opening_hours='{"weekly": {}, "exceptions": []}', invites_customers=False)
    carol = post.shop.somebody()
    thread_id = post.shop.send(user={"email": carol, "locale": "fr"})
    post.wait_for_row("SELECT 1 FROM thread_outreach WHERE auto_replied_period IS NOT NULL")
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


def test_who_was_answered_is_asked_how_it_was(post: Post) -> None:
    post.business(survey="nps", invites_customers=False)
    carol = post.shop.somebody()
    thread_id = post.shop.send(user={"email": carol})
    message_id = post.reply(thread_id, "It is ready.")
    post.wait_for_delivery(message_id, "EMAIL", "sent")
    resolve = {"customerThreadId": thread_id, "status": "resolved"}
    assert post.shop.post(resolve, path="/api/update-thread-status").status_code == 200
    _, question = post.mails.wait_for(2)
    assert "How likely is it that you recommend Acme Boston to others?" in _text(question)
    (asked,) = post.shop.database.rows("SELECT * FROM surveys")
    assert (asked["kind"], asked["answered_at_ms"]) == ("nps", None)


def test_what_happened_before_is_held_back_after_a_restore(open_post: Any, installation: Any) -> None:
    installation.database.change("INSERT INTO installation (name, value) VALUES ('deliveries_held_back', 'restored')")
    with open_post() as post:
        thread_id = post.shop.send()
        post.reply(thread_id, "Your bicycle is ready.")
        post.wait_for_log("mails and texts wait until")
        assert post.shop.database.value("SELECT count(*) FROM dispatches") == 0
        assert post.shop.server.installation.run("webhooks", "resume").returncode == 0
        post.mails.wait_for(2)


def test_what_cannot_be_sent_holds_up_nothing_else(post: Post) -> None:
    thread_id = post.shop.send()
    post.mails.wait_for(1)  # the invitation
    post.shop.database.change(
        "INSERT INTO dispatches (organization_id, id, thread_id, channel, audience, purpose, address, state, attempts, "
        "due_at_ms, created_at_ms) "
        "VALUES (:acme, 1, :thread, 'EMAIL', 'customer', 'link', 'no address', 'waiting', 0, 1, 1)",
        acme=int(post.shop.world.acme),
        thread=int(thread_id),
    )
    post.wait_for_delivery(post.reply(thread_id, "Your bicycle is ready."), "EMAIL", "sent")
    post.wait_for_row("SELECT 1 FROM dispatches WHERE id = 1 AND state = 'failed' AND reason = 'not_valid'")


@pytest.mark.parametrize(("purpose", "audience"), [("reply", "customer"), ("store-notice", "store")])
def test_a_mail_whose_messages_went_another_way_or_are_gone_is_not_sent_empty(
    post: Post, purpose: str, audience: str
) -> None:
    thread_id = post.shop.send()
    post.mails.wait_for(1)  # the invitation
    post.shop.database.change(
        "INSERT INTO dispatches (organization_id, id, thread_id, channel, audience, purpose, address, first_sequence, "
        "last_sequence, state, attempts, due_at_ms, created_at_ms) "
        "VALUES (:acme, 1, :thread, 'EMAIL', :audience, :purpose, 'carol@example.com', 1, 1, 'waiting', 0, 1, 1)",
        acme=int(post.shop.world.acme),
        thread=int(thread_id),
        audience=audience,
        purpose=purpose,
    )
    post.wait_for_row("SELECT 1 FROM dispatches WHERE id = 1 AND state <> 'waiting'")
    (row,) = post.shop.database.rows("SELECT * FROM dispatches WHERE id = 1")
    assert (row["state"], row["reason"]) == ("skipped", "nothing")
    assert len(post.mails.received) == 1


def test_no_log_line_has_an_address_or_a_word_of_a_message(post: Post) -> None:
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
