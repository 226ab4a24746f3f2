"""The widget on another site, in any of the three browser engines."""

from dataclasses import dataclass, field
from typing import Any

from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

from harness.demo import RunningDemo
from harness.host_site import HostSite
from harness.waiting import wait_until
from harness.widget import OPEN_DOORS, Store

_IN_WIDGET = "return document.querySelector('shopbell-widget')?.shadowRoot.querySelector(arguments[0])"
_IS_READY = "const text = document.querySelector('#text, #message'); return Boolean(text) && !text.disabled && "
_LOADED = "document.readyState === 'complete'"


@dataclass
class EngineShop:
    """A shop's website on ``localhost``, with the widget of a server on ``127.0.0.1``: two sites for every browser."""

    demo: RunningDemo
    site: HostSite
    driver: WebDriver
    host: str = "localhost"
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = self.store.key(self.origin)

    def set_host(self, host: str) -> None:
        """Give the website another host name; with that of the server, both are one site."""
        self.host = host
        self.key = self.store.key(self.origin)

    @property
    def store(self) -> Store:
        """The store's side of the conversations."""
        return Store(self.demo)

    @property
    def origin(self) -> str:
        """The website's origin."""
        return self.site.origin.replace("127.0.0.1", self.host)

    def page(self, path: str = "/", *, script: str = "", lang: str = "en", **attributes: str) -> str:
        """Put a page with the widget on the site, under the strictest policy; returns its address.

        Args:
            path: where, with its slash.
            script: runs in the page before the widget's.
            lang: the page's language.
            attributes: of the widget's tag, instead of the key.
        """
        self.site.file(f"{path}.js", OPEN_DOORS + script)
        given = attributes or {"key": self.key, "business": self.demo.business}
        written = "".join(f' data-{name}="{value}"' for name, value in given.items())
        body = (
            f'<script src="{path}.js"></script><h1>Shop</h1><button id="help">Help</button>'
            f'<script async src="{self.demo.url}/widget.js"{written}></script>'
        )
        policy = (
            f"default-src 'none'; script-src 'self' {self.demo.url}; frame-src {self.demo.url}; style-src 'none'; "
            "connect-src 'self'"
        )
        self.site.page(path, body, policy=policy, lang=lang)
        return self.origin + path

    def visit(self, url: str = "", *, width: int = 0, height: int = 0) -> "EngineWidget":
        """Open a page, the first one unless given; in a window of a size, if one is given."""
        url = url or self.page()
        if width:
            self.site.page("/window", f'<iframe id="window" src="{url}" width="{width}" height="{height}"></iframe>')
        widget = EngineWidget(self, is_in_window=bool(width))
        widget.go(f"{self.origin}/window" if width else url)
        return widget


@dataclass
class EngineWidget:
    """The widget on a page that is open in a tab."""

    shop: EngineShop
    is_in_window: bool = False

    @property
    def driver(self) -> WebDriver:
        """The browser."""
        return self.shop.driver

    @property
    def thread(self) -> str:
        """The conversation, once the visitor has written."""
        return str(self.wait("return heard.findLast(({ name }) => name === 'message:sent')?.customerThreadId"))

    def go(self, url: str) -> None:
        """Open a page in this tab, and wait until the widget is drawn."""
        self.driver.switch_to.default_content()
        self.driver.get(url)
        wait_until(lambda: self.element("button"), lambda: "no widget was drawn")

    def page(self, script: str, *values: Any) -> Any:
        """Run a script in the website's page."""
        self.driver.switch_to.default_content()
        if self.is_in_window:
            self.driver.switch_to.frame(self.driver.find_element(By.ID, "window"))
        return self.driver.execute_script(script, *values)

    def element(self, selector: str) -> WebElement | None:
        """An element of the widget in the page, such as its bubble."""
        found: WebElement | None = self.page(_IN_WIDGET, selector)
        return found

    def enter(self) -> None:
        """What follows is about the panel's document."""
        iframe = self.element("iframe")
        assert iframe is not None, "the panel was not opened"
        self.driver.switch_to.frame(iframe)

    def panel(self, script: str, *values: Any) -> Any:
        """Run a script in the panel's document."""
        self.enter()
        return self.driver.execute_script(script, *values)

    def wait(self, script: str, *values: Any) -> Any:
        """Wait until a script in the page returns something; returns it."""
        return self._wait(self.page, script, values)

    def wait_in_panel(self, script: str, *values: Any) -> Any:
        """Wait until a script in the panel returns something; returns it."""
        return self._wait(self.panel, script, values)

    def _wait(self, run: Any, script: str, values: tuple[Any, ...]) -> Any:
        found: list[Any] = []

        def look() -> bool:
            found[:] = [run(script, *values)]
            return bool(found[0])

        wait_until(look, lambda: f"waited in vain for {script}: {found}")
        return found[0]

    def open(self) -> None:
        """Open the panel by a click on the bubble, and wait until it can be used."""
        self.click("button")
        wait_until(lambda: self.element("iframe"), lambda: "no panel was opened")
        self.wait("return heard.some(({ name }) => name === 'ready')")
        self.wait_in_panel(_IS_READY + _LOADED)
        # A panel takes messages in their order: it has been told that it is open, and moves the focus no more.
        self.page("Shopbell('update', { theme: 'light' })")
        self.wait_in_panel("return document.documentElement.dataset.theme === 'light'")

    def click(self, selector: str) -> None:
        """Click an element of the widget in the page, as a mouse does."""
        button = self.element(selector)
        assert button is not None, f"there is no {selector}"
        ActionChains(self.driver).move_to_element(button).click().perform()

    def press(self, *keys: str) -> None:
        """Press keys in the panel, wherever its focus is."""
        self.enter()
        ActionChains(self.driver).send_keys(*keys).perform()

    def press_button(self, selector: str) -> None:
        """Press a button of the panel."""
        self.wait_in_panel("return document.querySelector(arguments[0])", selector)
        self.panel("document.querySelector(arguments[0]).click()", selector)

    def write(self, text: str) -> None:
        """Send a message by the keyboard."""
        self.panel("document.getElementById('text').focus()")
        ActionChains(self.driver).send_keys(text, Keys.ENTER).perform()

    def send_file(self, name: str, media_type: str, content: bytes) -> None:
        """Choose a file in the panel."""
        self.enter()
        self.choose_file(name, media_type, content)

    def choose_file(self, name: str, media_type: str, content: bytes) -> None:
        """Choose a file in the document that is looked at."""
        self.driver.execute_script(
            """const data = new DataTransfer()
            data.items.add(new File([new Uint8Array(arguments[2])], arguments[0], { type: arguments[1] }))
            const input = document.getElementById('file')
            input.files = data.files
            input.dispatchEvent(new Event('change', { bubbles: true }))""",
            name,
            media_type,
            list(content),
        )

    def texts(self) -> list[str]:
        """The texts of the conversation as the panel shows it."""
        found = self.panel("return [...document.querySelectorAll('#messages .text')].map((one) => one.textContent)")
        return [str(text) for text in found]

    def expect_texts(self, *texts: str) -> None:
        """Wait until the conversation is this and nothing else."""
        wait_until(lambda: self.texts() == list(texts), lambda: f"{self.texts()} instead of {texts}")

    def expect_state(self, state: str) -> None:
        """Wait until the visitor's last message is ``sent``, ``read``, ``waiting`` or ``notSent``."""
        self.wait_in_panel(
            "return document.querySelector('#messages .mine.last')?.dataset.state === arguments[0]", state
        )

    def heard(self) -> list[str]:
        """The names of the events that the page has heard."""
        return [str(name) for name in self.page("return heard.map(({ name }) => name)")]
