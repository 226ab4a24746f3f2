"""The open conversation in every look: dark, phone, right-to-left, keyboard."""

import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from harness.browser import (
    DESKTOP,
    LOOKS,
    NARROW,
    PHONE,
    Look,
    Visit,
    faults,
    keep_state,
    overflow_px,
)
from harness.inbox import call
from harness.inbox_desk import Desk, expect_order
from harness.shop import Shop
from harness.waiting import wait_until

WIDE = Look("wide", 1440, 900)


@pytest.fixture
def desk(shops: Callable[..., Shop], visit: Callable[..., Visit]) -> Desk:
    """Two stores of one organization."""
    return Desk(shops("sqlite", visitor_rate_per_min=100_000, rate_limit_per_s=1_000), visit)


def some_address(name: str) -> str:
    """An unused email address that looks well in an image."""
    return f"{name}@{uuid.uuid4().hex[:6]}.example"


def is_fine(page: Page, name: str) -> None:
    """Check with axe, find sideways scrolling, and save an image."""
    keep_state(page, f"inbox-{name}")
    assert faults(page) == []
    assert overflow_px(page) == 0


def story(desk: Desk, look: Look) -> tuple[Page, str]:
    """A conversation with everything that it can show."""
    marta, jonas = desk.hire("Marta Silva"), desk.hire("Jonas Keller")
    email = some_address("leila.haddad")
    thread = desk.write("Hello! The lining of my coat has come loose. Can it be repaired?", "Leïla Haddad", email=email)
    desk.reply(thread, "I’m sorry to hear that. Could you send us a picture?", employeeUserId=str(marta.id))
    desk.write("Here is what I mean: the seam at the left sleeve is open.", "Leïla Haddad", email=email)
    note = {"text": "@Marta Silva Paul does it while she waits.", "internal": True, "employeeUserId": str(jonas.id)}
    call(desk.shop, "/api/send-message-to-customer-thread", customerThreadId=thread, **note)
    page = desk.open(marta, f"inbox/open/{thread}", look)
    expect(page.locator(".note")).to_be_visible()
    return page, thread


@pytest.mark.parametrize("look", [*LOOKS, PHONE, WIDE], ids=lambda look: look.name)
def test_a_conversation_has_no_fault_in_any_look(desk: Desk, look: Look) -> None:
    page, _ = story(desk, look)
    page.locator(".compose textarea").fill("Saturday works well: our tailor is in from 10.")
    expect(page.locator(".kept svg")).to_be_visible()
    is_fine(page, f"conversation-{look.name}")
    page.locator("#tab-note").click()
    is_fine(page, f"note-{look.name}")


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_menus_and_dialogs_have_no_fault_in_any_look(desk: Desk, look: Look) -> None:
    page, _ = story(desk, look)
    page.locator(".talk h2").click()
    for name, key in (("menu", "Control+k"), ("keys", "?"), ("start", "c")):
        page.keyboard.press(key)
        expect(page.locator("dialog[open]")).to_be_visible()
        is_fine(page, f"{name}-{look.name}")
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
    page.keyboard.press("]")
    expect(page.locator(".about .face b")).to_be_visible()
    is_fine(page, f"customer-{look.name}")


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_a_warning_has_no_fault_in_any_look(desk: Desk, look: Look) -> None:
    page, thread = story(desk, look)
    page.locator(".compose textarea").fill("Saturday works well: our tailor is in from 10.")
    desk.reply(thread, "Come by on Saturday from 10, Paul will mend it while you wait.")
    expect(page.locator(".warn")).to_be_visible()
    is_fine(page, f"answered-{look.name}")


def test_three_conversations_are_answered_with_the_keyboard_alone(desk: Desk) -> None:
    threads = [desk.write(f"Question {number}", f"Customer {number}") for number in (1, 2, 3)]
    page = desk.open(desk.hire())
    page.keyboard.press("j")
    page.keyboard.press("Home")
    page.keyboard.press("F6")
    for number, thread in enumerate(threads, 1):
        if number == 1:
            page.goto(f"{desk.url}/inbox/needs-reply/{thread}")
            expect_order(page, *threads)  # E leads to the next row
        expect(page.locator(".talk h2")).to_have_text(f"Customer {number}")
        page.keyboard.press("r")
        expect(page.locator(".compose textarea")).to_be_focused()
        page.keyboard.type(f"Answer {number}")
        page.keyboard.press("Control+Enter")
        expect(page.locator(".msg.us")).to_contain_text(f"Answer {number}")
        page.keyboard.press("Escape")
        page.keyboard.press("e")
    for number, thread in enumerate(threads, 1):
        wait_until(
            lambda thread=thread, number=number: (
                [each["body"] for each in desk.shop.messages(thread)] == [f"Question {number}", f"Answer {number}"]
            ),
            lambda: "the answer is not sent",
        )


def test_f6_moves_between_the_panes(desk: Desk) -> None:
    page, _ = story(desk, WIDE)
    for last in (".compose textarea", ".about .face b"):
        expect(page.locator(last)).to_be_visible()
    page.locator(".views [aria-current]").focus()
    for pane in (".list", ".talk h2", ".compose textarea", ".about h2", ".views"):
        page.keyboard.press("F6")
        assert page.evaluate(f"document.activeElement.closest('{pane}') !== null"), pane
    page.keyboard.press("Shift+F6")
    assert page.evaluate("document.activeElement.closest('.about') !== null")


def test_a_phone_shows_one_pane_at_a_time(desk: Desk) -> None:
    thread = desk.write("Hello?", "Carol Jones")
    page = desk.open(desk.hire(), look=PHONE)
    page.locator(".row").first.tap()
    expect(page.locator(".talk h2")).to_have_text("Carol Jones")
    expect(page.locator(".list")).to_be_hidden()
    page.get_by_role("button", name="Customer").tap()
    expect(page.locator(".about .face b")).to_be_visible()
    page.get_by_role("button", name="Close").tap()
    page.locator(".compose textarea").fill("Good morning!")
    page.get_by_role("button", name="Send to").tap()
    expect(page.locator(".msg.us")).to_contain_text("Good morning!")
    page.get_by_role("link", name="Back to the list").tap()
    expect(page.locator(".list")).to_be_visible()
    assert thread not in page.url


@pytest.mark.parametrize("width_px", [705, 768, 993, 1281])
def test_the_name_is_whole_and_every_action_is_reached_at_each_width(desk: Desk, width_px: int) -> None:
    thread = desk.write("Hello?", "Alexandra Jones")
    page = desk.open(desk.hire(), f"inbox/open/{thread}", Look("between", width_px, 800))
    name = page.locator(".talk h2")
    expect(page.locator(".compose textarea")).to_be_visible()  # the bar has all its buttons
    expect(page.locator(".talk > .bar").get_by_role("button", name="More", exact=True)).to_be_visible()
    assert name.evaluate("name => [name.offsetWidth >= name.scrollWidth, name.offsetWidth > 0]") == [True, True]
    right = page.locator(".title").evaluate(
        "e => Math.max(...[...e.children].map(c => c.getBoundingClientRect().right))"
    )
    boxes = [box for each in page.locator(".talk > .bar > button").all() if (box := each.bounding_box())]
    assert boxes
    assert right <= min(box["x"] for box in boxes)
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="Snooze…").click()
    page.get_by_role("option", name="Tomorrow morning").click()
    expect(page.locator(".title small")).to_contain_text("Snoozed until")
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="End the snooze").click()
    expect(page.locator(".title small")).to_contain_text("Waiting")


def test_a_long_name_ends_before_the_buttons_of_a_narrow_screen(desk: Desk) -> None:
    thread = desk.write("Hello?", "", email=some_address("alexandra.jones"))
    page = desk.open(desk.hire(), f"inbox/open/{thread}", NARROW)
    expect(page.locator(".talk .about-button")).to_be_visible()
    name, button = (page.locator(f".talk > .bar {each}").first.bounding_box() for each in ("h2", "button"))
    assert name
    assert button
    assert name["x"] + name["width"] <= button["x"]


def test_a_name_of_two_words_is_whole_on_a_narrow_screen(desk: Desk) -> None:
    page = desk.open(desk.hire(), f"inbox/open/{desk.write('Hello?', 'Alexandra Jones')}", NARROW)
    name = page.locator(".talk h2")
    expect(page.locator(".talk .about-button")).to_be_visible()  # it comes last
    whole = "name => name.scrollWidth <= name.clientWidth && name.scrollHeight <= name.clientHeight"
    assert name.evaluate(whole)
    assert name.inner_text() == "Alexandra Jones"


def test_the_first_load_does_not_wait_for_what_is_not_seen(desk: Desk) -> None:
    page = desk.open(desk.hire(), look=DESKTOP)
    late = page.evaluate(
        "performance.getEntriesByType('resource').map(each => each.name).filter(name => /Dialogs|Compare/.test(name))"
    )
    assert late == []
