"""The widget while its connection is lost."""

from playwright.sync_api import expect

from harness.waiting import wait_until
from harness.widget import Shop

COUNT_REQUESTS = """
const send = window.fetch
window.underWay = 0
window.fetch = (...its) => (underWay++, send(...its).finally(() => underWay--))
"""
"""A page that counts its requests that have not been answered."""


def test_ten_seconds_without_a_connection_show_a_notice(shop: Shop) -> None:
    tag = shop.tag()
    widget = shop.visit(shop.page(tag), script=COUNT_REQUESTS)
    widget.open()
    widget.write("Hello")
    widget.expect_state("sent")
    widget.page.clock.install()
    widget.page.goto(shop.page(tag, path="/next"))
    widget.open()
    widget.expect_texts("Hello")
    document = widget.page.frames[1]
    failed: list[str] = []
    widget.page.context.on("requestfailed", lambda request: failed.append(request.url))
    widget.page.context.route("**/api/customer/stream", lambda route: route.abort())
    widget.page.clock.pause_at(document.evaluate("Date.now() + 20_000") / 1000)  # an earlier time than now is refused
    banner = widget.panel.locator("#banner")
    lost_ms = document.evaluate("dispatchEvent(new Event('online')), Date.now()")  # connects again, without success
    while not banner.is_visible():
        widget.page.clock.run_for(500)
        # Time stands still until the attempts of this time have failed.
        wait_until(lambda: document.evaluate("underWay === 0"), lambda: "an attempt goes on")
        shown_ms = document.evaluate("Date.now()")
        assert shown_ms - lost_ms <= 11_000
    assert shown_ms - lost_ms >= 10_000
    assert len(failed) > 2, "too few attempts to restart a timer"
    widget.page.context.unroute("**/api/customer/stream")
    # If time were skipped, an attempt would time out before the server can respond.
    widget.page.clock.resume()
    document.evaluate("dispatchEvent(new Event('online'))")
    expect(banner).to_be_hidden()
    shop.complaints.forgive("ERR_FAILED")
