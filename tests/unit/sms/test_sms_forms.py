"""Twilio's forms, statuses and error codes."""

import itertools
from typing import get_args
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopbell.sms.error_codes import KNOWN, TEMPORARY, reason_of
from shopbell.sms.inbound import InboundMedia, TextStatus, later_of
from shopbell.sms.outgoing import OutgoingText, Senders
from shopbell.sms.twilio import inbound_text, message_form, read_form, read_response, status_report

STATES = get_args(TextStatus)
INBOUND = {
    "ToCountry": "US",
    "SmsMessageSid": "SM1",
    "MessageSid": "SM1",
    "NumMedia": "0",
    "Body": "Is my bicycle ready?",
    "From": "+16175550100",
    "To": "+15005550006",
    "AccountSid": "AC1",
}


def test_a_form_contains_sender_recipient_and_text() -> None:
    text = inbound_text(list(INBOUND.items()))
    assert text is not None
    assert (text.provider_id, text.channel, text.sender, text.recipient, text.text) == (
        "SM1",
        "SMS",
        "+16175550100",
        "+15005550006",
        "Is my bicycle ready?",
    )
    assert (text.media, text.sender_name, text.keyword, text.is_answered) == ([], None, None, False)


def test_whatsapp_is_recognised_by_the_number_prefix_and_has_a_name() -> None:
    form = INBOUND | {"From": "whatsapp:+16175550100", "To": "whatsapp:+15005550007", "ProfileName": "Carol\0"}
    text = inbound_text(list(form.items()))
    assert text is not None
    assert (text.channel, text.sender, text.recipient) == ("WHATSAPP", "+16175550100", "+15005550007")
    assert text.sender_name == "Carol"


def test_up_to_ten_files_are_accepted() -> None:
    media = {f"MediaUrl{n}": f"https://api.twilio.com/m/{n}" for n in range(12)}
    form = INBOUND | media | {"NumMedia": "2", "MediaContentType0": "image/jpeg"}
    text = inbound_text(list(form.items()))
    assert text is not None
    assert text.media == [
        InboundMedia("https://api.twilio.com/m/0", "image/jpeg"),
        InboundMedia("https://api.twilio.com/m/1", "application/octet-stream"),
    ]
    for said, count in (("12", 10), ("-1", 0), ("²", 0), ("9" * 5_000, 0), ("", 0)):
        text = inbound_text(list((form | {"NumMedia": said}).items()))
        assert text is not None
        assert len(text.media) == count, said


@pytest.mark.parametrize(
    ("body", "channel", "more", "intent", "is_answered"),
    [
        ("STOP", "", {}, "stop", True),
        (" Stop ", "", {}, "stop", True),
        ("arrêt", "", {}, "stop", False),  # Twilio answers English words only
        ("arrêt", "", {"OptOutType": "STOP"}, "stop", True),  # unless its account is told others
        ("STOPALL", "", {}, "stop", True),
        ("OPTOUT", "", {}, "stop", True),
        ("optin", "", {}, "start", False),
        ("no more please", "", {"OptOutType": "STOP"}, "stop", True),
        ("yes", "", {"OptOutType": "START"}, "start", True),
        ("what is this?", "whatsapp:", {"OptOutType": "help"}, "help", True),
        ("START", "", {"OptOutType": "STOP"}, "stop", True),  # what the provider did counts
        ("STOP", "whatsapp:", {}, "stop", False),
        ("HELP", "", {}, "help", True),
        ("ayuda", "", {}, "help", False),
    ],
)
def test_a_keyword_that_twilio_answers_is_not_answered_twice(
    body: str, channel: str, more: dict[str, str], intent: str, is_answered: bool
) -> None:
    form = INBOUND | {"Body": body, "From": channel + "+16175550100"} | more
    text = inbound_text(list(form.items()))
    assert text is not None
    assert text.keyword is not None
    assert (text.keyword.intent, text.is_answered) == (intent, is_answered)


@pytest.mark.parametrize("told", ["", "OTHER"])
def test_an_unknown_opt_out_type_is_not_an_opt_out(told: str) -> None:
    text = inbound_text(list((INBOUND | {"OptOutType": told}).items()))
    assert text is not None
    assert text.keyword is None


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        (
            {"Body": "", "Latitude": "48.8584", "Longitude": "-2.2945", "Label": "Eiffel Tower", "Address": "Paris"},
            "Eiffel Tower\nParis\n48.8584, -2.2945\nhttps://www.openstreetmap.org/?mlat=48.8584&mlon=-2.2945",
        ),
        (
            {"Body": "I am here", "Latitude": "48", "Longitude": "2.5"},
            "I am here\n48, 2.5\nhttps://www.openstreetmap.org/?mlat=48&mlon=2.5",
        ),
        ({"Body": "", "Latitude": "48&x=1", "Longitude": "2", "Label": "Home"}, "Home"),
        ({"Body": "", "Latitude": "48"}, ""),
        (
            {"Body": "Saturday", "ListId": "2", "ListTitle": "Saturday", "ListDescription": "9 to 12"},
            "Saturday\n9 to 12",
        ),
        ({"Body": "Yes, please", "ButtonText": "Yes, please", "ButtonPayload": "yes"}, "Yes, please"),
        ({"Body": "", "ListId": "2", "ListTitle": "Sunday\0"}, "Sunday\ufffd"),
    ],
)
def test_a_location_and_a_list_reply_show_their_content(fields: dict[str, str], shown: str) -> None:
    form = INBOUND | {"From": "whatsapp:+16175550100"} | fields
    text = inbound_text(list(form.items()))
    assert text is not None
    assert text.text == shown


@pytest.mark.parametrize("missing", ["From", "To"])
def test_a_form_that_is_not_a_message_is_ignored(missing: str) -> None:
    assert inbound_text([(name, value) for name, value in INBOUND.items() if name != missing]) is None
    assert inbound_text([]) is None


def test_reprs_contain_no_numbers_texts_or_names() -> None:
    form = INBOUND | {"ProfileName": "Carol", "NumMedia": "1", "MediaUrl0": "https://api.twilio.com/secret"}
    shown = repr(inbound_text(list(form.items())))
    assert not [part for part in ("6175550100", "5005550006", "bicycle", "Carol", "secret") if part in shown]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("accepted", "queued"),
        ("queued", "queued"),
        ("sending", "queued"),
        ("scheduled", "queued"),
        ("sent", "sent"),
        ("delivered", "delivered"),
        ("read", "read"),
        ("undelivered", "failed"),
        ("failed", "failed"),
        ("canceled", "failed"),
        ("Delivered", "delivered"),
    ],
)
def test_each_twilio_status_maps_to_one_of_ours(said: str, status: str) -> None:
    report = status_report([("MessageSid", "SM1"), ("MessageStatus", said), ("ErrorCode", "30003")], "12344-7")
    assert report is not None
    assert (report.status, report.reference, report.provider_id) == (status, "12344-7", "SM1")
    assert report.reason == ("unreachable" if status == "failed" else None)


@pytest.mark.parametrize(
    "fields", [[], [("MessageSid", "SM1"), ("MessageStatus", "received")], [("MessageStatus", "sent")]]
)
def test_a_form_without_a_status_is_not_a_report(fields: list[tuple[str, str]]) -> None:
    assert status_report(fields, None) is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (21610, "opted_out"),
        (21211, "invalid_number"),
        (21614, "invalid_number"),
        (30003, "unreachable"),
        (63016, "window_closed"),
        (30007, "blocked"),
        (21408, "not_permitted"),
        (21606, "sender_refused"),
        (63007, "sender_refused"),
        (21656, "template_refused"),
        (21617, "too_long"),
        (63019, "media_refused"),
        (30036, "expired"),
        (20003, "credentials_refused"),
        (20005, "account_inactive"),
        (20429, "busy"),
        (99999, "rejected"),
        (None, "rejected"),
    ],
)
def test_each_error_code_has_a_stable_reason(code: int | None, reason: str) -> None:
    assert reason_of(code) == reason
    assert reason in KNOWN
    assert TEMPORARY <= KNOWN


def test_a_failure_without_a_code_is_rejected() -> None:
    for said in ("", "x", "9" * 5_000, "-1", "²"):
        report = status_report([("MessageSid", "SM1"), ("MessageStatus", "failed"), ("ErrorCode", said)], None)
        assert report is not None
        assert report.reason == "rejected"


def test_a_status_never_moves_back_in_any_order() -> None:
    assert set(STATES) == {"queued", "sent", "delivered", "read", "failed"}
    for told in itertools.permutations(["queued", "sent", "delivered", "read", "read"]):
        known: TextStatus = "queued"
        for status in told:
            known = later_of(known, status)  # type: ignore[arg-type]
        assert known == "read"
    for one, other in itertools.product(STATES, STATES):
        assert later_of(one, other) == later_of(other, one)
    assert later_of("sent", "failed") == "failed"
    assert later_of("failed", "queued") == "failed"
    assert later_of("failed", "delivered") == "delivered"  # that it arrived is proof
    assert later_of("read", "failed") == "read"


@given(st.binary())
def test_arbitrary_bytes_are_accepted_as_a_response_or_form(body: bytes) -> None:
    read_response(body)
    try:
        fields = read_form(body)
    except ValueError:
        return
    inbound_text(fields)
    status_report(fields, None)


def test_a_response_contains_an_id_or_an_error_code() -> None:
    assert read_response(b'{"sid": "SM1", "error_code": null}').sid == "SM1"
    assert read_response(b'{"code": 21211, "status": 400}').error_code == 21211
    for body in (b"", b"[]", b'{"sid": 1, "code": "x"}', b'{"sid": "", "code": true}', b"[" * 100_000):
        assert (read_response(body).sid, read_response(body).error_code) == (None, None)


def test_a_text_contains_no_character_that_a_database_refuses() -> None:
    text = inbound_text(list((INBOUND | {"Body": "a\0b"}).items()))
    assert text is not None
    assert text.text == "a\ufffdb"


def test_a_form_is_utf_8_and_keeps_empty_fields() -> None:
    assert read_form(b"Body=&From=%C3%A9") == [("Body", ""), ("From", "é")]
    for body in (b"Body=%ff", b"Body=\xc3\xa9"):
        with pytest.raises(ValueError, match="decode"):
            read_form(body)


def test_a_form_with_too_many_fields_is_refused() -> None:
    assert len(read_form(b"&".join(b"a%d=1" % n for n in range(200)))) == 200
    with pytest.raises(ValueError, match="fields"):
        read_form(b"&".join(b"a%d=1" % n for n in range(201)))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_stays_in_one_field(body: str, value: str) -> None:
    text = OutgoingText("1-2", "SMS", "+16175550100", body)
    fields = parse_qsl(message_form(text, Senders(sms="+15005550006"), None).decode(), keep_blank_values=True)
    assert fields == [("To", "+16175550100"), ("From", "+15005550006"), ("Body", body)]
    template = OutgoingText("1-2", "SMS", "+1", "", content_sid="HX1", content_variables={"1": value})
    assert len(parse_qsl(message_form(template, Senders(sms="A"), None).decode(), keep_blank_values=True)) == 4
