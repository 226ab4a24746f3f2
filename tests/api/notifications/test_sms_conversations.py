"""Replies reach customers by SMS through Twilio, and inbound SMS is stored."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from harness.media_host import media_host
from harness.sent_messages import Post
from harness.twilio import NUMBER, SID, TOKEN, WHATSAPP, FakeTwilio, fake_twilio
from harness.visitors import acmes_site
from harness.waiting import wait_until
from shopbell.sms.segments import segments

PUBLIC = "https://chat.acme.example"
SEND = "/api/send-message-to-customer-thread"


class Line:
    """A post office whose texts go to a Twilio."""

    def __init__(self, post: Post, twilio: FakeTwilio) -> None:
        self.post = post
        self.twilio = twilio

    def text_in(self, sender: str, text: str, sid: str = "", to: str = NUMBER) -> None:
        """Send a text message to a business."""
        fields = {
            "MessageSid": sid or f"SM{uuid.uuid4().hex}",
            "AccountSid": SID,
            "From": sender,
            "To": to,
            "Body": text,
            "NumMedia": "0",
        }
        answer = self.twilio.post(f"{PUBLIC}/hooks/twilio/inbound", fields, self.post.shop.server.url)
        assert answer.status_code == 200, answer.text

    def wait_for(self, count: int) -> list[Any]:
        """What Twilio has taken, once it is as much."""
        wait_until(lambda: len(self.twilio.received) >= count, lambda: self.post.shop.server.log)
        return list(self.twilio.received)

    def thread_of(self, number: str) -> str:
        """The only conversation of a number."""
        query = (
            "SELECT threads.id FROM threads JOIN customer_identities USING (organization_id, customer_id) "
            "WHERE customer_identities.value = :number"
        )
        (row,) = self.post.shop.database.rows(query, number=number)
        return str(row["id"])


@pytest.fixture
def line(open_post: Any) -> Iterator[Line]:
    """An open line; Boston has the number."""
    with fake_twilio() as twilio, open_post(**twilio_settings(twilio)) as post:
        post.business(phone_number=NUMBER)
        yield Line(post, twilio)


def twilio_settings(twilio: FakeTwilio) -> dict[str, object]:
    """What a server needs to know of a Twilio."""
    return {
        "sms_provider": "twilio",
        "twilio_account_sid": SID,
        "twilio_auth_token": TOKEN,
        "twilio_api_url": twilio.url,
        "sms_from": NUMBER,
        "public_url": PUBLIC,
    }


def test_an_sms_is_answered_by_sms(line: Line) -> None:
    carol = line.post.shop.some_number()
    line.text_in(carol, "Is it ready?")
    thread_id = line.thread_of(carol)
    (question,) = line.post.messages(thread_id)
    assert (question["text"], question["fromCustomer"], question["channel"]) == ("Is it ready?", True, "SMS")
    message_id = line.post.reply(thread_id, "Yes, it is.")
    (text,) = line.wait_for(1)
    assert (text["To"], text["From"], text["Body"]) == (carol, NUMBER, "Yes, it is.")
    line.post.wait_for_delivery(message_id, "SMS", "sent")


def test_a_duplicate_sms_is_stored_once(line: Line) -> None:
    carol = line.post.shop.some_number()
    for _ in range(2):
        line.text_in(carol, "Is it ready?", sid="SM" + "1" * 32)
    assert len(line.post.messages(line.thread_of(carol))) == 1


def test_a_whatsapp_contact_shows_its_content_and_is_stored_once(open_post: Any) -> None:
    with (
        fake_twilio() as twilio,
        media_host() as host,
        open_post(**twilio_settings(twilio), whatsapp_from=WHATSAPP, outbound_allow=host.place) as post,
    ):
        post.business(phone_number=WHATSAPP)
        line = Line(post, twilio)
        carol = post.shop.some_number()
        url = twilio.media_url("ME1", host.serve("dave", b"BEGIN:VCARD\nFN:Dave\nTEL:+1 617 555 0101\nEND:VCARD\n"))
        gone = twilio.media_url("ME2", f"http://{host.place}/gone")
        media = {"MediaContentType0": "text/vcard", "MediaContentType1": "text/vcard", "NumMedia": "2"}
        for first in (url, url, gone):  # the last time it cannot be fetched any more
            fields = {"MessageSid": "MM" + "1" * 32, "MediaUrl0": first, "MediaUrl1": gone, **media}
            whatsapp = {"From": f"whatsapp:{carol}", "To": f"whatsapp:{WHATSAPP}", "Body": ""}
            hook = f"{PUBLIC}/hooks/twilio/inbound"
            assert twilio.post(hook, fields | whatsapp, post.shop.server.url).status_code == 200
        (message,) = post.messages(line.thread_of(carol))
        assert message["text"] == "Contact: Dave\n+1 617 555 0101\n[text/vcard]"
        assert "Dave" not in post.shop.server.log


def test_a_duplicate_sms_is_recognised_after_another_business_used_the_operators_number(line: Line) -> None:
    line.post.business(phone_number=None)
    line.post.shop.database.change("UPDATE businesses SET invites_customers = :no", no=False)
    carol, world = line.post.shop.some_number(), line.post.shop.world
    kept = {}
    for business_id in (world.boston, world.paris):
        kept[business_id] = line.post.shop.send(user={"phoneNumber": carol}, businessId=business_id)
        line.post.wait_for_delivery(line.post.reply(kept[business_id], "Yes, it is."), "SMS", "sent")
        line.text_in(carol, "Thank you!", sid="SM" + "5" * 32)
    assert [message["text"] for message in line.post.messages(kept[world.boston])][2:] == ["Thank you!"]
    assert len(line.post.messages(kept[world.paris])) == 2


def test_status_reports_never_move_a_delivery_back(line: Line) -> None:
    carol = line.post.shop.some_number()
    line.text_in(carol, "Is it ready?")
    message_id = line.post.reply(line.thread_of(carol), "Yes, it is.")
    line.post.wait_for_delivery(message_id, "SMS", "sent")
    (text,) = line.twilio.received
    sid = line.post.shop.database.value("SELECT provider_id FROM outbound_messages WHERE channel = 'SMS'")
    for status in ("delivered", "sent", "failed"):
        answer = line.twilio.callback(text, sid, status, line.post.shop.server.url)
        assert answer.status_code == 204, answer.text
        assert line.post.deliveries(message_id)["SMS", "customer"] == ("delivered", None)


def test_stop_ends_texts_until_start(line: Line) -> None:
    carol = line.post.shop.some_number()
    line.text_in(carol, "Is it ready?")
    thread_id = line.thread_of(carol)
    line.text_in(carol, "Arrêt")  # Twilio itself answers to the English words
    (text,) = line.wait_for(1)
    assert "START" in text["Body"]
    assert text["Body"].startswith("Acme Boston")
    message_id = line.post.reply(thread_id, "Yes, it is.")
    line.post.wait_for_delivery(message_id, "SMS", "failed")
    assert line.post.deliveries(message_id)["SMS", "customer"] == ("failed", "opted_out")
    line.text_in(carol, "start")
    message_id = line.post.reply(thread_id, "It is still here.")
    line.post.wait_for_delivery(message_id, "SMS", "sent")


def test_a_stop_word_is_shown_in_the_conversation_and_counts_once(line: Line) -> None:
    carol = line.post.shop.some_number()
    line.text_in(carol, "Shall I come by?")
    thread_id = line.thread_of(carol)
    line.text_in(carol, "Arrêt", sid="SM" + "4" * 32)
    line.wait_for(1)
    line.text_in(carol, "Start")  # Twilio answers this one
    line.text_in(carol, "Arrêt", sid="SM" + "4" * 32)  # once more, and late
    said = [message["text"] for message in line.post.messages(thread_id) if message["fromCustomer"]]
    assert said == ["Shall I come by?", "Arrêt", "Start"]
    line.post.wait_for_delivery(line.post.reply(thread_id, "Yes."), "SMS", "sent")
    assert len(line.twilio.received) == 2


def test_an_opt_out_reported_by_the_carrier_is_stored(line: Line) -> None:
    carol = line.post.shop.some_number()
    line.text_in(carol, "Is it ready?")
    line.twilio.opted_out.add(carol)
    thread_id = line.thread_of(carol)
    line.post.wait_for_delivery(line.post.reply(thread_id, "Yes."), "SMS", "failed")
    line.twilio.opted_out.clear()
    count = len(line.twilio.received)
    message_id = line.post.reply(thread_id, "Hello?")
    line.post.wait_for_delivery(message_id, "SMS", "failed")
    assert len(line.twilio.received) == count


@pytest.mark.parametrize("fate", ["drop", "html-500"])
def test_an_sms_of_unknown_outcome_is_not_sent_again(line: Line, fate: Any) -> None:
    carol = line.post.shop.some_number()
    line.text_in(carol, "Is it ready?")
    line.twilio.script.append(fate)
    message_id = line.post.reply(line.thread_of(carol), "Yes, it is.")
    line.post.wait_for_delivery(message_id, "SMS", "failed")
    assert line.post.deliveries(message_id)["SMS", "customer"] == ("failed", "unknown")
    (row,) = line.post.shop.database.rows("SELECT * FROM outbound_messages")
    assert (row["state"], row["attempts"]) == ("unknown", 1)
    # Twilio's report brings our own reference: it was sent after all.
    line.twilio.callback(line.twilio.received[0], "SM" + "2" * 32, "delivered", line.post.shop.server.url)
    assert line.post.deliveries(message_id)["SMS", "customer"] == ("delivered", None)


def test_daily_segments_are_limited_by_the_operator(open_post: Any) -> None:
    with fake_twilio() as twilio, open_post(**twilio_settings(twilio), sms_segments_per_day=2) as post:
        post.business(phone_number=NUMBER)
        line, carol = Line(post, twilio), post.shop.some_number()
        line.text_in(carol, "Is it ready?")
        thread_id = line.thread_of(carol)
        for _ in range(2):
            post.wait_for_delivery(post.reply(thread_id, "Yes."), "SMS", "sent")
        message_id = post.reply(thread_id, "Hello?")
        post.wait_for_delivery(message_id, "SMS", "failed")
        assert post.deliveries(message_id)["SMS", "customer"] == ("failed", "daily_cap")
        assert len(twilio.received) == 2


@pytest.mark.parametrize("reads_first", [False, True])
def test_quick_replies_to_one_number_are_sent_in_one_sms_unless_they_were_read(
    open_post: Any, reads_first: bool
) -> None:
    with fake_twilio() as twilio, open_post(**twilio_settings(twilio), sms_cooldown_s=3_600) as post:
        post.business(phone_number=NUMBER)
        line, carol = Line(post, twilio), post.shop.some_number()
        line.text_in(carol, "Is it ready?")
        thread_id = line.thread_of(carol)
        post.wait_for_delivery(post.reply(thread_id, "Yes."), "SMS", "sent")
        sent = [post.reply(thread_id, text) for text in ("Come by.", "Until six.")]
        put_off = "state = 'waiting' AND due_at_ms = last_at_ms + 3600000"
        post.wait_for_row(f"SELECT 1 FROM outbound_messages, throttles WHERE {put_off}")
        if reads_first:
            read = "INSERT INTO thread_reads (organization_id, thread_id, customer_sequence) VALUES (:o, :t, 3)"
            post.shop.database.change(read, o=int(post.shop.world.acme), t=int(thread_id))
        post.shop.database.change("UPDATE throttles SET last_at_ms = 1")
        post.let_time_pass()
        post.wait_for_delivery(sent[1], "SMS", "sent")
        assert post.deliveries(sent[0])["SMS", "customer"] == ("read" if reads_first else "sent", None)
        assert [text["Body"] for text in twilio.received] == [
            "Yes.",
            "Until six." if reads_first else "Come by.\nUntil six.",
        ]


def test_a_web_customer_with_only_a_number_gets_an_sms_with_a_link(line: Line) -> None:
    carol = line.post.shop.some_number()
    line.post.business(invites_customers=False)
    thread_id = line.post.shop.send(user={"phoneNumber": carol})
    line.post.reply(thread_id, "Yes, it is.")
    (text,) = line.wait_for(1)
    said, _, link = text["Body"].partition("\n")
    assert said == "Acme Boston: Yes, it is."
    assert link.startswith(f"{PUBLIC}/t/")
    assert len(link) <= 40


@pytest.mark.parametrize("word", ["word", "كلمة"])
def test_a_reply_too_long_for_sms_ends_with_a_link_to_the_full_text(line: Line, word: str) -> None:
    carol = line.post.shop.some_number()
    line.text_in(carol, "How do I oil the chain?")
    line.post.reply(line.thread_of(carol), f"{word} " * 400)
    (text,) = line.wait_for(1)
    assert segments(text["Body"]).count == 10
    said, _, link = text["Body"].rpartition("\n")
    assert said.endswith("...")
    assert link.startswith(f"{PUBLIC}/t/")
    page = line.post.shop.server.client.get(link.removeprefix(PUBLIC))
    assert page.status_code == 200


def test_only_whatsapp_messages_open_the_window_and_templates_pass_a_closed_one(
    open_post: Any,
) -> None:
    with fake_twilio() as twilio, open_post(**twilio_settings(twilio), whatsapp_from=WHATSAPP) as post:
        post.business(phone_number=WHATSAPP)
        line, carol = Line(post, twilio), post.shop.some_number()
        line.text_in(f"whatsapp:{carol}", "Is it ready?", to=f"whatsapp:{WHATSAPP}")
        thread_id = line.thread_of(carol)
        post.wait_for_delivery(post.reply(thread_id, "Yes, it is."), "WHATSAPP", "sent")
        post.shop.move_to_whatsapp(thread_id, age_ms=24 * 60 * 60 * 1_000)
        reply = {"customerThreadId": thread_id, "channel": "WHATSAPP"}
        assert post.shop.post(reply | {"text": "Hello?"}, path=SEND).status_code == 409
        assert post.shop.send(user={"phoneNumber": carol}) == thread_id  # he writes by the widget
        assert post.shop.post(reply | {"text": "Hello?"}, path=SEND).status_code == 409
        template = {"title": "Ready", "text": "It is ready.", "contentSid": "HX" + "a" * 32}
        assert post.shop.post(template, path="/api/templates").status_code == 200
        answer = post.shop.post(reply | {"contentSid": template["contentSid"]}, path=SEND)
        assert answer.status_code == 200, answer.text
        post.wait_for_delivery(answer.json()["messageId"], "WHATSAPP", "sent")
        line.text_in(f"whatsapp:{carol}", "Thank you!", to=f"whatsapp:{WHATSAPP}")
        post.wait_for_delivery(post.reply(thread_id, "You are welcome."), "WHATSAPP", "sent")
        said, made, again = twilio.received
        assert (said["To"], said["From"], said["Body"]) == (f"whatsapp:{carol}", f"whatsapp:{WHATSAPP}", "Yes, it is.")
        assert made["ContentSid"] == template["contentSid"]
        assert "Body" not in made.form
        assert again["Body"] == "You are welcome."


def test_unknown_reports_and_texts_to_unknown_numbers_change_nothing(line: Line) -> None:
    line.text_in(line.post.shop.some_number(), "Hello?", to="+16175559999")
    fields = {"MessageSid": "SM" + "3" * 32, "MessageStatus": "delivered", "AccountSid": SID}
    url = f"{PUBLIC}/hooks/twilio/status?reference=1-1"
    assert line.twilio.post(url, fields, line.post.shop.server.url).status_code == 204
    assert line.post.shop.count("messages") == 0


def named(line: Line, number: str) -> tuple[str, str]:
    """A visitor who named a number and was answered there: his conversation, and the answer."""
    visitor = acmes_site(line.post.shop).visitor()
    thread_id = visitor.say()["customerThreadId"]
    assert visitor.post("identify", phoneNumber=number).status_code == 200
    message_id = line.post.reply(thread_id, "Yes, it is.")
    line.post.wait_for_delivery(message_id, "SMS", "sent")
    return thread_id, message_id


@pytest.mark.parametrize("own_number", [NUMBER, None])
def test_an_sms_from_a_claimed_number_goes_to_the_visitors_conversation(line: Line, own_number: str | None) -> None:
    line.post.business(phone_number=own_number)  # without one, the text goes by the operator's
    carol = line.post.shop.some_number()
    thread_id, _ = named(line, carol)
    line.text_in(carol, "Thank you!")
    answer = line.post.messages(thread_id)[2]
    assert (answer["text"], answer["fromCustomer"], answer["channel"]) == ("Thank you!", True, "SMS")
    assert line.post.shop.count("threads") == 1
    assert line.post.shop.count("customer_identities") == 0


@pytest.mark.parametrize("own_number", [NUMBER, None])
def test_a_claimed_number_is_not_texted_after_stop(line: Line, own_number: str | None) -> None:
    line.post.business(phone_number=own_number)
    carol = line.post.shop.some_number()
    thread_id, _ = named(line, carol)
    line.text_in(carol, "Arrêt")
    assert "START" in line.wait_for(2)[1]["Body"]
    message_id = line.post.reply(thread_id, "Hello?")
    line.post.wait_for_delivery(message_id, "SMS", "failed")  # nothing else is left to try
    assert line.post.deliveries(message_id)["SMS", "customer"] == ("failed", "opted_out")
    assert len(line.twilio.received) == 2


def test_a_known_customers_texts_are_hidden_from_a_visitor_who_claimed_their_number(line: Line) -> None:
    carol = line.post.shop.some_number()
    line.text_in(carol, "Is it ready?")
    hers = line.thread_of(carol)
    eves, _ = named(line, carol)
    line.text_in(carol, "My card is lost.")
    assert [message["text"] for message in line.post.messages(hers)] == ["Is it ready?", "My card is lost."]
    assert len(line.post.messages(eves)) == 2


def test_a_much_later_sms_from_a_claimed_number_starts_a_new_conversation(line: Line) -> None:
    carol = line.post.shop.some_number()
    eves, _ = named(line, carol)
    line.post.shop.database.change("UPDATE outbound_messages SET created_at_ms = 1")
    line.text_in(carol, "My card is lost.")
    assert line.thread_of(carol) != eves
    assert len(line.post.messages(eves)) == 2


def _londons(line: Line, number: str) -> None:
    """Let Globex's business have a number, as a file that was imported may."""
    query = "UPDATE businesses SET phone_number = :number WHERE id = :id"
    line.post.shop.database.change(query, number=number, id=int(line.post.shop.world.london))


def test_an_unknown_senders_sms_to_a_shared_number_is_ignored(line: Line) -> None:
    _londons(line, NUMBER)
    carol = line.post.shop.some_number()
    line.text_in(carol, "Is it ready?")
    assert line.post.shop.count("messages") == 0
    line.post.business(invites_customers=False)
    thread_id = line.post.shop.send(user={"phoneNumber": carol})
    line.post.wait_for_delivery(line.post.reply(thread_id, "Yes, it is."), "SMS", "sent")
    line.text_in(carol, "Thank you!")
    assert line.post.messages(thread_id)[2]["text"] == "Thank you!"


def test_replies_to_the_operators_number_go_only_to_the_business_that_wrote(line: Line) -> None:
    line.post.business(phone_number=None, invites_customers=False)
    _londons(line, NUMBER)
    carol = line.post.shop.some_number()
    thread_id = line.post.shop.send(user={"phoneNumber": carol})
    line.post.wait_for_delivery(line.post.reply(thread_id, "Yes, it is."), "SMS", "sent")
    line.text_in(carol, "Thank you!")
    assert line.post.messages(thread_id)[2]["text"] == "Thank you!"


def test_an_sms_to_a_number_is_no_reply_to_another_organization(line: Line) -> None:
    londons = "+442079460000"
    line.post.business(phone_number=None, invites_customers=False)
    _londons(line, londons)
    carol = line.post.shop.some_number()
    thread_id = line.post.shop.send(user={"phoneNumber": carol})
    line.post.wait_for_delivery(line.post.reply(thread_id, "Yes, it is."), "SMS", "sent")
    line.text_in(carol, "Is my hat ready?", to=londons)
    assert len(line.post.messages(thread_id)) == 2
    query = "SELECT business_id FROM threads WHERE business_id = :id"
    assert line.post.shop.database.rows(query, id=int(line.post.shop.world.london))
