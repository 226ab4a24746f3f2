"""Customers and attachments through the client and a real server."""

from collections.abc import Callable, Iterator

import pytest

from harness import session
from harness.shop import Shop
from shopbell_client import Conflict, NotFound, Shopbell, ValidationFailed

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\6\0\0\0\x1f\x15\xc4\x89"


@pytest.fixture
def bot(shop: Shop) -> Iterator[Shopbell]:
    """Acme's bot."""
    with Shopbell(shop.server.url, shop.world.token) as client:
        yield client


def customer_of(shop: Shop, bot: Shopbell, **user: str) -> str:
    """Create a customer, and return their id."""
    return bot.thread_details(shop.send(user=user)).customer_id


def test_a_customer_is_found_by_address_number_and_name(shop: Shop, bot: Shopbell) -> None:
    email, number = shop.somebody(), shop.some_number()
    carol = customer_of(shop, bot, email=email, phoneNumber=number)
    bot.update_customer_profile(carol, first_name="Carol", last_name=f"No. {carol}")
    for found in (bot.customers(email=email), bot.customers(phone_number=number), bot.customers(name=f"no. {carol}")):
        (customer,) = found
        assert (customer.id, customer.email_addresses, customer.phone_numbers) == (carol, (email,), (number,))
        assert email not in repr(customer)
    with pytest.raises(ValidationFailed):
        next(bot.customers(email="carol"))


def test_only_the_given_fields_of_a_profile_are_changed(shop: Shop, bot: Shopbell) -> None:
    carol = customer_of(shop, bot, email=shop.somebody())
    bot.update_customer_profile(carol, first_name="Carol", company="Acme")
    bot.update_customer_profile(carol, company="")
    profile = bot.customer_profile(carol)
    assert (profile.id, profile.first_name, profile.last_name, profile.company) == (carol, "Carol", None, None)
    assert (profile.display_name, profile.channel, profile.last_surveys.nps) == ("Carol", "WEB", None)


def test_another_organizations_customer_is_not_found(shop: Shop, bot: Shopbell) -> None:
    carol = customer_of(shop, bot, email=shop.somebody())
    with Shopbell(shop.server.url, shop.world.globex_token) as stranger, pytest.raises(NotFound):
        stranger.customer_profile(carol)


def test_messages_of_a_blocked_customer_are_set_aside(shop: Shop, bot: Shopbell) -> None:
    email = shop.somebody()
    thread_id = shop.send(user={"email": email})
    dave = bot.thread_details(thread_id).customer_id
    bot.block_customer(dave)
    shop.send(user={"email": email}, message="Unheard")
    bot.unblock_customer(dave)
    shop.send(user={"email": email}, message="Heard")
    assert [message.text for message in bot.messages(thread_id)][1:] == ["Heard"]


def test_a_customer_is_exported_and_erased(shop: Shop, bot: Shopbell) -> None:
    email = shop.somebody()
    carol = customer_of(shop, bot, email=email)
    assert email in str(bot.export_customer(carol))
    bot.erase_customer(carol)
    assert list(bot.customers(email=email)) == []


def test_a_merge_can_be_undone(shop: Shop, bot: Shopbell) -> None:
    email, number = shop.somebody(), shop.some_number()
    carol, other = customer_of(shop, bot, email=email), customer_of(shop, bot, phoneNumber=number)
    assert customer_of(shop, bot, email=email, phoneNumber=number) == carol
    assert {carol, other} in [{pair.customer_id, pair.other_customer_id} for pair in bot.possible_duplicates()]
    assert bot.merge_customers(carol, other, preview=True).merge_id is None
    merged = bot.merge_customers(carol, other)
    assert merged.merge_id is not None
    assert [(identity.kind, identity.shown) for identity in merged.identities] == [("phone", number)]
    assert bot.customer_profile(other).id == carol
    with pytest.raises(Conflict):
        bot.merge_customers(carol, other)
    bot.undo_merge(merged.merge_id)
    (undone,) = [merge for merge in bot.merges(page_size=1) if merge.id == merged.merge_id]
    assert undone.undone_at_ms is not None
    assert bot.customer_profile(other).id == other


def test_a_possible_duplicate_is_dismissed(shop: Shop, bot: Shopbell) -> None:
    email, number = shop.somebody(), shop.some_number()
    pair = {customer_of(shop, bot, email=email), customer_of(shop, bot, phoneNumber=number)}
    customer_of(shop, bot, email=email, phoneNumber=number)
    bot.dismiss_duplicate(*pair)
    assert pair not in [{found.customer_id, found.other_customer_id} for found in bot.possible_duplicates()]


@pytest.fixture
def filing_shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A shared server that stores attachments in a folder."""
    return shops(engine, attachments_url=f"file://{session.folder()}/files-{engine}")


def test_a_message_has_an_attachment(filing_shop: Shop) -> None:
    shop = filing_shop
    with Shopbell(shop.server.url, shop.world.token) as bot:
        uploaded = bot.upload_attachment("reçu.png", PNG)
        assert (uploaded.name, uploaded.content_type, uploaded.length_bytes) == ("reçu.png", "image/png", len(PNG))
        thread_id = shop.send()
        bot.send_message(thread_id, "Here it is.", attachment_id=uploaded.id)
        carried = list(bot.messages(thread_id))[-1].attachment
        linked = bot.attachment(uploaded.id)
    assert carried is not None
    assert (carried.id, carried.uuid, carried.name) == (uploaded.id, uploaded.uuid, "reçu.png")
    assert shop.server.client.get(linked.link).content == PNG
    assert linked.link not in repr(linked)


def test_an_empty_file_is_refused(filing_shop: Shop) -> None:
    with Shopbell(filing_shop.server.url, filing_shop.world.token) as bot, pytest.raises(ValidationFailed):
        bot.upload_attachment("nothing.png", b"")
