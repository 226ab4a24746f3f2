"""Employees who may not act on a conversation, or may no longer: what they see, and what they are not offered."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from harness.browser import Visit, faults
from harness.employees import Hired
from harness.inbox_desk import STORES, Desk, expect_focus, row
from harness.shop import Shop

DAY_MS = 24 * 60 * 60 * 1000


@pytest.fixture
def desk(shops: Callable[..., Shop], visit: Callable[..., Visit]) -> Desk:
    """Two stores of one organization."""
    return Desk(shops("sqlite", visitor_rate_per_min=100_000, rate_limit_per_s=1_000), visit)


def move(desk: Desk, employee: Hired, thread: str) -> None:
    """Move a conversation to the other store, as an employee."""
    action = {"type": "transfer", "businessId": desk.stores[1]}
    answer = employee.browser.call("/api/inbox/bulk", {"action": action, "customerThreadIds": [thread]})
    assert answer.json()["changed"] == 1, answer.text


# A conversation that is moved to another business while a colleague has it open


def test_who_works_in_both_businesses_goes_on_in_a_conversation_that_is_moved(desk: Desk) -> None:
    thread = desk.write("Hello?", "Carol Jones")
    marta = desk.open(desk.hire("Marta Silva"), f"inbox/open/{thread}")
    jonas = desk.open(desk.hire("Jonas Keller"), f"inbox/open?businessId={desk.stores[0]}")
    marta.locator(".compose textarea").fill("Good morning")
    for page in (marta, jonas):
        expect(row(page, thread)).to_contain_text("Lyon")
    jonas.keyboard.press("j")
    expect_focus(jonas, thread)
    jonas.keyboard.press("v")
    jonas.get_by_role("option", name=STORES[1]).click()
    expect(row(jonas, thread)).to_have_count(0)  # the filter is the other business
    expect(row(marta, thread)).to_contain_text("Boston")
    expect(marta.locator(".did")).to_contain_text(f"Jonas Keller moved it to {STORES[1]}")
    marta.locator(".compose textarea").press("Control+Enter")
    sent = marta.locator(".msg.us", has_text="Good morning")
    expect(sent.locator(".state").get_by_text("Sent", exact=True)).to_be_visible()


def test_a_conversation_that_is_moved_away_can_be_read_until_it_is_left(desk: Desk) -> None:
    thread, other = desk.write("Hello?", "Carol Jones"), desk.write("Me, too", "Dave Miller")
    visit = desk.tab(desk.hire("Marta Silva", stores=[0]))
    page = visit.open(f"{desk.url}/inbox/open/{thread}")
    expect(page.locator(".compose textarea")).to_be_visible()
    move(desk, desk.hire("Jonas Keller"), thread)
    expect(page.locator(".ended")).to_have_text(
        "Jonas Keller moved this conversation to another business. You can no longer reply to it."
    )
    expect(page.locator(".msg .text")).to_have_text("Hello?")
    offers_nothing(page)
    expect(row(page, thread)).to_have_count(0)
    assert faults(page) == []
    row(page, other).click()
    expect(page.locator(".talk h2")).to_have_text("Dave Miller")
    page.go_back()
    expect(page.locator(".talk")).to_contain_text("Conversation not found")
    expect(page.locator(".msg")).to_have_count(0)
    visit.forgive("status of 404")


# An employee who may read, and not write


def reads_only(route: Route) -> None:
    """Who is signed in has no permission to change anything."""
    answer = route.fetch()
    me: dict[str, Any] = answer.json()
    for each in (me, *me["businesses"]):
        each["permissions"] = [name for name in each["permissions"] if name.endswith(":read")]
    route.fulfill(response=answer, json=me)


def test_who_may_only_read_is_told_so_and_offered_nothing_that_would_be_refused(desk: Desk) -> None:
    thread = desk.write("Hello?", "Carol Jones")
    desk.reply(thread, "Good morning!")
    tomorrow_ms = time.time_ns() // 1_000_000 + DAY_MS
    desk.create("/api/scheduled-messages", customerThreadId=thread, text="And good night!", sendAt=tomorrow_ms)
    visit = desk.tab(desk.hire())
    visit.context.route("**/api/me", reads_only)
    page = visit.open(f"{desk.url}/inbox/open/{thread}")
    expect(page.locator(".ended")).to_have_text(
        "Your role allows you to read here, but not to write. An owner can change that."
    )
    expect(page.locator(".msg .text")).to_have_text(["Hello?", "Good morning!", "And good night!"])
    offers_nothing(page)
    expect(page.locator(".msg button, .row + .pick")).to_have_count(0)
    sent = changes(page)
    for key in ("a", "e", "i", "n", "r", "s", "t", "u", "v", "x", "c", "Shift+j"):
        page.keyboard.press(key)
    expect(page.locator("dialog, .picked, .toast")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert faults(page) == []
    assert sent == []


def offers_nothing(page: Page) -> None:
    """Check that the conversation has no composer and no button that changes something."""
    expect(page.locator(".compose")).to_have_count(0)
    buttons = page.locator(".talk > .bar button, .about button")
    assert {each.get_attribute("aria-label") for each in buttons.all()} <= {
        "Customer",
        "Close",
        "More about the customer",
    }


def changes(page: Page) -> list[str]:
    """The requests that change something, besides marks of what is read and who is there."""
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and not request.url.endswith(("/read", "/presence")):
            sent.append(request.url)

    page.on("request", note)
    return sent
