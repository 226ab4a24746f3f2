"""Chromium, checks that apply to every page, and axe for accessibility.

Playwright's own event loop runs in the thread of the tests: nothing in ``tests/browser`` calls ``asyncio.run``.
"""

import os
import re
import shutil
import time
from base64 import b64decode, b64encode
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
SLOW = "SHOPBELL_SLOW_PAGES"
"""A number of times by which pages run slower: a test that passes only by luck then fails more often."""

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
    """How a person sees a page: screen, theme, direction, with or without scripts."""

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
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""A promise that the page has drawn what it was given."""


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
    forgiven: list[str] = field(default_factory=list)
    context: BrowserContext = field(init=False)

    def __post_init__(self) -> None:
        self.context = self.browser.new_context(**(self.look.options | self.options))
        self.context.set_default_timeout(WAIT_MS)
        self.context.on("console", self._hear)
        if os.environ.get(SLOW):
            self.context.on("page", self._slow_down)
        self.context.on("weberror", lambda error: self.complaints.append(f"not caught: {error.error}"))

    def open(self, url: str) -> Page:
        """A new tab with a page, loaded."""
        page = self.context.new_page()
        page.goto(url)
        return page

    def forgive(self, pattern: str) -> None:
        """Drop the complaints that a test has called forth on purpose, those to come too; wait for one."""
        self.forgiven.append(pattern)
        over_s = time.monotonic() + WAIT_MS / 1000
        while self.context.pages and time.monotonic() < over_s:
            if any(re.search(pattern, each) for each in self.complaints):
                break
            self.context.pages[0].wait_for_timeout(20)  # the browser may say it later
        kept = [complaint for complaint in self.complaints if not re.search(pattern, complaint)]
        assert len(kept) < len(self.complaints), f"there was no complaint about {pattern}: {self.complaints}"
        self.complaints[:] = kept

    def close(self) -> None:
        """Leave. Any complaint of the browser fails the test."""
        for each in (self.context, *self.context.pages):
            each.unroute_all(behavior="ignoreErrors")  # a request that a handler still holds is no fault
        self.context.close()
        complaints = [each for each in self.complaints if not any(re.search(one, each) for one in self.forgiven)]
        assert complaints == [], complaints

    def _slow_down(self, page: Page) -> None:
        rate = {"rate": float(os.environ[SLOW])}
        self.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", rate)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")


def faults(page: Page) -> list[str]:
    """What axe finds in a page and in each of its frames, best practices and the size of targets included.

    It is evaluated, not loaded: a strict content security policy stays as it is.

    Returns:
        One line for each place, empty where all is well.
    """
    page.wait_for_load_state()  # what is visible may have no style yet
    page.evaluate(DRAWN)  # the API reference mends Swagger UI in the next frame
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
    """By how many pixels a page is wider than its window."""
    page.wait_for_load_state()  # without its style, a page is wider
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


_TO_WEBP = """async png => {
    const bytes = Uint8Array.from(atob(png), each => each.charCodeAt(0))
    const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }))
    const canvas = new OffscreenCanvas(picture.width, picture.height)
    canvas.getContext("2d").drawImage(picture, 0, 0)
    const webp = await canvas.convertToBlob({ type: "image/webp", quality: 0.75 })
    return btoa(Array.from(new Uint8Array(await webp.arrayBuffer()), each => String.fromCharCode(each)).join(""))
}"""


def keep_state(page: Page, name: str) -> None:
    """Write one state of a page to ``docs/images/<name>.webp``, as ``keep_image`` does: there are many of them."""
    if not os.environ.get(KEEP_IMAGES):
        return
    png = page.screenshot(animations="disabled")
    assert page.context.browser
    blank = page.context.browser.new_page()  # no policy of the page forbids it there
    IMAGES.mkdir(parents=True, exist_ok=True)
    (IMAGES / f"{name}.webp").write_bytes(b64decode(blank.evaluate(_TO_WEBP, b64encode(png).decode())))
    blank.context.close()
