"""Files, typing, surveys, opening hours and markup in the widget."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from harness.browser import DARK, DESKTOP, PHONE, RIGHT_TO_LEFT, Look, faults, keep_image
from harness.widget import Shop, Widget

PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63fcffff3f030008fc02fe"
    "a7f6d6010000000049454e44ae426082"
)
PAYLOADS = (
    "<script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "<svg/onload=window.pwned=1>",
    "</textarea><iframe srcdoc='<script>parent.pwned=1</script>'>",
    'https://x.example/"onmouseover="window.pwned=1',
    "javascript:window.pwned=1//https://x.example",
    "{{constructor.constructor('window.pwned=1')()}}",
    "__proto__",
)


def begun(shop: Shop, **options: object) -> Widget:
    """A visitor who has sent a message and gives no contact."""
    arabic = getattr(options.get("look"), "locale", "") == "ar"
    widget = shop.visit(shop.page(lang="ar" if arabic else "en"), **options)
    widget.open()
    widget.write("Hello")
    widget.expect_state("sent")
    widget.panel.locator("#cards button.quiet").click()
    return widget


def test_an_image_is_sent_and_shown(shop: Shop) -> None:
    widget = begun(shop)
    widget.panel.locator("#file").set_input_files({"name": "bike.png", "mimeType": "image/png", "buffer": PICTURE})
    picture = widget.panel.get_by_role("img", name="Picture: bike.png")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
    widget.expect_state("sent")
    expect(widget.panel.locator("#messages .pending")).to_have_count(0)


def test_a_dropped_or_pasted_file_is_sent(shop: Shop) -> None:
    widget = begun(shop)
    document = widget.page.frames[1]
    drop = """(name) => {
      const data = new DataTransfer()
      data.items.add(new File(['%PDF-1.4 x'], name, { type: 'application/pdf' }))
      for (const type of ['dragenter', 'dragover', 'drop'])
        document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }))
    }"""
    document.evaluate(drop, "dropped.pdf")
    expect(widget.panel.get_by_role("link", name="dropped.pdf")).to_be_visible()
    paste = """(name) => {
      const data = new DataTransfer()
      data.items.add(new File(['%PDF-1.4 x'], name, { type: 'application/pdf' }))
      const event = new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })
      document.getElementById('text').dispatchEvent(event)
    }"""
    document.evaluate(paste, "pasted.pdf")
    expect(widget.panel.get_by_role("link", name="pasted.pdf")).to_be_visible()


def test_a_refused_file_shows_the_reason(shop: Shop) -> None:
    widget = begun(shop)
    widget.panel.locator("#file").set_input_files(
        {"name": "page.html", "mimeType": "text/html", "buffer": b"<!doctype html><script>alert(1)</script>"}
    )
    widget.expect_state("notSent")
    expect(widget.panel.get_by_role("status")).to_have_text("Files of this type cannot be sent.")
    shop.complaints.forgive("status of 400")


def test_a_file_over_the_daily_limit_is_given_up_and_texts_still_work(shop: Shop) -> None:
    widget = begun(shop)
    used = "UPDATE upload_usage SET used_bytes = 104857600 WHERE kind = 'session'"
    for name in ("first.png", "second.png"):
        widget.panel.locator("#file").set_input_files({"name": name, "mimeType": "image/png", "buffer": PICTURE})
        if name == "first.png":
            expect(widget.panel.get_by_role("img", name="Picture: first.png")).to_be_visible()
            assert shop.demo.installation.database.change(used)
    widget.expect_state("notSent")
    expect(widget.panel.get_by_role("status")).to_have_text(
        "This file cannot be sent today. Please try again tomorrow."
    )
    widget.write("Then in words")
    widget.expect_state("sent")
    shop.complaints.forgive("status of 429")


def test_an_empty_file_is_reported_as_empty(shop: Shop) -> None:
    widget = begun(shop)
    widget.panel.locator("#file").set_input_files({"name": "list.txt", "mimeType": "text/plain", "buffer": b""})
    expect(widget.panel.get_by_role("status")).to_have_text("This file is empty.")
    expect(widget.panel.locator("#messages .mine")).to_have_count(1)


def test_the_visitor_sees_typing_and_read_receipts_of_employees(shop: Shop) -> None:
    widget = begun(shop)
    thread = widget.thread
    shop.store.answer(thread, "One moment")
    widget.expect_texts("Hello", "One moment")  # connected: a panel that connects later is not told who is typing
    shop.store.call("POST", "/api/update-typing", json={"customerThreadId": thread})
    expect(widget.panel.locator("#typing")).to_have_text("Someone is typing…")
    shop.store.call("POST", "/api/update-thread-read", json={"customerThreadId": thread, "sequence": 1})
    widget.expect_state("read")
    shop.store.answer(thread, "Hello!")
    expect(widget.panel.locator("#typing")).to_have_text("")


def test_only_messages_the_visitor_has_seen_are_reported_as_read(shop: Shop) -> None:
    widget = begun(shop)
    told: list[int] = []
    widget.page.context.on(
        "request",
        lambda request: told.append(json.loads(request.post_data)["sequence"]) if "/read" in request.url else None,
    )
    widget.bubble.click()
    shop.store.answer(widget.thread, "Are you there?")
    expect(widget.bubble.locator("b")).to_have_text("1")
    widget.page.frames[1].evaluate("new Promise(go => setTimeout(go, 800))")  # twice the time that reading takes
    assert told == []
    with widget.page.expect_response("**/api/customer/read"):
        widget.open()
    assert told == [2]


def test_a_survey_is_shown_once_and_its_answer_is_stored(shop: Shop) -> None:
    widget = begun(shop)
    organization = {"businessId": shop.demo.business}
    shop.store.call("POST", f"/api/businesses/{organization['businessId']}/update", json={"survey": "nps"})
    try:
        shop.store.answer(widget.thread, "All done")
        shop.store.call(
            "POST", "/api/update-thread-status", json={"customerThreadId": widget.thread, "status": "resolved"}
        )
        question = widget.panel.get_by_role("group", name="How likely are you to recommend us to a friend?")
        expect(question).to_be_visible()
        expect(widget.panel.locator("#state")).to_be_visible()
        for look in (DESKTOP, DARK):
            widget.page.emulate_media(color_scheme="dark" if look.dark else "light", reduced_motion="reduce")
            keep_image(widget.page, f"widget-survey-{look.name}")
            assert faults(widget.page) == []
        question.get_by_role("radio", name="9").check()
        widget.panel.get_by_label("Would you like to add anything?").fill("Quick!")
        with widget.page.expect_response("**/api/customer/survey") as answered:
            widget.panel.locator("#cards").get_by_role("button", name="Send").click()
        assert answered.value.status == 200
        expect(widget.panel.get_by_text("Thank you for your feedback.")).to_be_visible()
    finally:
        shop.store.call("POST", f"/api/businesses/{organization['businessId']}/update", json={"survey": None})


def test_a_closed_business_says_when_it_opens(shop: Shop) -> None:
    other = str(shop.demo.facts["businessIds"][1])
    hours = {"weekly": {}, "exceptions": [{"date": "2099-01-05", "intervals": [["09:00", "12:00"]]}]}
    shop.store.call("POST", f"/api/businesses/{other}/update", json={"openingHours": hours})
    widget = shop.visit(shop.page(shop.tag(business=other)))
    widget.open()
    expect(widget.panel.locator("#presence")).to_have_text(
        "We are currently closed and reopen on Monday, January 5, 2099, 9:00\u202fAM"
    )
    shop.store.call("POST", f"/api/businesses/{other}/update", json={"openingHours": None})


def test_the_opening_hours_text_updates_while_the_panel_is_open(shop: Shop) -> None:
    other = str(shop.demo.facts["businessIds"][1])
    opens_at = datetime.now(UTC) + timedelta(hours=26)
    days = ((opens_at, opens_at.strftime("%H:%M")), (opens_at + timedelta(days=1), "00:00"))
    exceptions = [{"date": day.date().isoformat(), "intervals": [[opens, "24:00"]]} for day, opens in days]
    hours = {"weekly": {}, "exceptions": exceptions}
    shop.store.call("POST", f"/api/businesses/{other}/update", json={"openingHours": hours, "timeZone": "UTC"})
    widget = shop.visit(shop.page(shop.tag(business=other)))
    widget.page.clock.install()
    widget.open()
    expect(widget.panel.locator("#presence")).to_contain_text("We are currently closed and reopen")
    widget.page.clock.fast_forward("27:00:00")
    expect(widget.panel.locator("#presence")).to_have_text("We reply as soon as we can")
    shop.store.call("POST", f"/api/businesses/{other}/update", json={"openingHours": None})


def test_markup_from_either_side_is_never_executed(shop: Shop) -> None:
    widget = begun(shop)
    for payload in PAYLOADS:
        widget.write(payload)
        shop.store.answer(widget.thread, payload)
    expect(widget.panel.locator("#messages .text")).to_have_count(1 + 2 * len(PAYLOADS))
    shown = widget.panel.locator("#messages .text").all_inner_texts()
    assert sorted(shown) == sorted(["Hello", *PAYLOADS, *PAYLOADS])
    for frame in widget.page.frames:
        assert frame.evaluate("window.pwned") is None
    assert widget.panel.locator("#messages script, #messages svg, #messages iframe, #messages img").count() == 0
    links = widget.panel.locator("#messages a").evaluate_all("all => all.map(link => link.protocol)")
    assert set(links) == {"https:"}


def test_the_page_selects_the_colour_scheme_of_the_panel(shop: Shop) -> None:
    widget = shop.visit(shop.page(shop.tag(theme="dark")))
    widget.open()
    expect(widget.panel.locator("body")).to_have_css("background-color", "rgb(27, 30, 35)")
    widget.page.evaluate("Shopbell('update', { theme: 'light' })")
    expect(widget.panel.locator("html")).to_have_attribute("data-theme", "light")
    expect(widget.panel.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")


def test_a_message_that_is_too_long_is_kept_and_reported(shop: Shop) -> None:
    widget = begun(shop)
    widget.write("x" * 10_001)
    expect(widget.panel.get_by_role("status")).to_have_text("Your message is too long. The limit is 10,000 characters.")
    assert len(widget.panel.locator("#text").input_value()) == 10_001


def test_shift_enter_inserts_a_new_line(shop: Shop) -> None:
    widget = begun(shop)
    field = widget.panel.locator("#text")
    field.press_sequentially("One")
    field.press("Shift+Enter")
    field.press_sequentially("Two")
    field.press("Enter")
    widget.expect_state("sent")
    assert shop.store.messages(widget.thread)[-1] == "One\nTwo"


def test_every_control_is_reachable_by_keyboard(shop: Shop) -> None:
    widget = begun(shop)
    widget.panel.locator("#text").focus()
    document = widget.page.frames[1]
    seen = []
    for _ in range(6):
        widget.page.keyboard.press("Shift+Tab")
        seen.append(document.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert seen[:5] == ["attach", "log", "close", "SUMMARY", "BODY"] or seen[:4] == [
        "attach",
        "log",
        "close",
        "SUMMARY",
    ]


@pytest.mark.parametrize("look", [PHONE, RIGHT_TO_LEFT], ids=lambda look: look.name)
def test_touch_targets_are_large_enough(look: Look, shop: Shop) -> None:
    widget = begun(shop, look=look)
    least_px = 44 if look.touch else 24
    small = widget.page.frames[1].evaluate(
        "least => [...document.querySelectorAll('button, summary, input:not(.unseen), textarea')]"
        ".filter(one => one.checkVisibility()).map(one => [one.id || one.outerHTML, one.getBoundingClientRect()])"
        ".filter(([, box]) => Math.round(box.width) < least || Math.round(box.height) < least).map(([name]) => name)",
        least_px,
    )
    assert small == []


def test_a_reset_by_the_page_forgets_the_conversation_on_this_device(shop: Shop) -> None:
    widget = shop.visit(shop.page())
    widget.open()
    widget.write("Hello")
    widget.expect_state("sent")
    widget.page.evaluate("Shopbell('reset')")
    expect(widget.panel.locator("#messages li")).to_have_count(0)
    frame = next(frame for frame in widget.page.frames if "/widget/panel" in frame.url)
    assert "sbs_" not in frame.evaluate("JSON.stringify(localStorage)")
    before = widget.thread
    widget.write("Somebody else")
    widget.expect_state("sent")
    assert widget.thread_after(before)
