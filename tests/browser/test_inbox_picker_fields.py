"""What is typed into the fields of dialogs is taken when it is complete, not before."""

from datetime import UTC, datetime, timedelta

from playwright.sync_api import Locator, Page, expect
from test_inbox_answering import desk as desk

from harness.inbox_desk import Desk
from harness.late import settle

END_OF_COMPOSITION = """
    field => field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true }))
"""
"""The Enter that ends the composition of a word, as in Japanese."""


def snoozing(page: Page) -> Locator:
    """Ask until when to snooze the open conversation; returns the field for date and time."""
    page.locator(".talk h2").focus()
    page.keyboard.press("s")
    field = page.locator(".pick-one input[type=datetime-local]")
    field.focus()
    return field


def test_a_date_and_time_are_taken_only_when_the_employee_says_so(desk: Desk) -> None:
    page = desk.open(desk.hire(), f"inbox/open/{desk.write('Hello?')}")
    field, tomorrow = snoozing(page), datetime.now(UTC).date() + timedelta(days=1)
    field.fill(f"{tomorrow}T16:03")  # where hours have 24, the first digit of 30 makes this a complete value
    settle(page)
    expect(page.locator(".pick-one")).to_be_visible()
    field.fill(f"{tomorrow}T16:30")
    field.press("Enter")
    expect(page.locator(".toast")).to_contain_text("4:30")
    expect(page.locator(".pick-one")).to_have_count(0)


def test_a_date_and_time_in_the_past_are_not_taken(desk: Desk) -> None:
    page = desk.open(desk.hire(), f"inbox/open/{desk.write('Hello?')}")
    field, tomorrow = snoozing(page), datetime.now(UTC).date() + timedelta(days=1)
    save = page.locator(".pick-one").get_by_role("button", name="Save")
    for value in ("", "2020-01-01T10:00"):
        field.fill(value)
        save.click()
        expect(page.locator(".pick-one")).to_be_visible()
        assert not field.evaluate("field => field.checkValidity()"), value
    field.fill(f"{tomorrow}T16:30")
    save.click()
    expect(page.locator(".toast")).to_contain_text("4:30")


def test_the_end_of_a_composition_chooses_no_option(desk: Desk) -> None:
    page = desk.open(desk.hire(), f"inbox/open/{desk.write('Hello?')}")
    page.locator(".talk h2").focus()
    page.keyboard.press("s")
    question = page.locator(".pick-one")
    question.get_by_role("combobox").evaluate(END_OF_COMPOSITION)
    expect(question).to_be_visible()
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    page.keyboard.press("c")
    address = page.get_by_role("combobox", name="To")
    address.fill("Carol Jones")
    expect(page.locator("#known li").first).to_be_visible()
    address.evaluate(END_OF_COMPOSITION)
    expect(address).to_have_value("Carol Jones")
    address.press("Enter")
    expect(address).to_have_count(0)
