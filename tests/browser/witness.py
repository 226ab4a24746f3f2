"""Detects payloads that run anywhere in a browser."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from payloads import CANARY
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Frame, Page, Request

from harness.browser import WAIT_MS
from harness.widget import OPEN_DOORS

# All elements of a document, those in shadow roots too.
ALL = """
const all = (root) => [...root.querySelectorAll('*')].flatMap((each) =>
  [each, ...(each.shadowRoot ? all(each.shadowRoot) : [])])
"""

# Run a script on a document and on those of its frames that it can reach: one message to the browser for all of them.
EVERYWHERE = """
() => {
  %ALL%
  const inside = (document) => [document, ...all(document).flatMap((each) =>
    each.contentDocument ? inside(each.contentDocument) : [])]
  const reached = inside(document).filter(({ location }) => location && location.protocol !== 'about:')
  const addresses = reached.map(({ location }) => location.href)
  return { addresses, results: reached.map(%SCRIPT%) }
}
"""

# Trigger what waits for a user: handlers, links with scripts, and forms that lead to scripts.
TOUCH = """
(document) => {
  const isScript = (address) => /^(javascript|vbscript|data):/i.test((address || '').replace(/[\\s\\0-\\x1f]/g, ''))
  for (const each of all(document)) {
    const names = each.getAttributeNames()
    for (const name of names.filter((name) => name.startsWith('on')))
      each.dispatchEvent(new Event(name.slice(2), { bubbles: true, cancelable: true }))
    if (names.some((name) => /href$/.test(name) && isScript(each.getAttribute(name))))
      each.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }))
    if (isScript(each.getAttribute('formaction'))) each.click()
    if (each.localName === 'form' && isScript(each.getAttribute('action'))) each.submit()
  }
}
"""

# Elements that our pages never have, but many attacks do.
FOREIGN = """
(document) => {
  const never = 'object embed applet base math marquee video audio frameset frame portal template xss x animate set ' +
    'foreignObject image plaintext xmp isindex canvas map area'
  const isOurs = (address) => /^https?:$/.test(new URL(address, document.baseURI).protocol)
  const wrong = (each) => {
    const names = each.getAttributeNames()
    if (each.localName === 'base' && !each.hasAttribute('href')) return '' // the one of a mail's own page
    if (never.split(' ').includes(each.localName)) return 'an element'
    if (names.some((name) => name.startsWith('on'))) return 'a handler'
    if (each.localName === 'meta' && each.httpEquiv) return 'a command'
    if (each.localName === 'script' && !each.src && each.type !== 'application/json') return 'a script'
    for (const name of ['href', 'xlink:href', 'src', 'action', 'formaction', 'data', 'srcdoc', 'poster'])
      if (each.hasAttribute(name) && (name === 'srcdoc' || !isOurs(each.getAttribute(name)))) return 'an address'
    return ''
  }
  return all(document).filter((each) => wrong(each)).map((each) => `${wrong(each)}: ${each.outerHTML.slice(0, 200)}`)
}
"""

# Loaded after everything before it: a missing image and two frames.
SETTLED = """
() => new Promise((resolve) => {
  const image = new Image()
  image.onload = image.onerror = () => requestAnimationFrame(() => requestAnimationFrame(() => resolve()))
  image.src = `/static/shopbell.svg?${Math.random()}`
})
"""


class Witness:
    """Records what runs in a browser context.

    Args:
        context: a context without open pages.

    ``fired``: the numbers of the payloads that ran. ``refused``: what the policy of a page blocked.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.fired: set[int] = set()
        self.dialogs: list[str] = []
        self.refused: list[str] = []
        context.expose_binding("fired", self._fire)
        context.on("request", self._look)
        context.on("console", self._hear)
        context.on("dialog", self._dismiss)

    def open(self, url: str) -> Page:
        """Open a page in a new tab, and trigger its handlers."""
        page = self.context.new_page()
        page.goto(url)
        self.touch(page)
        return page

    def touch(self, page: Page) -> None:
        """Trigger all handlers in a page and its frames."""
        self.settle(page)
        self._everywhere(page, TOUCH)
        self.settle(page)

    def settle(self, page: Page) -> None:
        """Wait until a page has finished all its work."""
        page.wait_for_load_state()
        page.evaluate(SETTLED)

    def foreign(self, page: Page) -> list[str]:
        """The elements of a page and its frames that do not come from our templates."""
        return [found for result in self._everywhere(page, FOREIGN) for found in result]

    def expect_nothing(self) -> None:
        """Check that no script ran, no request was sent, and no policy had to block one."""
        assert (self.fired, self.dialogs, self.refused) == (set(), [], [])

    def _everywhere(self, page: Page, script: str) -> list[Any]:
        """What a script returns for the document of each frame.

        Playwright asks a frame itself only if the page cannot reach it, because it has another origin or a sandbox.
        """
        frames = [frame for frame in page.frames if not frame.url.startswith("about:")]
        answer = page.evaluate(EVERYWHERE.replace("%ALL%", ALL).replace("%SCRIPT%", script))
        reached, results = Counter(answer["addresses"]), list(answer["results"])
        known = Counter(frame.url for frame in frames)
        for frame in frames:
            if known[frame.url] != reached[frame.url]:
                results += self.inside(frame, script)
        return results

    def inside(self, frame: Frame, script: str) -> list[Any]:
        """What a script returns for the document of a frame; nothing if the frame is gone."""
        return [] if frame.is_detached() else [frame.evaluate(f"() => {{ {ALL}; return ({script})(document) }}")]

    def _fire(self, _: object, *given: object) -> None:
        self.fired.update(int(number) for number in re.findall(r"\d+", str(given[:1]))[:1])

    def _dismiss(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _look(self, request: Request) -> None:
        if CANARY in request.url.partition("?")[0]:
            self.fired.update(int(number) for number in re.findall(rf"{CANARY}/(\d+)", request.url))

    def _hear(self, message: ConsoleMessage) -> None:
        if re.search(r"Content Security Policy|TrustedHTML|Trusted Type|MIME type", message.text):
            self.refused.append(message.text)


@contextmanager
def witness(browser: Browser, *, bypass_csp: bool, **options: Any) -> Iterator[Witness]:
    """A browser context with a witness, for the time of the block.

    Args:
        browser: the browser of the context.
        bypass_csp: whether policies are ignored, so that escaping alone must protect.
        options: more options of Playwright's context.
    """
    context = browser.new_context(bypass_csp=bypass_csp, **options)
    context.set_default_timeout(WAIT_MS * 2)
    context.add_init_script(OPEN_DOORS)  # otherwise the widget's shadow root would hide what runs in it
    try:
        yield Witness(context)
    finally:
        context.close()
