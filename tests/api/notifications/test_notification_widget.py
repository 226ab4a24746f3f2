"""Replies and surveys in the widget."""

import re

import pytest

from harness.sent_messages import Post
from harness.smtp import Received
from harness.visitors import Browser, acmes_site


@pytest.fixture
def dave(post: Post) -> Browser:
    """A visitor of Acme's website who is unknown."""
    return acmes_site(post.shop).visitor()


def _events(post: Post, message_id: str) -> list[dict[str, str]]:
    feed = post.shop.server.client.get(
        "/api/events", params={"types": "message-delivery"}, headers={"token": post.shop.world.token}
    ).json()["events"]
    return [event["data"] for event in feed if event["messageId"] == message_id]


def test_a_message_read_in_the_widget_is_not_sent_another_way(post: Post, dave: Browser) -> None:
    thread_id = dave.say()["customerThreadId"]
    message_id = post.reply(thread_id, "Yes, it is.")
    post.wait_for_delivery(message_id, "WEB", "queued")
    assert dave.post("read", sequence=2).status_code == 200
    assert post.deliveries(message_id) == {("WEB", "customer"): ("read", None)}
    assert _events(post, message_id) == [{"channel": "WEB", "audience": "customer", "state": "read", "reason": None}]
    assert post.shop.count("outbound_messages") == 0


def test_a_claimed_address_gets_replies_and_no_invitation(post: Post, dave: Browser) -> None:
    carol = post.shop.somebody()
    thread_id = dave.say()["customerThreadId"]
    assert dave.post("identify", email=carol).status_code == 200
    message_id = post.reply(thread_id, "Yes, it is.")
    post.wait_for_delivery(message_id, "EMAIL", "sent")
    (mail,) = post.mails.received
    assert mail.recipients == (carol,)
    assert mail.message["Subject"] == "Your conversation with Acme Boston"


def test_a_visitors_words_are_not_emailed_to_a_claimed_address(post: Post, dave: Browser) -> None:
    carol, spam = post.shop.somebody(), "buy my watches"
    thread_id = dave.say(f"{spam} 1")["customerThreadId"]
    assert dave.post("identify", email=carol, firstName=spam, lastName=spam).status_code == 200
    subject = (
        "UPDATE notification_state SET mail_subject = :spam, mail_header_id = '<buy@my.watches>' WHERE thread_id = :t"
    )
    insert = "INSERT INTO notification_state (organization_id, thread_id) VALUES (:acme, :t)"
    post.shop.database.change(insert, acme=int(post.shop.world.acme), t=int(thread_id))
    post.shop.database.change(subject, spam=spam, t=int(thread_id))  # of a mail from an address claimed before
    post.wait_for_delivery(post.reply(thread_id, "Who are you?"), "EMAIL", "sent")
    mail = post.mails.wait_for(1)[0]
    assert mail.recipients == (carol,)
    words = _words(mail)
    assert "Who are you?" in words
    assert not {part for part in (spam, "buy@my.watches") if part in words}
    # Who opens the link of that mail reads mails at this address: from then on they are the customer's own.
    link = re.search(r"/t/\w+", words)
    assert link
    opened = post.shop.server.client.post(link[0], headers={"sec-fetch-site": "same-origin"})
    assert opened.status_code == 303
    dave.say(f"{spam} 2")
    post.wait_for_delivery(post.reply(thread_id, "No, thank you."), "EMAIL", "sent")
    assert f"{spam} 2" in _words(post.mails.wait_for(2)[1])


def test_a_known_customers_words_are_quoted_in_emails_to_them(post: Post) -> None:
    thread_id = post.shop.send(message="buy my watches")
    post.wait_for_delivery(post.reply(thread_id, "Who are you?"), "EMAIL", "sent")
    assert "buy my watches" in _words(post.mails.wait_for(2)[1])


def _words(mail: Received) -> str:
    """All that a mail says: headers, text and HTML."""
    parts = (mail.message.get_body((kind,)) for kind in ("plain", "html"))
    return "\n".join((*map(str, mail.message.values()), *(part.get_content() for part in parts if part)))


def test_a_visitor_verified_by_number_gets_nothing_at_a_claimed_address(post: Post) -> None:
    post.business(opening_hours='{"weekly": {}, "exceptions": []}')
    site, carol, number = acmes_site(post.shop), post.shop.somebody(), post.shop.some_number()
    eve = site.visitor(identityToken=site.identity_token(sub="eve", phone_number=number))
    assert eve.post("identify", email=carol).status_code == 200
    thread_id = eve.say("Buy my watches at example.com")["customerThreadId"]
    post.wait_for_row(
        "SELECT 1 FROM outbound_messages WHERE thread_id = :t AND purpose = 'auto-reply'", t=int(thread_id)
    )
    texts = post.wait_for_texts(2)
    assert {text["to"] for text in texts} == {number}  # the invitation, and that the shop is closed
    post.decided()
    query = "SELECT address FROM outbound_messages WHERE thread_id = :t AND channel = 'EMAIL' AND audience = 'customer'"
    assert post.shop.database.rows(query, t=int(thread_id)) == []
    message_id = post.reply(thread_id, "We have watches.")
    post.wait_for_delivery(message_id, "SMS", "sent")
    assert {text["to"] for text in post.texts()} == {number}
    assert post.mails.received == []


def test_a_visitor_answers_the_survey_and_the_profile_shows_it(post: Post, dave: Browser) -> None:
    post.business(survey="nps")
    thread_id = dave.say()["customerThreadId"]
    post.reply(thread_id, "Yes, it is.")
    post.shop.post({"customerThreadId": thread_id, "status": "resolved"}, path="/api/update-thread-status")
    post.wait_for_row("SELECT 1 FROM surveys")
    survey_id = str(post.shop.database.value("SELECT id FROM surveys"))
    assert dave.post("survey", surveyId=survey_id, score=11).status_code == 400
    eve = acmes_site(post.shop).visitor()
    eve.say()
    assert eve.post("survey", surveyId=survey_id, score=1).status_code == 404
    for _ in range(2):  # the same answer again changes nothing
        assert dave.post("survey", surveyId=survey_id, score=9, comment="Quick!").status_code == 200
    assert dave.post("survey", surveyId=survey_id, score=2).status_code == 409
    profile = post.shop.server.client.get(
        f"/api/customers/{post.shop.customer_of(thread_id)}/profile", headers={"token": post.shop.world.token}
    ).json()
    assert profile["lastSurveys"]["nps"]["text"] == "9"
    query = "SELECT count(*) FROM events WHERE type = 'survey-answered'"
    assert post.shop.database.value(query) == 1
