"""Two spellings of a phone number are one customer."""

import itertools
from collections.abc import Callable

import pytest

from harness.reply_decisions import KEYS, NUMBER, OPT_OUTS, RULES, Desk, now_ms
from harness.shop import Shop
from harness.visitors import acmes_site
from shopbell.channels.sms import inbound
from shopbell.channels.voice import ivr
from shopbell.customers.opt_outs import KEY_PURPOSE
from shopbell.operations import organization_import
from shopbell.security.tokens import token_hash
from shopbell.sms.inbound import InboundText

_DIGITS = itertools.count(100_000)
COUNTRIES = {
    "BR": ("+551198{:07d}", "+55118{:07d}"),
    "AR": ("+54113{:07d}", "+549113{:07d}"),
    "MX": ("+52553{:07d}", "+521553{:07d}"),
}


@pytest.fixture
def desk(engine: str, shops: Callable[..., Shop]) -> Desk:
    """Acme's desk; Boston has a number."""
    shop = shops(engine, run_worker="false")
    sets = "UPDATE businesses SET phone_number = :number WHERE id = :id"
    shop.database.change(sets, number=NUMBER, id=int(shop.world.boston))
    return Desk(shop)


def two_spellings(country: str = "BR") -> tuple[str, str]:
    """A number that was never used, in both spellings."""
    digits = next(_DIGITS)
    one, other = COUNTRIES[country]
    return one.format(digits), other.format(digits)


def test_the_spellings_differ_only_in_their_country_code() -> None:
    assert [two_spellings(country)[0][:3] for country in COUNTRIES] == ["+55", "+54", "+52"]


@pytest.mark.parametrize("country", COUNTRIES)
@pytest.mark.parametrize("first", [0, 1])
def test_both_spellings_are_one_customer_and_the_last_one_is_answered(desk: Desk, country: str, first: int) -> None:
    one, other = two_spellings(country)[:: 1 if first == 0 else -1]
    thread_id = desk.shop.send(user={"phoneNumber": one})
    assert desk.reply(thread_id) == [("SMS", one)]
    assert desk.text(other, "WHATSAPP") == thread_id
    assert desk.reply(thread_id) == [("WHATSAPP", other)]
    assert desk.shop.send(user={"phoneNumber": one}) == thread_id
    assert desk.reply(thread_id) == [("SMS", one)]
    assert len(desk.shop.identities(desk.shop.customer_of(thread_id))["phone"]) == 1


@pytest.mark.parametrize("first", [0, 1])
def test_search_and_profile_find_a_customer_by_either_spelling(desk: Desk, first: int) -> None:
    one, other = two_spellings()[:: 1 if first == 0 else -1]
    customer_id = str(desk.shop.customer_of(desk.shop.send(user={"phoneNumber": one})))
    headers = {"token": desk.shop.world.token}
    for number in (one, other):
        answer = desk.shop.server.client.get("/api/customers", params={"phoneNumber": number}, headers=headers)
        assert [customer["id"] for customer in answer.json()["customers"]] == [customer_id]
    profile = desk.shop.server.client.get(f"/api/customers/{customer_id}/profile", headers=headers).json()
    assert profile["phoneNumber"] == one


def test_a_call_from_the_other_spelling_belongs_to_the_same_customer(desk: Desk) -> None:
    one, other = two_spellings("MX")
    thread_id = desk.shop.send(user={"phoneNumber": one})
    with desk.shop.database.writing() as tx:
        ivr.take(tx, int(desk.shop.world.acme), other, NUMBER, RULES, OPT_OUTS, now_ms=now_ms())
    query = "SELECT address FROM outbound_messages WHERE thread_id = :id AND purpose = 'welcome'"
    assert desk.shop.database.value(query, id=int(thread_id)) == other


def test_an_app_can_identify_a_customer_by_either_spelling(desk: Desk) -> None:
    one, other = two_spellings()
    thread_id = desk.shop.send(user={"phoneNumber": one})
    listed = acmes_site(desk.shop).app(other).get("threads").json()["threads"]
    assert [thread["customerThreadId"] for thread in listed] == [thread_id]


def test_a_block_applies_to_both_spellings(desk: Desk) -> None:
    one, other = two_spellings()
    thread_id = desk.shop.send(user={"phoneNumber": one})
    desk.shop.post({}, path=f"/api/customers/{desk.shop.customer_of(thread_id)}/block")
    assert desk.shop.send(user={"phoneNumber": other}) == thread_id
    assert len(desk.shop.messages(thread_id)) == 1


@pytest.mark.parametrize("noted_before", [False, True])
def test_stop_from_one_spelling_applies_to_the_other_until_start(desk: Desk, noted_before: bool) -> None:
    one, other = two_spellings()
    thread_id = desk.text(one)
    if noted_before:  # as the version before this one noted it: under the spelling of then
        acme = int(desk.shop.world.acme)
        insert = "INSERT INTO opt_outs (organization_id, channel, address_hash, at_ms) VALUES (:acme, 'SMS', :hash, 1)"
        desk.shop.database.change(insert, acme=acme, hash=_hash_of_then(other))
    else:
        desk.text(other, word="STOP")
    assert desk.reply(thread_id) == []
    desk.text(one, word="START")
    assert desk.reply(thread_id) != []


def _hash_of_then(number: str) -> str:
    (key,) = KEYS.derive(KEY_PURPOSE)
    return token_hash(key, f"SMS {number}")


def test_both_spellings_share_one_pause() -> None:
    one, other = two_spellings()
    assert OPT_OUTS.hash_of(("SMS", one)) == OPT_OUTS.hash_of(("SMS", other))
    assert OPT_OUTS.hash_of(("EMAIL", one)) != OPT_OUTS.hash_of(("EMAIL", other))


def test_undoing_a_merge_returns_both_spellings(desk: Desk) -> None:
    one, other = two_spellings()
    thread_id = desk.shop.send()
    merge_id = desk.merge(thread_id, desk.shop.send(user={"phoneNumber": one}))
    assert desk.text(other) == thread_id
    assert desk.shop.thread(thread_id)["last_phone"] == other
    desk.undo(merge_id)
    assert desk.shop.thread(thread_id)["last_phone"] is None


def test_importing_an_older_file_computes_the_keys_of_numbers(desk: Desk) -> None:
    one, other = two_spellings("AR")
    thread_id = desk.shop.send()
    acme, customer_id = int(desk.shop.world.acme), desk.shop.customer_of(thread_id)
    insert = (
        "INSERT INTO customer_identities (organization_id, kind, value, customer_id, shown, created_at_ms)"
        " VALUES (:acme, 'phone', :number, :customer, :number, 1)"
    )
    desk.shop.database.change(insert, acme=acme, number=other, customer=customer_id)
    with desk.shop.database.writing() as tx:
        organization_import.key_phones(tx, acme)
    assert desk.shop.identities(customer_id)["phone"] == [one]
    assert desk.shop.send(user={"phoneNumber": one}) == thread_id


def test_an_address_pasted_into_the_widget_is_normalised(desk: Desk) -> None:
    visitor = acmes_site(desk.shop).visitor()
    address = desk.shop.somebody()
    answer = visitor.post("identify", email=f"\u200e{address}\u00a0", phoneNumber="\u202a+16175550142\u202c")
    assert answer.status_code == 200, answer.text
    query = "SELECT unverified_phone FROM customers WHERE unverified_email = :address"
    assert desk.shop.database.value(query, address=address) == "+16175550142"


@pytest.mark.parametrize("to", [NUMBER, NUMBER.removeprefix("+")])
@pytest.mark.parametrize("sent", ["16172{:06d}", "6172{:06d}"])
def test_a_providers_number_without_a_plus_finds_the_customer(desk: Desk, to: str, sent: str) -> None:
    digits = 530_000 + next(_DIGITS) % 10_000
    number = f"+16172{digits:06d}"
    thread_id = desk.shop.send(user={"phoneNumber": number})
    text = InboundText(f"SM-{to}-{sent}-{digits}", "SMS", sent.format(digits), to, "Hello?")
    with desk.shop.database.writing() as tx:
        assert inbound.store_text(tx, text, OPT_OUTS, (), now_ms=now_ms()) == int(desk.shop.world.acme)
    assert len(desk.shop.messages(thread_id)) == 2
    assert desk.reply(thread_id) == [("SMS", number)]


def test_an_sms_to_the_other_spelling_of_a_businesss_number_arrives(desk: Desk) -> None:
    one, other = two_spellings()
    carol = desk.shop.some_number()
    sets = "UPDATE businesses SET phone_number = :number WHERE id = :id"
    desk.shop.database.change(sets, number=one, id=int(desk.shop.world.boston))
    text = InboundText(f"SM-{other}", "SMS", carol, other, "Hello?")
    with desk.shop.database.writing() as tx:
        assert inbound.store_text(tx, text, OPT_OUTS, (), now_ms=now_ms()) == int(desk.shop.world.acme)
