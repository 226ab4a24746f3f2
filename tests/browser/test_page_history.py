"""The conversation page after back, offline, print and link expiry."""

import re
import time
from collections.abc import Callable

import pytest
from hostile import KEYS
from invited import Invited, wait_for_scripts
from playwright.sync_api import Page, expect

from harness.browser import (
    DARK,
    DESKTOP,
    LOOKS,
    NARROW,
    NO_SCRIPTS,
    RIGHT_TO_LEFT,
    Look,
    Visit,
    faults,
    overflow_px,
)
from harness.demo import running_demo
from harness.waiting import wait_until
from harness.widget import OPEN_DOORS, Shop, Store, Widget
from shopbell.email.answer_links import AnswerLinks, AnswerTarget, digest
from shopbell.email.reply_addresses import Audience
from shopbell.email.unsubscribe import Subscription, UnsubscribeLinks

HELLO = "Hello, I need help with my order."
IN_LOOKS = pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
PAGES = re.compile(rb"/Type\s*/Page\b")


def locale_of(look: Look) -> str:
    """The language of a visitor with this look."""
    return "ar" if look is RIGHT_TO_LEFT else "en"


def expect_accessible(page: Page, look: Look) -> None:
    """Check the text direction, accessibility (axe) and layout of the page."""
    expect(page.locator("html")).to_have_css("direction", "rtl" if look is RIGHT_TO_LEFT else "ltr")
    assert faults(page) == []
    assert overflow_px(page) == 0


@pytest.mark.parametrize("look", [DESKTOP, NO_SCRIPTS], ids=lambda look: look.name)
def test_going_back_to_a_used_link_returns_to_the_conversation(look: Look, shop: Shop) -> None:
    carol = Invited(shop)
    _, page = carol.comes(look)
    expect(page.locator("#messages .text")).to_have_text([HELLO])
    page.go_back()
    page.wait_for_url(f"**/c/{carol.thread}")
    expect(page.locator("#messages .text")).to_have_text([HELLO])
    page.get_by_label("Your message").fill("Still me")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#messages .text")).to_have_text([HELLO, "Still me"])
    wait_until(lambda: shop.store.messages(carol.thread) == [HELLO, "Still me"], lambda: "it did not arrive")


def test_reconnecting_the_page_leaves_no_gap_and_no_duplicates(shop: Shop) -> None:
    carol = Invited(shop)
    visit, page = carol.comes()
    texts, last = page.locator("#messages .text"), page.locator("#messages .mine.last")
    shop.store.answer(carol.thread, "Which one?")
    expect(texts).to_have_text([HELLO, "Which one?"])
    begun_after: list[str | None] = []
    page.context.on(
        "request", lambda one: begun_after.append(one.headers.get("last-event-id")) if "/stream" in one.url else None
    )
    page.context.set_offline(True)
    expect(page.locator("#banner")).to_be_visible()
    for text in ("Number 12", "the red one"):
        page.get_by_label("Your message").fill(text)
        page.keyboard.press("Enter")
    expect(last).to_have_attribute("data-state", "waiting")
    shop.store.answer(carol.thread, "Are you there?")
    page.context.set_offline(False)
    expect(texts).to_have_text([HELLO, "Which one?", "Are you there?", "Number 12", "the red one"])
    expect(last).to_have_attribute("data-state", "sent")
    expect(page.locator("#banner")).to_be_hidden()
    assert shop.store.messages(carol.thread) == [HELLO, "Which one?", "Are you there?", "Number 12", "the red one"]
    assert begun_after
    assert all(int(each or 0) >= 2 for each in begun_after), "known messages are sent again"
    visit.forgive("ERR_INTERNET_DISCONNECTED|ERR_NETWORK")


@pytest.mark.parametrize("look", [DESKTOP, DARK], ids=lambda look: look.name)
def test_the_printed_page_contains_only_the_conversation(look: Look, shop: Shop) -> None:
    carol = Invited(shop)
    for number in range(40):
        shop.store.answer(carol.thread, f"Answer {number}\nin two lines")
    _, page = carol.comes(look)
    expect(page.locator("#messages .text")).to_have_count(41)
    page.emulate_media(media="print")
    for left_out in ("#composer", "footer", "#banner"):
        expect(page.locator(left_out)).to_be_hidden()
    for text in page.locator("#messages .text").all():
        expect(text).to_be_visible()
    assert faults(page) == []
    position = "header => getComputedStyle(header).position"
    assert page.locator("header").evaluate(position) == "static"  # otherwise it would cover text on each sheet
    assert len(PAGES.findall(page.pdf(format="A4"))) >= 2


@IN_LOOKS
def test_the_page_of_an_expired_link_is_accessible(look: Look, shop: Shop) -> None:
    link = Invited(shop, locale=locale_of(look)).link()
    first = shop.enter(look).open(link)
    first.locator("button.main").click()
    first.wait_for_url("**/c/*")
    late = shop.enter(look)
    page = late.open(link)
    expect(page.locator("input[name=token]")).to_have_count(1)
    expect_accessible(page, look)
    page.locator("button.main").click()
    expect(page.get_by_role("status")).to_be_visible()
    expect_accessible(page, look)
    late.forgive("status of 410")


@IN_LOOKS
def test_the_page_with_form_errors_is_accessible(look: Look, shop: Shop) -> None:
    visit, page = Invited(shop, locale=locale_of(look)).comes(look)
    page.route("**/*.js*", lambda route: route.fulfill(content_type="text/javascript", body=""))
    page.reload()
    page.locator("#send").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect_accessible(page, look)
    visit.forgive("status of 400")


def stores_link(shop: Shop, locale: str) -> tuple[str, str]:
    """A conversation with a business in a language.

    And the link in the email to the business.
    """
    email = f"store{time.time_ns()}@shop.example"
    business = {"name": "Corner Shop", "email": email, "locale": locale, "region": "US"}
    made = str(shop.store.call("POST", "/api/businesses", json=business)["id"])
    user = {"email": f"dave{time.time_ns()}@customers.example", "firstName": "Dave"}
    sent = {"businessId": made, "message": "Is it open on Sunday?", "user": user}
    thread = str(shop.store.call("POST", "/api/widget/send-message-to-business", json=sent)["customerThreadId"])
    answering = AnswerTarget(int(shop.demo.facts["organizationId"]), int(thread), int(made), digest(email))
    return thread, AnswerLinks(KEYS).link(shop.demo.url, answering, now_s=int(time.time()))


@IN_LOOKS
def test_the_reply_page_is_accessible(look: Look, shop: Shop) -> None:
    thread, link = stores_link(shop, locale_of(look))
    visit = shop.enter(look)
    page = visit.open(link)
    expect_accessible(page, look)
    page.locator("#text").fill("  ")
    page.locator("form button").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect_accessible(page, look)
    page.locator("#text").fill("From ten to four.")
    page.locator("form button").click()
    expect(page.locator("#messages .mine .text")).to_have_text("From ten to four.")
    expect(page.get_by_role("status")).to_contain_text("dave")
    expect_accessible(page, look)
    assert shop.store.messages(thread) == ["Is it open on Sunday?", "From ten to four."]
    visit.forgive("status of 400")


@IN_LOOKS
def test_the_unsubscribe_page_is_accessible(look: Look, shop: Shop) -> None:
    thread, _ = stores_link(shop, locale_of(look))
    subscription = Subscription(int(shop.demo.facts["organizationId"]), int(thread), Audience.CUSTOMER)
    visit = shop.enter(look)
    page = visit.open(UnsubscribeLinks(KEYS).link(shop.demo.url, subscription))
    expect_accessible(page, look)
    before = page.get_by_role("status").inner_text()
    page.locator("form button").click()
    expect(page.get_by_role("status")).not_to_have_text(before)
    expect_accessible(page, look)


@pytest.mark.parametrize("look", [DESKTOP, NARROW], ids=lambda look: look.name)
def test_a_new_user_gets_from_the_demo_by_email_to_the_conversation_page(
    look: Look, visit: Callable[..., Visit], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_demo(tmp_path_factory.mktemp("walk"), SHOPBELL_MAIL_BATCH_S="0") as demo:
        store, visitor = Store(demo), visit(look)
        visitor.context.add_init_script(OPEN_DOORS)
        name = {"name": "Donaudampfschifffahrtsgesellschaftskapitänsmützenladen"}  # in the subjects of emails
        store.call("POST", f"/api/businesses/{demo.business}/update", json=name)
        page = visitor.open(f"{demo.url}/demo")
        page.get_by_role("button", name="Ask us anything").click()
        panel = Widget(page).panel
        expect(panel.locator("#text")).to_have_value("Hello, is The Errand in stock?")  # suggested by the page
        panel.locator("#text").fill("Is The Errand in stock?")
        with page.expect_response("**/api/customer/messages") as sent:
            panel.locator("#text").press("Enter")
        thread = str(sent.value.json()["customerThreadId"])
        panel.get_by_label("Email address or phone number").fill("dave@customers.example")
        panel.get_by_role("button", name="Save").click()
        expect(
            panel.get_by_text("Thank you. We will reply here and to the address or number you gave us.")
        ).to_be_visible()
        page.goto(f"{demo.url}/dev/mail")  # visitors who have left the shop get replies by email
        store.answer(thread, "Yes, in red and in blue.")
        daves = page.get_by_role("listitem").filter(has_text="to dave@customers.example")
        mail = daves.get_by_role("link", name="Your conversation with")

        def has_come() -> bool:
            page.reload()
            return mail.count() > 0

        wait_until(has_come, lambda: page.content())
        expect_accessible(page, look)
        mail.first.click()
        letter = page.frame_locator("iframe.mail")
        expect(letter.get_by_text("Yes, in red and in blue.")).to_be_visible()
        assert overflow_px(page) == 0  # axe is a script, and the frame of the email runs no scripts
        with page.expect_popup() as opened:
            letter.get_by_role("link", name="Open the conversation").click()
        opened.value.get_by_role("button", name="Continue as d•••@customers.example").click()
        said = opened.value.locator("#messages .text")
        expect(said).to_have_text(["Is The Errand in stock?", "Yes, in red and in blue."])
        wait_for_scripts(opened.value)
        opened.value.get_by_label("Your message").fill("Red, please.")
        opened.value.keyboard.press("Enter")
        expect(opened.value.locator("#messages .mine.last")).to_have_attribute("data-state", "sent")
        assert store.messages(thread)[-1] == "Red, please."
        opened.value.close()
