"""Signatures of Twilio and of our own."""

import time
from urllib.parse import parse_qsl

import pytest

from shopbell.sms.signatures import is_from_twilio, is_signed, sign, twilio_signature
from shopbell_client import signatures as client_signatures

URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
TOKEN = "12345"
EXPECTED = "0/KCTR6DLpKmkAf8muzZqo1nDgQ="
FIELDS = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+12349013030"),
    ("Digits", "1234"),
    ("From", "+12349013030"),
    ("To", "+18005551212"),
]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "A" * 32
BODY = '{"id": "in-1", "text": "Où ?"}'.encode()
NOW_S = 1_700_000_000


def test_the_signature_of_twilios_documented_example_is_valid() -> None:
    assert twilio_signature(TOKEN, URL, FIELDS) == EXPECTED
    assert is_from_twilio(EXPECTED, TOKEN, URL, FIELDS)


def test_field_order_does_not_matter_and_a_repeated_field_counts_once() -> None:
    assert is_from_twilio(EXPECTED, TOKEN, URL, [*reversed(FIELDS), FIELDS[0]])


@pytest.mark.parametrize(
    ("signature", "token", "url", "fields"),
    [
        (EXPECTED, "12346", URL, FIELDS),
        (EXPECTED, TOKEN, URL + "&reference=1", FIELDS),
        (EXPECTED, TOKEN, URL.replace("https", "http"), FIELDS),
        (EXPECTED, TOKEN, URL.replace("mycompany", "evil"), FIELDS),
        (EXPECTED, TOKEN, URL, FIELDS[:-1]),
        (EXPECTED, TOKEN, URL, [*FIELDS, ("Body", "")]),
        (EXPECTED, TOKEN, URL, [*FIELDS[:-1], ("To", "+18005551213")]),
        (EXPECTED.lower(), TOKEN, URL, FIELDS),
        (EXPECTED[:-1], TOKEN, URL, FIELDS),
        ("", TOKEN, URL, FIELDS),
        ("\xff\xfe", TOKEN, URL, FIELDS),
    ],
)
def test_any_change_invalidates_a_twilio_signature(
    signature: str, token: str, url: str, fields: list[tuple[str, str]]
) -> None:
    assert not is_from_twilio(signature, token, url, fields)


def test_the_default_port_may_be_signed_or_not() -> None:
    for given, signed in ((URL, URL.replace(".com", ".com:443")), ("http://a.example/x", "http://a.example:80/x")):
        assert is_from_twilio(twilio_signature(TOKEN, signed, FIELDS), TOKEN, given, FIELDS)
    other = URL.replace(".com", ".com:8443")
    assert not is_from_twilio(twilio_signature(TOKEN, other, FIELDS), TOKEN, URL, FIELDS)
    assert is_from_twilio(twilio_signature(TOKEN, other, FIELDS), TOKEN, other, FIELDS)


def test_decoded_values_are_signed() -> None:
    fields = parse_qsl("Body=O%C3%B9+est+mon+v%C3%A9lo+%3F&Empty=", keep_blank_values=True)
    assert is_from_twilio(
        twilio_signature(TOKEN, URL, [("Body", "Où est mon vélo ?"), ("Empty", "")]), TOKEN, URL, fields
    )


def test_a_signature_is_valid_for_five_minutes_either_way() -> None:
    headers = sign(SECRET, "in-1", NOW_S, BODY)
    for off_s in (-300, 0, 300):
        assert is_signed(SECRET, headers, BODY, now_s=NOW_S + off_s)
    for off_s in (-301, 301, 86_400):
        assert not is_signed(SECRET, headers, BODY, now_s=NOW_S + off_s)


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({}, BODY + b" "),
        ({}, b"\xff"),
        ({"webhook-id": "in-2"}, BODY),
        ({"webhook-id": ""}, BODY),
        ({"webhook-timestamp": str(NOW_S + 1)}, BODY),
        ({"webhook-timestamp": "now"}, BODY),
        ({"webhook-timestamp": "9" * 5_000}, BODY),
        ({"webhook-signature": ""}, BODY),
        ({"webhook-signature": "v1,"}, BODY),
        ({"webhook-signature": "v1"}, BODY),
        ({"webhook-signature": "\xff"}, BODY),
        (sign(OTHER, "in-1", NOW_S, BODY), BODY),
    ],
)
def test_any_change_invalidates_a_signature(changes: dict[str, str], body: bytes) -> None:
    assert not is_signed(SECRET, sign(SECRET, "in-1", NOW_S, BODY) | changes, body, now_s=NOW_S)


def test_one_valid_signature_among_several_is_enough() -> None:
    headers = sign(SECRET, "in-1", NOW_S, BODY)
    headers["webhook-signature"] = "v2,abc v1,AAAA " + headers["webhook-signature"]
    assert is_signed(SECRET, headers, BODY, now_s=NOW_S)


def test_our_signatures_pass_the_check_of_webhook_receivers() -> None:
    now_s = int(time.time())
    body = b'{"eventType": "text", "data": {}}'
    event = client_signatures.verify_webhook(body, sign(SECRET, "12344-7", now_s, body), SECRET)
    assert event.id == "12344-7"
