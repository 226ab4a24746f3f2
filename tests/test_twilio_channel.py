"""Texts by Twilio: what it is sent, what becomes of each of its answers, and that nothing is sent twice."""

import asyncio
import json
import logging
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog

from harness.ports import free_port
from harness.twilio import NUMBER, SERVICE, SID, TOKEN, WHATSAPP, FakeTwilio, fake_twilio
from shopbell.channels.channel import Outcome, Refused, Sent, TryLater, Unknown
from shopbell.channels.texts import open_texts
from shopbell.settings import load
from shopbell.texting.outgoing import OutgoingText, TextChannel

CAROL = "+16175550100"
STRANGER = "+15005550001"
HELLO = "Your bicycle is ready — 🚲 50 € & more"
PUBLIC = "https://chat.example.org"
SMS: TextChannel = "SMS"


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    """A Twilio on loopback."""
    with fake_twilio() as fake:
        yield fake


def text(to: str = CAROL, **changes: object) -> OutgoingText:
    """A text to Carol."""
    given: dict[str, object] = {"reference": "12344-7", "channel": SMS, "to": to, "text": HELLO} | changes
    return OutgoingText(**given)  # type: ignore[arg-type]


def send(twilio: FakeTwilio, *items: OutgoingText, **settings: object) -> list[Outcome]:
    """What comes of texts, sent one after the other."""
    given: dict[str, object] = {
        "sms_provider": "twilio",
        "twilio_account_sid": SID,
        "twilio_auth_token": TOKEN,
        "twilio_api_url": twilio.url,
        "sms_from": NUMBER,
        "whatsapp_from": WHATSAPP,
        "public_url": PUBLIC,
        "delivery_timeout_s": 5,
    }
    channel = open_texts(load(**(given | settings)))
    assert channel is not None

    async def run() -> list[Outcome]:
        try:
            return [await channel.send(item) for item in items]
        finally:
            await channel.close()

    return asyncio.run(run())


def send_one(twilio: FakeTwilio, item: OutgoingText | None = None, **settings: object) -> Outcome:
    """What comes of one text."""
    (outcome,) = send(twilio, item or text(), **settings)
    return outcome


def test_a_text_is_a_form_with_the_accounts_password_and_is_known_by_twilios_id(twilio: FakeTwilio) -> None:
    outcome = send_one(twilio)
    (received,) = twilio.received
    assert isinstance(outcome, Sent)
    assert outcome.provider_id is not None
    assert outcome.provider_id.startswith("SM")
    assert {name: values for name, values in received.form.items() if name != "StatusCallback"} == {
        "To": [CAROL],
        "From": [NUMBER],
        "Body": [HELLO],
    }


def test_twilio_is_told_where_to_tell_and_what_the_text_is_called_here(twilio: FakeTwilio) -> None:
    send(twilio, text(reference="12344-9"), public_url="https://example.org/chat/")
    callback = urlsplit(twilio.received[0]["StatusCallback"])
    assert callback.geturl().startswith("https://example.org/chat/hooks/twilio/status?")
    assert parse_qs(callback.query) == {"reference": ["12344-9"]}


def test_a_business_writes_from_its_own_number_and_others_from_the_operators(twilio: FakeTwilio) -> None:
    send(twilio, text(sender=NUMBER), text(), twilio_messaging_service_sid=SERVICE, sms_from="Acme Bikes")
    send(twilio, text(), sms_from="Acme Bikes")
    own, service, name = twilio.received
    assert (own["From"], "MessagingServiceSid" in own.form) == (NUMBER, False)
    assert (service["MessagingServiceSid"], "From" in service.form) == (SERVICE, False)
    assert name["From"] == "Acme Bikes"


def test_whatsapp_is_another_kind_of_number_and_takes_templates(twilio: FakeTwilio) -> None:
    variables = {"1": 'Carol "the cyclist"', "2": "10:30"}
    sent = send(
        twilio,
        text(channel="WHATSAPP"),
        text(channel="WHATSAPP", content_sid="HX123", content_variables=variables),
        twilio_messaging_service_sid=SERVICE,
    )
    assert all(isinstance(outcome, Sent) for outcome in sent)
    free, template = twilio.received
    assert (free["To"], free["From"], free["Body"]) == (f"whatsapp:{CAROL}", f"whatsapp:{WHATSAPP}", HELLO)
    assert template["ContentSid"] == "HX123"
    assert json.loads(template["ContentVariables"]) == variables
    assert "Body" not in template.form


def test_files_go_along_by_their_addresses(twilio: FakeTwilio) -> None:
    urls = ["https://chat.example.org/a.png", "https://chat.example.org/b.png?x=1&y=2"]
    assert isinstance(send_one(twilio, text(media_urls=urls, text="")), Sent)
    assert twilio.received[0].form["MediaUrl"] == urls


def test_without_a_sender_for_whatsapp_nothing_is_sent(twilio: FakeTwilio) -> None:
    assert send_one(twilio, text(channel="WHATSAPP"), whatsapp_from=None) == Refused("sender_refused")
    assert send_one(twilio, sms_from=None) == Refused("sender_refused")
    assert twilio.received == []


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (text(STRANGER), "invalid_number"),
        (text("617-555"), "invalid_number"),
        (text(sender="+15005550999"), "sender_refused"),
        (text(channel="WHATSAPP", sender=NUMBER), "sender_refused"),
        (text(text="x" * 1_601), "too_long"),
        (text("+16175550199"), "opted_out"),
        (text("+16175550198", channel="WHATSAPP"), "window_closed"),
        (text(text=""), "rejected"),
    ],
)
def test_a_refusal_is_for_good_and_its_reason_is_a_word_of_ours(
    twilio: FakeTwilio, item: OutgoingText, reason: str
) -> None:
    twilio.opted_out.add("+16175550199")
    twilio.closed_windows.add("+16175550198")
    assert send_one(twilio, item) == Refused(reason)


def test_a_template_goes_through_a_closed_window(twilio: FakeTwilio) -> None:
    twilio.closed_windows.add(CAROL)
    assert isinstance(send_one(twilio, text(channel="WHATSAPP", content_sid="HX123")), Sent)


def test_too_many_at_once_wait_as_long_as_twilio_says(twilio: FakeTwilio) -> None:
    twilio.script += ["429"]
    first, second = send(twilio, text(), text())
    assert first == TryLater("busy", 7)
    assert isinstance(second, Sent)


def test_what_only_the_operator_can_mend_is_no_fault_of_the_text(twilio: FakeTwilio) -> None:
    twilio.script += ["suspended", "redirect"]
    suspended, redirected = send(twilio, text(), text())
    assert suspended == TryLater("account_inactive", 300)
    assert redirected == TryLater("unexpected_answer", 300)
    assert [received.path.rpartition("/")[2] for received in twilio.received] == ["Messages.json"] * 2
    assert send_one(twilio, twilio_auth_token="another") == TryLater("credentials_refused", 300)
    assert send_one(twilio, twilio_account_sid="AC" + "0" * 32) == TryLater("credentials_refused", 300)


@pytest.mark.parametrize(
    ("act", "reason"),
    [("html-500", "http_500"), ("503", "http_503"), ("drop", "connection_lost")],
)
def test_what_twilio_may_have_taken_is_unknown(twilio: FakeTwilio, act: str, reason: str) -> None:
    twilio.script += [act]  # type: ignore[list-item]
    assert send_one(twilio) == Unknown(reason)
    assert len(twilio.received) == 1


def test_no_answer_in_time_is_unknown_and_the_text_was_posted_once(twilio: FakeTwilio) -> None:
    twilio.script += ["hang"]
    assert send_one(twilio, delivery_timeout_s=1.5) == Unknown("timeout")
    assert len(twilio.received) == 1


def test_an_answer_of_success_that_cannot_be_read_is_success(twilio: FakeTwilio) -> None:
    twilio.script += ["garbage"]
    assert send_one(twilio) == Sent(None)


def test_nobody_at_twilios_address_is_tried_later(twilio: FakeTwilio) -> None:
    assert send_one(twilio, twilio_api_url=f"http://127.0.0.1:{free_port()}") == TryLater("connect_refused")
    assert send_one(twilio, twilio_api_url="https://nobody.invalid") == TryLater("dns_failed")


def test_each_text_has_a_connection_of_its_own(twilio: FakeTwilio) -> None:
    """One that is used again may be ending at the other side: then nobody could say what became of the text."""
    send(twilio, text(), text(), text())
    assert [received.headers["connection"] for received in twilio.received] == ["close"] * 3


def test_neither_numbers_nor_texts_nor_the_token_are_in_any_outcome_or_log(
    twilio: FakeTwilio, caplog: pytest.LogCaptureFixture
) -> None:
    twilio.script += ["suspended", "html-500", "429", "redirect"]
    items = [text() for _ in range(4)] + [text(STRANGER), text(text="x" * 2_000)]
    with caplog.at_level(logging.DEBUG), structlog.testing.capture_logs() as logged:
        outcomes = send(twilio, *items)
        outcomes.append(send_one(twilio, twilio_auth_token="another"))
    assert len(logged) == 3  # suspended, redirected, and the wrong token
    told = repr((outcomes, logged, items)) + caplog.text
    for secret in (CAROL, STRANGER, HELLO, TOKEN, "another", "xxx"):
        assert secret not in told
