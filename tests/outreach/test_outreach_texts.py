"""Answers reach customers by text through a Twilio, and texts that come in are theirs."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from harness.media_host import media_host
from harness.post import Post
from harness.twilio import NUMBER, SID, TOKEN, WHATSAPP, FakeTwilio, fake_twilio
from harness.visitors import acmes_site
from harness.waiting import wait_until
from shopbell.texting.segments import segments

PUBLIC = "https://chat.acme.example"
SEND = "/api/send-message-to-customer-thread"


class Line:
    """A post office whose texts go to a Twilio."""

    def __init__(self, post: Post, twilio: FakeTwilio) -> None:
        self.post = post
        self.twilio = twilio

    def text_in(self, sender: str, text: str, sid: str = "", to: str = NUMBER) -> None:
        """Somebody writes a text to a business."""
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


def test_who_writes_a_text_is_answered_by_text(line: Line) -> None:
    carol = line.post.shop.some_number()
    line.text_in(carol, "Is it ready?")
    thread_id = line.thread_of(carol)
    (question,) = line.post.messages(thread_id)
    assert (question["text"], question["fromCustomer"], question["channel"]) == ("Is it ready?", True, "SMS")
    message_id = line.post.reply(thread_id, "Yes, it is.")
    (text,) = line.wait_for(1)
    assert (text["To"], text["From"], text["Body"]) == (carol, NUMBER, "Yes, it is.")
    line.post.wait_for_delivery(message_id, "SMS", "sent")


def test_a_text_that_comes_twice_is_kept_once(line: Line) -> None:
    carol = line.post.shop.some_number()
    for _ in range(2):
        line.text_in(carol, "Is it ready?", sid="SM" + "1" * 32)
    assert len(line.post.messages(line.thread_of(carol))) == 1


def test_a_contact_by_whatsapp_shows_its_content_and_is_kept_once(open_post: Any) -> None:
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


def test_a_text_that_comes_again_is_known_though_another_shop_has_written_from_the_operators_number(line: Line) -> None:
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


def test_what_twilio_tells_later_moves_the_record_on_and_never_back(line: Line) -> None:
    carol = line.post.shop.some_number()
    line.text_in(carol, "Is it ready?")
    message_id = line.post.reply(line.thread_of(carol), "Yes, it is.")
    line.post.wait_for_delivery(message_id, "SMS", "sent")
    (text,) = line.twilio.received
    sid = line.post.shop.database.value("SELECT provider_id FROM dispatches WHERE channel = 'SMS'")
    for status in ("delivered", "sent", "failed"):
        answer = line.twilio.callback(text, sid, status, line.post.shop.server.url)
        assert answer.status_code == 204, answer.text
        assert line.post.deliveries(message_id)["SMS", "customer"] == ("delivered", None)


def test_who_says_stop_gets_no_more_texts_until_he_says_start(line: Line) -> None:
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


def test_a_word_that_ends_texts_stands_in_the_conversation_and_counts_once(line: Line) -> None:
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


def test_whom_the_carrier_knows_to_want_no_texts_is_remembered(line: Line) -> None:
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
def test_a_text_of_which_nobody_knows_is_not_sent_again(line: Line, fate: Any) -> None:
    carol = line.post.shop.some_number()
    line.text_in(carol, "Is it ready?")
    line.twilio.script.append(fate)
    message_id = line.post.reply(line.thread_of(carol), "Yes, it is.")
    line.post.wait_for_delivery(message_id, "SMS", "failed")
    assert line.post.deliveries(message_id)["SMS", "customer"] == ("failed", "unknown")
    (row,) = line.post.shop.database.rows("SELECT * FROM dispatches")
    assert (row["state"], row["attempts"]) == ("unknown", 1)
    # Twilio's report brings our own reference: it was sent after all.
    line.twilio.callback(line.twilio.received[0], "SM" + "2" * 32, "delivered", line.post.shop.server.url)
    assert line.post.deliveries(message_id)["SMS", "customer"] == ("delivered", None)


def test_a_day_has_as_many_segments_as_the_operator_allows(open_post: Any) -> None:
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


def test_quick_answers_to_one_number_become_one_text(open_post: Any) -> None:
    with fake_twilio() as twilio, open_post(**twilio_settings(twilio), sms_cooldown_s=3_600) as post:
        post.business(phone_number=NUMBER)
        line, carol = Line(post, twilio), post.shop.some_number()
        line.text_in(carol, "Is it ready?")
        thread_id = line.thread_of(carol)
        post.wait_for_delivery(post.reply(thread_id, "Yes."), "SMS", "sent")
        sent = [post.reply(thread_id, text) for text in ("Come by.", "Until six.")]
        put_off = "state = 'waiting' AND due_at_ms = last_at_ms + 3600000"
        post.wait_for_row(f"SELECT 1 FROM dispatches, text_recipients WHERE {put_off}")
        post.shop.database.change("UPDATE text_recipients SET last_at_ms = 1")
        post.let_time_pass()
        for message_id in sent:
            post.wait_for_delivery(message_id, "SMS", "sent")
        assert [text["Body"] for text in twilio.received] == ["Yes.", "Come by.\nUntil six."]


def test_a_customer_of_the_web_gets_a_text_with_a_link_when_a_number_is_all_there_is(line: Line) -> None:
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
def test_an_answer_too_long_for_a_text_ends_with_a_link_to_the_whole(line: Line, word: str) -> None:
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


def test_the_window_of_whatsapp_is_opened_there_alone_and_a_template_goes_through_when_it_is_closed(
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


def test_nobodys_reports_and_texts_to_nobody_change_nothing(line: Line) -> None:
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
def test_a_number_that_a_visitor_only_named_answers_in_his_conversation(line: Line, own_number: str | None) -> None:
    line.post.business(phone_number=own_number)  # without one, the text goes by the operator's
    carol = line.post.shop.some_number()
    thread_id, _ = named(line, carol)
    line.text_in(carol, "Thank you!")
    answer = line.post.messages(thread_id)[2]
    assert (answer["text"], answer["fromCustomer"], answer["channel"]) == ("Thank you!", True, "SMS")
    assert line.post.shop.count("threads") == 1
    assert line.post.shop.count("customer_identities") == 0


@pytest.mark.parametrize("own_number", [NUMBER, None])
def test_a_number_that_a_visitor_only_named_is_not_texted_after_its_stop(line: Line, own_number: str | None) -> None:
    line.post.business(phone_number=own_number)
    carol = line.post.shop.some_number()
    thread_id, _ = named(line, carol)
    line.text_in(carol, "Arrêt")
    assert "START" in line.wait_for(2)[1]["Body"]
    message_id = line.post.reply(thread_id, "Hello?")
    line.post.wait_for_delivery(message_id, "SMS", "failed")  # nothing else is left to try
    assert line.post.deliveries(message_id)["SMS", "customer"] == ("failed", "opted_out")
    assert len(line.twilio.received) == 2


def test_what_a_known_customer_writes_is_not_shown_to_a_visitor_who_named_his_number(line: Line) -> None:
    carol = line.post.shop.some_number()
    line.text_in(carol, "Is it ready?")
    hers = line.thread_of(carol)
    eves, _ = named(line, carol)
    line.text_in(carol, "My card is lost.")
    assert [message["text"] for message in line.post.messages(hers)] == ["Is it ready?", "My card is lost."]
    assert len(line.post.messages(eves)) == 2


def test_what_the_owner_of_a_number_writes_much_later_answers_nobody_who_named_it(line: Line) -> None:
    carol = line.post.shop.some_number()
    eves, _ = named(line, carol)
    line.post.shop.database.change("UPDATE dispatches SET created_at_ms = 1")
    line.text_in(carol, "My card is lost.")
    assert line.thread_of(carol) != eves
    assert len(line.post.messages(eves)) == 2


def _londons(line: Line, number: str) -> None:
    """Let Globex's business have a number, as a file that was imported may."""
    query = "UPDATE businesses SET phone_number = :number WHERE id = :id"
    line.post.shop.database.change(query, number=number, id=int(line.post.shop.world.london))


def test_a_strangers_text_to_a_number_of_two_organizations_is_to_nobody(line: Line) -> None:
    _londons(line, NUMBER)
    carol = line.post.shop.some_number()
    line.text_in(carol, "Is it ready?")
    assert line.post.shop.count("messages") == 0
    line.post.business(invites_customers=False)
    thread_id = line.post.shop.send(user={"phoneNumber": carol})
    line.post.wait_for_delivery(line.post.reply(thread_id, "Yes, it is."), "SMS", "sent")
    line.text_in(carol, "Thank you!")
    assert line.post.messages(thread_id)[2]["text"] == "Thank you!"


def test_who_has_the_operators_number_gets_no_answers_to_what_others_wrote_from_it(line: Line) -> None:
    line.post.business(phone_number=None, invites_customers=False)
    _londons(line, NUMBER)
    carol = line.post.shop.some_number()
    thread_id = line.post.shop.send(user={"phoneNumber": carol})
    line.post.wait_for_delivery(line.post.reply(thread_id, "Yes, it is."), "SMS", "sent")
    line.text_in(carol, "Thank you!")
    assert line.post.messages(thread_id)[2]["text"] == "Thank you!"


def test_a_text_to_a_number_is_not_what_another_organization_is_answered(line: Line) -> None:
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
