"""The widget of another site where the browser blocks third-party cookies, and with them storage."""

from dataclasses import replace
from urllib.parse import urlsplit

from playwright.sync_api import expect

from harness.widget import Shop, Widget

BLOCKED = """
Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('blocked', 'SecurityError') } })
"""
NO_COOKIES = "Object.defineProperty(Document.prototype, 'cookie', { get: () => '', set() {} })"
KEEPS_NOTHING = (
    "Your browser does not keep this conversation: it ends when you leave this page. Where can we answer you?"
)


def elsewhere(shop: Shop) -> Shop:
    """The same with the server on a site of its own: ``localhost`` and ``127.0.0.1`` are two sites."""
    url = f"http://localhost:{urlsplit(shop.demo.url).port}"
    return replace(shop, demo=replace(shop.demo, url=url))


def written(shop: Shop, url: str, script: str) -> Widget:
    """A visitor who has written."""
    widget = shop.visit(url, script=script)
    widget.open()
    widget.write("Hello")
    widget.expect_state("sent")
    return widget


def test_where_storage_is_blocked_the_conversation_goes_on_on_the_next_page_of_the_site(shop: Shop) -> None:
    there = elsewhere(shop)
    tag = there.tag()
    widget = written(there, there.page(tag), "")
    thread = widget.thread
    (cookie,) = widget.page.context.cookies()
    assert cookie["name"].startswith("shopbell%3A")
    assert (cookie["domain"], cookie["path"], cookie["secure"]) == ("localhost", "/widget/", True)
    assert cookie["partitionKey"] == "http://127.0.0.1"
    assert "Hello" not in cookie["value"]
    shop.store.answer(thread, "Welcome")
    widget.page.goto(there.page(tag, path="/next"))
    widget.open()
    widget.expect_texts("Hello", "Welcome")
    widget.write("On the next page")
    widget.expect_state("sent")
    assert shop.store.messages(thread) == ["Hello", "Welcome", "On the next page"]
    widget.page.evaluate("Shopbell('reset')")
    expect(widget.panel.locator("#messages li")).to_have_count(0)
    assert widget.page.context.cookies() == []


def test_where_nothing_at_all_is_kept_the_panel_says_so_and_asks_for_an_address(shop: Shop) -> None:
    there = elsewhere(shop)
    widget = written(there, there.page(), BLOCKED + NO_COOKIES)
    expect(widget.panel.locator("#contact-title")).to_have_text(KEEPS_NOTHING)
    widget.panel.get_by_label("E-mail address or phone number").fill("carol@customers.example")
    widget.panel.get_by_role("button", name="Save").click()
    expect(widget.panel.get_by_text("Thank you. We will answer you here and there.")).to_be_visible()
    assert widget.page.context.cookies() == []
