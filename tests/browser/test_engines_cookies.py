"""Firefox and WebKit with storage blocked by their own settings."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Keys

from harness.demo import RunningDemo
from harness.engine_widget import EngineShop, EngineWidget
from harness.engines import driver_of
from harness.host_site import HostSite
from harness.waiting import wait_until

FIREFOX_WITHOUT_STORAGE = {"dom.storage.enabled": False}
FIREFOX_WITHOUT_THIRD_PARTY_COOKIES = {"network.cookie.cookieBehavior": 1}
WEBKIT_WITHOUT_STORAGE = {"enable-html5-local-storage": "false"}
TITLE = "return document.getElementById('contact-title')?.textContent"
KEEPS_NOTHING = "Your browser does not keep this conversation: it ends when you leave this page. How can we reach you?"
KEEP = "//button[text()='Keep this conversation in the browser']"
SAVED = "Thank you. We will reply here and to the address or number you gave us."
REFUSED = "Your browser does not allow this. Please tell us how we can reach you."


@contextmanager
def written(
    shop: tuple[RunningDemo, HostSite, Path], engine: str, settings: Mapping[str, Any]
) -> Iterator[EngineWidget]:
    """A visitor with a separate browser who has sent a message."""
    demo, site, folder = shop
    with driver_of(engine, folder, settings) as driver:
        widget = EngineShop(demo, site, driver).visit()
        widget.open()
        widget.write("Hello")
        widget.expect_state("sent")
        yield widget


@pytest.fixture
def its(demo: RunningDemo, host_site: HostSite, tmp_path: Path) -> tuple[RunningDemo, HostSite, Path]:
    """A shop without a browser."""
    return demo, host_site, tmp_path


def test_firefox_keeps_the_session_in_a_partitioned_cookie(its: tuple[RunningDemo, HostSite, Path]) -> None:
    with written(its, "firefox", FIREFOX_WITHOUT_STORAGE) as widget:
        widget.shop.store.answer(widget.thread, "Welcome")
        widget.go(widget.shop.page("/next"))
        widget.open()
        widget.expect_texts("Hello", "Welcome")
        widget.write("On the next page")
        widget.expect_state("sent")
        widget.expect_texts("Hello", "Welcome", "On the next page")


@pytest.mark.parametrize(
    ("engine", "settings"),
    [("firefox", FIREFOX_WITHOUT_THIRD_PARTY_COOKIES), ("webkit", WEBKIT_WITHOUT_STORAGE)],
    ids=["firefox", "webkit"],
)
def test_a_browser_without_any_storage_says_so_and_accepts_an_address(
    engine: str, settings: Mapping[str, Any], its: tuple[RunningDemo, HostSite, Path]
) -> None:
    with written(its, engine, settings) as widget:
        wait_until(lambda: widget.panel(TITLE) == KEEPS_NOTHING, lambda: str(widget.panel(TITLE)))
        widget.enter()
        widget.driver.find_element("xpath", KEEP).click()
        fault = "return document.getElementById('contact-fault').textContent"
        wait_until(lambda: widget.panel(fault) == REFUSED, lambda: str(widget.panel(fault)))
        widget.press("carol@customers.example", Keys.ENTER)  # the field has the focus
        cards = "return document.getElementById('cards').textContent"
        wait_until(lambda: widget.panel(cards) == SAVED, lambda: str(widget.panel(cards)))
        # As above, but without the data that a browser would store.
        widget.go(widget.shop.page("/next"))
        widget.open()
        widget.write("On the next page")
        widget.expect_state("sent")
        widget.expect_texts("On the next page")
