"""A conversation with hostile messages, and the pages that show it."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, FrameLocator, Page, Route, expect
from witness import Witness, witness

from harness.browser import WAIT_MS
from harness.demo import RunningDemo, running_demo
from harness.host_site import HostPage
from harness.installation import SECRET_KEY
from shopbell.customers.magic_links import CustomerLinks
from shopbell.email.answer_links import AnswerLinks, AnswerTarget, digest
from shopbell.security.keys import Keys

EMAIL = "carol@customers.example"
BUSINESS = "store@shop.example"
KEYS = Keys((SECRET_KEY.encode(),))
FRAMES = 100  # each tab costs as much as many frames
SHOWS = "count => document.querySelectorAll('#messages li[data-message-id]').length === count"
WITH_AND_WITHOUT_POLICY = pytest.mark.parametrize("bypass_csp", [False, True], ids=["with-policy", "without-policy"])


@dataclass
class Hostile:
    """A demo whose first conversation gets hostile messages.

    ``storage`` and ``headers`` belong to the visitor's browser. It shows the conversation in ``page``, without policy.
    """

    demo: RunningDemo
    client: httpx2.Client
    thread: str
    storage: Any
    headers: dict[str, str]
    live: Witness
    page: Page

    def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Call the API as the business; the call must succeed."""
        answer = self.client.request(method, path, headers={"token": self.demo.token}, **options)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def post(self, path: str, **options: Any) -> dict[str, Any]:
        """Send a request as the visitor; it must succeed."""
        answer = self.client.post(path, headers=self.headers, **options)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def said(self) -> list[dict[str, Any]]:
        """The conversation as the business sees it."""
        found: list[dict[str, Any]] = []
        query: dict[str, str] = {}
        while True:
            answer = self.call("GET", f"/api/threads/{self.thread}/messages", params={**query, "limit": "100"})
            found += answer["messages"]
            if not answer.get("nextCursor"):
                return found
            query = {"cursor": answer["nextCursor"]}

    @contextmanager
    def without_what_came_after(self, sequence: int) -> Iterator[None]:
        """Show customers only the messages up to one while the block runs."""
        hide = "UPDATE messages SET internal = :hidden WHERE thread_id = :thread AND sequence > :sequence"
        thread = int(self.thread)
        self.demo.installation.database.change(hide, hidden=True, thread=thread, sequence=sequence)
        yield
        self.demo.installation.database.change(hide, hidden=False, thread=thread, sequence=sequence)

    @contextmanager
    def without_last(self, count: int) -> Iterator[None]:
        """Hide the conversation's last messages from everyone while the block runs."""
        place = "UPDATE threads SET last_sequence = last_sequence + :count WHERE id = :thread"
        with self.without_what_came_after(len(self.said()) - count):
            self.demo.installation.database.change(place, count=-count, thread=int(self.thread))
            yield
            self.demo.installation.database.change(place, count=count, thread=int(self.thread))

    def link(self, thread: str) -> str:
        """A link that opens a conversation's page."""
        links = CustomerLinks(KEYS)
        organization, now_ms = int(self.demo.facts["organizationId"]), int(time.time() * 1000)
        with self.demo.installation.database.connection() as tx:
            token = links.make(tx, organization, int(thread), "EMAIL", EMAIL, now_ms=now_ms)
        return f"{self.demo.url}/t/{token}"

    def answer_link(self) -> str:
        """Turn on emails to the business; returns the link in one."""
        self.call("POST", f"/api/businesses/{self.demo.business}/update", json={"email": BUSINESS})
        organization, business = int(self.demo.facts["organizationId"]), int(self.demo.business)
        answering = AnswerTarget(organization, int(self.thread), business, digest(BUSINESS))
        return AnswerLinks(KEYS).link(self.demo.url, answering, now_s=int(time.time()))


@contextmanager
def hostile_talk(browser: Browser, folder: Path, **settings: str) -> Iterator[Hostile]:
    """A separate demo. Its visitor is verified as Carol and has sent one message.

    Args:
        browser: the browser that opens her pages.
        folder: the folder of the demo.
        settings: the settings of the demo.
    """
    with (
        running_demo(folder, **settings) as demo,
        httpx2.Client(base_url=demo.url, trust_env=False, timeout=30) as client,
        witness(browser, bypass_csp=True) as live,
    ):
        page = live.context.new_page()
        asked: list[dict[str, str]] = []
        page.on("request", lambda request: asked.append(request.headers) if "/messages" in request.url else None)
        page.goto(f"{demo.url}/demo")
        panel = opened(page)
        panel.locator("#text").fill("Hello")
        with page.expect_response("**/api/customer/messages") as answer:
            panel.locator("#text").press("Enter")
        thread = str(answer.value.json()["customerThreadId"])
        # With it, the page stores that there is a conversation: only then does a page with this storage show it.
        expect(panel.locator("#messages .mine")).to_have_attribute("data-state", "sent")
        demo.installation.database.change(  # as a reply by email would have verified it
            "INSERT INTO customer_identities (organization_id, kind, value, shown, customer_id, created_at_ms) "
            "SELECT organization_id, 'email', :email, :email, customer_id, 1 FROM threads WHERE id = :thread",
            email=EMAIL,
            thread=int(thread),
        )
        headers = {"Authorization": asked[-1]["authorization"]}
        yield Hostile(demo, client, thread, live.context.storage_state(), headers, live, page)


def opened(page: Page) -> FrameLocator:
    """The panel of the demo's shop, open."""
    page.get_by_role("button", name="Ask us anything").click()
    panel = page.frame_locator("shopbell-widget iframe")
    expect(panel.locator("#text")).to_have_value(re.compile("is The Errand in stock"))  # suggested by the page
    return panel


def keep_up(page: Page, count: int) -> None:
    """Wait until the panel shows this many messages: on a busy machine, hundreds at once take too long.

    The page checks whenever it draws: ``expect`` would ask only about once per second.
    """
    (panel,) = page.main_frame.child_frames
    panel.wait_for_function(SHOWS, arg=count, timeout=WAIT_MS)


def page_opened(seen: Witness, hostile: Hostile) -> Page:
    """The conversation's page, opened by a new link."""
    page = seen.open(hostile.link(hostile.thread))
    page.get_by_role("button").click()
    page.wait_for_url("**/c/*")
    return page


def shown_in_place(route: Route) -> None:
    """Let a browser show files that the server marks as downloads."""
    answer = route.fetch()
    headers = {name: value for name, value in answer.headers.items() if name != "content-disposition"}
    route.fulfill(response=answer, headers=headers)


def in_frames(addresses: list[str]) -> Iterator[str]:
    """HTML bodies; each shows several of these pages in frames."""
    for start in range(0, len(addresses), FRAMES):
        yield "".join(f'<iframe src="{address}"></iframe>' for address in addresses[start : start + FRAMES])


def as_it_was_sent(answer: httpx2.Response) -> HostPage:
    """One of our pages, for a frame and without its policy."""
    assert answer.status_code == 200, answer.text
    return HostPage(answer.content, {"Content-Type": answer.headers["content-type"]})
