"""A browser, a running demo, and a shop's website on another origin."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from harness.browser import DESKTOP, Look, Visit, chromium
from harness.demo import RunningDemo, running_demo
from harness.host_site import HostSite
from harness.widget import Shop


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """A demo that all tests of this worker share; on SQLite: a browser cannot tell the engines apart."""
    many = {"SHOPBELL_VISITOR_RATE_PER_MIN": "6000"}  # all visitors of all tests come from one address
    with running_demo(tmp_path_factory.mktemp("demo"), **many) as demo:
        yield demo


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this worker; each test has contexts of its own."""
    with chromium() as running:
        yield running


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Lets somebody in, with a look; what the browser complained of fails the test when it ends."""
    visits: list[Visit] = []

    def enter(look: Look = DESKTOP, **options: Any) -> Visit:
        visits.append(Visit(browser, look, options))
        return visits[-1]

    yield enter
    for each in visits:
        each.close()


@pytest.fixture
def host_site() -> Iterator[HostSite]:
    """A shop's website, empty at first."""
    site = HostSite()
    site.start()
    yield site
    site.stop()


@pytest.fixture
def shop(demo: RunningDemo, host_site: HostSite, visit: Callable[..., Visit]) -> Shop:
    """A shop's website with the widget of the demo's first business on it."""
    return Shop(demo, host_site, visit)
