"""Employees see who waits, and act on conversations, in the list of the inbox."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from harness.browser import Visit, faults
from harness.inbox_desk import STORES, Desk, cut, expect_focus, expect_order, leave_list, row
from harness.late import LateResponse, first_of, settle
from harness.shop import Shop

MANY = 120
NO_TIME_BETWEEN_KEYS = """
    Object.defineProperty(Event.prototype, "timeStamp", { get: () => 0 })
    const after = window.setTimeout
    window.setTimeout = (callback, ms, ...more) => ms === 1_000 ? 0 : after(callback, ms, ...more)
"""
"""A page on which any two keys are pressed within a second."""
SCROLL_AT_ONCE = """
    new MutationObserver((_, observer) => {
        const box = document.querySelector(".rows:not([aria-busy])")
        if (!box) return
        observer.disconnect()
        box.scrollTop = 500
    }).observe(document, { childList: true, subtree: true })
"""
"""A list that is scrolled before the frame in which it is first seen."""
WITHOUT_RETRIES = """
    const after = window.setTimeout
    window.setTimeout = (callback, ms, ...more) => ms === 2_000 ? 0 : after(callback, ms, ...more)
"""
"""A page that does not repeat a request that has failed."""


@pytest.fixture
def desk(shops: Callable[..., Shop], visit: Callable[..., Visit]) -> Desk:
    """Two stores of one organization."""
    return Desk(shops("sqlite", visitor_rate_per_min=100_000, rate_limit_per_s=1_000), visit)


# What is shown


def test_the_customer_who_waits_longest_comes_first(desk: Desk) -> None:
    first = desk.write("Is my coat\nready?", "Leïla Haddad")
    second = desk.write("متى يصل طلبي رقم 48213؟", "صفاء الزين", store=1)
    answered = desk.write("Do you have it in size M?", "Ingrid Berg")
    desk.reply(answered)
    page = desk.open(desk.hire())
    expect_order(page, first, second)
    expect(row(page, first)).to_contain_text("Is my coat ready?")
    for text in ("Leïla Haddad", "unread", "Lyon", "Chat"):
        expect(row(page, first)).to_contain_text(text)
    expect(row(page, second)).to_contain_text("Boston")
    expect(page.locator(".list h2")).to_have_text("Needs reply")
    expect(page.locator(".list .bar .num")).to_contain_text("2 conversations")
    expect(page).to_have_title("(2) Needs reply · Shopbell")


def test_a_wait_of_half_an_hour_stands_out(desk: Desk) -> None:
    thread = desk.write("Hello?")
    alice = desk.hire()
    expect(row(desk.open(alice), thread).locator(".age.late")).to_have_count(0)
    late = desk.tab(alice)
    said_at_ms = desk.shop.messages(thread)[0]["created_at_ms"]
    late.context.add_init_script(f"Date.now = () => {said_at_ms + 31 * 60_000}")
    page = late.open(f"{desk.url}/inbox")
    expect(row(page, thread).locator(".age.late")).to_contain_text("31 m")


def test_views_and_stores_have_counts_and_lead_to_their_conversations(desk: Desk) -> None:
    waiting = desk.write("Hello?")
    elsewhere = desk.write("Hello?", store=1)
    answered = desk.write("Thanks")
    desk.reply(answered)
    resolved = desk.write("Bye")
    desk.set_status(resolved, "resolved")
    page = desk.open(desk.hire())
    views = page.get_by_role("navigation", name="Views")
    expect(views.get_by_role("link", name="Needs reply")).to_contain_text("2")
    expect(views.get_by_role("link", name="Needs reply")).to_have_attribute("aria-current", "page")
    expect(views.get_by_role("link", name=STORES[1])).to_contain_text("1")
    views.get_by_role("link", name="All open").click()
    expect_order(page, waiting, elsewhere, answered)
    views.get_by_role("link", name="Resolved").click()
    expect_order(page, resolved)
    views.get_by_role("link", name=STORES[1]).click()
    expect_order(page, elsewhere)
    page.go_back()
    expect_order(page, resolved)
    page.reload()
    expect_order(page, resolved)


def test_filters_are_in_the_address(desk: Desk) -> None:
    here = desk.write("Hello?")
    desk.write("Hello?", store=1)
    alice = desk.hire()
    page = desk.open(alice)
    page.get_by_role("button", name="Filter", exact=True).click()
    page.get_by_label("Business").select_option(STORES[0])
    expect_order(page, here)
    assert f"businessId={desk.stores[0]}" in page.url
    page.get_by_label("Channel").select_option("Email")
    expect(page.get_by_text("No conversation matches the filter")).to_be_visible()
    page.keyboard.press("Escape")
    copy = desk.open(alice, page.url.removeprefix(f"{desk.url}/"))
    expect(copy.get_by_text("No conversation matches the filter")).to_be_visible()
    copy.get_by_role("button", name="Remove the filter Email").click()
    expect_order(copy, here)
    copy.get_by_role("button", name="Clear").click()
    expect(copy.locator(".row[data-thread]")).to_have_count(2)
    assert "businessId" not in copy.url


def test_the_latest_message_can_come_first(desk: Desk) -> None:
    older, newer = desk.write("One"), desk.write("Two")
    page = desk.open(desk.hire())
    expect_order(page, older, newer)
    page.get_by_role("button", name="Longest waiting").click()
    page.get_by_role("menuitemradio", name="Most recent").click()
    expect_order(page, newer, older)
    assert "sort=recent" in page.url


# What changes


def test_a_new_conversation_appears_at_its_place_and_an_answered_one_leaves(desk: Desk) -> None:
    first = desk.write("One")
    page = desk.open(desk.hire())
    leave_list(page)
    second = desk.write("Two")
    expect_order(page, first, second)
    expect(page.get_by_role("link", name="Needs reply")).to_contain_text("2")
    desk.reply(first)
    expect_order(page, second)


def test_a_list_that_the_server_read_before_a_change_does_not_revert_it(desk: Desk) -> None:
    leaves = desk.write("Hello?", "Carol Jones")
    page = desk.open(desk.hire(), "inbox/open")
    stays = desk.write("Me, too", "Dave Miller")
    expect_order(page, leaves, stays)  # so the stream is there: the page reads the list again only when it is opened
    page.get_by_role("link", name="Mine").click()
    expect(row(page, leaves)).to_have_count(0)
    late = LateResponse(page, "**/api/inbox/threads?view=open&*")
    page.go_back()  # the list is known, and is read again
    first_of(late.held, page)
    desk.set_status(leaves, "resolved")
    expect(row(page, leaves)).to_have_count(0)
    comes = desk.write("Are you open?", "Eve Brown")
    expect(row(page, comes)).to_be_visible()
    late.arrive()
    expect_order(page, stays, comes)


def test_the_order_is_held_while_the_pointer_is_in_the_list(desk: Desk) -> None:
    first = desk.write("One")
    page = desk.open(desk.hire())
    row(page, first).hover()
    second, third = desk.write("Two"), desk.write("Three")
    new = page.get_by_role("button", name="2 new")
    expect(new).to_be_visible()
    desk.reply(first)
    expect(row(page, first)).to_contain_text("Replied")
    expect_order(page, first)
    new.click()
    expect_order(page, second, third)
    row(page, third).hover()
    fourth = desk.write("Four")
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    leave_list(page)
    expect_order(page, second, third, fourth)
    expect(page.locator(".fresh")).to_have_count(0)


def test_a_conversation_comes_into_an_empty_list_under_the_pointer(desk: Desk) -> None:
    page = desk.open(desk.hire())
    answered = desk.write("Zero")
    expect_order(page, answered)
    desk.reply(answered)
    page.get_by_text("No one is waiting").hover()
    first = desk.write("One")
    expect_order(page, first)
    desk.write("Two")
    expect(page.get_by_role("button", name="1 new")).to_be_visible()


def test_a_colleague_who_writes_is_shown_in_the_list(desk: Desk) -> None:
    page = desk.open(desk.hire())
    bob = desk.hire("Ben Carter")
    thread = desk.write("Hello?")
    expect_order(page, thread)  # so the stream is there: nothing repeats what it tells of colleagues
    told = {"customerThreadId": thread, "state": "writing"}
    bob.browser.call("/api/inbox/presence", told)
    expect(row(page, thread)).to_contain_text("Ben Carter is writing…")
    expect(row(page, thread).locator(".who.busy")).to_be_visible()
    bob.browser.call("/api/inbox/presence", told | {"state": "left"})
    expect(row(page, thread)).to_contain_text("Hello?")
    expect(row(page, thread).locator(".who.busy")).to_have_count(0)


def test_reading_on_another_device_shows_here(desk: Desk) -> None:
    thread = desk.write("Hello?")
    alice = desk.hire()
    page = desk.open(alice)
    expect(row(page, thread)).to_contain_text("unread")
    alice.browser.call("/api/inbox/read", {"customerThreadId": thread, "sequence": 1})
    expect(row(page, thread)).not_to_contain_text("unread")


def test_a_long_list_draws_only_what_is_near(desk: Desk) -> None:
    threads = [desk.write(f"Message {number}") for number in range(MANY)]
    page = desk.open(desk.hire())
    expect(page.locator(".item").first).to_have_attribute("aria-setsize", str(MANY))
    leave_list(page)
    page.keyboard.press("j")
    expect_focus(page, threads[0])
    for thread in threads[1:]:
        expect(row(page, thread)).to_be_attached()  # the last rows may still be loading
        page.keyboard.press("j")
        expect_focus(page, thread)
    expect(page.locator(".item").last).to_have_attribute("aria-posinset", str(MANY))
    assert page.locator(".row[data-thread]").count() < MANY / 2
    assert row(page, threads[0]).count() == 0
    assert page.locator(".item").last.evaluate("e => e.getBoundingClientRect().height") == 78


def test_a_list_that_is_scrolled_at_once_stays_there(desk: Desk) -> None:
    threads = [desk.write(f"Message {number}") for number in range(20)]
    desk.settle()
    tab = desk.tab(desk.hire())
    tab.context.add_init_script(SCROLL_AT_ONCE)
    page = tab.open(f"{desk.url}/inbox")
    expect_order(page, *threads)
    settle(page)
    assert page.locator(".rows").evaluate("box => box.scrollTop") == 500


# What goes wrong


def test_loading_shows_nothing_at_first_and_then_the_shape_of_rows(desk: Desk) -> None:
    thread = desk.write("Hello?")
    desk.settle()
    tab = desk.tab(desk.hire())
    held: list[Route] = []
    tab.context.route("**/api/inbox/threads*", lambda route: held.append(route))
    page = tab.open(f"{desk.url}/inbox")
    expect(page.locator(".rows[aria-busy] .bones").first).to_be_visible()
    assert faults(page) == []
    for route in held:
        route.continue_()
    expect_order(page, thread)


def test_a_list_that_could_not_be_loaded_can_be_tried_again(desk: Desk) -> None:
    thread = desk.write("Hello?")
    desk.settle()
    tab = desk.tab(desk.hire())
    tab.context.add_init_script(WITHOUT_RETRIES)
    tab.context.route("**/api/stream?*", lambda _: None)  # the page would read the list once it is there
    tab.context.route("**/api/inbox/threads*", lambda route: route.abort())
    page = tab.open(f"{desk.url}/inbox")
    expect(page.get_by_role("alert")).to_contain_text("could not be loaded")
    assert faults(page) == []
    tab.forgive("ERR_FAILED")
    tab.context.unroute("**/api/inbox/threads*")
    page.get_by_role("button", name="Try again").click()
    expect_order(page, thread)


def test_a_lost_connection_is_reported_after_ten_seconds_and_nothing_is_missed(desk: Desk) -> None:
    first = desk.write("One")
    tab = desk.tab(desk.hire())
    page = tab.context.new_page()
    page.clock.install()
    page.goto(f"{desk.url}/inbox")
    expect_order(page, first)
    expect(page.get_by_role("button", name="Alice Archer")).to_contain_text("Online")
    leave_list(page)
    lost = page.get_by_text("No connection. What you write is saved")
    page.clock.pause_at(page.evaluate("Date.now() / 1000") + 20)  # from now on, only the test lets time pass
    cut(page)
    tab.forgive(r"ERR_.*/api/stream")
    page.clock.fast_forward(5_000)
    expect(lost).to_have_count(0)
    page.clock.fast_forward(6_000)
    expect(lost).to_be_visible()
    page.clock.resume()
    assert faults(page) == []
    second = desk.write("Two")
    tab.context.set_offline(False)
    page.clock.fast_forward(31_000)
    expect_order(page, first, second)
    expect(lost).to_have_count(0)
    tab.forgive("ERR_|Failed to load")


def test_an_ended_session_asks_to_sign_in_over_the_page(desk: Desk) -> None:
    thread = desk.write("Hello?")
    alice = desk.hire()
    tab = desk.tab(alice)
    page = tab.open(f"{desk.url}/inbox")
    expect_order(page, thread)
    alice.browser.submit("/sign-out")
    dialog = page.get_by_role("dialog", name="Your session has ended")
    expect(dialog).to_be_visible()  # nothing had to be clicked
    assert faults(page) == []
    with tab.context.expect_page() as opened:
        dialog.get_by_role("link", name="Sign in").click()
    expect(opened.value.locator("#password")).to_be_visible()
    opened.value.close()
    assert alice.browser.follow(alice.browser.sign_in(alice.email)) == "/inbox"
    desk.sign_in(tab, alice)
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog).to_have_count(0)
    expect_order(page, thread)
    leave_list(page)
    later = desk.write("And now?")
    expect_order(page, thread, later)
    tab.forgive("status of 401")


# Keys


def test_keys_move_through_the_list_and_open_a_conversation(desk: Desk) -> None:
    first, second, third = desk.write("One"), desk.write("Two"), desk.write("Three")
    page = desk.open(desk.hire())
    expect_order(page, first, second, third)
    page.keyboard.press("j")
    expect_focus(page, first)
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    expect_focus(page, third)
    page.keyboard.press("k")
    expect_focus(page, second)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/inbox/needs-reply/{second}")
    expect(row(page, second)).to_have_attribute("aria-current", "true")
    page.keyboard.press("Escape")
    expect_focus(page, second)
    assert page.url.endswith("/inbox/needs-reply")


def test_two_keys_lead_to_a_view(desk: Desk) -> None:
    thread = desk.write("One")
    tab = desk.tab(desk.hire())
    tab.context.add_init_script(NO_TIME_BETWEEN_KEYS)
    page = tab.open(f"{desk.url}/inbox")
    expect_order(page, thread)
    page.keyboard.press("j")
    for key, view in (("m", "mine"), ("u", "unassigned"), ("@", "mentions"), ("s", "snoozed"), ("r", "resolved")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**/inbox/{view}")
    assert page.locator("dialog[open], .toast").count() == 0  # S alone snoozes, U alone marks as unread


def test_letters_do_nothing_in_fields_or_with_alt_or_when_they_are_off(desk: Desk) -> None:
    thread = desk.write("One")
    page = desk.open(desk.hire())
    page.keyboard.press("j")
    expect_focus(page, thread)
    page.keyboard.press("Alt+a")
    page.keyboard.press("Control+Alt+s")
    assert page.locator("dialog[open]").count() == 0
    page.get_by_role("button", name="Filter", exact=True).click()
    page.get_by_label("Business").press("a")
    assert page.locator("dialog[open]").count() == 0
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Alice Archer").click()
    page.get_by_role("menuitem", name="Turn single-key shortcuts off").click()
    page.reload()
    expect_order(page, thread)
    row(page, thread).focus()
    page.keyboard.press("a")
    assert page.locator("dialog[open]").count() == 0
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**/inbox/needs-reply/{thread}")
