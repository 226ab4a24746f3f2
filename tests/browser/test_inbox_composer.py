"""What the composer of the inbox offers besides text."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from harness.browser import Visit, faults
from harness.inbox import call
from harness.inbox_desk import Desk
from harness.late import LateResponse, first_of
from harness.shop import Shop

HOUR_MS = 60 * 60 * 1000


@pytest.fixture
def desk(shops: Callable[..., Shop], visit: Callable[..., Visit], tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Two stores of one organization, with a place for files."""
    folder = tmp_path_factory.getbasetemp() / "inbox-files"
    shop = shops("sqlite", attachments_url=f"file://{folder}", visitor_rate_per_min=100_000, rate_limit_per_s=1_000)
    return Desk(shop, visit)


def opened(desk: Desk, thread: str) -> Page:
    """Open a conversation; its messages are shown."""
    page = desk.open(desk.hire(), f"inbox/open/{thread}")
    expect(page.locator(".msg .text").first).to_be_visible()
    return page


def test_files_are_sent_with_the_text(desk: Desk, tmp_path: Path) -> None:
    price_list = tmp_path / "price list.txt"
    price_list.write_text("1 bell: 20")
    thread = desk.write("What does a bell cost?")
    page = opened(desk, thread)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach a file").click()
    chooser.value.set_files([price_list, price_list])
    expect(page.locator(".files li")).to_have_count(2)
    page.get_by_role("button", name="Remove price list.txt").first.click()
    page.locator(".compose textarea").fill("Here is our price list.")
    expect(page.get_by_role("button", name="Send to")).to_be_enabled()
    page.keyboard.press("Control+Enter")
    reply = page.locator(".msg.us", has_text="Here is our price list.")
    expect(reply.locator(".file")).to_contain_text("price list.txt")
    assert faults(page) == []


def test_a_template_is_sent_when_whatsapp_accepts_no_text(desk: Desk) -> None:
    call(desk.shop, "/api/templates", title="Ready", text="Your order is ready to be picked up.")
    thread = desk.write("Hello?")
    desk.shop.move_to_whatsapp(thread, age_ms=26 * HOUR_MS)
    page = opened(desk, thread)
    expect(page.locator(".closed")).to_contain_text("last wrote 26 hours ago.")
    assert faults(page) == []
    page.get_by_role("button", name="Choose a template").click()
    page.get_by_role("option", name="Ready").first.click()
    expect(page.locator(".msg.us")).to_contain_text("Your order is ready to be picked up.")


def test_another_channel_is_chosen_when_whatsapp_accepts_no_text(desk: Desk) -> None:
    thread = desk.write("Hello?")
    desk.shop.move_to_whatsapp(thread, age_ms=26 * HOUR_MS)
    page = opened(desk, thread)
    page.get_by_role("button", name="Write by email").click()
    page.locator(".compose textarea").fill("By email, then.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".msg.us")).to_contain_text("By email, then.")


def test_an_employee_takes_over_what_a_program_suggests(desk: Desk) -> None:
    thread = desk.write("Hello?")
    call(desk.shop, "/api/inbox/drafts", customerThreadId=thread, mode="reply", text="Good morning, how can I help?")
    page = opened(desk, thread)
    expect(page.locator(".suggested")).to_contain_text("Good morning, how can I help?")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator(".compose textarea")).to_have_value("Good morning, how can I help?")
    expect(page.locator(".suggested")).to_have_count(0)


def test_a_response_that_is_older_than_a_draft_that_was_taken_over_does_not_empty_it(desk: Desk) -> None:
    email = desk.shop.somebody()
    thread = desk.write("Hello?", email=email)
    call(desk.shop, "/api/inbox/drafts", customerThreadId=thread, mode="reply", text="Good morning, how can I help?")
    page = opened(desk, thread)
    late = LateResponse(page, f"**/api/inbox/threads/{thread}")
    desk.write("Are you there?", email=email)
    first_of(late.held, page)
    page.get_by_role("button", name="Use it").click()
    expect(page.locator(".compose textarea")).to_have_value("Good morning, how can I help?")
    late.arrive()
    assert page.locator(".compose textarea").input_value() == "Good morning, how can I help?"


def test_a_note_stays_when_its_author_takes_over_what_a_program_suggests(desk: Desk) -> None:
    thread, alice = desk.write("Hello?"), desk.hire()
    call(desk.shop, "/api/inbox/drafts", customerThreadId=thread, mode="reply", text="Good morning, how can I help?")
    page = desk.open(alice, f"inbox/open/{thread}")
    page.get_by_role("tab", name="Note").click()
    page.locator(".compose textarea").fill("Ask the workshop")
    expect(page.get_by_text("Draft kept")).to_be_visible()
    page.reload()
    expect(page.locator(".compose textarea")).to_have_value("Ask the workshop")
    page.get_by_role("tab", name="Reply").click()
    late = LateResponse(page, f"**/api/inbox/threads/{thread}")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator(".compose textarea")).to_have_value("Good morning, how can I help?")
    page.get_by_role("tab", name="Note").click()
    expect(page.locator(".compose textarea")).to_have_value("Ask the workshop")
    late.arrive()
    expect(page.locator(".compose textarea")).to_have_value("Ask the workshop")
