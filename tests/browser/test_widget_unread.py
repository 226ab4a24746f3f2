"""The badge of unread messages across pages and tabs."""

import threading

from playwright.sync_api import expect

from harness.browser import WAIT_MS
from harness.host_site import Asked, HostPage
from harness.widget import Shop, Widget


def written(shop: Shop, url: str) -> Widget:
    """A visitor who has sent a message."""
    widget = shop.visit(url)
    widget.open()
    widget.write("Hello")
    widget.expect_state("sent")
    widget.panel.locator("#cards button.quiet").click()
    return widget


def another_tab(widget: Widget, url: str) -> Widget:
    """Another page of the same visitor."""
    page = widget.page.context.new_page()
    page.goto(url)
    return Widget(page)


def test_the_next_page_shows_unread_messages_before_the_panel_opens(shop: Shop) -> None:
    tag = shop.tag()
    widget = written(shop, shop.page(tag))
    thread = widget.thread
    widget.page.goto("about:blank")
    shop.store.answer(thread, "Are you still there?")
    shop.store.answer(thread, "Hello?")
    widget.page.goto(shop.page(tag, path="/next"))
    expect(widget.bubble).to_have_attribute("aria-label", "Open chat, Unread messages: 2")
    assert "opened" not in widget.heard()
    widget.open()
    widget.expect_texts("Hello", "Are you still there?", "Hello?")


def test_reading_in_one_tab_marks_messages_read_in_all_tabs(shop: Shop) -> None:
    url = shop.page(shop.tag())
    widget = written(shop, url)
    widget.bubble.click()
    other = another_tab(widget, url)
    shop.store.answer(widget.thread, "Are you still there?")
    for tab in (widget, other):
        expect(tab.bubble.locator("b")).to_have_text("1")
    other.open()
    for tab in (widget, other):
        expect(tab.bubble.locator("b")).to_be_hidden()
    # A tab that opens later gets the rest from the first tab. That the business has read it since changes nothing.
    shop.store.call("POST", "/api/update-thread-read", json={"customerThreadId": widget.thread, "sequence": 1})
    other.page.close()
    widget.open()
    widget.expect_state("read")
    with widget.page.expect_response("**/api/customer/read"):
        shop.store.answer(widget.thread, "One more")
    widget.expect_texts("Hello", "Are you still there?", "One more")
    widget.bubble.click()
    shop.store.answer(widget.thread, "And one more")
    late = another_tab(widget, url)
    expect(late.bubble.locator("b")).to_have_text("1")


def test_a_site_stores_a_marker_from_the_first_message_until_sign_out(shop: Shop) -> None:
    url = shop.page(shop.tag())
    widget = shop.visit(url)
    count = "localStorage.length"
    widget.open()
    assert widget.page.evaluate(count) == 0
    widget.write("Hello")
    widget.expect_state("sent")
    widget.wait_for(f"{count} === 1")
    assert "sbs_" not in widget.page.evaluate("JSON.stringify(localStorage)")
    iframe = widget.page.locator("shopbell-widget iframe")
    widget.page.reload()
    expect(iframe).to_be_attached()
    widget.page.evaluate("Shopbell('reset')")
    widget.wait_for(f"{count} === 0")
    widget.page.clock.install()
    widget.page.reload()
    widget.page.wait_for_selector("shopbell-widget", state="attached")
    widget.page.clock.run_for(10_000)
    assert iframe.count() == 0


def test_on_the_servers_own_origin_the_marker_does_not_affect_the_session(shop: Shop) -> None:
    widget = written(shop, f"{shop.demo.url}/demo")
    names = "Object.keys(localStorage).map(name => name.split(':')[0]).sort()"
    widget.wait_for("localStorage.length === 2")
    assert widget.page.evaluate(names) == ["shopbell", "shopbell-used"]
    widget.page.reload()
    widget.open()
    widget.expect_texts("Hello")


def test_preloading_the_panel_leaves_the_focus_on_the_bubble(shop: Shop) -> None:
    tag = shop.tag()
    widget = written(shop, shop.page(tag))
    is_focused = threading.Event()

    def picture(_: Asked) -> HostPage:
        is_focused.wait(WAIT_MS / 1000)
        return HostPage(b"", {"Content-Type": "image/png"})

    shop.site.answers["/picture.png"] = picture  # the loader waits until the page is complete
    url = shop.page(f"{tag}<img src=/picture.png alt=Things>", path="/next", policy="")
    widget.page.goto(url, wait_until="commit")
    widget.bubble.focus()
    is_focused.set()
    expect(widget.page.locator("shopbell-widget iframe")).to_be_attached()
    expect(widget.bubble).to_be_focused()


A_SECOND_ON_CALL = """
const after = window.setTimeout
window.late = []
window.setTimeout = (callback, ms, ...more) => ms === 1000 ? (late.push(callback), 0) : after(callback, ms, ...more)
"""
"""A page that loads the panel when the test calls what is ``late``."""


def test_preloading_the_panel_during_a_click_does_not_swallow_it(shop: Shop) -> None:
    tag = shop.tag()
    widget = written(shop, shop.page(tag))
    widget.page.context.add_init_script(A_SECOND_ON_CALL)
    widget.page.goto(shop.page(tag, path="/next"))
    widget.bubble.hover()
    widget.page.mouse.down()
    widget.page.evaluate("late.splice(0).forEach(callback => callback())")
    widget.page.mouse.up()
    expect(widget.bubble).to_have_attribute("aria-expanded", "true")
    widget.expect_texts("Hello")


def test_a_failed_preload_of_the_panel_is_silent(shop: Shop) -> None:
    tag = shop.tag()
    widget = written(shop, shop.page(tag))
    widget.page.route("**/widget/panel?*", lambda route: route.fulfill(status=503, body="down"))
    with widget.page.expect_event("framenavigated", lambda frame: frame.parent_frame is not None):
        widget.page.goto(shop.page(tag, path="/next"))
    widget.wait_for("document.querySelector('shopbell-widget').shadowRoot.querySelector('iframe') === null")
    expect(widget.bubble.locator("b")).to_be_hidden()
    assert "error" not in widget.heard()
    shop.complaints.forgive("status of 503|postMessage")
