"""Debian's Chromium as people drive it, the looks that every page must have, and axe, which finds what shuts some out.

Playwright's own event loop runs in the thread of the tests: nothing in ``tests/browser`` calls ``asyncio.run``.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Frame, Page, expect, sync_playwright

IMAGES = Path(__file__).parents[2] / "docs" / "images"
KEEP_IMAGES = "SHOPBELL_KEEP_IMAGES"
"""Where this variable is set, ``keep_image`` writes into ``docs/images``: to be looked at before it is committed."""

WAIT_MS = 30_000
expect.set_options(timeout=WAIT_MS)  # machines that do something else besides are slow
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",  # everything here is our own, and the sandbox refuses to run as root
    "--disable-dev-shm-usage",
    # No page needs the internet: what asks for it fails at once, here as in a shop's cellar.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost",
)


@dataclass(frozen=True)
class Look:
    """How somebody sees a page: on what, in which light, from which side, with or without scripts."""

    name: str
    width: int = 1280
    height: int = 800
    dark: bool = False
    touch: bool = False
    locale: str = "en-US"
    scripts: bool = True
    still: bool = True  # asks for reduced motion, so that no image depends on a moment

    @property
    def options(self) -> dict[str, Any]:
        """What Playwright makes a context from."""
        return {
            "viewport": {"width": self.width, "height": self.height},
            "color_scheme": "dark" if self.dark else "light",
            "has_touch": self.touch,
            "is_mobile": self.touch,
            "device_scale_factor": 2 if self.touch else 1,
            "locale": self.locale,
            "java_script_enabled": self.scripts,
            "reduced_motion": "reduce" if self.still else "no-preference",
            "timezone_id": "UTC",
        }


DESKTOP = Look("desktop")
DARK = Look("dark", dark=True)
PHONE = Look("phone", 390, 844, touch=True)
NARROW = Look("narrow", 320, 640)
RIGHT_TO_LEFT = Look("right-to-left", locale="ar")
NO_SCRIPTS = Look("no-scripts", scripts=False)

LOOKS = (DESKTOP, DARK, NARROW, RIGHT_TO_LEFT)
"""Those in which every state must have no fault that axe finds."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium of the system's, until the block ends."""
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    assert path, f"no Chromium is installed: looked for {', '.join(_NAMES)} (Debian: apt-get install chromium)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """One person's browser: a context of its own, with cookies, storage and a look of its own.

    Args:
        browser: in which it is.
        look: how pages are seen.
        options: more for Playwright's context, such as ``offline``.
    """

    browser: Browser
    look: Look
    options: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    context: BrowserContext = field(init=False)

    def __post_init__(self) -> None:
        self.context = self.browser.new_context(**(self.look.options | self.options))
        self.context.set_default_timeout(WAIT_MS)
        self.context.on("console", self._hear)
        self.context.on("weberror", lambda error: self.complaints.append(f"not caught: {error.error}"))

    def open(self, url: str) -> Page:
        """A new tab with a page, loaded."""
        page = self.context.new_page()
        page.goto(url)
        return page

    def forgive(self, pattern: str) -> None:
        """Drop the complaints that a test has called forth on purpose; there must be one."""
        kept = [complaint for complaint in self.complaints if not re.search(pattern, complaint)]
        assert len(kept) < len(self.complaints), f"nobody complained of {pattern}: {self.complaints}"
        self.complaints[:] = kept

    def close(self) -> None:
        """Leave. Whatever the browser complained of meanwhile fails the test."""
        self.context.close()
        assert self.complaints == []

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")


def faults(page: Page) -> list[str]:
    """What axe finds in a page and in each of its frames, best practices and the size of targets included.

    It is evaluated, not loaded: a strict content security policy stays as it is.

    Returns:
        One line for each place, empty where all is well.
    """
    found = []
    for frame in page.frames:
        if frame.url != "about:blank":
            found += _faults_in(frame)
    return found


# Half way from one colour to another a text may be too pale. What moves for ever is looked at as it is.
_AT_REST = """() => Promise.all(
    document.getAnimations().filter(each => each.effect.getComputedTiming().endTime !== Infinity)
        .map(each => each.finished.catch(() => {}))
).then(() => {})"""


def _faults_in(frame: Frame) -> list[str]:
    frame.evaluate(_AT_REST)
    if not frame.evaluate("typeof axe === 'object'"):
        frame.evaluate(AXE_SCRIPT)
    options = {"resultTypes": ["violations"], "iframes": False, "rules": {"target-size": {"enabled": True}}}
    result = frame.evaluate("options => axe.run(document, options)", options)
    return [
        f"{violation['id']}: {violation['help']}: {node['target']} {node['html'][:200]} {node['failureSummary']}"
        for violation in result["violations"]
        for node in violation["nodes"]
    ]


def overflow_px(page: Page) -> int:
    """By how many pixels a page is wider than its window: nobody should scroll sideways to read."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider


def keep_image(page: Page, name: str, *, whole: bool = False) -> None:
    """Write what is seen to ``docs/images/<name>.png``, where ``SHOPBELL_KEEP_IMAGES`` asks for it.

    Args:
        page: what is looked at.
        name: of the file, without its ending.
        whole: the whole page, not only the window.
    """
    if os.environ.get(KEEP_IMAGES):
        IMAGES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=IMAGES / f"{name}.png", full_page=whole, animations="disabled")
