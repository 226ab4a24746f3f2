"""Responses that the server computed before a change do not take it back when they arrive after it."""

import pytest
from playwright.sync_api import Page, Route, expect
from test_inbox_answering import WITH_LASTING_TOASTS, WITHOUT_REPETITION, composer, opened
from test_inbox_answering import desk as desk

from harness.browser import DRAWN
from harness.inbox_desk import Desk, expect_order, row
from harness.late import LateResponse, first_of


def test_an_older_list_of_saved_views_does_not_hide_a_new_one(desk: Desk) -> None:
    page = desk.tab(desk.hire()).context.new_page()
    late = LateResponse(page, "**/api/saved-views?*")
    page.goto(f"{desk.url}/inbox/needs-reply?businessId={desk.stores[1]}")
    page.get_by_role("button", name="Filter", exact=True).click()
    page.get_by_label("Save this filter as").fill("Refunds in Boston")
    page.get_by_role("button", name="Save").click()
    saved = page.get_by_role("navigation", name="Views").get_by_role("link", name="Refunds in Boston")
    expect(saved).to_be_visible()
    late.arrive()
    assert saved.is_visible()


def test_older_counts_do_not_replace_newer_ones(desk: Desk) -> None:
    page = desk.tab(desk.hire()).context.new_page()
    late = LateResponse(page, "**/api/inbox/counts")
    page.goto(f"{desk.url}/inbox")
    expect(page.get_by_text("No one is waiting")).to_be_visible()
    with page.expect_response("**/api/inbox/counts"):
        expect_order(page, desk.write("Hello?"))
    expect(page).to_have_title("(1) Needs reply · Shopbell")
    late.arrive()
    assert page.title() == "(1) Needs reply · Shopbell"


def test_a_response_that_is_older_than_a_signal_does_not_change_who_writes(desk: Desk) -> None:
    email = desk.shop.somebody()
    thread = desk.write("Hello?", email=email)
    marta, tab = opened(desk, thread, name="Marta Silva"), desk.tab(desk.hire("Jonas Keller"))
    tab.context.add_init_script(WITHOUT_REPETITION)
    jonas = tab.open(f"{desk.url}/inbox/open/{thread}")
    composer(jonas).press_sequentially("Good morning")
    writes = marta.locator(".beside.writes")
    expect(writes).to_be_visible()
    address = f"{desk.url}/api/inbox/threads/{thread}"
    older = marta.request.get(address)
    late: list[Route] = []
    marta.route(address, lambda route: route.continue_() if late else late.append(route))
    desk.write("Are you there?", email=email)
    first_of(late, marta)  # what Jonas has read may let the page ask for it already
    jonas.keyboard.press("Control+Enter")
    expect(marta.get_by_text("Jonas Keller is reading this too")).to_be_visible()
    with marta.expect_event("requestfinished", lambda request: request == late[0].request):
        late[0].fulfill(response=older)
    marta.evaluate(DRAWN)
    assert writes.count() == 0


def open_without_stream(desk: Desk, path: str) -> tuple[Page, list[Route]]:
    """Open a page; its live stream waits in the list."""
    desk.settle()
    page = desk.tab(desk.hire()).context.new_page()
    streams: list[Route] = []
    page.route("**/api/stream?*", lambda route: streams.append(route))
    page.goto(f"{desk.url}/{path}")
    return page, streams


def let_it_read_again(page: Page, streams: list[Route]) -> None:
    """Let the stream begin without any event: the page reads once what it shows."""
    first_of(streams, page).fulfill(content_type="text/event-stream", body="event: ready\ndata: {}\n\n")


def test_rows_that_a_reload_moves_while_more_are_loaded_are_not_missing(desk: Desk) -> None:
    threads = [desk.write(f"Message {number}") for number in range(120)]
    page, streams = open_without_stream(desk, "inbox/needs-reply?sort=recent")
    expect(row(page, threads[-1])).to_be_visible()
    late = LateResponse(page, "**/api/inbox/threads?*cursor=*")
    rows = page.locator(".rows")
    rows.evaluate("box => { box.scrollTop = box.scrollHeight }")
    first_of(late.held, page)
    threads += [desk.write(f"Later {number}") for number in range(5)]
    desk.settle()
    let_it_read_again(page, streams)
    rows.evaluate("box => { box.scrollTop = 0 }")
    expect(row(page, threads[-1])).to_be_visible()
    late.arrive()
    for place, thread in enumerate(reversed(threads), 1):
        if place % 20 == 0 or 98 <= place <= 107:  # the 100th row was the last one
            rows.evaluate("(box, place) => { box.scrollTop = 78 * place - 100 }", place)
            expect(row(page, thread)).to_be_visible()


def test_older_messages_that_arrive_after_a_gap_are_not_put_before_it(desk: Desk) -> None:
    email = desk.shop.somebody()
    for number in range(60):
        thread = desk.write(f"{number}", email=email)
    page, streams = open_without_stream(desk, "inbox")
    late = LateResponse(page, "**/earlier?*")
    row(page, thread).click()
    texts = page.locator(".msg .text")
    expect(texts).to_have_count(50)
    page.locator(".scroll").evaluate("box => { box.scrollTop = 0 }")
    first_of(late.held, page)
    for number in range(60, 120):
        desk.write(f"{number}", email=email)
    desk.settle()
    let_it_read_again(page, streams)
    expect(texts.last).to_have_text("119")
    late.arrive()
    numbers = [int(text) for text in texts.all_inner_texts()]
    assert numbers == list(range(numbers[0], 120))


@pytest.mark.parametrize("is_list_late", [False, True])
def test_what_changes_before_the_live_stream_is_there_is_shown(desk: Desk, is_list_late: bool) -> None:
    resolved, stays = desk.write("One"), desk.write("Two")
    alice = desk.hire()
    desk.settle()
    page = desk.tab(alice).context.new_page()
    streams: list[Route] = []
    page.route("**/api/stream?*", lambda route: streams.append(route))
    late = LateResponse(page, "**/api/inbox/threads?*")
    page.goto(f"{desk.url}/inbox")
    first_of(late.held, page)
    if not is_list_late:
        late.arrive()
        expect_order(page, resolved, stays)
    desk.set_status(resolved, "resolved")
    desk.settle()
    with page.expect_response("**/api/stream?*"):
        first_of(streams, page).continue_()
    if is_list_late:
        late.arrive()
    expect_order(page, stays)


def test_a_request_of_a_session_that_has_ended_is_repeated_after_the_next_sign_in(desk: Desk) -> None:
    thread = desk.write("Hello?")
    alice = desk.hire()
    visit = desk.tab(alice)
    page = visit.open(f"{desk.url}/inbox/open/{thread}")
    expect(page.locator(".compose textarea")).to_be_visible()
    late = LateResponse(page, "**/api/inbox/drafts", "POST")

    def end_session(route: Route) -> None:
        """The first request without a session is the draft's: no other one shows the dialog before."""
        if route.request.method == late.method and not late.held:
            visit.context.clear_cookies()
        route.fallback()

    page.route(late.url, end_session)
    page.locator(".compose textarea").fill("Dear Carol")
    first_of(late.held, page)
    page.evaluate("dispatchEvent(new Event('online'))")  # the stream connects again, and is refused
    dialog = page.get_by_role("dialog", name="Your session has ended")
    expect(dialog).to_be_visible()
    alice.browser.sign_in(alice.email)
    desk.sign_in(visit, alice)
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog).to_have_count(0)
    late.arrive()
    expect(page.get_by_text("Draft kept", exact=True)).to_be_visible()
    expect(dialog).to_have_count(0)
    visit.forgive("status of 401")


def test_a_message_that_is_sent_before_its_confirmation_has_come_is_called_sent(desk: Desk) -> None:
    thread = desk.write("Hello?", "Carol Jones")
    tab = desk.tab(desk.hire())
    tab.context.add_init_script(WITH_LASTING_TOASTS)
    page = tab.open(f"{desk.url}/inbox/open/{thread}")
    late = LateResponse(page, "**/api/scheduled-messages", "POST")
    page.locator(".compose textarea").fill("Good morning")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".msg.us .state")).to_have_text("Sent")
    expect(page.locator(".toast")).to_contain_text("Sending to Carol Jones…")
    late.arrive()
    expect(page.locator(".toast")).to_have_text("Sent to Carol Jones")
