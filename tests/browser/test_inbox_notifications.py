"""A browser notifies its employee while the inbox is not visible."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from harness.browser import Visit
from harness.employees import Hired
from harness.inbox import call
from harness.inbox_desk import Desk, row
from harness.late import settle
from harness.shop import Shop
from harness.waiting import wait_until

HIDDEN = "Object.defineProperty(document, 'visibilityState', { get: () => window.seen ? 'visible' : 'hidden' })"
NO_PUSH = "if (window.ServiceWorkerRegistration) delete ServiceWorkerRegistration.prototype.pushManager"
"""No push service can be reached from here: the open page notifies."""
# Chromium loses a notification that it is asked about while it shows it: `getNotifications` cannot be used to wait.
NOTED = """
if (window.ServiceWorkerRegistration) {
    window.shown = {}
    const show = ServiceWorkerRegistration.prototype.showNotification
    ServiceWorkerRegistration.prototype.showNotification = async function (title, options) {
        await show.call(this, title, options)
        shown[options.tag] = [title, options.body]
    }
}
"""


@pytest.fixture
def desk(shops: Callable[..., Shop], visit: Callable[..., Visit]) -> Desk:
    """Two stores of one organization."""
    return Desk(shops("sqlite", visitor_rate_per_min=100_000, rate_limit_per_s=1_000), visit)


def hidden(desk: Desk, employee: Hired) -> Page:
    """The inbox of an employee who does not look at it, and who has just turned notifications on."""
    visit = desk.tab(employee, permissions=["notifications"])
    for script in (HIDDEN, NO_PUSH, NOTED):
        visit.context.add_init_script(script)
    page = desk.open_whole(visit)
    page.get_by_role("button", name="Alice Archer").click()
    page.get_by_role("menuitem", name="Turn notifications on").click()
    expect(page.get_by_text("This browser notifies you while the inbox is open.")).to_be_visible()
    return page


def expect_notification(page: Page, thread: str, title: str, text: str) -> None:
    """Wait until one notification has been shown, or the last one in the place of those before."""
    wanted = {f"thread-{thread}": [title, text]}
    wait_until(lambda: page.evaluate("shown") == wanted, lambda: str(page.evaluate("shown")))


def test_an_employee_is_notified_of_an_assignment_and_of_messages_in_assigned_conversations(desk: Desk) -> None:
    email = desk.shop.somebody()
    thread = desk.write("Hello?", "Carol Jones", email=email)
    alice = desk.hire()
    desk.settle()
    page = hidden(desk, alice)
    expect(page.locator(".row[data-thread]")).to_have_count(1)
    call(desk.shop, "/api/assign-customer-thread", customerThreadId=thread, employeeUserId=str(alice.id))
    expect_notification(page, thread, "Carol Jones", "It was assigned to you")
    expect(row(page, thread)).to_contain_text("assigned to Alice Archer")  # the list follows the event
    desk.write("Is anybody there?", "Carol Jones", email=email)
    expect_notification(page, thread, "Carol Jones", "Is anybody there?")
    desk.write("Another one", "Dave Miller")  # assigned to no employee: no notification
    expect(page.locator(".row[data-thread]")).to_have_count(2)
    expect_notification(page, thread, "Carol Jones", "Is anybody there?")


def test_an_employee_is_notified_of_a_message_in_a_conversation_that_the_page_has_not_listed(desk: Desk) -> None:
    email = desk.shop.somebody()
    thread = desk.write("Hello?", "Carol Jones", email=email)
    desk.reply(thread)
    alice = desk.hire()
    call(desk.shop, "/api/assign-customer-thread", customerThreadId=thread, employeeUserId=str(alice.id))
    desk.settle()
    page = hidden(desk, alice)
    expect(page.get_by_text("No one is waiting")).to_be_visible()
    desk.write("Is anybody there?", "Carol Jones", email=email)
    expect_notification(page, thread, "Carol Jones", "Is anybody there?")


def test_a_message_is_not_read_for_notifications_that_are_off(desk: Desk) -> None:
    visit = desk.tab(desk.hire())
    visit.context.add_init_script(HIDDEN)
    page = desk.open_whole(visit)
    expect(page.get_by_text("No one is waiting")).to_be_visible()
    read: list[str] = []
    page.on("request", lambda request: read.append(request.url))
    thread = desk.write("Hello?")
    expect(row(page, thread)).to_be_visible()
    settle(page)
    assert not [url for url in read if url.endswith(f"/api/inbox/threads/{thread}")]
