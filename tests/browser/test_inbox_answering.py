"""From a conversation to the next: what employees see and press while they answer one after the other."""

import itertools
import math
import re
import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from harness.browser import Look, Visit
from harness.inbox_desk import Desk, expect_focus, expect_order, row
from harness.shop import Shop

WIDE = Look("wide", 1440, 900)
WITHOUT_REPETITION = """
    const every = window.setInterval
    window.setInterval = (callback, ms) => ms === 8_000 ? 0 : every(callback, ms)
"""
"""A page that says only once what its employee does."""
WITH_LASTING_TOASTS = """
    const after = window.setTimeout
    window.setTimeout = (callback, ms, ...more) => ms === 8_000 ? 0 : after(callback, ms, ...more)
"""
COLLECT_TOASTS = """
    window.toasts = []
    const line = document.querySelector(".toasts")
    new MutationObserver(() => {
        const said = line.querySelector("span")?.textContent
        const button = line.querySelector("button")?.firstChild.data.trim() ?? ""
        if (said && window.toasts.at(-1)?.[0] !== said) window.toasts.push([said, button])
    }).observe(line, { childList: true, subtree: true, characterData: true })
"""
"""The page notes what its toasts say, and on their buttons."""
COLOR = "avatar => getComputedStyle(avatar).backgroundColor"
LINES = """
    element => {
        const lines = []
        const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT)
        let top = null
        while (texts.nextNode()) {
            [...texts.currentNode.data].forEach((letter, i) => {
                const range = document.createRange()
                range.setStart(texts.currentNode, i)
                range.setEnd(texts.currentNode, i + 1)
                const at = Math.round(range.getBoundingClientRect().top)
                if (at === top) lines[lines.length - 1] += letter
                else lines.push(letter)
                top = at
            })
        }
        return lines
    }
"""
"""The text of an element, by lines."""
NEXT_SUNDAY_MORNING = """
    const real = Date
    const sunday = new real()
    sunday.setDate(sunday.getDate() + 7 - sunday.getDay())
    sunday.setHours(10, 0, 0, 0)
    const ahead = sunday - real.now()
    window.Date = class extends real {
        constructor(...at) { at.length ? super(...at) : super(real.now() + ahead) }
        static now() { return real.now() + ahead }
    }
"""
"""A page on which it is ten o'clock on the Sunday to come."""


@pytest.fixture
def desk(shops: Callable[..., Shop], visit: Callable[..., Visit]) -> Desk:
    """Two stores of one organization."""
    return Desk(shops("sqlite", visitor_rate_per_min=100_000, rate_limit_per_s=1_000), visit)


def opened(desk: Desk, thread: str, view: str = "needs-reply", name: str = "Alice Archer") -> Page:
    """Open a conversation in a wide window; its messages are shown."""
    page = desk.open(desk.hire(name), f"inbox/{view}/{thread}", WIDE)
    expect(page.locator(".msg .text").first).to_be_visible()
    return page


def unhurried(desk: Desk, thread: str) -> Page:
    """Open a conversation on a page that leaves a slow test the time to undo."""

    def delay(route: Route) -> None:
        route.continue_(post_data=route.request.post_data_json | {"delayMs": 30_000})

    tab = desk.tab(desk.hire(), WIDE)
    tab.context.add_init_script(WITH_LASTING_TOASTS)
    tab.context.route("**/api/scheduled-messages", delay)
    page = tab.open(f"{desk.url}/inbox/open/{thread}")
    expect(page.locator(".msg .text").first).to_be_visible()
    return page


def composer(page: Page) -> Locator:
    """The field in which the employee writes."""
    return page.locator(".compose textarea")


# Links and commands


def test_links_of_an_open_conversation_keep_the_order_that_was_chosen(desk: Desk) -> None:
    email = desk.shop.somebody()
    thread = desk.write("In Lyon", email=email)
    other = desk.write("In Boston", store=1, email=email)
    page = opened(desk, thread)
    link = page.locator(".also a")
    expect(link).to_have_attribute("href", re.compile(f"/inbox/needs-reply/{other}$"))
    page.get_by_role("button", name="Longest waiting").click()
    page.get_by_role("menuitemradio", name="Most recent").click()
    expect(link).to_have_attribute("href", re.compile(f"/inbox/needs-reply/{other}\\?sort=recent$"))


def test_the_command_menu_does_not_offer_to_open_itself(desk: Desk) -> None:
    page = desk.open(desk.hire())
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Search and commands")).to_be_focused()
    page.keyboard.type("search")
    expect(page.get_by_role("option", name="Keyboard shortcuts")).to_have_count(0)  # what is typed filters
    expect(page.get_by_role("option", name="Search")).to_have_count(0)


# Send


def test_a_colleague_who_has_sent_is_no_longer_writing(desk: Desk) -> None:
    thread = desk.write("Hello?")
    marta, tab = opened(desk, thread, name="Marta Silva"), desk.tab(desk.hire("Jonas Keller"))
    tab.context.add_init_script(WITHOUT_REPETITION)
    jonas = tab.open(f"{desk.url}/inbox/open/{thread}")
    composer(jonas).press_sequentially("Good morning")
    expect(marta.locator(".beside.writes")).to_be_visible()
    jonas.keyboard.press("Control+Enter")
    expect(marta.get_by_text("Jonas Keller is reading this too")).to_be_visible()


def test_a_message_is_called_sent_only_when_it_can_no_longer_be_taken_back(desk: Desk) -> None:
    thread = desk.write("Hello?", "Carol Jones")
    page = desk.tab(desk.hire(), WIDE).context.new_page()
    with page.expect_response("**/api/stream?*"):  # a signal says that it is sent: only who listens hears it
        page.goto(f"{desk.url}/inbox/needs-reply/{thread}")
    expect(page.locator(".msg .text").first).to_be_visible()
    page.evaluate(COLLECT_TOASTS)
    composer(page).fill("Good morning")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".msg.us .state")).to_have_text("Sent")
    page.wait_for_function("window.toasts.length > 1")
    assert page.evaluate("window.toasts") == [["Sending to Carol Jones…", "Undo"], ["Sent to Carol Jones", ""]]


def test_a_message_that_was_not_sent_is_not_called_sent(desk: Desk) -> None:
    thread = desk.write("Hello?")
    tab = desk.tab(desk.hire())
    tab.context.route("**/api/scheduled-messages", lambda route: route.fulfill(status=403, json={"detail": "No."}))
    page = tab.open(f"{desk.url}/inbox/open/{thread}")
    composer(page).fill("Good morning")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("your role does not allow it")
    expect(page.locator(".toast")).to_have_count(0)
    tab.forgive("status of 403")


def test_a_key_takes_a_message_back_where_it_was_written(desk: Desk) -> None:
    thread = desk.write("Hello?")
    page = unhurried(desk, thread)
    composer(page).fill("No.")
    page.keyboard.press("Control+Enter")
    undo = page.locator(".toast button")
    expect(undo.get_by_text("Ctrl Z")).to_be_visible()
    expect(undo.get_by_text("Z", exact=True)).to_be_hidden()  # it would be typed
    page.keyboard.press("Control+z")
    expect(composer(page)).to_have_value("No.")
    expect(page.locator(".msg.us")).to_have_count(0)
    assert [each["body"] for each in desk.shop.messages(thread)] == ["Hello?"]


def test_outside_of_fields_the_letter_takes_back(desk: Desk) -> None:
    page = unhurried(desk, desk.write("Hello?"))
    composer(page).fill("No.")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Escape")
    undo = page.locator(".toast button")
    expect(undo.get_by_text("Z", exact=True)).to_be_visible()
    expect(undo.get_by_text("Ctrl Z")).to_be_hidden()
    page.keyboard.press("z")
    expect(composer(page)).to_have_value("No.")


def test_what_was_typed_since_is_taken_back_before_the_message(desk: Desk) -> None:
    thread = desk.write("Hello?")
    page = opened(desk, thread)
    composer(page).fill("Good morning")
    page.keyboard.press("Control+Enter")
    expect(composer(page)).to_have_value("")
    page.keyboard.type("And")
    expect(page.locator(".toast kbd").filter(visible=True)).to_have_count(0)
    page.keyboard.press("Control+z")
    expect(composer(page)).not_to_have_value("And")
    expect(page.locator(".msg.us", has_text="Good morning")).to_have_count(1)


# Go on


def test_after_an_answer_the_next_customer_is_offered(desk: Desk) -> None:
    first, second, third = (desk.write("Hello?", name) for name in ("Carol Jones", "Dave Miller", "Emma Novak"))
    page = opened(desk, second)
    expect_order(page, first, second, third)
    onward = page.locator(".onward a")
    expect(onward).to_have_count(0)
    composer(page).fill("Good morning")
    page.keyboard.press("Control+Enter")
    expect(onward).to_contain_text("Next: Emma Novak")  # already while it can be taken back
    expect(page.locator(".msg.us .state")).to_have_text("Sent")
    expect_order(page, first, third)
    expect(page.locator(".talk h2")).to_have_text("Dave Miller")  # it stays open
    expect(onward).to_contain_text("Next: Emma Novak")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.locator(".talk h2")).to_have_text("Emma Novak")
    expect(page.locator(".talk h2")).to_be_focused()


def test_after_an_answer_to_the_last_customer_in_the_list_the_one_before_is_offered(desk: Desk) -> None:
    first, second = desk.write("Hello?", "Carol Jones"), desk.write("Hello?", "Dave Miller")
    page = opened(desk, second)
    expect_order(page, first, second)
    composer(page).fill("Good morning")
    page.keyboard.press("Control+Enter")
    page.locator(".onward a", has_text="Next: Carol Jones").click()
    expect(page.locator(".talk h2")).to_have_text("Carol Jones")
    expect(page.locator(".onward")).to_have_count(0)


def test_resolving_goes_to_the_next_row_then_to_the_one_before_then_to_none(desk: Desk) -> None:
    first, second, third = (desk.write("Hello?", name) for name in ("Carol Jones", "Dave Miller", "Emma Novak"))
    page = opened(desk, second)
    expect_order(page, first, second, third)
    title = page.locator(".talk h2")
    title.click()
    for name, left in (("Emma Novak", [first, third]), ("Carol Jones", [first])):
        page.keyboard.press("e")
        expect(title).to_have_text(name)
        expect(title).to_be_focused()
        expect_order(page, *left)
    page.keyboard.press("e")
    expect(page.get_by_text("No one is waiting")).to_be_visible()
    expect(page.get_by_text("Select a conversation")).to_be_visible()
    assert page.url.endswith("/inbox/needs-reply")


def test_resolving_passes_over_what_a_colleague_has_resolved(desk: Desk) -> None:
    first, second, third = (desk.write("Hello?", name) for name in ("Carol Jones", "Dave Miller", "Emma Novak"))
    page = opened(desk, first)
    expect_order(page, first, second, third)
    row(page, third).hover()  # the list keeps its order
    desk.set_status(second, "resolved")
    expect(row(page, second)).to_contain_text("Resolved")
    page.locator(".talk h2").focus()
    page.keyboard.press("e")
    expect(page.locator(".talk h2")).to_have_text("Emma Novak")


# Write at once


def test_letters_that_are_typed_before_the_composer_is_there_are_written(desk: Desk) -> None:
    thread = desk.write("Hello?")
    page = desk.open(desk.hire())

    def type_before(route: Route) -> None:
        page.keyboard.type("Here it is,")  # most of these letters are commands
        route.continue_()

    page.route(re.compile(r"/api/inbox/threads/\d+$"), type_before, times=1)
    page.keyboard.press("r")
    expect(composer(page)).to_have_value("Here it is,")
    expect(composer(page)).to_be_focused()
    page.keyboard.type(" Carol")
    expect(composer(page)).to_have_value("Here it is, Carol")
    assert desk.status(thread) == "waiting"


def test_a_reply_from_the_list_is_written_in_the_conversation_of_its_row(desk: Desk) -> None:
    first, second = desk.write("Hello?", "Carol Jones"), desk.write("Hello?", "Dave Miller")
    page = opened(desk, first)
    expect_order(page, first, second)
    row(page, first).focus()
    page.keyboard.press("j")
    expect_focus(page, second)
    page.keyboard.press("r")
    page.keyboard.type("Here it is")
    expect(page.locator(".talk h2")).to_have_text("Dave Miller")
    expect(composer(page)).to_have_value("Here it is")
    expect(composer(page)).to_be_focused()


def test_where_there_is_no_composer_the_keys_act_again(desk: Desk) -> None:
    thread = desk.write("Hello?")
    tab = desk.tab(desk.hire())
    tab.context.route(
        re.compile(r"/api/inbox/threads/\d+$"), lambda route: route.fulfill(status=404, json={"detail": "No."})
    )
    page = tab.open(f"{desk.url}/inbox")
    expect_order(page, thread)
    page.keyboard.press("j")
    expect_focus(page, thread)
    page.keyboard.press("r")
    expect(page.get_by_text("Conversation not found")).to_be_visible()
    expect(page.locator("body > textarea")).to_have_count(0)  # it took what was typed until then
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    tab.forgive("status of 404")


# Say what was done


def test_a_snooze_offers_each_moment_once_and_says_until_when(desk: Desk) -> None:
    thread = desk.write("Hello?", "Carol Jones")
    tab = desk.tab(desk.hire(), locale="en-GB", timezone_id="Europe/Paris")
    tab.context.add_init_script(NEXT_SUNDAY_MORNING)
    page = tab.open(f"{desk.url}/inbox/open/{thread}")
    page.get_by_role("button", name="Snooze", exact=True).click()
    times = page.locator("[role=option] .more")
    expect(page.get_by_role("option")).to_have_text(
        [re.compile(name) for name in ("In two hours", "This evening", "Tomorrow morning", "In a week")]
    )
    assert len(set(times.all_inner_texts())) == 4
    page.get_by_role("option", name="Tomorrow morning").click()
    expect(page.locator(".toast")).to_contain_text(re.compile("Carol Jones: snoozed until Mon.* 0?9:00"))
    page.keyboard.press("z")
    expect(page.locator(".toast")).to_contain_text("Undone: Carol Jones: snoozed until Mon")


def test_an_undo_that_changes_nothing_says_so(desk: Desk) -> None:
    thread = desk.write("Hello?")
    page = opened(desk, thread, "open")
    page.get_by_role("button", name="Resolve").click()
    expect(page.locator(".toast")).to_contain_text("resolved")
    desk.set_status(thread, "waiting")
    page.keyboard.press("z")
    expect(page.locator(".toast")).to_have_text(
        "Nothing was changed. 1 conversation has changed since and was skipped."
    )


def test_colleagues_who_came_one_after_the_other_have_different_colors(desk: Desk) -> None:
    thread = desk.write("Hello?")
    names = [f"{first} {uuid.uuid4().hex}" for first in ("Alice", "Ben", "Alma")]
    for name in names[:2]:
        desk.hire(name)
    page = opened(desk, thread, name=names[2])
    page.locator(".talk h2").focus()
    page.keyboard.press("a")
    colors = [page.get_by_role("option", name=name).locator(".who").evaluate(COLOR) for name in names]
    for one, other in itertools.combinations(colors, 2):
        assert color_distance(one, other) > 0.08, (one, other)


def color_distance(one: str, other: str) -> float:
    """How far apart two colors `oklch(…)` are in OKLab; from about 0.02, people see a difference side by side."""
    points = []
    for color in (one, other):
        lightness, chroma, hue_deg = (float(part) for part in re.findall(r"[\d.]+", color))
        points.append((lightness, *(chroma * turn(math.radians(hue_deg)) for turn in (math.cos, math.sin))))
    return math.dist(*points)


def test_an_address_is_broken_at_its_signs_only(desk: Desk) -> None:
    email = f"leila.haddad.{uuid.uuid4().hex[:8]}@mail.example-company.com"
    page = opened(desk, desk.write("Hello?", "", email=email))
    for where in (".about dd", ".about .face b"):
        address = page.locator(where, has_text=email)
        expect(address).to_be_visible()
        lines = address.evaluate(LINES)
        assert "".join(lines) == email
        assert len(lines) > 1
        assert all(line[0] == "@" or before[-1] in ".-" for before, line in itertools.pairwise(lines)), lines
