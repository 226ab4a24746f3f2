"""SMS through Twilio: requests, responses and no duplicates."""

import asyncio
import json
import logging
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog

from harness.ports import free_port
from harness.twilio import NUMBER, SERVICE, SID, TOKEN, WHATSAPP, FakeTwilio, fake_twilio
from shopbell.channels.sms.providers import open_texts
from shopbell.notifications.outcomes import Outcome, Refused, Sent, TryLater, Unknown
from shopbell.settings.settings import load
from shopbell.sms.outgoing import OutgoingText, TextChannel

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


def test_an_sms_is_an_authenticated_form_and_gets_twilios_id(twilio: FakeTwilio) -> None:
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


def test_twilio_gets_a_callback_url_with_our_id(twilio: FakeTwilio) -> None:
    send(twilio, text(reference="12344-9"), public_url="https://example.org/chat/")
    callback = urlsplit(twilio.received[0]["StatusCallback"])
    assert callback.geturl().startswith("https://example.org/chat/hooks/twilio/status?")
    assert parse_qs(callback.query) == {"reference": ["12344-9"]}


def test_a_business_sends_from_its_own_number_or_the_operators(twilio: FakeTwilio) -> None:
    send(twilio, text(sender=NUMBER), text(), twilio_messaging_service_sid=SERVICE, sms_from="Acme Bikes")
    send(twilio, text(), sms_from="Acme Bikes")
    own, service, name = twilio.received
    assert (own["From"], "MessagingServiceSid" in own.form) == (NUMBER, False)
    assert (service["MessagingServiceSid"], "From" in service.form) == (SERVICE, False)
    assert name["From"] == "Acme Bikes"


def test_whatsapp_uses_its_own_number_format_and_templates(twilio: FakeTwilio) -> None:
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


def test_files_are_sent_by_url(twilio: FakeTwilio) -> None:
    urls = ["https://chat.example.org/a.png", "https://chat.example.org/b.png?x=1&y=2"]
    assert isinstance(send_one(twilio, text(media_urls=urls, text="")), Sent)
    assert twilio.received[0].form["MediaUrl"] == urls


def test_without_a_whatsapp_sender_nothing_is_sent(twilio: FakeTwilio) -> None:
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
def test_a_rejection_is_final_and_has_one_of_our_reasons(twilio: FakeTwilio, item: OutgoingText, reason: str) -> None:
    twilio.opted_out.add("+16175550199")
    twilio.closed_windows.add("+16175550198")
    assert send_one(twilio, item) == Refused(reason)


def test_a_template_is_sent_when_the_window_is_closed(twilio: FakeTwilio) -> None:
    twilio.closed_windows.add(CAROL)
    assert isinstance(send_one(twilio, text(channel="WHATSAPP", content_sid="HX123")), Sent)


def test_a_rate_limit_waits_as_long_as_twilio_says(twilio: FakeTwilio) -> None:
    twilio.script += ["429"]
    first, second = send(twilio, text(), text())
    assert first == TryLater("busy", 7)
    assert isinstance(second, Sent)


def test_configuration_errors_do_not_fail_the_message(twilio: FakeTwilio) -> None:
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
def test_a_possibly_accepted_sms_has_an_unknown_outcome(twilio: FakeTwilio, act: str, reason: str) -> None:
    twilio.script += [act]  # type: ignore[list-item]
    assert send_one(twilio) == Unknown(reason)
    assert len(twilio.received) == 1


def test_a_timeout_is_an_unknown_outcome_after_one_request(twilio: FakeTwilio) -> None:
    twilio.script += ["hang"]
    assert send_one(twilio, delivery_timeout_s=1.5) == Unknown("timeout")
    assert len(twilio.received) == 1


def test_an_unreadable_success_response_is_a_success(twilio: FakeTwilio) -> None:
    twilio.script += ["garbage"]
    assert send_one(twilio) == Sent(None)


def test_an_unreachable_twilio_is_retried_later(twilio: FakeTwilio) -> None:
    assert send_one(twilio, twilio_api_url=f"http://127.0.0.1:{free_port()}") == TryLater("connect_refused")
    assert send_one(twilio, twilio_api_url="https://nobody.invalid") == TryLater("dns_failed")


def test_each_sms_uses_its_own_connection(twilio: FakeTwilio) -> None:
    """The other side may be closing a reused connection: the outcome is unknown."""
    send(twilio, text(), text(), text())
    assert [received.headers["connection"] for received in twilio.received] == ["close"] * 3


def test_results_and_logs_contain_no_numbers_texts_or_tokens(
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
