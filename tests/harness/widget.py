"""The widget on a website, as a visitor and an employee use it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
from playwright.sync_api import FrameLocator, Locator, Page, expect

from harness.browser import WAIT_MS, Visit
from harness.demo import RunningDemo
from harness.host_site import HostSite

# The widget keeps its bubble where no script of the page reaches it: only a test opens that door.
OPEN_DOORS = """
const attach = Element.prototype.attachShadow
Element.prototype.attachShadow = function (options) { return attach.call(this, { ...options, mode: 'open' }) }
window.heard = []
for (const name of ['ready', 'opened', 'closed', 'unread', 'message:sent', 'message:received', 'error', 'destroyed'])
  document.addEventListener('shopbell:' + name, ({ detail }) => window.heard.push({ name, ...detail }))
"""

# The panel takes these texts away after a while, in which a test on a slow machine does not look.
LASTING_TEXTS = """
{
  const after = window.setTimeout
  const ends = [7_000, 8_000] // of "Someone is typing…", and of what the status line says
  window.setTimeout = (callback, ms, ...more) => ends.includes(ms) ? 0 : after(callback, ms, ...more)
}
"""

# What is visible may have no style yet.
_LOADED = """
() => new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', () => done()))
"""


@dataclass
class Store:
    """The store's side: asks the API with the organization's token."""

    demo: RunningDemo

    def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Ask the API; it must succeed."""
        with httpx2.Client(base_url=self.demo.url, trust_env=False, timeout=60) as client:
            answer = client.request(method, path, headers={"token": self.demo.token}, **options)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def key(self, *origins: str, **fields: Any) -> str:
        """A new publishable key for some websites."""
        return str(self.call("POST", "/api/publishable-keys", json={"allowedOrigins": origins, **fields})["key"])

    def answer(self, thread: str, text: str) -> None:
        """Answer in a conversation."""
        self.call("POST", "/api/send-message-to-customer-thread", json={"customerThreadId": thread, "text": text})

    def messages(self, thread: str) -> list[str]:
        """The texts of a conversation."""
        found = self.call("GET", f"/api/threads/{thread}/messages")["messages"]
        return [message["text"] for message in found]

    def customer(self, thread: str) -> dict[str, Any]:
        """The profile of a conversation's customer."""
        found = self.call("GET", "/api/get-customer-thread-details", params={"customerThreadId": thread})
        return self.call("GET", f"/api/customers/{found['customerId']}/profile")


@dataclass
class Widget:
    """One widget on a page that is open in a browser."""

    page: Page

    @property
    def bubble(self) -> Locator:
        """What opens and closes it."""
        return self.page.locator("shopbell-widget button").first

    @property
    def panel(self) -> FrameLocator:
        """The panel's document, once it was opened."""
        return self.page.frame_locator("shopbell-widget iframe")

    @property
    def log(self) -> Locator:
        """Where the messages are read out."""
        return self.panel.get_by_role("log")

    @property
    def thread(self) -> str:
        """The conversation, once the visitor has written."""
        return str(self.wait_for("heard.findLast(({ name }) => name === 'message:sent')?.customerThreadId"))

    def thread_after(self, before: str) -> str:
        """The conversation, once the visitor has written in another one than before: its event follows the message."""
        sent = "heard.findLast(({ name }) => name === 'message:sent')?.customerThreadId"
        return str(self.wait_for(f"{sent} !== '{before}' && {sent}"))

    def wait_for(self, expression: str) -> Any:
        """What an expression becomes in the page, once it is something. No policy of the page keeps it from that."""
        return self.page.evaluate(
            f"""new Promise((resolve, reject) => {{
              const over = Date.now() + {WAIT_MS}
              const look = () => {{
                const found = {expression}
                if (found) resolve(found)
                else if (Date.now() > over) reject(new Error('waited in vain'))
                else setTimeout(look, 20)
              }}
              look()
            }})"""
        )

    def heard(self) -> list[str]:
        """The names of the events that the website's page has heard so far."""
        return [str(event["name"]) for event in self.page.evaluate("heard")]

    def open(self) -> FrameLocator:
        """Open it by the bubble, and wait until page and panel have met."""
        self.bubble.click()
        expect(self.panel.locator("#close")).to_be_visible()
        self.panel.locator("html").evaluate(_LOADED)
        self.wait_for("heard.some(({ name }) => name === 'ready')")
        return self.panel

    def write(self, text: str) -> None:
        """Send a message, as a visitor does."""
        self.panel.locator("#text").fill(text)
        self.panel.locator("#text").press("Enter")

    def expect_texts(self, *texts: str) -> None:
        """Wait until the conversation is this and nothing else."""
        expect(self.panel.locator("#messages .text")).to_have_text(list(texts))

    def expect_state(self, state: str) -> None:
        """Wait until the visitor's last message is ``sent``, ``read``, ``waiting`` or ``notSent``."""
        expect(self.panel.locator("#messages .mine.last")).to_have_attribute("data-state", state)


@dataclass
class Shop:
    """A shop's website with the widget on it."""

    demo: RunningDemo
    site: HostSite
    enter: Callable[..., Visit]
    visits: list[Visit] = field(default_factory=list)

    @property
    def complaints(self) -> Visit:
        """Whose browser complained: that of who came last."""
        return self.visits[-1]

    @property
    def store(self) -> Store:
        """Who answers."""
        return Store(self.demo)

    @property
    def strict_policy(self) -> str:
        """The strictest policy with which the widget works: no style but the site's own files, no connection."""
        return (
            f"default-src 'none'; script-src {self.demo.url}; frame-src {self.demo.url}; style-src 'none'; "
            "base-uri 'none'; form-action 'none'"
        )

    def tag(self, key: str = "", **attributes: str) -> str:
        """The line that a website has in its pages."""
        given = {"key": key or self.store.key(self.site.origin), "business": self.demo.business} | attributes
        written = "".join(f' data-{name.replace("_", "-")}="{value}"' for name, value in given.items() if value)
        return f'<script async src="{self.demo.url}/widget.js"{written}></script>'

    def page(self, body: str = "", *, path: str = "/", policy: str | None = None, lang: str = "en") -> str:
        """Put a page with the widget on the site; returns its address."""
        content = f"<main><h1>Shop</h1><p>Things.</p><button id=help>Help</button></main>{body or self.tag()}"
        return self.site.page(path, content, policy=self.strict_policy if policy is None else policy, lang=lang)

    def visit(self, url: str = "", *, script: str = "", **options: Any) -> Widget:
        """Open a page, the first one unless given; each document begins with the script."""
        visit = self.enter(**options)
        self.visits.append(visit)
        visit.context.add_init_script(OPEN_DOORS + LASTING_TEXTS + script)
        page = visit.open(url or self.page())
        page.wait_for_selector("shopbell-widget", state="attached")
        return Widget(page)
