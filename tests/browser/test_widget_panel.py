"""A conversation in the widget: live, offline, refused and accessible."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from harness.browser import (
    DARK,
    DESKTOP,
    LOOKS,
    NARROW,
    PHONE,
    RIGHT_TO_LEFT,
    Look,
    Visit,
    faults,
    keep_image,
    overflow_px,
)
from harness.demo import RunningDemo
from harness.widget import Shop, Widget

STATES = (DESKTOP, DARK, RIGHT_TO_LEFT, NARROW, PHONE)


def talking(shop: Shop, **options: object) -> Widget:
    """A visitor who has sent a message and got a reply."""
    look = options.get("look")
    arabic = isinstance(look, Look) and look.locale == "ar"
    widget = shop.visit(shop.page(lang="ar" if arabic else "en"), **options)
    widget.open()
    widget.write("Hello, do you have the red one?")
    widget.expect_state("sent")
    shop.store.answer(widget.thread, "Yes, in all sizes: https://shop.example/red.")
    widget.expect_texts("Hello, do you have the red one?", "Yes, in all sizes: https://shop.example/red.")
    return widget


def test_both_sides_talk_live(shop: Shop) -> None:
    widget = talking(shop)
    widget.write("Thank you!")
    widget.expect_state("sent")
    assert shop.store.messages(widget.thread) == [
        "Hello, do you have the red one?",
        "Yes, in all sizes: https://shop.example/red.",
        "Thank you!",
    ]
    for name in ("ready", "opened", "message:sent", "message:received"):
        widget.wait_for(f"heard.some(event => event.name === '{name}')")


def test_message_events_of_the_website_contain_no_text(shop: Shop) -> None:
    widget = talking(shop)
    widget.wait_for("heard.some(({ name }) => name === 'message:received')")
    assert "red" not in widget.page.evaluate("JSON.stringify(heard)")


def test_a_web_address_is_a_link_that_leads_only_there(shop: Shop) -> None:
    widget = talking(shop)
    link = widget.panel.locator("#messages a")
    expect(link).to_have_attribute("href", "https://shop.example/red")
    expect(link).to_have_attribute("rel", "noopener noreferrer nofollow ugc")
    expect(link).to_have_attribute("target", "_blank")
    shop.store.answer(widget.thread, "javascript:alert(1) <a href='https://evil.example'>x</a> http://a.example/(b)")
    expect(widget.panel.locator("#messages a")).to_have_count(3)
    addresses = widget.panel.locator("#messages a").evaluate_all("links => links.map(({ href }) => href)")
    assert addresses == ["https://shop.example/red", "https://evil.example/", "http://a.example/(b"]


def test_the_conversation_continues_on_the_next_page(shop: Shop) -> None:
    widget = talking(shop)
    widget.page.goto(shop.page(path="/next"))
    expect(widget.bubble).to_be_visible()
    assert len(widget.page.frames) == 1


def test_a_returning_visitor_sees_earlier_messages(shop: Shop) -> None:
    tag = shop.tag()
    widget = shop.visit(shop.page(tag))
    widget.open()
    widget.write("First visit")
    widget.expect_state("sent")
    shop.store.answer(widget.thread, "We look for it")
    widget.expect_texts("First visit", "We look for it")
    widget.page.goto(shop.page(tag, path="/next"))
    widget.open()
    widget.expect_texts("First visit", "We look for it")


def test_reconnecting_leaves_no_gap_and_no_duplicates(shop: Shop) -> None:
    widget = talking(shop)
    begun_after: list[str | None] = []
    widget.page.context.on(
        "request", lambda one: begun_after.append(one.headers.get("last-event-id")) if "/stream" in one.url else None
    )
    widget.page.context.set_offline(True)
    expect(widget.panel.locator("#banner")).to_be_visible()
    widget.write("Written offline")
    widget.write("and more")
    widget.expect_state("waiting")
    shop.store.answer(widget.thread, "Said meanwhile")
    widget.page.context.set_offline(False)
    texts = widget.panel.locator("#messages .text")
    expect(texts).to_have_count(5)
    expect(widget.panel.locator("#banner")).to_be_hidden()
    widget.expect_state("sent")
    assert texts.all_inner_texts()[2:] == ["Said meanwhile", "Written offline", "and more"]
    assert shop.store.messages(widget.thread)[2:] == ["Said meanwhile", "Written offline", "and more"]
    assert begun_after
    assert all(int(each or 0) >= 2 for each in begun_after), "known messages are sent again"
    shop.complaints.forgive("ERR_INTERNET_DISCONNECTED|ERR_NETWORK")


def test_an_unsent_message_survives_a_reload(shop: Shop) -> None:
    tag = shop.tag()
    widget = shop.visit(shop.page(tag))
    widget.open()
    widget.write("Before")
    widget.expect_state("sent")
    widget.page.route("**/api/customer/messages", lambda route: route.abort())
    widget.write("Under way")
    widget.expect_state("waiting")
    widget.page.unroute("**/api/customer/messages")
    widget.page.goto(shop.page(tag, path="/next"))
    widget.open()
    widget.expect_texts("Before", "Under way")
    widget.expect_state("sent")
    shop.complaints.forgive("ERR_FAILED")


def test_a_lost_response_does_not_duplicate_the_message(shop: Shop) -> None:
    widget = talking(shop)
    lost: list[bool] = []

    def lose_once(route: Route) -> None:
        if lost or route.request.method != "POST":
            route.continue_()
            return
        lost.append(True)
        route.fetch()  # the request arrives, but its response is lost
        route.abort()

    widget.page.route("**/api/customer/messages", lose_once)
    with widget.page.expect_response("**/api/customer/messages"):  # to the second attempt
        widget.write("Once only")
    widget.expect_state("sent")
    assert lost
    assert shop.store.messages(widget.thread).count("Once only") == 1
    widget.expect_texts("Hello, do you have the red one?", "Yes, in all sizes: https://shop.example/red.", "Once only")
    shop.complaints.forgive("ERR_FAILED")


def refuse(status: int) -> Callable[[Route], None]:
    """Refuse messages."""
    return lambda route: route.fulfill(status=status, json={"status": status}, headers={"Retry-After": "1"})


def test_a_refused_message_stays_and_can_be_retried_or_deleted(shop: Shop) -> None:
    widget = talking(shop)
    widget.page.route("**/api/customer/messages", refuse(400))
    widget.write("Refused")
    widget.expect_state("notSent")
    expect(widget.panel.get_by_role("status")).to_have_text("Not sent")
    widget.page.unroute("**/api/customer/messages")
    widget.panel.get_by_role("button", name="Try again").click()
    widget.expect_state("sent")
    assert shop.store.messages(widget.thread)[-1] == "Refused"
    widget.page.route("**/api/customer/messages", refuse(400))
    widget.write("Not worth it")
    widget.panel.get_by_role("button", name="Delete").click()
    expect(widget.panel.locator("#messages .text", has_text="Not worth it")).to_have_count(0)
    expect(widget.panel.locator("#text")).to_be_focused()
    shop.complaints.forgive("status of 400")


def test_writing_too_fast_shows_a_notice_and_loses_nothing(shop: Shop) -> None:
    widget = talking(shop)
    widget.page.route("**/api/customer/messages", refuse(429))
    widget.write("Too fast")
    expect(widget.panel.get_by_role("status")).to_have_text(
        "You are sending messages too quickly. Please wait a moment."
    )
    expect(widget.panel.locator("#messages .mine.last .state")).to_have_text("Will be sent in a moment…")
    widget.page.unroute("**/api/customer/messages")
    widget.expect_state("sent")
    shop.complaints.forgive("status of 429")


WITHOUT_IMPATIENCE = """
const after = window.setTimeout
window.setTimeout = (callback, ms, ...more) => ms === 1500 ? 0 : after(callback, ms, ...more)
"""
"""A tab that lets the one with the stream take its time."""


def test_two_tabs_share_one_stream_and_show_the_same(shop: Shop) -> None:
    widget = talking(shop, script=WITHOUT_IMPATIENCE)
    streams: list[str] = []
    widget.page.context.on("request", lambda request: streams.append(request.url) if "stream" in request.url else None)
    other = Widget(widget.page.context.new_page())
    other.page.goto(widget.page.url)
    other.page.wait_for_selector("shopbell-widget", state="attached")
    other.open()
    other.write("From the other tab")
    said = ("Hello, do you have the red one?", "Yes, in all sizes: https://shop.example/red.", "From the other tab")
    other.expect_texts(*said)
    widget.expect_texts(*said)
    shop.store.answer(widget.thread, "To both")
    other.expect_texts(*said, "To both")
    widget.expect_texts(*said, "To both")
    assert streams == []
    widget.page.close()
    shop.store.answer(str(other.thread), "To the one that is left")
    other.expect_texts(*said, "To both", "To the one that is left")
    assert len(streams) == 1


NOTHING_IS_KEPT = """
for (const name of ['localStorage', 'sessionStorage', 'indexedDB', 'caches'])
  Object.defineProperty(window, name, { get() { throw new DOMException('blocked', 'SecurityError') } })
Object.defineProperty(Document.prototype, 'cookie', { get: () => '', set() {} })
window.BroadcastChannel = class { constructor() { throw new DOMException('blocked', 'SecurityError') } }
"""


def test_the_widget_works_without_browser_storage(shop: Shop) -> None:
    widget = talking(shop, script=NOTHING_IS_KEPT)
    widget.write("And yet it works")
    widget.expect_state("sent")
    assert widget.page.context.cookies() == []


def test_a_closed_panel_shows_and_announces_unread_messages(shop: Shop) -> None:
    widget = talking(shop)
    # Messages count as read a moment after they are shown. A panel that is closed earlier counts them as unread.
    with widget.page.expect_response(
        lambda answer: answer.url.endswith("/api/customer/read") and answer.request.post_data_json["sequence"] == 3
    ):
        shop.store.answer(widget.thread, "Shall I put one aside?")
    widget.bubble.click()
    expect(widget.bubble).to_have_attribute("aria-expanded", "false")
    shop.store.answer(widget.thread, "Are you still there?")
    expect(widget.bubble).to_have_attribute("aria-label", "Open chat, Unread messages: 1")
    expect(widget.page.locator("shopbell-widget").get_by_role("status")).to_have_text("Unread messages: 1")
    widget.open()
    expect(widget.bubble).to_have_attribute("aria-label", "Close chat")


def test_escape_closes_the_panel_and_returns_the_focus(shop: Shop) -> None:
    widget = shop.visit()
    widget.open()
    expect(widget.panel.locator("#text")).to_be_focused()
    widget.panel.locator("#text").press("Escape")
    expect(widget.bubble).to_be_focused()
    expect(widget.bubble).to_have_attribute("aria-expanded", "false")


def test_only_new_messages_are_announced_by_screen_readers(shop: Shop) -> None:
    tag = shop.tag()
    widget = shop.visit(shop.page(tag))
    widget.open()
    widget.write("Hello")
    widget.expect_state("sent")
    shop.store.answer(widget.thread, "Welcome")
    widget.expect_texts("Hello", "Welcome")
    widget.page.context.add_init_script(
        "addEventListener('DOMContentLoaded', () => { const log = document.getElementById('log'); if (!log) return;"
        " window.spoken = []; new MutationObserver(changes => { if (log.getAttribute('aria-live') !== 'off')"
        " for (const { addedNodes } of changes) for (const node of addedNodes)"
        " if (node.matches?.('[data-message-id]')) spoken.push(node.querySelector('.text').textContent) })"
        ".observe(document.getElementById('messages'), { childList: true }) })"
    )
    widget.page.goto(shop.page(tag, path="/next"))
    widget.open()
    widget.expect_texts("Hello", "Welcome")
    expect(widget.log).to_have_attribute("aria-live", "polite")
    widget.write("More")
    widget.expect_state("sent")
    shop.store.answer(widget.thread, "Of course")
    widget.expect_texts("Hello", "Welcome", "More", "Of course")
    frame = next(frame for frame in widget.page.frames if "/widget/panel" in frame.url)
    assert frame.evaluate("spoken") == ["Of course"]


def test_an_anonymous_visitor_is_asked_once_for_an_address(shop: Shop) -> None:
    widget = shop.visit()
    widget.open()
    expect(widget.panel.locator("#contact")).to_have_count(0)
    widget.write("Hello")
    field = widget.panel.get_by_label("Email address or phone number")
    field.fill("nobody")
    widget.panel.get_by_role("button", name="Save").click()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    field.fill("dave@customers.example")
    widget.panel.get_by_role("button", name="Save").click()
    expect(
        widget.panel.get_by_text("Thank you. We will reply here and to the address or number you gave us.")
    ).to_be_visible()
    expect(widget.panel.locator("#text")).to_be_focused()
    shop.complaints.forgive("status of 400")


def test_the_conversation_can_be_downloaded(shop: Shop) -> None:
    widget = talking(shop)
    widget.panel.locator("#menu summary").click()
    with widget.page.expect_download() as download:
        widget.panel.get_by_role("button", name="Download the conversation").click()
    text = download.value.path().read_text()
    assert "Hello, do you have the red one?" in text
    assert download.value.suggested_filename == "Corner Shop.txt"


@pytest.mark.parametrize("look", STATES, ids=lambda look: look.name)
def test_every_state_of_the_panel_is_accessible(look: Look, shop: Shop) -> None:
    arabic = look is RIGHT_TO_LEFT
    widget = shop.visit(shop.page(lang="ar" if arabic else "en"), look=look)
    check(widget, "closed", look)
    widget.open()
    check(widget, "empty", look)
    widget = talking(shop, look=look)
    check(widget, "conversation", look)
    widget.page.route("**/api/customer/messages", refuse(400))
    widget.write("Refused")
    widget.expect_state("notSent")
    check(widget, "not-sent", look)
    shop.complaints.forgive("status of 400")
    widget.page.context.set_offline(True)
    expect(widget.panel.locator("#banner")).to_be_visible()
    check(widget, "offline", look)
    widget.page.context.set_offline(False)
    expect(widget.panel.locator("#banner")).to_be_hidden()  # no earlier request fails any more
    shop.complaints.forgiven.append("ERR_")
    widget.panel.locator("#menu summary").click()
    check(widget, "menu", look)


def check(widget: Widget, state: str, look: Look) -> None:
    """Check the panel with axe, and take a screenshot."""
    keep_image(widget.page, f"widget-{state}-{look.name}")
    assert faults(widget.page) == [], state
    assert overflow_px(widget.page) == 0
    for frame in widget.page.frames[1:]:
        assert frame.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_the_demo_shop_shows_both_sides(shop: Shop) -> None:
    widget = shop.visit(f"{shop.demo.url}/demo")
    widget.page.get_by_role("button", name="Ask us anything").click()
    expect(widget.panel.locator("#text")).to_have_value("Hello, is The Errand in stock?")
    widget.panel.get_by_role("button", name="Send").click()
    command = widget.page.locator("pre code").nth(1)
    expect(command).not_to_contain_text("THREAD")
    assert shop.demo.token in command.inner_text()
    shop.store.answer(widget.page.locator(".thread").first.inner_text(), "Hello! Which one do you mean?")
    widget.expect_texts("Hello, is The Errand in stock?", "Hello! Which one do you mean?")
    keep_image(widget.page, "demo-conversation")


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_the_demo_shop_is_accessible(look: Look, demo: RunningDemo, visit: Callable[..., Visit]) -> None:
    page = visit(look).open(f"{demo.url}/demo")
    keep_image(page, f"demo-{look.name}")
    assert faults(page) == []
    assert overflow_px(page) == 0
