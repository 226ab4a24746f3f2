"""The inbox's list in every look: light, dark, narrow, right-to-left, on a phone."""

import pytest
from playwright.sync_api import Page, expect
from test_inbox_list import desk as desk

from harness.browser import (
    DARK,
    DESKTOP,
    LOOKS,
    NARROW,
    PHONE,
    RIGHT_TO_LEFT,
    Look,
    faults,
    keep_state,
    overflow_px,
)
from harness.inbox_desk import STORES, Desk, expect_order, row


@pytest.mark.parametrize("look", [*LOOKS, PHONE], ids=lambda look: look.name)
def test_the_list_is_accessible_and_fits_in_every_look(desk: Desk, look: Look) -> None:
    desk.write(
        "It was meant for my daughter’s birthday on Saturday. Is there any way to have it by then?", "Yusuf Demir"
    )
    desk.write("Here is what I mean: the seam at the left sleeve is open.", "Leïla Haddad", store=1)
    desk.write("مرحبا، متى يصل طلبي رقم 48213؟", "صفاء الزين")
    desk.write("注文48190の配送状況を教えてください。", "佐藤 花", store=1)
    page = desk.open(desk.hire("Marta Silva"), look=look)
    expect(page.locator(".row[data-thread]")).to_have_count(4)
    check_look(page, f"inbox-list-{look.name}")
    page.locator(".row[data-thread]").first.focus()
    page.keyboard.press("x")
    expect(page.locator(".picked b")).to_be_visible()
    check_look(page, f"inbox-selection-{look.name}")
    page.keyboard.press("a")
    expect(page.get_by_role("listbox")).to_be_visible()
    check_look(page)


@pytest.mark.parametrize("look", [DESKTOP, DARK, NARROW, RIGHT_TO_LEFT], ids=lambda look: look.name)
def test_an_empty_list_says_that_no_one_waits(desk: Desk, look: Look) -> None:
    page = desk.open(desk.hire(), look=look)
    expect(page.locator(".content .mid b")).to_be_visible()
    check_look(page, f"inbox-empty-{look.name}")


BEYOND_THE_WINDOW = """
    [...document.querySelectorAll("button, a, input")]
        .filter(each => each.checkVisibility() && !each.closest(".rows, .unseen"))
        .filter(each => {
            const box = each.getBoundingClientRect()
            return box.left < 0 || box.right > innerWidth
        })
        .map(each => each.outerHTML)
"""


def check_look(page: Page, name: str = "") -> None:
    """Check with axe, find cut texts and sideways scrolling, and save an image."""
    if name:
        keep_state(page, name)
    assert page.evaluate(BEYOND_THE_WINDOW) == []
    assert faults(page) == []
    assert overflow_px(page) == 0


BROKEN_WORDS = """
    title => {
        const text = title.firstChild
        return [...text.data.matchAll(/[^ ]+/g)].filter(({ 0: word, index }) => {
            const range = document.createRange()
            range.setStart(text, index)
            range.setEnd(text, index + word.length)
            return range.getClientRects().length > 1
        }).map(([word]) => word)
    }
"""


@pytest.mark.parametrize(("language", "width_px"), [("fr", 800), ("fr", 320), ("de", 320)])
def test_a_title_with_little_room_is_not_broken_within_a_word(desk: Desk, language: str, width_px: int) -> None:
    desk.write("Hello?")
    page = desk.open(desk.hire(), "inbox/open", Look("little-room", width_px, 640, locale=language))
    title = page.locator(".list h2")
    expect(title).to_be_visible()
    assert title.evaluate(BROKEN_WORDS) == []
    assert page.evaluate(BEYOND_THE_WINDOW) == []


def test_a_phone_shows_one_pane_at_a_time(desk: Desk) -> None:
    thread = desk.write("Hello?", store=1)
    page = desk.open(desk.hire(), look=PHONE)
    tabs = page.get_by_role("navigation", name="Main views")
    expect(page.get_by_role("navigation", name="Views", exact=True)).to_be_hidden()
    tabs.get_by_role("button", name="Views").click()
    page.get_by_role("link", name=STORES[1]).click()
    expect_order(page, thread)
    row(page, thread).click()
    expect(row(page, thread)).to_be_hidden()
    expect(tabs).to_be_hidden()
    page.go_back()
    expect(row(page, thread)).to_be_visible()
    tabs.get_by_role("link", name="Mine").click()
    expect(page.get_by_text("No conversations here")).to_be_visible()
    small = page.evaluate(
        "[...document.querySelectorAll('button, a, input')].filter(e => e.checkVisibility() && !e.closest('.unseen'))"
        ".map(e => e.getBoundingClientRect()).filter(r => r.height < 44 && r.width > 0).length"
    )
    assert small == 0


def test_the_theme_can_be_chosen_and_stays(desk: Desk) -> None:
    page = desk.open(desk.hire())
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Alice Archer").click()
    page.get_by_role("menuitemradio", name="Dark").click()
    page.reload()
    expect(page.locator(".list h2")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
