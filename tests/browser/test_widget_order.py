"""What comes together in the widget keeps its order: signals before messages, one card after the other."""

from playwright.sync_api import Route
from test_widget_features import begun

from harness.late import first_of
from harness.widget import Shop

PATIENT = """
    const after = window.setTimeout
    window.setTimeout = (callback, ms, ...more) => ms === 1_000 ? 0 : after(callback, ms, ...more)
"""
"""A page that waits for a signal as long as it takes."""
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def test_a_message_follows_the_typing_signal_before_it(shop: Shop) -> None:
    widget = begun(shop, script=PATIENT)
    held: list[Route] = []
    messages: list[str] = []
    widget.page.route("**/api/customer/typing", lambda route: held.append(route))
    widget.page.on("request", lambda one: messages.append(one.url) if one.url.endswith("/messages") else None)
    widget.panel.locator("#text").press_sequentially("Yes")
    signal = first_of(held, widget.page)
    widget.panel.locator("#text").press("Enter")
    widget.expect_state("sending")
    widget.page.frames[1].evaluate(DRAWN)
    assert messages == []
    with widget.page.expect_request("**/api/customer/messages"):
        signal.continue_()
    widget.expect_state("sent")
