"""A response that the server computes before a change and that arrives after it."""

import time
from dataclasses import dataclass, field
from typing import TypeVar

from playwright.sync_api import APIResponse, Page, Route

from harness.browser import DRAWN
from harness.waiting import TIMEOUT_S

_Held = TypeVar("_Held")


@dataclass
class LateResponse:
    """Holds the response to the next request of a page, until ``arrive``; the later ones arrive at once.

    Args:
        page: it sends the requests.
        url: a pattern as for ``Page.route``.
        method: of these requests.
    """

    page: Page
    url: str
    method: str = "GET"
    held: list[tuple[Route, APIResponse]] = field(default_factory=list)
    _is_taken: bool = False

    def __post_init__(self) -> None:
        self.page.route(self.url, self._hold)

    def _hold(self, route: Route) -> None:
        if self._is_taken or route.request.method != self.method:
            route.fallback()
        else:
            self._is_taken = True  # while it is fetched, the handler is called with the requests after it
            self.held.append((route, route.fetch()))

    def arrive(self) -> None:
        """Let the page have it, and show what follows from it."""
        route, response = first_of(self.held, self.page)
        route.fulfill(response=response)
        settle(self.page)


def first_of(held: list[_Held], page: Page) -> _Held:
    """Wait until a handler of a route holds something: it is called after ``expect_request`` has returned."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while not held:
        assert time.monotonic() < deadline_s, "there was no such request"
        page.wait_for_timeout(20)  # handlers are called only while Playwright waits
    return held[0]


_SETTLED = f"""async () => {{
    for (let times = 0; times < 2; times++) {{
        await (await fetch("/inbox/shopbell.svg", {{ cache: "no-store" }})).text()
        await {DRAWN}
    }}
}}"""


def settle(page: Page) -> None:
    """Wait until a page has taken the responses that are on their way, and drawn what follows from them."""
    page.evaluate(_SETTLED)
