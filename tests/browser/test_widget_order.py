"""What comes together in the widget keeps its order: signals before messages, one card after the other."""

from playwright.sync_api import Route, expect
from test_widget_features import begun

from harness.browser import DRAWN
from harness.late import first_of
from harness.waiting import wait_until
from harness.widget import Shop

PATIENT = """
    const after = window.setTimeout
    window.setTimeout = (callback, ms, ...more) => ms === 1_000 ? 0 : after(callback, ms, ...more)
"""
"""A page that waits for a signal as long as it takes."""


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


def test_a_survey_waits_for_the_form_that_the_visitor_fills_in(shop: Shop) -> None:
    widget = shop.visit(shop.page())
    widget.open()
    widget.write("Hello")
    widget.expect_state("sent")
    contact = widget.panel.locator("#contact")
    contact.fill("carol@exam")
    business = f"/api/businesses/{shop.demo.business}/update"
    shop.store.call("POST", business, json={"survey": "nps"})
    try:
        shop.store.answer(widget.thread, "All done")
        shop.store.call(
            "POST", "/api/update-thread-status", json={"customerThreadId": widget.thread, "status": "resolved"}
        )
        frame = widget.page.frames[1]
        come = "JSON.stringify(localStorage).includes('survey')"
        wait_until(lambda: frame.evaluate(come), lambda: "the survey has not come")
        expect(contact).to_have_value("carol@exam")
        expect(contact).to_be_focused()
        widget.panel.get_by_role("button", name="Not now").click()
        expect(widget.panel.get_by_role("group", name="How likely are you to recommend us")).to_be_visible()
        expect(contact).to_have_count(0)
        widget.panel.get_by_role("button", name="Not now").click()
        expect(widget.panel.locator("#cards > *")).to_have_count(0)
    finally:
        shop.store.call("POST", business, json={"survey": None})


def test_a_visitor_without_a_conversation_sees_that_the_connection_is_back(shop: Shop) -> None:
    widget = shop.visit(shop.page())
    widget.open()
    banner = widget.panel.locator("#banner")
    widget.page.context.set_offline(True)
    expect(banner).to_be_visible()
    widget.page.context.set_offline(False)
    expect(banner).to_be_hidden()
