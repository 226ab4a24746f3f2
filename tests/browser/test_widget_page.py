"""The conversation page, with and without scripts."""

import httpx2
import pytest
from invited import Invited, wait_for_scripts
from playwright.sync_api import Page, Route, expect
from test_widget_features import PICTURE

from harness.browser import DARK, DESKTOP, NARROW, NO_SCRIPTS, PHONE, Look, faults, keep_image, overflow_px
from harness.late import first_of
from harness.widget import Shop

SEEN = (DESKTOP, DARK, NARROW, PHONE)


def texts_of(page: Page) -> list[str]:
    """The messages that the page shows."""
    return page.locator("#messages .text").all_inner_texts()


def test_a_link_shows_its_recipient_and_only_the_button_uses_it_up(shop: Shop) -> None:
    carol = Invited(shop)
    link = carol.link()
    with httpx2.Client(trust_env=False) as scanner:
        for _ in range(3):
            assert scanner.get(link).status_code == 200
    page = shop.enter().open(link)
    button = page.get_by_role("button", name="Continue as c•••@customers.example")
    assert carol.email not in page.content()
    button.click()
    page.wait_for_url(f"**/c/{carol.thread}")
    assert texts_of(page) == ["Hello, I need help with my order."]
    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"]
    again = shop.enter()
    page = again.open(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("This link has expired")
    page.get_by_role("button", name="Send me a new link").click()
    expect(page.get_by_role("status")).to_contain_text("If we still have this conversation")
    again.forgive("status of 410")


def test_both_sides_talk_live_on_the_page(shop: Shop) -> None:
    carol = Invited(shop)
    _, page = carol.comes()
    page.get_by_label("Your message").fill("It is order 12.")
    page.keyboard.press("Enter")
    expect(page.locator("#messages .mine.last")).to_have_attribute("data-state", "sent")
    shop.store.answer(carol.thread, "We look for it.")
    expect(page.locator("#messages .text")).to_have_text(
        ["Hello, I need help with my order.", "It is order 12.", "We look for it."]
    )
    page.reload()
    expect(page.locator("#messages .text")).to_have_count(3)
    assert shop.store.messages(carol.thread)[1] == "It is order 12."


def test_without_scripts_a_customer_reads_writes_uploads_and_downloads_the_conversation(shop: Shop) -> None:
    carol = Invited(shop)
    shop.store.answer(carol.thread, "Which one?")
    _, page = carol.comes(NO_SCRIPTS)
    assert texts_of(page) == ["Hello, I need help with my order.", "Which one?"]
    expect(page.locator("#presence")).to_have_text("We reply as soon as we can")
    page.get_by_label("Your message").fill("Number 12,\nthe red one.")
    page.locator("#file").set_input_files(
        {"name": "order 12.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 x"}
    )
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("Thank you. We have received your message.")
    expect(page.locator("#messages .file")).to_have_text("order 12.pdf")
    assert shop.store.messages(carol.thread)[-1].replace("\r\n", "\n") == "Number 12,\nthe red one."
    shop.store.answer(carol.thread, "Thank you.")
    page.get_by_role("link", name="Load new messages").click()
    expect(page.locator("#messages .text").last).to_have_text("Thank you.")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the conversation").click()
    assert "Which one?" in download.value.path().read_text()


def test_without_scripts_an_image_is_shown_and_an_empty_file_is_reported(shop: Shop) -> None:
    carol = Invited(shop)
    visit, page = carol.comes(NO_SCRIPTS)
    page.locator("#file").set_input_files({"name": "list.txt", "mimeType": "text/plain", "buffer": b""})
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("This file is empty.")
    visit.forgive("status of 400")
    page.locator("#file").set_input_files({"name": "bike.png", "mimeType": "image/png", "buffer": PICTURE})
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("img", name="Picture: bike.png")).to_be_visible()


def test_without_scripts_an_empty_message_is_reported_on_a_complete_page(shop: Shop) -> None:
    carol = Invited(shop)
    visit, page = carol.comes(NO_SCRIPTS)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("Please enter a message.")
    page.get_by_label("Your message").fill("Now with words")
    page.get_by_role("button", name="Send", exact=True).click()
    page.wait_for_url(f"**/c/{carol.thread}?sent")
    assert texts_of(page)[-1] == "Now with words"
    visit.forgive("status of 400")


def test_a_customer_can_turn_emails_off_and_on_again(shop: Shop) -> None:
    _, page = Invited(shop).comes(NO_SCRIPTS)
    page.get_by_role("button", name="Unsubscribe from these emails").click()
    page.get_by_role("button", name="Send me emails again").click()
    expect(page.get_by_role("button", name="Unsubscribe from these emails")).to_be_visible()


def test_a_long_conversation_opens_at_its_end_and_scrolls_only_at_the_end(shop: Shop) -> None:
    carol = Invited(shop)
    for number in range(30):
        shop.store.answer(carol.thread, f"Answer {number}")
    _, page = carol.comes()
    last = page.locator("#messages .text").last
    expect(last).to_be_in_viewport()
    shop.store.answer(carol.thread, "One more")
    expect(page.get_by_text("One more")).to_be_in_viewport()
    page.mouse.move(640, 300)
    page.mouse.wheel(0, -3000)
    expect(page.get_by_text("Answer 0", exact=True)).to_be_in_viewport()
    shop.store.answer(carol.thread, "And another")
    expect(page.get_by_text("And another")).to_be_attached()
    expect(page.get_by_text("Answer 0", exact=True)).to_be_in_viewport()


WITHOUT_SCROLL_EVENTS = "addEventListener('scroll', event => event.stopImmediatePropagation(), true)"
"""A page whose browser does not report that it was scrolled."""


def long(shop: Shop, script: str = "") -> tuple[Invited, Page, Route]:
    """A long conversation, scrolled to its beginning before it is connected; the request for that is held."""
    carol = Invited(shop)
    for number in range(30):
        shop.store.answer(carol.thread, f"Answer {number}")
    visit = shop.enter()
    visit.context.add_init_script(script)
    page = visit.open(carol.link())
    held: list[Route] = []
    page.route("**/api/customer/stream", lambda route: held.append(route))
    page.locator("button.main").click()
    wait_for_scripts(page)
    stream = first_of(held, page)
    page.evaluate("document.scrollingElement.scrollTop = 0")
    return carol, page, stream


@pytest.mark.parametrize("script", ["", WITHOUT_SCROLL_EVENTS], ids=["scrolled", "scrolled a moment ago"])
def test_a_new_connection_leaves_a_reader_of_earlier_messages_where_they_are(script: str, shop: Shop) -> None:
    carol, page, stream = long(shop, script)
    first = page.get_by_text("Answer 0", exact=True)
    expect(first).to_be_in_viewport()
    stream.continue_()
    for said in ("One more", "And another"):  # the connection is ready before the second
        shop.store.answer(carol.thread, said)
        expect(page.get_by_text(said)).to_be_attached()
    expect(first).to_be_in_viewport()


def test_earlier_messages_are_not_announced_by_screen_readers(shop: Shop) -> None:
    carol = Invited(shop)
    shop.store.answer(carol.thread, "Welcome")
    _, page = carol.comes()
    expect(page.get_by_role("log")).to_have_attribute("aria-live", "polite")
    nodes = page.locator("#messages [data-message-id]").element_handles()
    shop.store.answer(carol.thread, "Still there?")
    expect(page.locator("#messages [data-message-id]")).to_have_count(3)
    assert all(node.evaluate("node => node.isConnected") for node in nodes)  # existing nodes were not replaced


@pytest.mark.parametrize("look", [*SEEN, NO_SCRIPTS], ids=lambda look: look.name)
def test_every_state_of_the_page_is_accessible(look: Look, shop: Shop) -> None:
    carol = Invited(shop)
    shop.store.answer(
        carol.thread, "Yes, in all sizes: https://shop.example/a-rather-long-address-that-must-wrap-somewhere"
    )
    visit = shop.enter(look)
    page = visit.open(carol.link())
    check(page, "link", look)
    page.locator("button.main").click()
    page.wait_for_url(f"**/c/{carol.thread}")
    check(page, "page", look)


def test_in_arabic_the_page_is_right_to_left(shop: Shop) -> None:
    carol = Invited(shop, locale="ar")
    _, page = carol.comes()
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    check(page, "page", Look("right-to-left"))
    mine, log = page.locator("#messages .mine").bounding_box(), page.get_by_role("log").bounding_box()
    assert mine is not None
    assert log is not None
    assert mine["x"] - log["x"] < log["x"] + log["width"] - mine["x"] - mine["width"]


def check(page: Page, state: str, look: Look) -> None:
    """Check the page with axe, and take a screenshot."""
    keep_image(page, f"conversation-{state}-{look.name}")
    assert overflow_px(page) == 0 if look.scripts else True
    if look.scripts:
        assert faults(page) == [], state
