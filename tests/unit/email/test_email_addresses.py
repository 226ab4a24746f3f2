"""Signed addresses, message ids and unsubscribe links."""

import base64
import random
import string

import pytest

from shopbell.email.reply_addresses import LOCAL_PART_MAX_BYTES, Audience, BounceAddress, EmailAddresses, ReplyAddress
from shopbell.email.signed_ids import MAC_BYTES
from shopbell.email.unsubscribe import PATH, Subscription, UnsubscribeLinks
from shopbell.security.keys import Keys

KEYS = Keys((b"k" * 32,))
LARGEST = 2**53 - 1
ACME, THREAD, DISPATCH = 1_000_001, 1_000_777, 42


def addresses(keys: Keys = KEYS, reply_domain: str | None = "reply.example") -> EmailAddresses:
    """Those of an installation."""
    return EmailAddresses(keys, sender="shop@acme.example", reply_domain=reply_domain)


def reply(audience: Audience = Audience.CUSTOMER, keys: Keys = KEYS) -> str:
    """A reply address of Acme's."""
    made = addresses(keys).reply(ACME, THREAD, audience)
    assert made is not None
    return made


@pytest.mark.parametrize("audience", list(Audience))
@pytest.mark.parametrize("number", [1, THREAD, LARGEST])
def test_a_reply_address_encodes_its_conversation_and_author(audience: Audience, number: int) -> None:
    made = addresses().reply(number, number, audience)
    assert made is not None
    assert addresses().parse(made) == ReplyAddress(number, number, audience)


@pytest.mark.parametrize("number", [1, LARGEST])
def test_an_address_fits_the_limits_of_every_server(number: int) -> None:
    for made in (addresses().reply(number, number, Audience.BUSINESS), addresses().bounce(number, number)):
        assert made is not None
        local = made.rpartition("@")[0]
        assert len(local) <= LOCAL_PART_MAX_BYTES
        assert set(local) <= set(string.ascii_lowercase + string.digits + "+")


def test_servers_can_change_the_case_and_domain_of_an_address() -> None:
    made = reply()
    for changed in (made.upper(), made.title(), made.replace("reply.example", "relay.example")):
        assert addresses().parse(changed) == ReplyAddress(ACME, THREAD, Audience.CUSTOMER)


def test_a_bounce_address_names_the_outbound_message() -> None:
    assert addresses().parse(addresses().bounce(ACME, DISPATCH)) == BounceAddress(ACME, DISPATCH)


def test_an_address_cannot_be_turned_into_one_of_another_kind() -> None:
    bounce = addresses().bounce(ACME, DISPATCH)
    assert addresses().parse(reply().replace("reply+", "bounce+")) is None
    assert addresses().parse(bounce.replace("bounce+", "reply+")) is None
    token = addresses().message_id(ACME, DISPATCH)[1:].partition("@")[0]
    assert addresses().parse(f"reply+{token}@reply.example") is None
    assert addresses().parse(f"bounce+{token}@reply.example") is None
    assert addresses().parse_message_id(f"<{bounce.partition('+')[2]}>") is None


def test_any_changed_letter_makes_an_address_invalid() -> None:
    local, _, domain = reply().partition("@")
    token = local.removeprefix("reply+")
    # The last letter also fills the text up to whole bytes: two of its bits say nothing.
    for place, letter in enumerate(token[:-1]):
        other = "a" if letter != "a" else "b"
        assert addresses().parse(f"reply+{token[:place]}{other}{token[place + 1 :]}@{domain}") is None


def test_foreign_addresses_are_not_recognised() -> None:
    chooser = random.Random(4)
    alphabet = string.ascii_lowercase + "234567"
    length = len(reply().partition("@")[0].removeprefix("reply+"))
    for _ in range(2_000):
        token = "".join(chooser.choices(alphabet, k=chooser.choice((length, length - 1, chooser.randrange(10, 58)))))
        assert addresses().parse(f"reply+{token}@reply.example") is None
        assert addresses().parse(f"bounce+{token}@reply.example") is None
    for text in (
        "",
        "@",
        "reply+@x",
        "reply",
        "reply+" + "a" * 500 + "@x",
        "reply+é@x",
        "reply+\0@x",
        "+@",
        reply() + "\n@x",
    ):
        assert addresses().parse(text) is None
        assert addresses().parse_message_id(text) is None
        assert UnsubscribeLinks(KEYS).parse(text) is None


def test_another_installation_does_not_recognise_our_addresses() -> None:
    others = Keys((b"o" * 32,))
    assert addresses(others).parse(reply()) is None
    assert UnsubscribeLinks(others).parse(_token(KEYS)) is None


def test_addresses_signed_with_the_former_key_stay_valid() -> None:
    both = Keys((b"n" * 32, b"k" * 32))
    assert addresses(both).parse(reply()) == ReplyAddress(ACME, THREAD, Audience.CUSTOMER)
    assert addresses(Keys((b"n" * 32,))).parse(reply(keys=both)) is not None
    assert UnsubscribeLinks(both).parse(_token(KEYS)) is not None


def test_the_signature_has_at_least_80_bits() -> None:
    assert MAC_BYTES * 8 >= 80
    token = reply().partition("@")[0].removeprefix("reply+").upper()
    content = base64.b32decode(token + "=" * (-len(token) % 8))
    other = base64.b32decode(
        (other := reply(Audience.BUSINESS).partition("@")[0][6:].upper()) + "=" * (-len(other) % 8)
    )
    assert content[1:-MAC_BYTES] == other[1:-MAC_BYTES]
    assert content[-MAC_BYTES:] != other[-MAC_BYTES:]


def test_without_inbound_email_there_is_no_reply_address() -> None:
    without = addresses(reply_domain=None)
    assert without.reply(ACME, THREAD, Audience.CUSTOMER) is None
    assert without.bounce(ACME, DISPATCH) == "shop@acme.example"
    assert without.message_id(ACME, DISPATCH).endswith("@acme.example>")


def test_a_message_id_is_the_same_at_every_attempt_and_names_the_outbound_message() -> None:
    made = addresses().message_id(ACME, DISPATCH)
    assert made == addresses().message_id(ACME, DISPATCH)
    assert addresses().parse_message_id(made) == BounceAddress(ACME, DISPATCH)
    assert addresses().parse_message_id(made.upper()) == BounceAddress(ACME, DISPATCH)
    assert addresses().parse_message_id(made.strip("<>")) is None
    assert addresses().parse_message_id(addresses().thread_id(ACME, DISPATCH)) is None


@pytest.mark.parametrize("digest", [None, 0, 2**48 - 1])
def test_an_unsubscribe_link_names_its_subscription(digest: int | None) -> None:
    subscription = Subscription(ACME, THREAD, Audience.BUSINESS, digest)
    link = UnsubscribeLinks(KEYS).link("https://chat.example.org", subscription)
    assert link.startswith(f"https://chat.example.org{PATH}")
    assert UnsubscribeLinks(KEYS).parse(link.rpartition("/")[2]) == subscription


def test_a_reply_address_is_no_unsubscribe_link() -> None:
    assert UnsubscribeLinks(KEYS).parse(reply().partition("@")[0].removeprefix("reply+")) is None
    assert addresses().parse(f"reply+{_token(KEYS)}@reply.example") is None


def _token(keys: Keys) -> str:
    link = UnsubscribeLinks(keys).link("", Subscription(ACME, THREAD, Audience.CUSTOMER))
    return link.rpartition("/")[2]
