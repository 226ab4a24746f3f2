"""The benchmark's rows about the page of the inbox, in headless Chromium.

`inbox_page.js` measures in the page: from the time of the key until the frame with its result is painted.
"""

import http.client
import json
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import quantiles
from typing import TYPE_CHECKING

from pydantic import SecretStr
from sqlalchemy import Connection

from bench.inbox import GROUPS
from bench.load import FIRST_CUSTOMER, HERE, Load
from bench.servers import SHOPBELL_SETTINGS, Server, Shop
from shopbell.accounts import invitations
from shopbell.accounts.roles import Roles
from shopbell.db.connect import open_database
from shopbell.runtime.clock import now_ms
from shopbell.security.keys import load
from shopbell.settings.settings import Settings

if TYPE_CHECKING:  # `make test` runs without Playwright
    from playwright.sync_api import BrowserContext, Request

Measure = Callable[[Server, str, Shop, int], tuple[Load, Mapping[str, float]]]
"""``work`` or ``stay``."""

PREFETCHED = "from J to the messages of the next conversation, which is prefetched"
COLD = "from K to the messages of the previous conversation, which is not loaded"
ECHO = "from Ctrl+Enter to the sent message"
CODE_KB = "code of the first load, kB gzip"
GROWTH_MB = "growth of the JavaScript heap, MB"

TIMES = 60
"""How often each of the three is measured."""
SWITCHES, LIVE_MESSAGES = 1_000, 500
FIRST_NEW_CUSTOMER = 2 * FIRST_CUSTOMER
QUIET_S = 0.25
"""The page is quiet after so long without a request. It waits less for more of the same news."""
LIMIT_S = 60
SENT_LIMIT_S = 60
PASSWORD = "correct horse battery"
ALICE = "alice@example.com"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",  # the pages are our own, and the sandbox refuses to run as root
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def chromium() -> str | None:
    """The path of the system's Chromium."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


def work(server: Server, link: str, shop: Shop, first_thread: int) -> tuple[Load, Mapping[str, float]]:
    """Open conversations and reply; before each key, all requests have ended.

    Args:
        server: its list is up to date.
        link: the path of an employee's invitation.
        shop: the organization.
        first_thread: the id of the first conversation.
    """
    begun_s = time.monotonic()
    with signed_in(server, link) as (context, faults):
        page = InboxPage(context, server, first_thread + TIMES)
        figures = {CODE_KB: page.code_kb()}
        cold_ms = [page.switch("k", first_thread + number) for number in reversed(range(TIMES))]
        page.close()
        page = InboxPage(context, server, first_thread)
        prefetched_ms = [page.switch("j", first_thread + number + 1) for number in range(TIMES)]
        echo_ms = []
        for number in range(TIMES):
            echo_ms.append(page.send(f"Your order is on its way, number {number}."))
            page.switch("j", first_thread + TIMES + number + 1)
        sent = _sent(server, shop, [first_thread + TIMES + number for number in range(TIMES)])
    for what, times_ms in ((PREFETCHED, prefetched_ms), (COLD, cold_ms), (ECHO, echo_ms)):
        figures |= percentiles(what, times_ms)
    if sent < TIMES:
        faults.append(f"{TIMES} replies, but only {sent} were sent")
    took_s = time.monotonic() - begun_s
    return Load(3 * TIMES, 3 * TIMES / took_s, fault=faults[0] if faults else None), figures


def stay(server: Server, link: str, shop: Shop, first_thread: int) -> tuple[Load, Mapping[str, float]]:
    """Open a thousand conversations while customers write; see how the heap grows.

    Half of the messages are in the open conversation, a quarter is by new customers, and a quarter by others.
    """
    begun_s = time.monotonic()
    chance = random.Random(1)
    door = http.client.HTTPConnection("127.0.0.1", server.port)
    with signed_in(server, link) as (context, faults):
        page = InboxPage(context, server, first_thread)
        before_mb = page.heap_mb()
        text = ""
        for number in range(SWITCHES):
            if number % 10 == 0:
                page.wait_until_quiet()  # further rows are loaded
            page.switch("j", first_thread + number + 1, is_calm=False)
            if number % (SWITCHES // LIVE_MESSAGES):
                text = f"One more question, number {number}."
                known = number + 1 if number % 4 == 3 else chance.randrange(GROUPS[0][0])
                is_new = number % 8 == 1
                _write(door, shop, FIRST_NEW_CUSTOMER + number if is_new else FIRST_CUSTOMER + known, text)
        page.wait_for_message(text)
        page.wait_until_quiet()
        growth_mb = page.heap_mb() - before_mb
    took_s = time.monotonic() - begun_s
    return Load(SWITCHES, SWITCHES / took_s, fault=faults[0] if faults else None), {GROWTH_MB: growth_mb}


def invite(database_url: str, shop: Shop) -> str:
    """Invite an owner; returns the path of the link."""
    secret = SecretStr(SHOPBELL_SETTINGS["SHOPBELL_SECRET_KEY"])
    settings = Settings(database_url=database_url, secret_key=secret)
    keys = load(settings).derive(invitations.KEY_PURPOSE)

    def create(tx: Connection) -> str:
        _, token = invitations.invite(
            tx,
            keys,
            shop.organization_id,
            ALICE,
            wanted=Roles("owner"),
            by=None,
            valid_ms=invitations.PRINTED_MS,
            actor="the benchmark",
            now_ms=now_ms(),
        )
        return invitations.PATH + token

    database = open_database(settings)
    try:
        return database.write_now(create)
    finally:
        database.engine.dispose()


def percentiles(what: str, times_ms: Sequence[float]) -> dict[str, float]:
    """The figures of times that were measured."""
    hundredths = quantiles(times_ms, n=100, method="inclusive")
    return {name_of(what, part): hundredths[part - 1] for part in (50, 75, 95)}


def name_of(what: str, part: int) -> str:
    """The name of the figure that a percentile of times is."""
    return f"{what}, p{part} ms"


@contextmanager
def signed_in(server: Server, link: str) -> Iterator[tuple["BrowserContext", list[str]]]:
    """A browser in which an employee has accepted the invitation.

    With the errors that its pages report, until the block ends.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
        faults: list[str] = []
        context.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        context.on("weberror", lambda error: faults.append(str(error.error)))
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.port}{link}")
        page.fill("#name", "Alice Archer")
        page.fill("#password", PASSWORD)
        page.click("button")
        page.wait_for_url("**/inbox**")
        page.close()
        yield context, faults
        browser.close()


class InboxPage:
    """A tab with the inbox, in which a conversation is open.

    Args:
        context: the browser of an employee.
        server: the server.
        thread_id: the conversation.
    """

    def __init__(self, context: "BrowserContext", server: Server, thread_id: int) -> None:
        self._page = context.new_page()
        self._page.add_init_script(f"(() => {{{(HERE / 'inbox_page.js').read_text()}}})()")
        self._devtools = context.new_cdp_session(self._page)
        self._running = 0
        self._last_s = time.monotonic()
        self._page.on("request", lambda request: self._count(request, 1))
        self._page.on("requestfinished", lambda request: self._count(request, -1))
        self._page.on("requestfailed", lambda request: self._count(request, -1))
        self._page.goto(f"http://127.0.0.1:{server.port}/inbox/needs-reply/{thread_id}")
        self._page.locator(".talk ol.log .msg").first.wait_for()
        self._page.locator(f'.row[data-thread="{thread_id}"]').wait_for()
        self.wait_until_quiet()

    def close(self) -> None:
        """Close the tab."""
        self._page.close()

    def switch(self, key: str, thread_id: int, *, is_calm: bool = True) -> float:
        """Press a key; return the ms until the conversation that it opens is painted.

        Args:
            thread_id: the conversation that it must open.
            is_calm: whether to wait before until nothing is under way.

        Raises:
            RuntimeError: another one was opened.
        """
        if is_calm:
            self.wait_until_quiet()
        self._page.evaluate("key => startSwitch(key)", key)
        self._page.keyboard.press(key)
        took_ms: float = self._page.evaluate("painted")
        opened = self._page.evaluate("location.pathname")
        if opened != f"/inbox/needs-reply/{thread_id}":
            raise RuntimeError(f"{key} opened {opened} instead of {thread_id}")
        return took_ms

    def send(self, text: str) -> float:
        """Reply in the open conversation; return the ms until the reply is painted."""
        self._page.keyboard.press("r")
        self._page.locator(".compose textarea:focus").wait_for()
        self._page.keyboard.type(text)
        self.wait_until_quiet()
        self._page.evaluate("text => startSend('Enter', text)", text)
        self._page.keyboard.press("Control+Enter")
        took_ms: float = self._page.evaluate("painted")
        self._page.keyboard.press("Escape")
        return took_ms

    def wait_for_message(self, text: str) -> None:
        """Wait until the open conversation shows a message."""
        self._page.locator(".talk .msg", has_text=text).wait_for()

    def wait_until_quiet(self) -> None:
        """Wait until no request is under way, except that of the live stream."""
        limit_s = time.monotonic() + LIMIT_S
        while self._running or time.monotonic() < self._last_s + QUIET_S:
            if time.monotonic() > limit_s:
                raise TimeoutError(f"the page sends requests for longer than {LIMIT_S} s")
            self._page.wait_for_timeout(20)

    def code_kb(self) -> float:
        """The compressed size of the scripts and styles of the first load, in kB (10^3 bytes)."""
        code_bytes: int = self._page.evaluate("codeBytes()")
        return code_bytes / 1e3

    def heap_mb(self) -> float:
        """The JavaScript heap after garbage collection, in MB (10^6 bytes)."""
        for _ in range(2):  # finalizers of the first run free more
            self._devtools.send("HeapProfiler.collectGarbage")
        used_bytes: float = self._devtools.send("Runtime.getHeapUsage")["usedSize"]
        return used_bytes / 1e6

    def _count(self, request: "Request", change: int) -> None:
        if "/api/stream" not in request.url:
            self._running += change
            self._last_s = time.monotonic()


def _write(door: http.client.HTTPConnection, shop: Shop, customer: int, text: str) -> None:
    body = {
        "businessId": str(shop.business_id),
        "message": text,
        "user": {"email": f"c{customer}@example.com", "locale": "en"},
    }
    headers = {"token": shop.token, "Content-Type": "application/json"}
    door.request("POST", "/api/widget/send-message-to-business", json.dumps(body), headers)
    answer = door.getresponse()
    said = answer.read()
    if answer.status >= 400:
        raise RuntimeError(f"the server refused a message: {said!r}")


def _sent(server: Server, shop: Shop, thread_ids: Sequence[int]) -> int:
    """Wait until each conversation has a reply; return how many have one."""
    door = http.client.HTTPConnection("127.0.0.1", server.port)
    limit_s = time.monotonic() + SENT_LIMIT_S
    waiting = set(thread_ids)
    while waiting and time.monotonic() < limit_s:
        for thread_id in list(waiting):
            door.request("GET", f"/api/threads/{thread_id}/messages", headers={"token": shop.token})
            found = json.loads(door.getresponse().read())["messages"]
            if any(not message["fromCustomer"] for message in found):
                waiting.remove(thread_id)
        time.sleep(0.2)
    return len(thread_ids) - len(waiting)
