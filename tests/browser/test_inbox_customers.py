"""Employees look at customers, find them, and write to them first."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect
from test_inbox_answering import WIDE, WITH_LASTING_TOASTS

from harness.browser import Visit
from harness.employees import hire
from harness.inbox_desk import Desk
from harness.shop import Shop
from shopbell.accounts.roles import Roles


@pytest.fixture
def desk(shops: Callable[..., Shop], visit: Callable[..., Visit]) -> Desk:
    """Two stores of one organization."""
    return Desk(shops("sqlite", visitor_rate_per_min=100_000, rate_limit_per_s=1_000), visit)


def opened(desk: Desk, thread: str, *, is_owner: bool = False) -> Page:
    """Open a conversation; the pane of the customer is there."""
    employee = hire(desk.shop, roles=Roles("owner")) if is_owner else desk.hire()
    page = desk.open(employee, f"inbox/open/{thread}")
    page.set_viewport_size({"width": 1440, "height": 900})
    expect(page.locator(".about .face b")).to_be_visible()
    return page


def test_a_name_is_changed_in_place(desk: Desk) -> None:
    thread = desk.write("Hello?", "")
    page = opened(desk, thread)
    page.get_by_role("button", name="Edit the profile").click()
    expect(page.get_by_label("First name")).to_be_focused()
    page.keyboard.type("Leïla")
    page.get_by_label("Last name").fill("Haddad")
    page.keyboard.press("Enter")
    expect(page.locator(".about .face b")).to_have_text("Leïla Haddad")
    expect(page.locator(".talk h2")).to_have_text("Leïla Haddad")


def test_a_customer_is_blocked_and_unblocked(desk: Desk) -> None:
    tab = desk.tab(desk.hire(), WIDE)
    tab.context.add_init_script(WITH_LASTING_TOASTS)  # what the toast offers is used only after the stream has come
    page = tab.open(f"{desk.url}/inbox/open/{desk.write('Hello?')}")
    page.get_by_role("button", name="More about the customer").click()
    page.get_by_role("menuitem", name="Block").click()
    expect(page.locator(".about .blocked")).to_be_visible()
    expect(page.locator(".toast")).to_contain_text("Carol Jones: blocked")
    page.keyboard.press("z")
    expect(page.locator(".about .blocked")).to_have_count(0)


def test_an_employee_of_single_stores_cannot_erase_or_merge(desk: Desk) -> None:
    page = opened(desk, desk.write("Hello?"))
    page.get_by_role("button", name="More about the customer").click()
    expect(page.get_by_role("menuitem", name="Block")).to_be_visible()
    expect(page.get_by_role("menuitem", name="Erase…")).to_have_count(0)
    expect(page.get_by_role("menuitem", name="Export")).to_have_count(0)


def test_an_erased_customer_leaves_one_line(desk: Desk) -> None:
    page = opened(desk, desk.write("Hello?"), is_owner=True)
    page.get_by_role("button", name="More about the customer").click()
    page.get_by_role("menuitem", name="Erase…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("This cannot be undone.")
    dialog.get_by_role("button", name="Erase for good").click()
    expect(page.locator(".ended")).to_contain_text("This customer was erased.")
    expect(page.locator(".compose")).to_have_count(0)
    expect(page.locator(".log")).to_have_count(0)


def test_two_customers_who_are_one_person_are_merged(desk: Desk) -> None:
    email, number = desk.shop.somebody(), desk.shop.some_number()
    thread = desk.write("By email", email=email)
    desk.shop.send(businessId=desk.stores[1], message="By phone", user={"phoneNumber": number, "name": "C. Jones"})
    desk.shop.send(businessId=desk.stores[0], message="Both", user={"email": email, "phoneNumber": number})
    page = opened(desk, thread, is_owner=True)
    section = page.locator(".about section", has_text="Perhaps the same person")
    section.get_by_role("button", name="Compare").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 conversation moves.")
    dialog.get_by_role("button", name="Merge").click()
    expect(page.locator(".also")).to_contain_text("Boston, Newbury St")
    expect(section).to_have_count(0)


def test_an_employee_writes_to_a_new_customer_first(desk: Desk) -> None:
    page = desk.open(desk.hire())
    page.keyboard.press("c")
    dialog = page.get_by_role("dialog", name="New conversation")
    email = desk.shop.somebody()
    dialog.get_by_role("combobox", name="To").fill(email)
    dialog.get_by_label("First name").fill("Carol")
    dialog.get_by_label("Message").fill("Your order is ready.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".talk h2")).to_have_text("Carol")
    expect(page.locator(".msg.us")).to_contain_text("Your order is ready.")


def test_a_new_conversation_whose_confirmation_is_lost_in_a_proxy_is_sent_once(desk: Desk) -> None:
    tab = desk.tab(desk.hire())
    page = tab.open(f"{desk.url}/inbox")
    expect(page.get_by_text("No one is waiting")).to_be_visible()

    def lose(route: Route) -> None:
        """Let the server do it, and answer as a proxy that has not waited."""
        route.fetch()
        route.fulfill(status=504, body="")

    page.route("**/api/inbox/start-conversation", lose, times=1)
    page.keyboard.press("c")
    dialog = page.get_by_role("dialog", name="New conversation")
    dialog.get_by_role("combobox", name="To").fill(desk.shop.somebody())
    dialog.get_by_label("Message").fill("Your order is ready.")
    page.keyboard.press("Control+Enter")
    expect(dialog.get_by_role("alert")).to_be_visible()
    page.keyboard.press("Control+Enter")
    expect(page.locator(".talk h2")).to_be_visible()
    expect(page.locator(".msg.us")).to_have_count(1)
    tab.forgive("status of 504")


def test_the_command_menu_finds_people_replies_and_views(desk: Desk) -> None:
    thread = desk.write("Hello?", "Zoé Lefèvre")
    page = desk.open(desk.hire())
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Search and commands")
    expect(field).to_be_focused()
    page.keyboard.type("lefevre")
    expect(page.get_by_role("option", name="Zoé Lefèvre")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".talk h2")).to_have_text("Zoé Lefèvre")
    assert thread in page.url
    page.keyboard.press("Control+k")
    expect(field).to_be_focused()
    page.keyboard.type("resolved")
    page.keyboard.press("Enter")
    expect(page.locator(".list h2")).to_have_text("Resolved")
    page.keyboard.press("Control+k")
    expect(field).to_be_focused()
    page.keyboard.press("Escape")
    expect(field).to_have_count(0)


def test_the_command_menu_says_what_it_finds(desk: Desk) -> None:
    desk.write("Is the walnut table in stock?")
    page = desk.open(desk.hire())
    page.keyboard.press("Control+k")
    expect(page.get_by_placeholder("Customers, views, replies, commands")).to_be_focused()
    page.keyboard.type("walnut table")
    expect(page.locator(".menu .none")).to_contain_text("Messages are not searched.")
