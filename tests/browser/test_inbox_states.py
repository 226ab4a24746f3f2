"""The inbox's further states in every look: with nothing for axe, nothing cut, and an image of each."""

import pytest
from playwright.sync_api import expect
from test_inbox_looks import desk as desk
from test_inbox_looks import is_fine, some_address, story

from harness.browser import LOOKS, Look
from harness.employees import hire
from harness.inbox import call
from harness.inbox_desk import Desk, cut
from shopbell.accounts.roles import Roles

HOUR_MS = 60 * 60 * 1000
IN_EVERY_LOOK = pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
WITHOUT_RESPONSE = """
    const fetchNow = window.fetch
    window.fetch = (url, options) => String(url).includes(PATH) ? RESPONSE : fetchNow(url, options)
"""


def no_response(path: str, response: str) -> str:
    """A script: requests to a path end with a promise; the browser itself complains of nothing."""
    return WITHOUT_RESPONSE.replace("PATH", repr(path)).replace("RESPONSE", response)


@IN_EVERY_LOOK
def test_what_the_composer_offers_has_no_fault_in_any_look(desk: Desk, look: Look) -> None:
    for shortcut, text in (
        ("repair", "Dear {{first_name}}, of course: our tailor is in from ten."),
        ("refund", "You will see it on your account within three working days."),
    ):
        reply = {"shortcut": shortcut, "title": shortcut.title(), "text": text, "businessId": desk.stores[0]}
        call(desk.shop, "/api/saved-replies", **reply)
    nameless = desk.write("Can my coat be repaired?", "", email=some_address("l.petit"))
    for _ in range(8):
        desk.hire("Jon Smith")  # their names need more room than the menu has
    page, _ = story(desk, look)
    page.locator(".compose textarea").press_sequentially("/re")
    expect(page.get_by_role("option")).to_have_count(2)
    is_fine(page, f"suggestions-{look.name}")
    page.locator(".compose textarea").fill("")
    page.locator("#tab-note").click()
    page.locator(".compose textarea").press_sequentially("@Jon")
    expect(page.get_by_role("option")).to_have_count(6)
    is_fine(page, f"mention-{look.name}")
    page.goto(f"{desk.url}/inbox/open/{nameless}")
    page.locator(".compose textarea").press_sequentially("/rep")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator(".marks .gap")).to_be_visible()
    is_fine(page, f"empty-variable-{look.name}")


@IN_EVERY_LOOK
def test_the_states_of_a_reply_have_no_fault_in_any_look(desk: Desk, look: Look) -> None:
    page, _ = story(desk, look)
    page.evaluate(no_response("scheduled-messages", "Promise.reject(new TypeError())"))
    for text in ("Saturday works well.", "It takes twenty minutes."):
        page.locator(".compose textarea").fill(text)
        page.keyboard.press("Control+Enter")
    expect(page.locator(".msg.us .failed")).to_have_count(1)
    is_fine(page, f"not-sent-{look.name}")
    page.locator(".talk h2").click()
    page.keyboard.press("s")
    expect(page.get_by_role("option").first).to_be_visible()
    is_fine(page, f"snooze-{look.name}")


@IN_EVERY_LOOK
def test_a_closed_window_has_no_fault_in_any_look(desk: Desk, look: Look) -> None:
    thread = desk.write("注文48190の配送状況を教えてください。", "佐藤 花")
    desk.shop.move_to_whatsapp(thread, age_ms=26 * HOUR_MS)
    page = desk.open(desk.hire("Marta Silva"), f"inbox/open/{thread}", look)
    expect(page.locator(".closed")).to_be_visible()
    is_fine(page, f"window-closed-{look.name}")


@IN_EVERY_LOOK
def test_two_customers_side_by_side_have_no_fault_in_any_look(desk: Desk, look: Look) -> None:
    email, number = some_address("leila.haddad"), desk.shop.some_number()
    thread = desk.write("By email", "Leïla Haddad", email=email)
    desk.shop.send(businessId=desk.stores[1], message="By phone", user={"phoneNumber": number, "name": "L. Haddad"})
    desk.shop.send(businessId=desk.stores[0], message="Both", user={"email": email, "phoneNumber": number})
    page = desk.open(hire(desk.shop, roles=Roles("owner"), name="Marta Silva"), f"inbox/open/{thread}", look)
    page.locator(".talk .about-button").click()
    expect(page.locator(".perhaps")).to_be_visible()
    is_fine(page, f"duplicates-{look.name}")
    page.locator(".perhaps button").first.click()
    expect(page.locator("dialog table")).to_be_visible()
    is_fine(page, f"compare-{look.name}")


@IN_EVERY_LOOK
def test_a_lost_connection_has_no_fault_in_any_look(desk: Desk, look: Look) -> None:
    desk.write("It was meant for my daughter’s birthday on Saturday.", "Yusuf Demir")
    visit = desk.tab(desk.hire("Marta Silva"), look)
    page = visit.context.new_page()
    page.clock.install()
    page.goto(f"{desk.url}/inbox")
    expect(page.locator(".row[data-thread]")).to_have_count(1)
    cut(page)
    page.clock.fast_forward(11_000)
    expect(page.locator(".offline")).to_be_visible()
    is_fine(page, f"offline-{look.name}")
    visit.forgive("ERR_INTERNET_DISCONNECTED")


@IN_EVERY_LOOK
def test_an_ended_session_has_no_fault_in_any_look(desk: Desk, look: Look) -> None:
    thread = desk.write("Hello! The lining of my coat has come loose. Can it be repaired?", "Leïla Haddad")
    visit = desk.tab(desk.hire("Marta Silva"), look)
    page = visit.open(f"{desk.url}/inbox/open/{thread}")
    expect(page.locator(".compose textarea")).to_be_visible()
    visit.context.clear_cookies()
    page.locator(".compose textarea").fill("Saturday works well: our tailor is in from 10.")
    expect(page.get_by_role("dialog")).to_be_visible()
    is_fine(page, f"session-ended-{look.name}")
    visit.forgive("status of 401")


@IN_EVERY_LOOK
@pytest.mark.parametrize(
    ("name", "response", "shown"),
    [("failed", "Promise.reject(new TypeError())", "[role=alert]"), ("loading", "new Promise(() => {})", ".bone")],
    ids=["failed", "loading"],
)
def test_what_is_not_there_yet_has_no_fault_in_any_look(
    desk: Desk, look: Look, name: str, response: str, shown: str
) -> None:
    visit = desk.tab(desk.hire("Marta Silva"), look)
    visit.context.add_init_script(no_response("api/inbox/threads", response))
    page = visit.open(f"{desk.url}/inbox")
    expect(page.locator(f".list {shown}").first).to_be_visible()
    is_fine(page, f"list-{name}-{look.name}")
    page.goto(f"{desk.url}/inbox/open/{desk.write('Hello?')}")
    expect(page.locator(f".talk {shown}").first).to_be_visible()
    is_fine(page, f"conversation-{name}-{look.name}")


@IN_EVERY_LOOK
def test_a_filter_that_nothing_matches_has_no_fault_in_any_look(desk: Desk, look: Look) -> None:
    page = desk.open(desk.hire("Marta Silva"), f"inbox/open?channel=SMS&businessId={desk.stores[0]}", look)
    expect(page.locator(".chips")).to_be_visible()
    expect(page.locator(".list .mid b")).to_be_visible()
    is_fine(page, f"no-match-{look.name}")
