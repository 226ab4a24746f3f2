"""Employees answer customers, together, in the inbox."""

import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect
from test_inbox_answering import unhurried

from harness.browser import Visit
from harness.employees import Hired
from harness.inbox import call
from harness.inbox_desk import Desk, row
from harness.late import first_of
from harness.shop import Shop


@pytest.fixture
def desk(shops: Callable[..., Shop], visit: Callable[..., Visit]) -> Desk:
    """Two stores of one organization."""
    return Desk(shops("sqlite", visitor_rate_per_min=100_000, rate_limit_per_s=1_000), visit)


def opened(desk: Desk, employee: Hired, thread: str, view: str = "needs-reply") -> Page:
    """Open a conversation; its messages are shown."""
    page = desk.open(employee, f"inbox/{view}/{thread}")
    expect(page.locator(".msg .text").first).to_be_visible()
    return page


def write(page: Page, text: str) -> None:
    """Type a text into the composer."""
    field = page.locator(".compose textarea")
    field.click()
    field.press_sequentially(text)


def says(page: Page, text: str) -> None:
    """Wait until the log has a message with a text, once."""
    expect(page.locator(".log .text", has_text=text)).to_have_count(1)


def is_sent(page: Page, text: str) -> None:
    """Wait until a reply has been sent."""
    expect(page.locator(".msg.us", has_text=text).locator(".state", has_text=re.compile("Sent$"))).to_be_visible()


def visible_messages(desk: Desk, thread: str) -> list[str]:
    """The texts of a conversation, without notes, as the database has them."""
    return [str(each["body"]) for each in desk.shop.messages(thread) if not each["internal"]]


# Answer


def test_an_answer_shows_at_once_and_is_sent_once(desk: Desk) -> None:
    thread = desk.write("Can my coat be repaired?")
    page = opened(desk, desk.hire(), thread)
    held: list[Route] = []
    page.route("**/api/scheduled-messages", lambda route: held.append(route))
    write(page, "Of course: come by on Saturday.")
    page.keyboard.press("Control+Enter")
    says(page, "Of course: come by on Saturday.")
    expect(page.locator(".state", has_text="Sending…")).to_be_visible()
    expect(page.locator(".compose textarea")).to_have_value("")
    first_of(held, page).continue_()
    is_sent(page, "Of course: come by on Saturday.")
    says(page, "Of course: come by on Saturday.")
    assert visible_messages(desk, thread) == ["Can my coat be repaired?", "Of course: come by on Saturday."]
    expect(row(page, thread)).to_have_count(0)  # no customer waits there any more


def test_a_reply_can_be_undone_for_some_seconds(desk: Desk) -> None:
    thread = desk.write("Can my coat be repaired?")
    page = unhurried(desk, thread)
    write(page, "No.")
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".compose textarea")).to_have_value("No.")
    expect(page.locator(".msg.us")).to_have_count(0)
    expect(page.get_by_text("Draft kept")).to_be_visible()
    assert visible_messages(desk, thread) == ["Can my coat be repaired?"]


# Together


def test_colleagues_see_who_reads_and_who_writes(desk: Desk) -> None:
    thread = desk.write("Hello?")
    marta, jonas = (opened(desk, desk.hire(name), thread) for name in ("Marta Silva", "Jonas Keller"))
    expect(marta.get_by_text("Jonas Keller is reading this too")).to_be_visible()
    write(jonas, "Good morning")
    expect(marta.locator(".beside", has_text="Jonas Keller is writing…")).to_be_visible()
    expect(row(marta, thread)).to_contain_text("Jonas Keller is writing…")


def test_an_employee_who_writes_while_another_answers_decides_what_to_do(desk: Desk) -> None:
    thread = desk.write("Can I come on Saturday?")
    jonas = opened(desk, desk.hire("Jonas Keller"), thread)
    visit = desk.tab(desk.hire("Marta Silva"))
    marta = visit.open(f"{desk.url}/inbox/needs-reply/{thread}")
    write(marta, "Saturday works well.")
    write(jonas, "Come by on Saturday from 10.")
    jonas.keyboard.press("Control+Enter")
    warning = marta.get_by_role("alert").filter(has_text="Jonas Keller answered")
    expect(warning).to_contain_text("Come by on Saturday from 10.")
    marta.locator(".compose textarea").click()
    marta.keyboard.press("Control+Enter")  # it is sent nevertheless, and the server refuses it
    expect(warning).to_contain_text("Nothing was sent.")
    expect(marta.locator(".compose textarea")).to_have_value("Saturday works well.")
    assert visible_messages(desk, thread) == ["Can I come on Saturday?", "Come by on Saturday from 10."]
    warning.get_by_role("button", name="Keep as a note").click()
    expect(marta.locator(".note", has_text="Saturday works well.")).to_be_visible()
    expect(warning).to_have_count(0)
    assert visible_messages(desk, thread) == ["Can I come on Saturday?", "Come by on Saturday from 10."]
    visit.forgive("status of 409")


def test_both_answers_are_sent_if_the_employee_wants_it(desk: Desk) -> None:
    thread = desk.write("Can I come on Saturday?")
    marta = opened(desk, desk.hire("Marta Silva"), thread)
    write(marta, "Saturday works well.")
    desk.reply(thread, "You can.")
    warning = marta.get_by_role("alert").filter(has_text="answered")
    warning.get_by_role("button", name="Send mine too").click()
    is_sent(marta, "Saturday works well.")
    assert visible_messages(desk, thread)[1:] == ["You can.", "Saturday works well."]


def test_the_reply_is_sent_too_although_the_note_is_shown(desk: Desk) -> None:
    thread = desk.write("Can I come on Saturday?")
    marta = opened(desk, desk.hire("Marta Silva"), thread)
    write(marta, "Saturday works well.")
    marta.get_by_role("tab", name="Note").click()
    write(marta, "Ask the workshop")
    desk.reply(thread, "You can.")
    marta.get_by_role("alert").get_by_role("button", name="Send mine too").click()
    is_sent(marta, "Saturday works well.")
    assert visible_messages(desk, thread)[1:] == ["You can.", "Saturday works well."]
    marta.get_by_role("tab", name="Note").click()
    expect(marta.locator(".compose textarea")).to_have_value("Ask the workshop")


def test_a_reply_that_becomes_a_note_leaves_the_note_that_is_not_finished(desk: Desk) -> None:
    thread = desk.write("Can I come on Saturday?")
    marta = opened(desk, desk.hire("Marta Silva"), thread)
    marta.get_by_role("tab", name="Note").click()
    write(marta, "Ask the")
    marta.get_by_role("tab", name="Reply").click()
    write(marta, "Saturday works well.")
    desk.reply(thread, "You can.")
    marta.get_by_role("alert").get_by_role("button", name="Keep as a note").click()
    expect(marta.locator(".note .text")).to_have_text("Saturday works well.")
    expect(marta.locator(".compose textarea")).to_have_value("")
    marta.get_by_role("tab", name="Note").click()
    expect(marta.locator(".compose textarea")).to_have_value("Ask the")


def test_a_reply_with_an_empty_variable_does_not_become_a_note(desk: Desk) -> None:
    thread = desk.write("Can I come on Saturday?", "")
    alice = desk.hire()
    alice.browser.call(
        "/api/inbox/drafts", {"customerThreadId": thread, "mode": "reply", "text": "{{first_name}}: yes"}
    )
    page = opened(desk, alice, thread)
    expect(page.locator(".compose textarea")).to_have_value(re.compile("first name.*: yes"))
    desk.reply(thread, "You can.")
    warning = page.get_by_role("alert").filter(has_text="answered")
    page.get_by_role("tab", name="Note").click()
    warning.get_by_role("button", name="Keep as a note").click()
    expect(page.locator(".compose textarea")).to_have_value(re.compile("first name.*: yes"))
    expect(page.get_by_text("A variable is empty")).to_be_visible()
    expect(warning).to_be_visible()


def test_a_note_mentions_a_colleague(desk: Desk) -> None:
    thread = desk.write("Hello?")
    colleague = desk.hire("Jonas Mertens")
    marta, jonas = opened(desk, desk.hire("Marta Silva"), thread), desk.open(colleague)
    marta.locator(".talk h2").click()
    marta.keyboard.press("n")
    expect(marta.locator(".compose textarea")).to_be_focused()
    marta.keyboard.type("@Mert")
    marta.get_by_role("option", name="Jonas Mertens").click()
    marta.keyboard.type("can you bring the coat?")
    marta.keyboard.press("Control+Enter")
    expect(marta.locator(".note .at")).to_have_text("@Jonas Mertens")
    mentions = jonas.locator(".views").get_by_role("link", name="Mentions")
    expect(mentions).to_contain_text("1")
    mentions.click()
    row(jonas, thread).click()
    expect(jonas.locator(".note", has_text="can you bring the coat?")).to_be_visible()
    assert visible_messages(desk, thread) == ["Hello?"]


def test_assigning_and_moving_show_in_the_conversation(desk: Desk) -> None:
    thread = desk.write("Hello?")
    desk.hire("Jonas Keller")
    marta = opened(desk, desk.hire("Marta Silva"), thread, "open")
    marta.get_by_role("button", name="Assign", exact=True).click()
    marta.get_by_role("option", name="Jonas Keller").first.click()
    expect(marta.locator(".did")).to_contain_text("You assigned it to Jonas Keller")
    marta.get_by_role("button", name="More", exact=True).click()
    marta.get_by_role("menuitem", name="Move to another business…").click()
    marta.get_by_role("option", name="Boston, Newbury St").click()
    expect(marta.locator(".did", has_text="You moved it to Boston, Newbury St")).to_be_visible()


def test_an_imported_conversation_says_where_it_is_from(desk: Desk, tmp_path: Path) -> None:
    alice = desk.hire()
    carol = {"id": 2, "name": "Carol Jones", "email": desk.shop.somebody()}
    asked = {"author_id": 2, "body": "Can my coat be repaired?", "created_at": "2023-11-14T22:13:20Z"}
    ticket = {"id": uuid.uuid4().hex, "requester_id": 2, "requester": carol, "subject": "My coat", "status": "open"}
    file = tmp_path / "tickets.json"
    file.write_text(json.dumps(ticket | {"comments": [asked]}))
    options = ("--organization", desk.shop.world.acme, "--business", desk.stores[0])
    desk.shop.server.installation.cli("import", "zendesk", file, *options)
    page = desk.open(alice)
    page.locator(".list a", has_text="Carol Jones").click()
    expect(page.locator(".msg .text", has_text="Can my coat be repaired?")).to_be_visible()
    expect(page.locator(".log .subject", has_text="My coat")).to_be_visible()
    expect(page.locator(".did", has_text="Imported from Zendesk")).to_be_visible()


def test_resolving_opens_the_next_conversation_and_can_be_undone(desk: Desk) -> None:
    first, second = desk.write("One", "Carol Jones"), desk.write("Two", "Dave Miller")
    page = opened(desk, desk.hire(), first)
    page.locator(".talk h2").click()
    page.keyboard.press("e")
    expect(page.locator(".talk h2")).to_have_text("Dave Miller")
    expect(page.locator(".talk h2")).to_be_focused()
    expect(row(page, first)).to_have_count(0)
    page.keyboard.press("z")
    expect(row(page, first)).to_be_visible()
    page.goto(f"{desk.url}/inbox/needs-reply/{first}")
    expect(page.locator(".did", has_text="resolved it")).to_be_visible()
    expect(row(page, second)).to_be_visible()


def test_the_next_conversation_is_loaded_before_it_is_opened(desk: Desk) -> None:
    first, second = desk.write("Can my coat be repaired?"), desk.write("Are you open on Sunday?")
    page = desk.tab(desk.hire()).context.new_page()
    with page.expect_response(f"**/api/inbox/threads/{second}"):
        page.goto(f"{desk.url}/inbox/needs-reply/{first}")
    says(page, "Can my coat be repaired?")
    page.keyboard.press("j")
    says(page, "Are you open on Sunday?")


def test_a_snooze_ends_when_the_employee_says_so(desk: Desk) -> None:
    thread = desk.write("Hello?")
    page = opened(desk, desk.hire(), thread, "open")
    page.get_by_role("button", name="Snooze", exact=True).click()
    page.get_by_role("option", name="Tomorrow morning").click()
    expect(page.locator(".title small")).to_contain_text("Snoozed until")
    page.get_by_role("button", name="End the snooze").click()
    expect(page.locator(".title small")).to_contain_text("Waiting")


def test_a_message_that_is_sent_later_can_be_sent_now(desk: Desk) -> None:
    thread = desk.write("Hello?")
    page = opened(desk, desk.hire(), thread)
    write(page, "Good morning!")
    page.get_by_role("button", name="More ways to send").click()
    page.get_by_role("menuitem", name="Send later…").click()
    page.get_by_role("option", name="Tomorrow morning").click()
    later = page.locator(".msg.us", has_text="Good morning!")
    expect(later).to_contain_text("Will be sent")
    page.reload()
    expect(later).to_contain_text("Will be sent")
    later.get_by_role("button", name="Send now").click()
    is_sent(page, "Good morning!")
    assert visible_messages(desk, thread) == ["Hello?", "Good morning!"]


def test_a_draft_is_continued_on_a_second_machine(desk: Desk) -> None:
    thread = desk.write("Hello?")
    marta = desk.hire("Marta Silva")
    office = opened(desk, marta, thread)
    write(office, "Dear Carol, your bell")
    expect(office.get_by_text("Draft kept")).to_be_visible()
    home = opened(desk, marta, thread)
    expect(home.locator(".compose textarea")).to_have_value("Dear Carol, your bell")
    home.locator(".compose textarea").press("End")
    home.keyboard.type(" is ready.")
    expect(office.locator(".compose textarea")).to_have_value("Dear Carol, your bell is ready.")


def test_an_empty_variable_must_be_filled(desk: Desk) -> None:
    reply = {"shortcut": "repair", "title": "Repair", "text": "Dear {{first_name}}, of course."}
    call(desk.shop, "/api/saved-replies", **reply, businessId=desk.stores[0])  # other tests count what is offered
    thread = desk.write("Hello?", name="")
    page = opened(desk, desk.hire(), thread)
    write(page, "/rep")
    expect(page.get_by_role("option", name="/repair")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".marks .gap")).to_contain_text("first name?")
    expect(page.get_by_role("button", name="Send", exact=False).first).to_be_disabled()
    page.keyboard.type("Carol")
    expect(page.locator(".compose textarea")).to_have_value("Dear Carol, of course.")
    page.keyboard.press("Control+Enter")
    says(page, "Dear Carol, of course.")


def call_as(employee: Hired, path: str, body: object) -> None:
    """Send a request as an employee, which must succeed."""
    answer = employee.browser.call(path, body)
    assert answer.status_code == 200, answer.text
