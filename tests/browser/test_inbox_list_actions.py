"""Employees act on rows of the inbox's list, and take it back."""

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from test_inbox_answering import WITH_LASTING_TOASTS
from test_inbox_list import MANY, NO_TIME_BETWEEN_KEYS
from test_inbox_list import desk as desk

from harness.employees import hire
from harness.inbox_desk import STORES, Desk, expect_focus, expect_order, leave_list, row
from harness.late import LateResponse, first_of, settle
from shopbell.accounts.roles import Roles

FIVE_SECONDS_ON_CALL = """
    const after = window.setTimeout, late = []
    window.setTimeout = (callback, ms, ...more) => ms === 5_000 ? late.push(callback) : after(callback, ms, ...more)
    window.pass5Seconds = () => late.splice(0).forEach(callback => callback())
"""
"""A page in which five seconds pass when the test says so."""
TEN_SECONDS_LATER = "now => { Date.now = () => now + 10_000 }"


def toast(page: Page, text: str) -> Locator:
    """The toast with a text."""
    return page.locator(".toast", has_text=text)


def test_a_conversation_is_resolved_from_the_list_and_the_undo_brings_it_back(desk: Desk) -> None:
    first, second, third = desk.write("One", "Emma Novak"), desk.write("Two"), desk.write("Three")
    page = desk.open(desk.hire())
    expect_order(page, first, second, third)
    page.keyboard.press("j")
    expect_focus(page, first)
    page.keyboard.press("e")
    expect(toast(page, "Emma Novak: resolved")).to_be_visible()
    expect_order(page, second, third)
    expect_focus(page, second)
    assert page.url.endswith("/inbox")  # nothing was opened
    assert desk.status(first) == "resolved"
    page.keyboard.press("z")
    expect(toast(page, "Undone: Emma Novak: resolved")).to_be_visible()
    expect_order(page, first, second, third)
    assert desk.status(first) == "waiting"


def test_a_refused_action_is_reported_and_reverted(desk: Desk) -> None:
    thread = desk.write("One")
    tab = desk.tab(desk.hire())
    tab.context.route("**/api/inbox/bulk", lambda route: route.fulfill(status=503, json={"detail": "No."}))
    page = tab.open(f"{desk.url}/inbox")
    expect_order(page, thread)
    page.keyboard.press("j")
    expect_focus(page, thread)
    page.keyboard.press("e")
    expect(toast(page, "Something went wrong.")).to_be_visible()
    expect_order(page, thread)
    tab.forgive("status of 503")


def test_a_newer_row_without_the_action_does_not_revert_it_for_five_seconds(desk: Desk) -> None:
    resolved, stays = desk.write("One"), desk.write("Two")
    tab = desk.tab(desk.hire())
    tab.context.add_init_script(FIVE_SECONDS_ON_CALL)
    page = tab.open(f"{desk.url}/inbox/needs-reply/{resolved}")
    expect_order(page, resolved, stays)

    def read_before(route: Route) -> None:
        """Answer as if the server read the row after another event, but before the action."""
        answer = route.fetch()
        body = answer.json()
        if "thread" in body:
            body["thread"]["position"] = 0  # it is read at the end of the feed, so it would have the action
        for each in body.get("threads", []):
            if each["customerThreadId"] == resolved:
                each.update(status="waiting", waitingSince=each["lastMessageAt"])
        route.fulfill(response=answer, json=body)

    page.route(lambda url: "customerThreadId=" in url or url.endswith(f"/api/inbox/threads/{resolved}"), read_before)
    page.locator(".talk h2").click()
    page.keyboard.press("e")
    expect(toast(page, "resolved")).to_be_visible()
    leave_list(page)
    comes = desk.write("Are you open?")
    expect(row(page, comes)).to_be_visible()
    expect_order(page, stays, comes)
    page.evaluate("pass5Seconds()")
    expect_order(page, resolved, stays, comes)  # in the end, the server is right


def test_what_is_undone_returns_to_its_place_on_a_slow_connection_too(desk: Desk) -> None:
    first, second = desk.write("One"), desk.write("Two")
    page = desk.open(desk.hire())
    expect_order(page, first, second)
    page.keyboard.press("j")
    expect_focus(page, first)
    url = "**/api/inbox/threads?customerThreadId=*"
    with page.expect_response(url):  # the page has read the row as the action left it
        page.keyboard.press("e")
    expect_order(page, second)
    expect_focus(page, second)  # so the list keeps its order
    settle(page)
    news: list[Route] = []
    page.route(url, lambda route: news.append(route))
    page.keyboard.press("z")
    first_of(news, page)
    page.evaluate(TEN_SECONDS_LATER, page.evaluate("Date.now()"))
    for each in news:
        each.continue_()
    expect_order(page, first, second)


@pytest.mark.parametrize("is_response_late", [True, False])
def test_a_customer_who_writes_just_after_the_action_is_shown_at_once(desk: Desk, is_response_late: bool) -> None:
    email = desk.shop.somebody()
    writes, stays = desk.write("One", email=email), desk.write("Two")
    desk.settle()  # the first news of the page are those of the action
    tab = desk.tab(desk.hire())
    tab.context.add_init_script(FIVE_SECONDS_ON_CALL)
    page = tab.open(f"{desk.url}/inbox/needs-reply/{writes}")
    expect_order(page, writes, stays)
    news: list[Route] = []
    page.route("**/api/inbox/threads?customerThreadId=*", lambda route: news.append(route))
    late = LateResponse(page, "**/api/inbox/bulk" if is_response_late else "**/no-such-path", "POST")
    page.locator(".talk h2").click()
    page.keyboard.press("e")
    expect_order(page, stays)
    row_is_read = first_of(news, page)
    if is_response_late:
        first_of(late.held, page)
    else:
        expect(toast(page, "resolved")).to_be_visible()
    leave_list(page)
    desk.write("One more thing", email=email)
    desk.settle()
    with page.expect_event("requestfinished", lambda request: request == row_is_read.request):
        row_is_read.continue_()  # the page has read no row of before the message
    if is_response_late:
        late.arrive()
    expect_order(page, stays, writes)


def test_what_failed_without_being_named_returns_to_its_place(desk: Desk) -> None:
    thread = desk.write("One")
    tab = desk.tab(desk.hire())
    answer = {"actionId": "1", "changed": 0, "unchanged": 0, "failed": [], "failedCount": 1, "position": 1}
    tab.context.route("**/api/inbox/bulk", lambda route: route.fulfill(json=answer))
    page = tab.open(f"{desk.url}/inbox")
    expect_order(page, thread)
    page.keyboard.press("j")
    expect_focus(page, thread)
    page.keyboard.press("e")
    expect(toast(page, "1 conversation could not be changed.")).to_be_visible()
    expect_order(page, thread)


def test_what_the_server_could_not_change_returns_to_its_place(desk: Desk) -> None:
    email = desk.shop.somebody()
    thread = desk.write("One", "Emma Novak", email=email)
    desk.write("Two", "Emma Novak", store=1, email=email)  # a customer has one conversation with a business
    moved = desk.write("Three")
    page = desk.open(desk.hire(), f"inbox/needs-reply?businessId={desk.stores[0]}")
    expect_order(page, thread, moved)
    page.keyboard.press("j")
    expect_focus(page, thread)
    page.keyboard.press("x")
    with page.expect_response(f"**/api/inbox/threads/{moved}"):  # it is read because it may be opened next
        page.keyboard.press("Shift+J")
    page.keyboard.press("v")
    page.keyboard.type("boston")
    page.keyboard.press("Enter")
    expect(toast(page, "1 conversation could not be changed.")).to_be_visible()
    expect_order(page, thread)


def test_a_conversation_is_assigned_snoozed_tagged_and_moved_without_being_opened(desk: Desk) -> None:
    thread = desk.write("One", "Emma Novak")
    desk.hire("Ben Carter")
    tag = desk.tag()
    tab = desk.tab(desk.hire())
    tab.context.add_init_script(NO_TIME_BETWEEN_KEYS)
    page = tab.open(f"{desk.url}/inbox")
    expect_order(page, thread)
    page.keyboard.press("j")
    expect_focus(page, thread)
    page.keyboard.press("a")
    page.keyboard.type("ben car")
    page.keyboard.press("Enter")
    expect(row(page, thread)).to_contain_text("assigned to Ben Carter")
    expect_focus(page, thread)
    page.keyboard.press("i")
    expect(row(page, thread)).to_contain_text("assigned to Alice Archer")
    page.keyboard.press("t")
    page.keyboard.type(tag)
    expect(page.get_by_role("option", name=tag)).to_be_visible()  # the tags are loaded when the dialog opens
    page.keyboard.press("Enter")
    page.keyboard.press("Control+Enter")
    expect(toast(page, "Emma Novak: tags changed")).to_be_visible()
    page.keyboard.press("v")
    page.keyboard.type("boston")
    page.keyboard.press("Enter")
    expect(row(page, thread)).to_contain_text("Boston")
    page.keyboard.press("s")
    page.keyboard.type("hours")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No one is waiting")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("s")
    expect(row(page, thread)).to_contain_text("snoozed until")
    assert "/inbox/snoozed" in page.url


@pytest.mark.parametrize("is_of_all", [True, False])
def test_only_managers_of_the_organization_are_offered_to_create_a_tag(desk: Desk, is_of_all: bool) -> None:
    thread = desk.write("One")
    tag = desk.tag()
    page = desk.open(hire(desk.shop, roles=Roles("manager", {})) if is_of_all else desk.hire(), f"inbox/open/{thread}")
    page.locator(".talk h2").focus()
    page.keyboard.press("t")
    expect(page.get_by_role("option", name=tag)).to_be_visible()
    page.keyboard.type("Another tag")
    expect(page.get_by_role("option", name=tag)).to_have_count(0)
    expect(page.get_by_role("option", name="Another tag")).to_have_count(1 if is_of_all else 0)


def test_several_conversations_are_selected_and_changed_at_once(desk: Desk) -> None:
    first, second, third = desk.write("One"), desk.write("Two"), desk.write("Three")
    tab = desk.tab(desk.hire())
    tab.context.add_init_script(WITH_LASTING_TOASTS)
    page = tab.open(f"{desk.url}/inbox")
    expect_order(page, first, second, third)
    page.keyboard.press("j")
    expect_focus(page, first)
    page.keyboard.press("x")
    page.keyboard.press("Shift+J")
    expect(page.locator(".picked")).to_contain_text("2 of 3 selected")
    page.get_by_role("button", name="Resolve").click()
    expect(toast(page, "2 conversations resolved")).to_be_visible()
    expect_order(page, third)
    expect(page.locator(".picked")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(toast(page, "Undone: 2 conversations resolved")).to_be_visible()
    expect_order(page, first, second, third)
    row(page, second).hover()
    page.get_by_role("checkbox").nth(1).check()
    expect(page.locator(".picked")).to_contain_text("1 of 3 selected")
    page.get_by_role("button", name="Clear the selection").click()
    expect(page.locator(".list h2")).to_be_visible()


def test_an_undo_skips_what_has_changed_since(desk: Desk) -> None:
    first, second = desk.write("One"), desk.write("Two")
    page = desk.open(desk.hire())
    expect_order(page, first, second)
    page.keyboard.press("j")
    expect_focus(page, first)
    page.keyboard.press("x")
    page.keyboard.press("Shift+J")
    resolved = LateResponse(page, "**/api/inbox/threads?customerThreadId=*")
    page.keyboard.press("e")
    expect(toast(page, "2 conversations resolved")).to_be_visible()
    desk.set_status(second, "replied")
    desk.settle()
    page.locator(".list .content").hover()  # what is in the list now stays in it
    page.keyboard.press("z")
    said = toast(page, "Undone: 1 conversation resolved.")
    expect(said).to_contain_text("1 conversation has changed since and was skipped.")
    expect_order(page, first)
    resolved.arrive()
    expect_order(page, first)


def test_all_that_match_are_changed_at_once_and_restored(desk: Desk) -> None:
    for number in range(MANY):
        desk.write(f"Message {number}")
    kept = desk.write("Keep me", store=1)
    page = desk.open(desk.hire(), f"inbox/needs-reply?businessId={desk.stores[0]}")
    page.get_by_role("checkbox").first.check(force=True)
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("button", name="Select all that match").click()
    page.get_by_role("button", name="Resolve").click()
    expect(toast(page, f"{MANY} conversations resolved")).to_be_visible()
    expect(page.get_by_text("No conversation matches the filter")).to_be_visible()
    assert desk.status(kept) == "waiting"
    page.keyboard.press("z")
    expect(toast(page, f"Undone: {MANY} conversations resolved")).to_be_visible()
    expect(page.locator(".row[data-thread]").first).to_be_visible()
    expect(page.get_by_role("link", name=STORES[0])).to_contain_text(str(MANY))


def test_a_filter_is_saved_shared_and_deleted(desk: Desk) -> None:
    desk.write("One")
    there = desk.write("Two", store=1)
    alice = desk.hire()
    page = desk.open(alice, f"inbox/needs-reply?businessId={desk.stores[1]}")
    page.get_by_role("button", name="Filter", exact=True).click()
    page.get_by_label("Save this filter as").fill("Refunds in Boston")
    page.get_by_label("Share with colleagues").check()
    page.get_by_role("button", name="Save").click()
    saved = page.get_by_role("navigation", name="Views").get_by_role("link", name="Refunds in Boston")
    expect(saved).to_have_attribute("aria-current", "page")
    expect(saved).to_contain_text("1")
    colleague = desk.open(desk.hire("Ben Carter"))
    colleague.get_by_role("link", name="Refunds in Boston").click()
    expect_order(colleague, there)
    expect(colleague.locator(".list h2")).to_have_text("Refunds in Boston")
    page.reload()
    page.get_by_role("button", name="Filter", exact=True).click()
    page.get_by_role("button", name="Delete the saved filter").click()
    expect(saved).to_have_count(0)
