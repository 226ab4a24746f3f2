"""After a restore no SMS is sent twice."""

from typing import Any

import pytest

from harness.sent_messages import Post


def _let_wait(post: Post) -> tuple[str, str]:
    """Let a text and a mail wait while all is held back; the ids of their messages."""
    post.business(invites_customers=False, tells_store=False)
    phones = post.shop.send(user={"phoneNumber": post.shop.some_number()})
    post.wait_for_delivery(post.reply(phones, "Your bicycle is ready."), "SMS", "sent")
    text_id = post.reply(phones, "We close at six.")  # too soon for the same number
    mail_id = post.reply(post.shop.send(user={"email": post.shop.somebody()}), "So is yours.")
    post.decided()
    post.shop.database.change("INSERT INTO installation (name, value) VALUES ('deliveries_held_back', 'restored')")
    post.wait_for_log("held back: no notification is sent")
    post.shop.database.change("DELETE FROM throttles")
    assert post.shop.database.change("UPDATE outbound_messages SET due_at_ms = 1 WHERE state = 'waiting'") == 2
    return text_id, mail_id


def test_after_a_restore_a_waiting_sms_is_given_up_and_an_email_is_sent(open_post: Any) -> None:
    with open_post(sms_cooldown_s=3_600, mail_batch_s=3_600) as post:
        text_id, mail_id = _let_wait(post)
        resumed = post.shop.server.installation.cli("webhooks", "resume")
        assert resumed == {"resumed": True, "givenUp": 1, "mails": 1, "scheduledMessages": 0}
        post.wait_for_delivery(mail_id, "EMAIL", "sent")
        post.wait_for_delivery(text_id, "SMS", "failed")
        assert post.deliveries(text_id)["SMS", "customer"] == ("failed", "unknown")
        later = post.shop.send(user={"phoneNumber": post.shop.some_number()})
        post.reply(later, "Come by tomorrow.")
        texts = post.wait_for_texts(2)
        assert [text for text in texts if "We close at six." in str(text)] == []
        assert len(post.mails.received) == 1
        again = post.shop.server.installation.cli("webhooks", "resume")
        assert again == {"resumed": False, "givenUp": 0, "mails": 0, "scheduledMessages": 0}


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_after_a_restore_waiting_emails_are_given_up_on_request(open_post: Any) -> None:
    with open_post(sms_cooldown_s=3_600, mail_batch_s=3_600) as post:
        text_id, mail_id = _let_wait(post)
        resumed = post.shop.server.installation.cli("webhooks", "resume", "--skip-mails")
        assert resumed == {"resumed": True, "givenUp": 2, "mails": 0, "scheduledMessages": 0}
        for message_id, channel in ((text_id, "SMS"), (mail_id, "EMAIL")):
            assert post.deliveries(message_id)[channel, "customer"] == ("failed", "unknown")
        assert post.mails.received == []


def test_notifications_undecided_at_the_backup_are_sent_unless_too_old(open_post: Any) -> None:
    with open_post() as post:
        post.business(invites_customers=False, tells_store=False)
        post.decided()
        post.shop.database.change("INSERT INTO installation (name, value) VALUES ('deliveries_held_back', 'restored')")
        post.wait_for_log("held back: no notification is sent")
        number, address = {"phoneNumber": post.shop.some_number()}, {"email": post.shop.somebody()}
        said = {
            (way, days): post.reply(post.shop.send(user=user), f"{days} days")
            for way, user in (("SMS", number), ("EMAIL", address))
            for days in (0, 2, 6)
        }
        for (_, days), message_id in said.items():
            query = "UPDATE messages SET created_at_ms = created_at_ms - :age WHERE id = :id"
            assert post.shop.database.change(query, age=days * 24 * 60 * 60 * 1_000, id=int(message_id)) == 1
        post.shop.server.installation.cli("webhooks", "resume")
        for (way, days), message_id in said.items():
            is_old = days > (1 if way == "SMS" else 5)
            post.wait_for_delivery(message_id, way, "failed" if is_old else "sent")
            assert post.deliveries(message_id)[way, "customer"][1] == ("too_old" if is_old else None)
