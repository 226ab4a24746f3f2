"""Push messages are encrypted for one browser, and signed by this installation."""

import json

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey

from harness.push_service import PushBrowser, decode, encode
from shopbell.web_push.encryption import BrowserKeys, encrypt
from shopbell.web_push.vapid import Vapid

# RFC 8291, appendix A.
PLAIN = b"When I grow up, I want to be a watermelon"
SENDER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
BROWSER = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
ENCRYPTED = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_y"
    "l95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)
NOW_S = 1_800_000_000.0


def test_a_message_is_encrypted_as_in_the_example_of_the_standard() -> None:
    sender = ec.derive_private_key(int.from_bytes(decode(SENDER)), ec.SECP256R1())
    keys = BrowserKeys.parse(BROWSER, AUTH)
    assert encode(encrypt(PLAIN, keys, private_key=sender, salt=decode(SALT))) == ENCRYPTED


def test_only_the_browser_can_read_a_message() -> None:
    browser, other = PushBrowser("https://push.example/1"), PushBrowser("https://push.example/2")
    keys = BrowserKeys.parse(**browser.subscription["keys"])
    first, second = (encrypt(json.dumps({"type": "message"}).encode(), keys) for _ in range(2))
    assert browser.decrypt(first) == browser.decrypt(second) == {"type": "message"}
    assert first != second
    other.auth = browser.auth
    with pytest.raises(InvalidTag):
        other.decrypt(first)


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [
        ("", AUTH),
        (BROWSER, ""),
        (BROWSER[:-4], AUTH),
        ("A" + BROWSER[1:], AUTH),  # no point of the curve
        (BROWSER, AUTH + "AAAA"),
        (BROWSER, "é" * 22),
        (BROWSER + "!", AUTH),
    ],
)
def test_wrong_keys_are_refused(p256dh: str, auth: str) -> None:
    with pytest.raises(ValueError, match="must be a public key of P-256 and a secret, in base64url"):
        BrowserKeys.parse(p256dh, auth)


def test_requests_are_signed_for_one_push_service_and_half_a_day() -> None:
    key = ECKey.generate_key("P-256")
    vapid = Vapid(key.as_pem(private=True).decode(), "https://chat.acme.example")
    header = vapid.authorization("https://push.example:8443/send/1?a=b", now_s=NOW_S)
    scheme, _, fields = header.partition(" ")
    token, public_key = (field.partition("=")[2] for field in fields.split(", "))
    assert (scheme, public_key) == ("vapid", vapid.public_key)
    assert len(decode(public_key)) == 65
    found = jwt.decode(token, key, algorithms=["ES256"])
    assert found.claims == {
        "aud": "https://push.example:8443",
        "exp": int(NOW_S) + 12 * 60 * 60,
        "sub": "https://chat.acme.example",
    }
    assert vapid.authorization("https://push.example:8443/send/2", now_s=NOW_S + 60) == header
    assert vapid.authorization("https://push.example:8443/send/2", now_s=NOW_S + 12 * 60 * 60) != header
    assert vapid.authorization("https://other.example/", now_s=NOW_S) != header
