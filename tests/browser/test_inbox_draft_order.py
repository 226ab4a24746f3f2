"""What an employee has typed last is the draft, in whatever order requests and responses arrive."""

from playwright.sync_api import Page, Route, expect
from test_inbox_answering import composer
from test_inbox_answering import desk as desk

from harness.employees import Hired
from harness.inbox_desk import Desk
from harness.late import LateResponse, first_of, settle


def save_elsewhere(employee: Hired, thread: str, text: str, mode: str = "reply") -> None:
    """Save a draft of the employee, as another browser does."""
    draft = {"customerThreadId": thread, "mode": mode, "text": text}
    assert employee.browser.call("/api/inbox/drafts", draft).status_code == 200


def kept(page: Page, text: str) -> None:
    """Type a text, and wait until the server has it."""
    composer(page).fill(text)
    expect(page.get_by_text("Draft kept")).to_be_visible()


def test_a_response_that_is_older_than_the_draft_does_not_empty_it(desk: Desk) -> None:
    thread, alice = desk.write("Hello?"), desk.hire()
    page = desk.open(alice, f"inbox/open/{thread}")
    expect(composer(page)).to_be_visible()
    late = LateResponse(page, f"**/api/inbox/threads/{thread}")
    save_elsewhere(alice, thread, "A note", mode="note")
    first_of(late.held, page)
    kept(page, "Good morning")
    late.arrive()
    expect(page.get_by_role("tab", name="Note")).to_be_visible()
    assert composer(page).input_value() == "Good morning"


def test_a_draft_that_was_deleted_elsewhere_is_gone_when_its_conversation_is_opened_again(desk: Desk) -> None:
    thread, other, alice = desk.write("Hello?"), desk.write("Hello?", "Dave Miller"), desk.hire()
    page = desk.open(alice, f"inbox/open/{thread}")
    kept(page, "Good morning")
    page.locator(f'.row[data-thread="{other}"]').click()
    expect(page.locator(".talk h2")).to_have_text("Dave Miller")
    expect(page.locator(".row .drafted")).to_have_count(1)
    save_elsewhere(alice, thread, "")
    expect(page.locator(".row .drafted")).to_have_count(0)
    page.locator(f'.row[data-thread="{thread}"]').click()
    expect(page.locator(".talk h2")).to_have_text("Carol Jones")
    expect(composer(page)).to_have_value("")


def test_a_change_elsewhere_is_shown_after_a_save_of_which_the_page_has_not_heard(desk: Desk) -> None:
    thread, alice = desk.write("Hello?"), desk.hire()
    page = desk.tab(alice).context.new_page()
    streams: list[Route] = []
    page.route("**/api/stream?*", lambda route: streams.append(route))
    page.goto(f"{desk.url}/inbox/open/{thread}")
    kept(page, "Good morning")
    with page.expect_response(f"**/api/inbox/threads/{thread}"):  # because of `ready`
        first_of(streams, page).continue_()
    save_elsewhere(alice, thread, "Good morning, Carol")
    expect(composer(page)).to_have_value("Good morning, Carol")


def test_one_save_of_a_draft_begins_after_the_other_has_ended(desk: Desk) -> None:
    thread = desk.write("Hello?")
    page = desk.open(desk.hire(), f"inbox/open/{thread}")
    saves: list[Route] = []
    page.route("**/api/inbox/drafts", lambda route: saves.append(route))
    with page.expect_request("**/api/inbox/drafts"):
        composer(page).fill("Good")
    composer(page).fill("Good morning")
    for _ in range(2):  # both wait for the first save
        page.evaluate("dispatchEvent(new Event('pagehide'))")
    with page.expect_request("**/api/inbox/drafts"):
        first_of(saves, page).continue_()
    settle(page)
    assert [each.request.post_data_json["text"] for each in saves] == ["Good", "Good morning"]
    saves[1].continue_()
    expect(page.get_by_text("Draft kept")).to_be_visible()
