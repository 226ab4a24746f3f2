"""Two stores of Acme with their employees at the inbox, each in a browser."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Locator, Page, expect

from harness.browser import DESKTOP, Look, Visit
from harness.employees import Hired, hire
from harness.shop import Shop
from harness.waiting import wait_until
from shopbell.accounts.roles import Roles

_NOT_LISTED = """
    SELECT count(*) FROM events e LEFT JOIN inbox_cursors c ON c.organization_id = e.organization_id
    WHERE e.position > coalesce(c.position, 0)
"""
_REACHABLE = 'fetch("/inbox/shopbell.svg", { cache: "no-store" }).then(() => true, () => false)'
STORES = ("Lyon, Croix-Rousse", "Boston, Newbury St")


@dataclass
class Desk:
    """Stores for the employees of one test, so that tests share only a server.

    Args:
        shop: the server.
        visit: opens a browser.
    """

    shop: Shop
    visit: Callable[..., Visit]
    stores: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.stores = [self._post("/api/businesses", name=name, region="FR")["id"] for name in STORES]

    def hire(self, name: str = "Alice Archer", role: Any = "manager", stores: Sequence[int] = (0, 1)) -> Hired:
        """Create an employee who works only in these stores."""
        roles = Roles(None, {int(self.stores[store]): role for store in stores})
        return hire(self.shop, roles=roles, name=name)

    def open(self, employee: Hired, path: str = "inbox", look: Look = DESKTOP, **options: Any) -> Page:
        """Open a page as the employee, in a browser of its own, with the list loaded: all that was written is in it."""
        self.settle()
        page = self.tab(employee, look, **options).open(f"{self.url}/{path}")
        expect(page.locator(".list")).to_be_attached()  # before that, keys have no effect
        expect(page.locator(".list [aria-busy]")).to_have_count(0)
        return page

    def open_whole(self, tab: Visit, path: str = "inbox") -> Page:
        """Open a page, with the code that is loaded after the list: it follows the stream, too."""
        with tab.context.expect_event("response", lambda answer: "/api/inbox/drafts?" in answer.url):
            return tab.open(f"{self.url}/{path}")

    def settle(self) -> None:
        """Wait until the list of conversations no longer lags behind what has happened."""
        wait_until(lambda: not self.shop.database.value(_NOT_LISTED), lambda: "the list lags behind the events")

    def tab(self, employee: Hired, look: Look = DESKTOP, **options: Any) -> Visit:
        """A browser in which the employee is signed in, without a page."""
        visit = self.visit(look, **options)
        self.sign_in(visit, employee)
        return visit

    def sign_in(self, visit: Visit, employee: Hired) -> None:
        """Give a browser the session of the employee."""
        cookies = employee.browser.cookies.items()
        visit.context.add_cookies([{"name": name, "value": value, "url": self.url} for name, value in cookies])

    @property
    def url(self) -> str:
        """The base URL."""
        return str(self.shop.server.client.base_url).rstrip("/")

    def write(self, text: str, name: str = "Carol Jones", store: int = 0, **user: str) -> str:
        """Let a new customer write; returns the id of the conversation."""
        known = {"email": f"{uuid.uuid4().hex}@example.com", "name": name} | user
        return self.shop.send(businessId=self.stores[store], message=text, user=known)

    def reply(self, thread_id: str, text: str = "Yes, we do.", **fields: Any) -> str:
        """Reply as a program; returns the id of the message."""
        body = {"customerThreadId": thread_id, "text": text} | fields
        message_id: str = self._post("/api/send-message-to-customer-thread", **body)["messageId"]
        return message_id

    def set_status(self, thread_id: str, status: str) -> None:
        """Set the status as a program."""
        self._post("/api/update-thread-status", customerThreadId=thread_id, status=status)

    def status(self, thread_id: str) -> str:
        """The status of a conversation."""
        return str(self.shop.thread(thread_id)["status"])

    def tag(self) -> str:
        """Create a tag; returns its name."""
        name = f"Tag {uuid.uuid4().hex[:8]}"
        self._post("/api/tags", name=name)
        return name

    def create(self, path: str, **body: Any) -> dict[str, Any]:
        """Create something through the API, as a program."""
        return self._post(path, **body)

    def _post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.shop.post(body, path=path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def row(page: Page, thread_id: str) -> Locator:
    """The row of a conversation."""
    return page.locator(f'.row[data-thread="{thread_id}"]')


def expect_order(page: Page, *thread_ids: str) -> None:
    """Wait until the list has exactly these rows, in this order."""
    rows = page.locator(".row[data-thread]")
    expect(rows).to_have_count(len(thread_ids))
    for index, thread_id in enumerate(thread_ids):
        expect(rows.nth(index)).to_have_attribute("data-thread", thread_id)


def expect_focus(page: Page, thread_id: str) -> None:
    """Wait until the row of a conversation has the focus."""
    expect(row(page, thread_id)).to_be_focused()


def cut(page: Page) -> None:
    """Take the connection away from a page, until ``set_offline(False)``; its stream notices this at once."""
    page.context.set_offline(True)
    # Chromium may still let a request through after it has answered, and it keeps open connections.
    wait_until(lambda: not page.evaluate(_REACHABLE), lambda: "requests still reach the server")
    page.evaluate("dispatchEvent(new Event('online'))")  # the page opens its stream again, in vain


def leave_list(page: Page) -> None:
    """Take pointer and focus away from the list, so that its order may change."""
    page.mouse.move(page.viewport_size["width"] - 5, 5) if page.viewport_size else None
    page.evaluate("document.activeElement.blur()")
