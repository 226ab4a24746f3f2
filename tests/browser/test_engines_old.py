"""Rendering in Chromium, Firefox and WebKit without newer features."""

import pytest
from invited import Invited
from test_engines_input import PICTURE

from harness.engine_widget import EngineShop, EngineWidget
from harness.waiting import wait_until

# Safari 15.4 supports neither constructed style sheets nor "inert".
_AS_IN_SAFARI_15 = "delete window.CSSStyleSheet\ndelete HTMLElement.prototype.inert\n"
_BOX = "const { left, top, width, height, right, bottom } = arguments[0].getBoundingClientRect()\n"
_ARABIC_FIELDS = """
const text = document.getElementById('text')
const contact = document.getElementById('contact')
return [text, contact].map((one) => one && getComputedStyle(one).direction)
"""


def painted(engine_shop: EngineShop, **window: int) -> EngineWidget:
    """A visitor with an old browser; the bubble is in its corner, so that a click on it does not miss it."""
    widget = engine_shop.visit(engine_shop.page(script=_AS_IN_SAFARI_15), **window)
    corner = _BOX + "return right > innerWidth - 40 && bottom > innerHeight - 40 && width === 56 && height === 56"
    wait_until(lambda: widget.page(corner, widget.element("button")), lambda: "the bubble is not in its corner")
    return widget


def test_the_widget_is_styled_without_constructable_style_sheets(engine_shop: EngineShop) -> None:
    widget = painted(engine_shop)
    widget.open()
    assert widget.page(_BOX + "return [width, height > 300]", widget.element(".frame")) == [400, True]
    widget.write("Hello")
    widget.expect_state("sent")
    widget.click("button")
    wait_until(lambda: not widget.page(_BOX + "return width", widget.element(".frame")), lambda: "it stays open")


def test_without_inert_nothing_behind_the_panel_of_a_phone_is_reachable(engine_shop: EngineShop) -> None:
    widget = painted(engine_shop, width=360, height=600)
    widget.open()
    help_is_hidden = "return getComputedStyle(document.getElementById('help')).visibility === 'hidden'"
    wait_until(lambda: widget.page(help_is_hidden), lambda: "the page behind the panel can be reached")
    widget.press_button("#close")
    wait_until(lambda: not widget.page(help_is_hidden), lambda: "the page stays hidden")


def test_empty_fields_are_right_to_left_in_arabic(engine_shop: EngineShop) -> None:
    widget = engine_shop.visit(engine_shop.page(lang="ar"))
    widget.open()
    assert widget.panel(_ARABIC_FIELDS) == ["rtl", None]
    widget.write("Hello")
    widget.expect_state("sent")
    widget.wait_in_panel("return document.getElementById('contact')")
    assert widget.panel(_ARABIC_FIELDS) == ["rtl", "rtl"]
    widget.panel("document.getElementById('text').value = 'Hello'")
    assert widget.panel(_ARABIC_FIELDS)[0] == "ltr"


def test_an_image_is_shown_after_the_conversation_page_is_reloaded(engine_shop: EngineShop) -> None:
    driver = engine_shop.driver
    Invited(engine_shop).comes_by(driver)
    EngineWidget(engine_shop).choose_file("bike.png", "image/png", PICTURE)
    shown = "return document.querySelector('#messages [data-message-id] .picture img')?.naturalWidth === 1"
    wait_until(lambda: driver.execute_script(shown), lambda: "the picture was not sent")
    driver.refresh()
    wait_until(lambda: driver.execute_script(shown), lambda: "the picture is not shown")
    alt = driver.execute_script("return document.querySelector('#messages .picture img').alt")
    assert alt == "Picture: bike.png"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_only_a_browser_without_storage_warns(host: str, engine_shop: EngineShop) -> None:
    forgets = engine_shop.driver.capabilities["browserName"] == "MiniBrowser" and host == "localhost"
    engine_shop.set_host(host)
    widget = engine_shop.visit()
    widget.open()
    for number in (1, 2):
        widget.write(f"Message {number}")
        widget.expect_state("sent")
        if number == 1 or forgets:  # if the conversation will be lost, the page asks again
            title = widget.wait_in_panel("return document.getElementById('contact-title')?.textContent")
            assert title.startswith("This browser forgets" if forgets else "How can we reach you"), title
            widget.press_button("#cards button.quiet")
    assert widget.panel("return document.getElementById('cards').childElementCount") == 0
