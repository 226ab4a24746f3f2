"""Carol wrote through the shop's own form and follows the link in her email."""

import time
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page, expect
from selenium.webdriver.remote.webdriver import WebDriver

from harness.browser import DESKTOP, Look, Visit
from harness.demo import RunningDemo
from harness.installation import SECRET_KEY
from harness.waiting import wait_until
from harness.widget import Shop
from shopbell.customers.magic_links import CustomerLinks
from shopbell.security.keys import Keys


def wait_for_scripts(page: Page) -> None:
    """Wait until the conversation page's script handles keys.

    Until then, Enter starts a new line.
    """
    expect(page.locator("#print")).to_be_visible()


@dataclass
class Invited:
    """Carol wrote through the shop's own form and was sent a link."""

    shop: Shop
    locale: str = "en"
    email: str = ""
    thread: str = ""

    def __post_init__(self) -> None:
        self.email = f"carol{time.time_ns()}@customers.example"
        self.thread = self.says("Hello, I need help with my order.")

    @property
    def demo(self) -> RunningDemo:
        """The business that she wrote to."""
        return self.shop.demo

    def says(self, text: str) -> str:
        """Send a message through the shop's form; returns the conversation."""
        user = {"email": self.email, "locale": self.locale}
        body = {"businessId": self.demo.business, "message": text, "user": user}
        return str(self.shop.store.call("POST", "/api/widget/send-message-to-business", json=body)["customerThreadId"])

    def link(self) -> str:
        """The link in her email."""
        links = CustomerLinks(Keys((SECRET_KEY.encode(),)))
        organization, thread, now_ms = int(self.demo.facts["organizationId"]), int(self.thread), int(time.time() * 1000)
        with self.demo.installation.database.connection() as tx:
            token = links.make(tx, organization, thread, "EMAIL", self.email, now_ms=now_ms)
        return f"{self.demo.url}/t/{token}"

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of the demo's database. In the query, ``:thread`` is her conversation."""
        return self.demo.installation.database.rows(query, thread=int(self.thread))

    def wait_for_row(self, query: str) -> None:
        """Wait until a query finds a row."""
        wait_until(lambda: self.rows(query), lambda: f"nothing was found: {query}")

    def comes(self, look: Look = DESKTOP) -> tuple[Visit, Page]:
        """Follow the link and press its button."""
        visit = self.shop.enter(look)
        page = visit.open(self.link())
        page.locator("button.main").click()
        page.wait_for_url(f"**/c/{self.thread}")
        if look.scripts:
            wait_for_scripts(page)
        return visit, page

    def comes_by(self, driver: WebDriver) -> None:
        """Follow the link in any engine, until the page's script handles keys and files."""
        driver.get(self.link())
        driver.find_element("css selector", "button.main").click()
        runs = "return Boolean(document.getElementById('print')?.offsetParent)"
        wait_until(lambda: driver.execute_script(runs), lambda: f"the script does not run on {driver.current_url}")
