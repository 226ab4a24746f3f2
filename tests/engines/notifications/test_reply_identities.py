"""A reply goes to the identity and channel of the customer's last message."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.channel_rules import rules
from harness.installation import SECRET_KEY, Installation
from harness.reply_decisions import NUMBER, OPT_OUTS, RULES, Desk, Texts, now_ms
from harness.shop import Shop
from harness.visitors import acmes_site
from harness.world import World
from shopbell.channels.voice import ivr
from shopbell.conversations.messages import Send, create_customer_messages
from shopbell.customers import erasure
from shopbell.db.connect import open_database
from shopbell.events.actors import SYSTEM
from shopbell.notifications.context import read_known_threads
from shopbell.notifications.policy import Turned, decide
from shopbell.settings.settings import Settings

TEXTS: tuple[Texts, ...] = ("SMS", "WHATSAPP")
MAILS_ONLY = rules(texts=False)


@pytest.fixture
def desk(engine: str, shops: Callable[..., Shop]) -> Desk:
    """Acme's desk; Boston has a number."""
    shop = shops(engine, run_worker="false")
    sets = "UPDATE businesses SET phone_number = :number WHERE id = :id"
    shop.database.change(sets, number=NUMBER, id=int(shop.world.boston))
    return Desk(shop)


def _merged_numbers(desk: Desk, channel: Texts) -> tuple[str, str, str, str]:
    """Two numbers that turned out to be one customer's: both, the conversation, and the merge."""
    first, second = desk.shop.some_number(), desk.shop.some_number()
    thread_id = desk.text(first, channel)
    merge_id = desk.merge(thread_id, desk.text(second, channel))
    return first, second, thread_id, merge_id


@pytest.mark.parametrize("channel", TEXTS)
def test_a_merged_customer_is_answered_at_the_number_of_their_last_text(desk: Desk, channel: Texts) -> None:
    first, second, thread_id, _ = _merged_numbers(desk, channel)
    for number in (second, first, second):
        assert desk.text(number, channel) == thread_id
        assert desk.reply(thread_id) == [(channel, number)]


@pytest.mark.parametrize("channel", TEXTS)
def test_each_conversation_of_a_merged_customer_is_answered_on_its_own_channel(desk: Desk, channel: Texts) -> None:
    first, second = desk.shop.some_number(), desk.shop.some_number()
    kept, staying = desk.text(first, channel), desk.text(second, channel)
    moving = desk.shop.send(user={"phoneNumber": second}, businessId=desk.shop.world.paris)
    desk.merge(kept, staying)
    assert desk.shop.customer_of(staying) != desk.shop.customer_of(moving) == desk.shop.customer_of(kept)
    assert [desk.reply(thread_id) for thread_id in (kept, staying)] == [[(channel, first)], [(channel, second)]]
    assert desk.reply(moving) == [("SMS", second)]


@pytest.mark.parametrize("channel", TEXTS)
def test_after_an_undone_merge_nothing_is_sent_to_the_returned_number(desk: Desk, channel: Texts) -> None:
    first, second, thread_id, merge_id = _merged_numbers(desk, channel)
    desk.text(second, channel)
    desk.undo(merge_id)
    assert desk.reply(thread_id) == [(channel, first)]
    assert desk.shop.thread(thread_id)["last_phone"] is None
    assert desk.reply(desk.text(second, channel)) == [(channel, second)]


def test_after_an_undone_merge_a_returned_conversation_does_not_name_the_kept_customer(desk: Desk) -> None:
    first, second = desk.shop.somebody(), desk.shop.somebody()
    thread_id = desk.shop.send(user={"email": first})
    paris = desk.shop.send(user={"email": second}, businessId=desk.shop.world.paris)
    merge_id = desk.merge(thread_id, paris)
    assert desk.shop.send(user={"email": first}, businessId=desk.shop.world.paris) == paris
    assert desk.reply(paris) == [("EMAIL", first)]
    desk.undo(merge_id)
    assert desk.reply(paris) == [("EMAIL", second)]
    assert desk.shop.thread(paris)["last_email"] is None


def test_a_merged_customer_is_answered_at_the_address_of_their_last_email(desk: Desk) -> None:
    first, second = desk.shop.somebody(), desk.shop.somebody()
    thread_id = desk.shop.send(user={"email": first})
    desk.merge(thread_id, desk.shop.send(user={"email": second}))
    for address in (second, first, second):
        desk.mail(thread_id, address)
        assert desk.reply(thread_id) == [("EMAIL", address)]


def test_a_reply_follows_the_customer_to_a_new_address_and_back(desk: Desk) -> None:
    old, new, number = desk.shop.somebody(), desk.shop.somebody(), desk.shop.some_number()
    for address in (old, new, old):
        thread_id = desk.shop.send(user={"email": address, "phoneNumber": number})
        assert desk.reply(thread_id) == [("EMAIL", address)]
    desk.mail(thread_id, new)
    assert desk.reply(thread_id) == [("EMAIL", new)]


def test_of_messages_stored_together_the_last_one_decides(installation: Installation, people: World) -> None:
    acme, phone, addresses = int(people.acme), "+16175550142", [f"{name}@example.com" for name in "abcb"]
    sends = [
        Send(acme, int(people.boston), "hello", (((acme, "email", one), one), ((acme, "phone", phone), phone)))
        for one in addresses
    ]
    settings = Settings(database_url=installation.database.url, secret_key=SECRET_KEY)  # type: ignore[arg-type]
    database = open_database(settings)

    async def run() -> None:
        await database.run(lambda: create_customer_messages(sends))
        await database.close()

    asyncio.run(run())
    (row,) = installation.database.rows("SELECT last_sequence, last_email, last_phone FROM threads")
    assert tuple(row.values()) == (4, addresses[-1], phone)


def test_an_address_is_shown_as_first_sent(desk: Desk) -> None:
    address = desk.shop.somebody()
    thread_id = desk.shop.send(user={"email": address.title()})
    assert desk.shop.send(user={"email": address.upper()}) == thread_id
    assert desk.reply(thread_id) == [("EMAIL", address.title())]


def test_a_reply_follows_the_customer_to_a_new_number(desk: Desk) -> None:
    address, old, new = desk.shop.somebody(), desk.shop.some_number(), desk.shop.some_number()
    for number in (old, new):
        thread_id = desk.shop.send(user={"email": address, "phoneNumber": number})
    desk.text(old)
    assert desk.reply(thread_id) == [("SMS", old)]
    desk.text(new)
    assert desk.reply(thread_id) == [("SMS", new)]


def test_a_family_sharing_a_phone_is_answered_at_the_address_of_the_writer(desk: Desk) -> None:
    phone, carol, dave = desk.shop.some_number(), desk.shop.somebody(), desk.shop.somebody()
    for address in (carol, dave, carol):
        thread_id = desk.shop.send(user={"email": address, "phoneNumber": phone})
        assert desk.reply(thread_id) == [("EMAIL", address)]
        assert desk.text(phone) == thread_id
        assert desk.reply(thread_id) == [("SMS", phone)]


def test_a_message_with_only_a_number_is_answered_by_sms_or_else_by_email(desk: Desk) -> None:
    address, number = desk.shop.somebody(), desk.shop.some_number()
    desk.shop.send(user={"email": address, "phoneNumber": number})
    thread_id = desk.shop.send(user={"phoneNumber": number})
    assert desk.reply(thread_id) == [("SMS", number)]
    assert desk.reply(thread_id, MAILS_ONLY) == [("EMAIL", address)]


def test_another_customers_number_is_never_used(desk: Desk) -> None:
    carol, dave, number = desk.shop.somebody(), desk.shop.somebody(), desk.shop.some_number()
    desk.shop.send(user={"email": dave, "phoneNumber": number})
    desk.shop.send(user={"email": carol})
    thread_id = desk.shop.send(user={"email": carol, "phoneNumber": number})
    with desk.shop.database.writing() as tx:
        OPT_OUTS.add(tx, int(desk.shop.world.acme), ("EMAIL", carol), now_ms=now_ms())
    assert desk.reply(thread_id) == []
    assert desk.shop.thread(thread_id)["last_phone"] is None


@pytest.mark.parametrize("channel", TEXTS)
def test_an_opt_out_of_one_number_does_not_apply_to_another(desk: Desk, channel: Texts) -> None:
    first, second, thread_id, _ = _merged_numbers(desk, channel)
    desk.text(first, channel)
    desk.text(second, channel, "STOP")
    assert desk.reply(thread_id) == [(channel, first)]
    desk.text(second, channel)
    assert desk.reply(thread_id) == []


def test_a_reply_to_the_page_goes_to_the_address_of_its_link(desk: Desk) -> None:
    phone, carol, dave = desk.shop.some_number(), desk.shop.somebody(), desk.shop.somebody()
    for address in (carol, dave):
        thread_id = desk.shop.send(user={"email": address, "phoneNumber": phone})
    carols, daves = (desk.opens_link(thread_id, address) for address in (carol, dave))
    by_text = desk.opens_link(thread_id, phone, "SMS")
    for write, way in ((carols, ("EMAIL", carol)), (daves, ("EMAIL", dave)), (by_text, ("SMS", phone))):
        write(f"Is it ready for {way[1]}?")
        assert desk.reply(thread_id) == [way]


def test_a_reply_to_a_signed_in_visitor_goes_to_the_verified_address(desk: Desk) -> None:
    site, carol = acmes_site(desk.shop), desk.shop.somebody()
    browsers = []
    for address in (f"old-{carol}", f"new-{carol}"):
        token = site.identity_token(sub=carol, email=address)
        browsers.append((site.visitor(identityToken=token), address))
    for browser, address in browsers:
        assert desk.reply(browser.say()["customerThreadId"]) == [("EMAIL", address)]


def test_a_signed_in_visitor_is_not_answered_at_another_customers_address(desk: Desk) -> None:
    site, carol, dave = acmes_site(desk.shop), desk.shop.somebody(), desk.shop.somebody()
    desk.shop.send(user={"email": dave})
    site.visitor(identityToken=site.identity_token(sub=dave, email=dave))
    browser = site.visitor(identityToken=site.identity_token(sub=carol, email=dave))
    thread_id = browser.say()["customerThreadId"]
    assert (desk.reply(thread_id), desk.shop.thread(thread_id)["last_email"]) == ([], None)


def test_a_reply_to_an_app_goes_to_the_verified_identity(desk: Desk) -> None:
    site, carol, number = acmes_site(desk.shop), desk.shop.somebody(), desk.shop.some_number()
    thread_id = desk.shop.send(user={"email": f"old-{carol}", "phoneNumber": number})
    desk.shop.send(user={"email": carol, "phoneNumber": number})
    for named, way in ((f"old-{carol}", "EMAIL"), (number, "SMS"), (carol, "EMAIL")):
        site.app(named).say(customerThreadId=thread_id)
        assert desk.reply(thread_id) == [(way, named)]
    site.app(str(desk.shop.customer_of(thread_id))).say(customerThreadId=thread_id)
    assert desk.reply(thread_id) == [("EMAIL", carol)]  # an id names neither: as before


def test_an_invitation_goes_to_the_identity_of_the_first_message(desk: Desk) -> None:
    old, new, number = desk.shop.somebody(), desk.shop.somebody(), desk.shop.some_number()
    for address in (old, new):
        desk.shop.send(user={"email": address, "phoneNumber": number})
    by_mail = desk.shop.send(user={"email": old}, businessId=desk.shop.world.paris)
    assert desk.invitation(by_mail) == [("EMAIL", old)]
    by_text = desk.shop.send(user={"phoneNumber": number}, businessId=desk.shop.world.paris)
    assert desk.invitation(by_text) == [("SMS", number)]


def test_a_survey_goes_to_the_address_of_the_last_message(desk: Desk) -> None:
    old, new, number = desk.shop.somebody(), desk.shop.somebody(), desk.shop.some_number()
    for address in (new, old):
        thread_id = desk.shop.send(user={"email": address, "phoneNumber": number})
    sets = "UPDATE threads SET status = 'resolved', last_reply_sequence = 1 WHERE id = :id"
    desk.shop.database.change(sets, id=int(thread_id))
    with desk.shop.database.connection() as tx:
        facts = read_known_threads(tx, int(desk.shop.world.acme), [int(thread_id)], OPT_OUTS)[int(thread_id)].context
    facts = replace(facts, business=replace(facts.business, survey="nps"))
    plan = decide(facts, [Turned("resolved", now_ms())], RULES, now_ms=now_ms())
    assert [send.address for send in plan.sends] == [old]


def test_a_caller_is_welcomed_at_the_number_they_call_from(desk: Desk) -> None:
    first, second, thread_id, _ = _merged_numbers(desk, "SMS")
    for caller in (second, first):
        with desk.shop.database.writing() as tx:
            acme = int(desk.shop.world.acme)
            assert ivr.take(tx, acme, caller, NUMBER, RULES, OPT_OUTS, now_ms=now_ms()).has_business
        query = "SELECT address FROM outbound_messages WHERE thread_id = :id AND purpose = 'welcome' ORDER BY id"
        assert [row["address"] for row in desk.shop.database.rows(query, id=int(thread_id))] == [second]
    assert desk.reply(thread_id) == [("SMS", first)]  # a call is no message


def test_a_customer_who_only_called_is_texted_at_that_number(desk: Desk) -> None:
    first, second = desk.shop.some_number(), desk.shop.some_number()
    paris = desk.shop.send(user={"phoneNumber": first}, businessId=desk.shop.world.paris)
    desk.merge(paris, desk.shop.send(user={"phoneNumber": second}, businessId=desk.shop.world.paris))
    with desk.shop.database.writing() as tx:
        ivr.take(tx, int(desk.shop.world.acme), first, NUMBER, RULES, OPT_OUTS, now_ms=now_ms())
    query = "SELECT id FROM threads WHERE customer_id = :customer AND business_id = :boston"
    who = {"customer": desk.shop.customer_of(paris), "boston": int(desk.shop.world.boston)}
    assert desk.reply(str(desk.shop.database.value(query, **who))) == [("SMS", first)]


def test_an_older_conversation_is_answered_at_its_customers_newest_address(desk: Desk) -> None:
    mine, newer, others = desk.shop.somebody(), desk.shop.somebody(), desk.shop.somebody()
    number = desk.shop.some_number()
    for address in (mine, newer):
        thread_id = desk.shop.send(user={"email": address, "phoneNumber": number})
    other_id = desk.shop.send(user={"email": others})
    desk.merge(other_id, thread_id)
    for id_ in (thread_id, other_id):
        forget = "UPDATE threads SET last_email = NULL, last_phone = NULL WHERE id = :id"
        desk.shop.database.change(forget, id=int(id_))
    assert (desk.reply(thread_id), desk.reply(other_id)) == ([("EMAIL", newer)], [("EMAIL", others)])


def test_a_blocked_customers_message_changes_nothing(desk: Desk) -> None:
    old, new, number = desk.shop.somebody(), desk.shop.somebody(), desk.shop.some_number()
    for address in (new, old):
        thread_id = desk.shop.send(user={"email": address, "phoneNumber": number})
    for path in ("block", "unblock"):
        customer = f"/api/customers/{desk.shop.customer_of(thread_id)}"
        assert desk.shop.post({}, path=f"{customer}/{path}").status_code == 200
        if path == "block":
            desk.shop.send(user={"email": new})
    assert desk.reply(thread_id) == [("EMAIL", old)]


def test_an_erased_customers_identities_are_in_no_conversation_and_no_session(desk: Desk) -> None:
    carol, number = desk.shop.somebody(), desk.shop.some_number()
    thread_id = desk.shop.send(user={"email": carol, "phoneNumber": number})
    desk.opens_link(thread_id, carol)("Is it ready?")
    acmes_site(desk.shop).app(number).post("sign-out")
    with desk.shop.database.writing() as tx:
        erasure.forget(tx, int(desk.shop.world.acme), desk.shop.customer_of(thread_id), actor=SYSTEM)
    assert desk.reply(thread_id) == []
    held: dict[str, Any] = {"threads": ("last_email", "last_phone"), "customer_sessions": ("email", "phone")}
    for table, columns in held.items():
        rows = desk.shop.database.rows(f"SELECT {', '.join(columns)} FROM {table}")
        assert not {carol, number} & {value for row in rows for value in row.values()}
