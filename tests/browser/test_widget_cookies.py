"""The widget on another site with third-party storage blocked."""

from dataclasses import replace
from urllib.parse import urlsplit

from playwright.sync_api import expect

from harness.browser import faults
from harness.widget import Shop, Widget

BLOCKED = """
Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('blocked', 'SecurityError') } })
"""
NO_COOKIES = "Object.defineProperty(Document.prototype, 'cookie', { get: () => '', set() {} })"
# A browser without partitioned cookies treats them as ordinary ones, which it blocks here.
NO_PARTITIONED_COOKIES = """
const { get, set } = Object.getOwnPropertyDescriptor(Document.prototype, 'cookie')
Object.defineProperty(Document.prototype, 'cookie', {
  get, set(value) { set.call(this, value.replace('; Partitioned', '')) },
})
"""
KEEPS_NOTHING = "Your browser does not keep this conversation: it ends when you leave this page. How can we reach you?"


REFUSED = "Your browser does not allow this. Please tell us how we can reach you."


def elsewhere(shop: Shop) -> Shop:
    """The same with the server on another site.

    ``localhost`` and ``127.0.0.1`` are two sites.
    """
    url = f"http://localhost:{urlsplit(shop.demo.url).port}"
    return replace(shop, demo=replace(shop.demo, url=url))


def written(shop: Shop, url: str, script: str) -> Widget:
    """A visitor who has sent a message."""
    widget = shop.visit(url, script=script)
    widget.open()
    widget.write("Hello")
    widget.expect_state("sent")
    return widget


def test_without_storage_the_conversation_continues_on_the_next_page_of_the_site(shop: Shop) -> None:
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


def test_after_allowing_storage_the_next_page_needs_no_click(shop: Shop) -> None:
    there = elsewhere(shop)
    tag = there.tag()
    widget = written(there, there.page(tag), NO_PARTITIONED_COOKIES)
    thread = widget.thread
    expect(widget.panel.locator("#contact-title")).to_have_text(KEEPS_NOTHING)
    assert faults(widget.page) == []
    assert widget.page.context.cookies() == []
    widget.page.context.grant_permissions(["storage-access"])  # as the visitor does in the browser's dialog
    widget.panel.get_by_role("button", name="Keep this conversation in the browser").click()
    expect(widget.panel.get_by_text("Your browser now keeps this conversation.")).to_be_visible()
    expect(widget.panel.locator("#text")).to_be_focused()
    (cookie,) = widget.page.context.cookies()
    assert "partitionKey" not in cookie
    shop.store.answer(thread, "Welcome")
    widget.page.goto(there.page(tag, path="/next"))
    widget.open()
    widget.expect_texts("Hello", "Welcome")
    widget.write("On the next page")
    widget.expect_state("sent")
    assert shop.store.messages(thread) == ["Hello", "Welcome", "On the next page"]


def test_if_storage_stays_blocked_the_panel_says_so_and_the_next_page_starts_again(shop: Shop) -> None:
    there = elsewhere(shop)
    tag = there.tag()
    widget = written(there, there.page(tag), NO_PARTITIONED_COOKIES)
    widget.panel.get_by_role("button", name="Keep this conversation in the browser").click()
    expect(widget.panel.get_by_role("alert").filter(has_text=REFUSED)).to_be_visible()
    expect(widget.panel.get_by_label("Email address or phone number")).to_be_focused()
    expect(widget.panel.get_by_role("button", name="Keep this conversation in the browser")).to_have_count(0)
    assert faults(widget.page) == []
    assert widget.page.context.cookies() == []
    widget.page.goto(there.page(tag, path="/next"))
    widget.open()
    widget.write("On the next page")
    widget.expect_state("sent")
    widget.expect_texts("On the next page")
    shop.complaints.forgive("requestStorageAccess")


def test_without_any_storage_the_panel_says_so_and_asks_for_an_address(shop: Shop) -> None:
    there = elsewhere(shop)
    widget = written(there, there.page(), BLOCKED + NO_COOKIES)
    expect(widget.panel.locator("#contact-title")).to_have_text(KEEPS_NOTHING)
    widget.panel.get_by_label("Email address or phone number").fill("carol@customers.example")
    widget.panel.get_by_role("button", name="Save").click()
    expect(
        widget.panel.get_by_text("Thank you. We will reply here and to the address or number you gave us.")
    ).to_be_visible()
    assert widget.page.context.cookies() == []
