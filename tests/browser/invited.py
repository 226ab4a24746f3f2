"""Carol, who wrote through the shop's own form and follows the link in her mail."""

import time
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page

from harness.browser import DESKTOP, Look, Visit
from harness.demo import RunningDemo
from harness.installation import SECRET_KEY
from harness.waiting import wait_until
from harness.widget import Shop
from shopbell.customer_links import CustomerLinks
from shopbell.keys import Keys


@dataclass
class Invited:
    """Carol, who wrote through the shop's own form and was sent a link."""

    shop: Shop
    locale: str = "en"
    email: str = ""
    thread: str = ""

    def __post_init__(self) -> None:
        self.email = f"carol{time.time_ns()}@customers.example"
        self.thread = self.says("Hello, I need help with my order.")

    @property
    def demo(self) -> RunningDemo:
        """Where she wrote to."""
        return self.shop.demo

    def says(self, text: str) -> str:
        """Write through the shop's form; returns the conversation."""
        user = {"email": self.email, "locale": self.locale}
        body = {"businessId": self.demo.business, "message": text, "user": user}
        return str(self.shop.store.call("POST", "/api/widget/send-message-to-business", json=body)["customerThreadId"])

    def link(self) -> str:
        """A link as it stands in her mail."""
        links = CustomerLinks(Keys((SECRET_KEY.encode(),)))
        organization, thread, now_ms = int(self.demo.facts["organizationId"]), int(self.thread), int(time.time() * 1000)
        with self.demo.installation.database.connection() as tx:
            token = links.make(tx, organization, thread, "EMAIL", self.email, now_ms=now_ms)
        return f"{self.demo.url}/t/{token}"

    def rows(self, query: str) -> list[dict[str, Any]]:
        """What the demo's database has of her; the query names her conversation ``:thread``."""
        return self.demo.installation.database.rows(query, thread=int(self.thread))

    def wait_for_row(self, query: str) -> None:
        """Wait until a query finds something."""
        wait_until(lambda: self.rows(query), lambda: f"nothing was found: {query}")

    def comes(self, look: Look = DESKTOP) -> tuple[Visit, Page]:
        """Follow the link and press its button."""
        visit = self.shop.enter(look)
        page = visit.open(self.link())
        page.locator("button.main").click()
        page.wait_for_url(f"**/c/{self.thread}")
        return visit, page
