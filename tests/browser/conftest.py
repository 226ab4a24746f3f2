"""A browser, a running demo, and a shop's website on another origin."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser
from selenium.webdriver.remote.webdriver import WebDriver

from harness.browser import DESKTOP, Look, Visit, chromium
from harness.demo import RunningDemo, running_demo
from harness.engine_widget import EngineShop
from harness.engines import ENGINES, driver_of
from harness.host_site import HostSite
from harness.widget import Shop


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """A demo that all tests of this worker share; on SQLite: a browser cannot tell the engines apart."""
    many = {"SHOPBELL_VISITOR_RATE_PER_MIN": "6000"}  # all visitors of all tests have one address
    with running_demo(tmp_path_factory.mktemp("demo"), **many) as demo:
        yield demo


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this worker; each test has contexts of its own."""
    with chromium() as running:
        yield running


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Open visitors' browsers with a look.

    The test fails at its end if a browser has reported an error.
    """
    visits: list[Visit] = []

    def enter(look: Look = DESKTOP, **options: Any) -> Visit:
        visits.append(Visit(browser, look, options))
        return visits[-1]

    yield enter
    for each in visits:
        each.close()


@pytest.fixture
def host_site() -> Iterator[HostSite]:
    """A shop's website with empty pages."""
    site = HostSite()
    site.start()
    yield site
    site.stop()


@pytest.fixture
def shop(demo: RunningDemo, host_site: HostSite, visit: Callable[..., Visit]) -> Shop:
    """A shop's website with the widget of the demo's first business on it."""
    return Shop(demo, host_site, visit)


@pytest.fixture(scope="session", params=ENGINES)
def driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """Each of the three engines in turn."""
    with driver_of(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def engine_shop(demo: RunningDemo, host_site: HostSite, driver: WebDriver) -> Iterator[EngineShop]:
    """A shop's website with the widget, in each engine."""
    yield EngineShop(demo, host_site, driver)
    driver.switch_to.default_content()
    driver.get("about:blank")  # ends the streams; the next test has another key, so it finds no stored data
