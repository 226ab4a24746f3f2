"""Emoji in the composer of the inbox."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from harness.browser import DARK, DESKTOP, PHONE, RIGHT_TO_LEFT, Look, Visit, faults, keep_image, overflow_px
from harness.employees import Hired
from harness.inbox_desk import Desk
from harness.shop import Shop

GERMAN = Look("german", locale="de")


@pytest.fixture
def desk(shops: Callable[..., Shop], visit: Callable[..., Visit]) -> Desk:
    """Two stores of one organization."""
    return Desk(shops("sqlite", visitor_rate_per_min=100_000, rate_limit_per_s=1_000), visit)


def opened(desk: Desk, look: Look = DESKTOP, employee: Hired | None = None) -> Page:
    """Open a conversation; its composer is shown."""
    thread = desk.write("Thank you!")
    page = desk.open(employee or desk.hire(), f"inbox/open/{thread}", look)
    expect(text_of(page)).to_be_visible()
    return page


def text_of(page: Page) -> Locator:
    """The field of the composer."""
    return page.locator(".compose textarea")


def open_emoji(page: Page) -> Locator:
    """Open the emoji; returns the field in which they are searched."""
    page.locator(".compose .tools button[aria-haspopup=dialog]").press("Enter")
    field = page.locator(".emoji input")
    expect(field).to_be_focused()
    expect(page.locator(".emoji [role=option]").first).to_be_attached()
    return field


def test_an_emoji_is_inserted_with_the_keyboard_where_the_caret_was(desk: Desk) -> None:
    page = opened(desk)
    text_of(page).fill("Thanks and bye")
    text_of(page).evaluate("area => area.setSelectionRange(6, 6)")
    open_emoji(page)
    page.keyboard.type("party pop")
    expect(page.locator(".emoji [role=option]").first).to_have_attribute("aria-label", "party popper")
    page.keyboard.press("Enter")
    expect(text_of(page)).to_have_value("Thanks🎉 and bye")
    expect(text_of(page)).to_be_focused()
    page.keyboard.press("Control+z")
    expect(text_of(page)).to_have_value("Thanks and bye")


def test_arrow_keys_move_in_the_grid_of_emoji(desk: Desk) -> None:
    page = opened(desk)
    field = open_emoji(page)
    selected = page.locator(".emoji [aria-selected=true]")
    for key, index in [("ArrowRight", 1), ("ArrowDown", 9), ("ArrowLeft", 8), ("ArrowUp", 0), ("ArrowUp", 0)]:
        page.keyboard.press(key)
        expect(selected).to_have_id(f"emoji-{index}")
        expect(field).to_have_attribute("aria-activedescendant", f"emoji-{index}")
    page.keyboard.press("Escape")
    expect(page.locator(".emoji")).to_be_hidden()
    expect(text_of(page)).to_be_focused()
    expect(text_of(page)).to_have_value("")


def test_the_emoji_used_last_are_offered_first_in_their_skin_tone(desk: Desk) -> None:
    page = opened(desk)
    open_emoji(page)
    page.locator(".emoji select").select_option("3")
    expect(page.locator(".emoji input")).to_be_focused()
    page.keyboard.type("thumbs up")
    expect(page.locator(".emoji [role=option]").first).to_have_attribute("aria-label", "thumbs up")
    page.keyboard.press("Enter")
    expect(text_of(page)).to_have_value("👍🏽")
    page.reload()
    expect(text_of(page)).to_have_value("👍🏽")  # the draft comes after the field
    open_emoji(page)
    recent = page.get_by_role("group", name="Recently used").get_by_role("option")
    expect(recent).to_have_text(["👍🏽"])
    recent.click()
    expect(text_of(page)).to_have_value("👍🏽👍🏽")


def test_a_colon_and_two_letters_offer_emoji(desk: Desk) -> None:
    page = opened(desk)
    text_of(page).press_sequentially("At 10:30 :b")
    expect(page.locator("#suggestions")).to_have_count(0)
    text_of(page).press_sequentially("eer")
    expect(page.get_by_role("option").first).to_contain_text("🍺")
    page.keyboard.press("Enter")
    expect(text_of(page)).to_have_value("At 10:30 🍺 ")


def test_emoji_are_found_in_the_language_of_the_page(desk: Desk) -> None:
    page = opened(desk, GERMAN)
    open_emoji(page)
    page.keyboard.type("umarmung")
    expect(page.locator(".emoji [role=option]", has_text="🤗")).to_be_visible()


@pytest.mark.parametrize("look", [DESKTOP, DARK, RIGHT_TO_LEFT], ids=lambda look: look.name)
def test_the_emoji_have_no_fault_in_any_look(desk: Desk, look: Look) -> None:
    page = opened(desk, look)
    open_emoji(page)
    expect(page.locator(".emoji [role=option]").nth(1000)).to_be_attached()
    keep_image(page, f"inbox-emoji-{look.name}")
    assert faults(page) == []
    assert overflow_px(page) == 0


def test_a_phone_has_emoji_on_its_own_keyboard(desk: Desk) -> None:
    desk.write("Thank you!")
    page = desk.open(desk.hire(), look=PHONE)
    page.locator(".row").tap()
    expect(text_of(page)).to_be_visible()
    expect(page.locator(".compose .tools button[aria-haspopup=dialog]")).to_be_hidden()


def test_emoji_are_not_loaded_before_they_are_asked_for(desk: Desk) -> None:
    page = opened(desk)
    loaded = "performance.getEntriesByType('resource').filter(each => /moji/.test(each.name)).length"
    assert page.evaluate(loaded) == 0
    open_emoji(page)
    page.wait_for_function(f"{loaded} > 0")
