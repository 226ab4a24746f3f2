"""The badge of unread messages: on the next page, before anything was opened, and the same in every tab."""

from playwright.sync_api import expect

from harness.widget import Shop, Widget


def written(shop: Shop, url: str) -> Widget:
    """A visitor who has written."""
    widget = shop.visit(url)
    widget.open()
    widget.write("Hello")
    widget.expect_state("sent")
    widget.panel.locator("#cards button.quiet").click()
    return widget


def another_tab(widget: Widget, url: str) -> Widget:
    """One more page of the same visitor."""
    page = widget.page.context.new_page()
    page.goto(url)
    return Widget(page)


def test_the_next_page_shows_what_is_unread_before_it_is_opened(shop: Shop) -> None:
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


def test_who_reads_in_one_tab_has_read_in_all(shop: Shop) -> None:
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
    # A tab that comes later hears the rest from the first one: that the store has read since changes nothing.
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


def test_a_site_stores_a_mark_from_the_first_message_on_and_none_after_signing_out(shop: Shop) -> None:
    url = shop.page(shop.tag())
    widget = shop.visit(url)
    count = "localStorage.length"
    widget.open()
    assert widget.page.evaluate(count) == 0
    widget.write("Hello")
    widget.expect_state("sent")
    widget.wait_for(f"{count} === 1")
    assert "sbs_" not in widget.page.evaluate("JSON.stringify(localStorage)")
    widget.page.evaluate("Shopbell('reset')")
    widget.wait_for(f"{count} === 0")
    widget.page.reload()
    widget.page.evaluate("new Promise(done => setTimeout(done, 1500))")  # longer than the loader waits
    assert len(widget.page.frames) == 1


def test_a_panel_that_cannot_be_loaded_unasked_says_nothing(shop: Shop) -> None:
    tag = shop.tag()
    widget = written(shop, shop.page(tag))
    widget.page.route("**/widget/panel?*", lambda route: route.fulfill(status=503, body="down"))
    widget.page.goto(shop.page(tag, path="/next"))
    widget.page.wait_for_event("framenavigated", predicate=lambda frame: frame.parent_frame is not None)
    widget.wait_for("document.querySelector('shopbell-widget').shadowRoot.querySelector('iframe') === null")
    expect(widget.bubble.locator("b")).to_be_hidden()
    assert "error" not in widget.heard()
    shop.complaints.forgive("status of 503|postMessage")
