"""What the inbox could not read is read again, without a new signal and without a click."""

from playwright.sync_api import BrowserContext, Page, Route, expect
from test_inbox_answering import desk as desk

from harness.browser import faults
from harness.inbox_desk import Desk, cut, expect_order, leave_list, row
from harness.late import first_of, settle

BUSY = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "The server is busy."}


def fail(context: BrowserContext, url: str, times: int = 1_000) -> list[Route]:
    """Answer the next requests with 503; returns those that failed."""
    failed: list[Route] = []

    def answer(route: Route) -> None:
        if len(failed) == times:
            route.fallback()
        else:
            failed.append(route)
            route.fulfill(status=503, json=BUSY)

    context.route(url, answer)
    return failed


def succeed(desk: Desk, page: Page, url: str, failed: list[Route]) -> None:
    """Let requests succeed again, once all that the stream has told has failed."""
    desk.settle()
    first_of(failed, page)
    settle(page)
    page.context.unroute(url)


def test_news_that_could_not_be_read_are_read_again(desk: Desk) -> None:
    tab = desk.tab(desk.hire())
    page = tab.open(f"{desk.url}/inbox")
    expect(page.get_by_text("No one is waiting")).to_be_visible()
    thread = desk.write("Hello?")
    expect_order(page, thread)  # so the stream is there
    leave_list(page)
    url = "**/api/inbox/threads?customerThreadId=*"
    failed = fail(tab.context, url)
    desk.set_status(thread, "resolved")
    succeed(desk, page, url, failed)
    expect_order(page)
    tab.forgive("status of 503")


def test_a_list_that_could_not_be_read_after_a_cut_is_read_again(desk: Desk) -> None:
    resolved, waiting = desk.write("One"), desk.write("Two")
    tab = desk.tab(desk.hire())
    page = tab.open(f"{desk.url}/inbox")
    expect_order(page, resolved, waiting)
    leave_list(page)
    cut(page)
    desk.set_status(resolved, "resolved")
    desk.settle()
    url = "**/api/inbox/threads?view=*"
    failed = fail(tab.context, url)
    tab.context.set_offline(False)
    succeed(desk, page, url, failed)
    expect_order(page, waiting)
    tab.forgive("ERR_INTERNET_DISCONNECTED|status of 503")


def test_counts_that_could_not_be_read_are_read_again(desk: Desk) -> None:
    thread = desk.write("Hello?")
    desk.settle()
    tab = desk.tab(desk.hire())
    # With the list, and when the stream is ready: later, only a repetition asks.
    fail(tab.context, "**/api/inbox/counts", times=2)
    page = tab.open(f"{desk.url}/inbox")
    expect_order(page, thread)
    expect(page).to_have_title("(1) Needs reply · Shopbell")
    tab.forgive("status of 503")


def test_an_open_conversation_that_could_not_be_read_is_read_again(desk: Desk) -> None:
    email = desk.shop.somebody()
    thread = desk.write("One", email=email)
    tab = desk.tab(desk.hire())
    page = tab.open(f"{desk.url}/inbox/open/{thread}")
    expect(page.locator(".msg .text")).to_have_text(["One"])
    url = f"**/api/inbox/threads/{thread}"
    failed = fail(tab.context, url)
    desk.write("Two", email=email)
    succeed(desk, page, url, failed)
    expect(page.locator(".msg .text")).to_have_text(["One", "Two"])
    tab.forgive("status of 503")


def test_code_that_could_not_be_loaded_at_the_start_is_loaded_again(desk: Desk) -> None:
    thread = desk.write("Hello?")
    alice = desk.hire()
    draft = {"customerThreadId": thread, "mode": "reply", "text": "Good morning"}
    assert alice.browser.call("/api/inbox/drafts", draft).status_code == 200
    desk.settle()
    tab = desk.tab(alice)
    failed = fail(tab.context, "**/assets/Conversation-*.js", times=2)  # its preload, and itself
    page = tab.open(f"{desk.url}/inbox")
    expect(row(page, thread).get_by_text("Draft")).to_be_visible()  # that code reads them
    assert failed
    tab.forgive("status of 503")


def test_an_inbox_that_could_not_be_started_says_so(desk: Desk) -> None:
    thread = desk.write("Hello?")
    tab = desk.tab(desk.hire(), locale="de-DE")
    failed = fail(tab.context, "**/api/me", times=1)
    page = tab.open(f"{desk.url}/inbox")
    expect(page.get_by_role("alert")).to_contain_text("Die Konversationen konnten nicht geladen werden")
    assert faults(page) == []
    page.get_by_role("button", name="Erneut versuchen").click()
    expect_order(page, thread)
    assert failed
    tab.forgive("status of 503|not caught")
