"""No text of a customer, colleague or program runs as a script in the inbox.

The controls, that the payloads run on a naive page and that a violation of the policy is noticed, are in
``test_xss.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hostile import WITH_AND_WITHOUT_POLICY
from payloads import payloads
from playwright.sync_api import Browser, Page, expect
from witness import Witness, witness

from harness.browser import Visit
from harness.employees import Hired, hire
from harness.inbox_desk import Desk, expect_focus
from harness.shop import Shop
from shopbell.accounts.roles import Roles

PAYLOADS = payloads()
LINES = {payload.line for payload in PAYLOADS}
NAME_CHARACTERS = 60
SHOWN_TEXTS = "nodes => nodes.map(node => node.textContent)"


@dataclass(frozen=True)
class Hostile:
    """An organization in which every name and text is a payload.

    Args:
        desk: its server.
        owner: an employee who sees everything.
        thread: a conversation with every payload as a message of the customer, as a reply and as a note.
    """

    desk: Desk
    owner: Hired
    thread: str


@pytest.fixture(scope="module")
def hostile(shops: Callable[..., Shop]) -> Hostile:
    """A server of its own: all its lists are full of payloads."""
    limits = {"visitor_rate_per_min": 100_000, "rate_limit_per_s": 5_000, "rate_limit_burst": 20_000}
    shop = shops("sqlite", **limits)
    desk = Desk(shop, _no_visit)
    thread = desk.write("Hello", email="carol.hostile@customers.example")
    for payload in PAYLOADS:
        name = payload.line[:NAME_CHARACTERS]
        desk.write(payload.text, payload.line)
        shop.send(businessId=desk.stores[0], message=payload.text, user={"email": "carol.hostile@customers.example"})
        employee = desk.create("/api/employees", name=name, email=f"employee{payload.number}@shop.example")["id"]
        desk.reply(thread, payload.text, employeeUserId=employee)
        desk.reply(thread, payload.text, employeeUserId=employee, internal=True)
        desk.create("/api/businesses", name=name)
        desk.create("/api/tags", name=f"{payload.number} {name}"[:40])
    desk.settle()
    return Hostile(desk, hire(shop, roles=Roles("owner")), thread)


def _no_visit(*_: object) -> Visit:
    raise AssertionError("each test opens a witness")


def open_inbox(seen: Witness, hostile: Hostile, path: str) -> Page:
    """Open a page of the inbox as the owner."""
    hostile.desk.sign_in(seen, hostile.owner)
    page = seen.context.new_page()
    page.goto(f"{hostile.desk.url}/inbox/{path}")
    expect(page.locator(".row[data-thread]").first).to_be_visible()
    return page


def check(seen: Witness, page: Page) -> None:
    """Check that nothing ran, and that the page has no element that is not ours."""
    seen.touch(page)
    assert seen.foreign(page) == []
    seen.expect_nothing()


@WITH_AND_WITHOUT_POLICY
def test_the_list_and_the_views_show_payloads_as_text(bypass_csp: bool, hostile: Hostile, browser: Browser) -> None:
    with witness(browser, bypass_csp=bypass_csp) as seen:
        page = open_inbox(seen, hostile, "needs-reply?sort=recent")
        shown: set[str] = set()
        for _ in PAYLOADS:
            shown.update(page.locator(".row .name bdi").evaluate_all(SHOWN_TEXTS))
            check(seen, page)
            if len(shown & LINES) == len(LINES):
                break
            page.locator(".rows").evaluate("rows => rows.scrollTop += rows.clientHeight")
        assert shown >= LINES
        assert len(page.locator(".views .cut").all()) > len(PAYLOADS)  # the businesses


@WITH_AND_WITHOUT_POLICY
def test_dialogs_and_filters_show_payloads_as_text(bypass_csp: bool, hostile: Hostile, browser: Browser) -> None:
    with witness(browser, bypass_csp=bypass_csp) as seen:
        page = open_inbox(seen, hostile, "needs-reply")
        page.keyboard.press("j")
        first = page.locator(".row[data-thread]").first.get_attribute("data-thread")
        expect_focus(page, str(first))
        for key in ("a", "v", "t"):
            page.keyboard.press(key)
            assert page.get_by_role("option").nth(len(PAYLOADS) - 1).text_content()
            check(seen, page)
            page.keyboard.press("Escape")
        page.get_by_role("button", name="Filter", exact=True).click()
        expect(page.get_by_label("Business")).to_be_visible()
        check(seen, page)


@WITH_AND_WITHOUT_POLICY
def test_a_conversation_shows_payloads_as_text(bypass_csp: bool, hostile: Hostile, browser: Browser) -> None:
    with witness(browser, bypass_csp=bypass_csp) as seen:
        page = open_inbox(seen, hostile, f"needs-reply/{hostile.thread}")
        texts = page.locator(".log .text")
        expect(texts.first).to_be_visible()
        while (count := texts.count()) < 1 + 3 * len(PAYLOADS):
            page.locator(".talk .scroll").evaluate(
                "log => { log.scrollTop = 0; log.dispatchEvent(new Event('scroll')) }"
            )
            expect(texts).not_to_have_count(count)
        check(seen, page)
