"""The conversation page for those who go back, lose the network, print it or come too late; and the store's page."""

import re
import time
from collections.abc import Callable

import pytest
from hostile import KEYS
from invited import Invited
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
from shopbell.mail.addresses import Audience
from shopbell.mail.answer_links import Answering, AnswerLinks, digest
from shopbell.mail.unsubscribe import Subscription, Unsubscribes

HELLO = "Hello, I need help with my order."
IN_LOOKS = pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
PAGES = re.compile(rb"/Type\s*/Page\b")


def locale_of(look: Look) -> str:
    """The language of whoever has that look."""
    return "ar" if look is RIGHT_TO_LEFT else "en"


def shuts_nobody_out(page: Page, look: Look) -> None:
    """It is written from the side that its language has, and neither axe nor a ruler finds a fault."""
    expect(page.locator("html")).to_have_css("direction", "rtl" if look is RIGHT_TO_LEFT else "ltr")
    assert faults(page) == []
    assert overflow_px(page) == 0


@pytest.mark.parametrize("look", [DESKTOP, NO_SCRIPTS], ids=lambda look: look.name)
def test_going_back_to_the_link_that_is_spent_leads_to_the_conversation_again(look: Look, shop: Shop) -> None:
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


def test_offline_and_back_the_page_has_no_gap_and_nothing_twice(shop: Shop) -> None:
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
    assert set(begun_after) <= {"2", "3"}  # what was there is not sent again; the answer may have come before the cut
    visit.forgive("ERR_INTERNET_DISCONNECTED|ERR_NETWORK")


@pytest.mark.parametrize("look", [DESKTOP, DARK], ids=lambda look: look.name)
def test_printed_it_is_the_conversation_and_nothing_else(look: Look, shop: Shop) -> None:
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
    assert page.locator("header").evaluate(position) == "static"  # else it would lie over the text of each sheet
    assert len(PAGES.findall(page.pdf(format="A4"))) >= 2


@IN_LOOKS
def test_a_link_that_is_over_shuts_nobody_out(look: Look, shop: Shop) -> None:
    link = Invited(shop, locale=locale_of(look)).link()
    first = shop.enter(look).open(link)
    first.locator("button.main").click()
    first.wait_for_url("**/c/*")
    late = shop.enter(look)
    page = late.open(link)
    expect(page.locator("input[name=token]")).to_have_count(1)
    shuts_nobody_out(page, look)
    page.locator("button.main").click()
    expect(page.get_by_role("status")).to_be_visible()
    shuts_nobody_out(page, look)
    late.forgive("status of 410")


@IN_LOOKS
def test_a_page_that_says_what_was_wrong_shuts_nobody_out(look: Look, shop: Shop) -> None:
    visit, page = Invited(shop, locale=locale_of(look)).comes(look)
    page.route("**/*.js*", lambda route: route.fulfill(content_type="text/javascript", body=""))
    page.reload()
    page.locator("#send").click()
    expect(page.get_by_role("alert")).to_be_visible()
    shuts_nobody_out(page, look)
    visit.forgive("status of 400")


def stores_link(shop: Shop, locale: str) -> tuple[str, str]:
    """A conversation with a store of its own that speaks a language; and the link in that one's mail."""
    email = f"store{time.time_ns()}@shop.example"
    business = {"name": "Corner Shop", "email": email, "locale": locale, "region": "US"}
    made = str(shop.store.call("POST", "/api/businesses", json=business)["id"])
    user = {"email": f"dave{time.time_ns()}@customers.example", "firstName": "Dave"}
    sent = {"businessId": made, "message": "Is it open on Sunday?", "user": user}
    thread = str(shop.store.call("POST", "/api/widget/send-message-to-business", json=sent)["customerThreadId"])
    answering = Answering(int(shop.demo.facts["organizationId"]), int(thread), int(made), digest(email))
    return thread, AnswerLinks(KEYS).link(shop.demo.url, answering, now_s=int(time.time()))


@IN_LOOKS
def test_the_stores_page_shuts_nobody_out(look: Look, shop: Shop) -> None:
    thread, link = stores_link(shop, locale_of(look))
    visit = shop.enter(look)
    page = visit.open(link)
    shuts_nobody_out(page, look)
    page.locator("#text").fill("  ")
    page.locator("form button").click()
    expect(page.get_by_role("alert")).to_be_visible()
    shuts_nobody_out(page, look)
    page.locator("#text").fill("From ten to four.")
    page.locator("form button").click()
    expect(page.locator("#messages .mine .text")).to_have_text("From ten to four.")
    expect(page.get_by_role("status")).to_contain_text("dave")
    shuts_nobody_out(page, look)
    assert shop.store.messages(thread) == ["Is it open on Sunday?", "From ten to four."]
    visit.forgive("status of 400")


@IN_LOOKS
def test_the_page_that_ends_mails_shuts_nobody_out(look: Look, shop: Shop) -> None:
    thread, _ = stores_link(shop, locale_of(look))
    subscription = Subscription(int(shop.demo.facts["organizationId"]), int(thread), Audience.CUSTOMER)
    visit = shop.enter(look)
    page = visit.open(Unsubscribes(KEYS).link(shop.demo.url, subscription))
    shuts_nobody_out(page, look)
    before = page.get_by_role("status").inner_text()
    page.locator("form button").click()
    expect(page.get_by_role("status")).not_to_have_text(before)
    shuts_nobody_out(page, look)


@pytest.mark.parametrize("look", [DESKTOP, NARROW], ids=lambda look: look.name)
def test_a_new_user_walks_from_the_demo_by_its_mail_to_the_conversation_page(
    look: Look, visit: Callable[..., Visit], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_demo(tmp_path_factory.mktemp("walk"), SHOPBELL_MAIL_BATCH_S="0") as demo:
        store, somebody = Store(demo), visit(look)
        somebody.context.add_init_script(OPEN_DOORS)
        name = {"name": "Donaudampfschifffahrtsgesellschaftskapitänsmützenladen"}  # in the subjects of the mails
        store.call("POST", f"/api/businesses/{demo.business}/update", json=name)
        page = somebody.open(f"{demo.url}/demo")
        page.get_by_role("button", name="Ask us anything").click()
        panel = Widget(page).panel
        expect(panel.locator("#text")).to_have_value("Hello, is The Errand in stock?")  # what the page has suggested
        panel.locator("#text").fill("Is The Errand in stock?")
        with page.expect_response("**/api/customer/messages") as sent:
            panel.locator("#text").press("Enter")
        thread = str(sent.value.json()["customerThreadId"])
        panel.get_by_label("E-mail address or phone number").fill("dave@customers.example")
        panel.get_by_role("button", name="Save").click()
        expect(panel.get_by_text("Thank you. We will answer you here and there.")).to_be_visible()
        page.goto(f"{demo.url}/dev/mail")  # who has left the shop is answered by mail
        store.answer(thread, "Yes, in red and in blue.")
        daves = page.get_by_role("listitem").filter(has_text="to dave@customers.example")
        mail = daves.get_by_role("link", name="Your conversation with")

        def has_come() -> bool:
            page.reload()
            return mail.count() > 0

        wait_until(has_come, lambda: page.content())
        shuts_nobody_out(page, look)
        mail.first.click()
        assert overflow_px(page) == 0  # axe is a script, and the letter's frame lets none run
        letter = page.frame_locator("iframe.mail")
        expect(letter.get_by_text("Yes, in red and in blue.")).to_be_visible()
        with page.expect_popup() as opened:
            letter.get_by_role("link", name="Open the conversation").click()
        opened.value.get_by_role("button", name="Continue as d•••@customers.example").click()
        said = opened.value.locator("#messages .text")
        expect(said).to_have_text(["Is The Errand in stock?", "Yes, in red and in blue."])
        opened.value.get_by_label("Your message").fill("Red, please.")
        opened.value.keyboard.press("Enter")
        expect(opened.value.locator("#messages .mine.last")).to_have_attribute("data-state", "sent")
        assert store.messages(thread)[-1] == "Red, please."
        opened.value.close()
