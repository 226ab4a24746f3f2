"""Keyboard, images and pasting in Chromium, Firefox and WebKit."""

import base64

import pytest
from selenium.webdriver import ActionChains, Keys

from harness.engine_widget import EngineShop, EngineWidget
from harness.waiting import wait_until

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
_IS_AT_END = """
const log = document.getElementById('log').getBoundingClientRect()
return document.getElementById('messages').lastElementChild.getBoundingClientRect().bottom <= log.bottom + 1
"""
# Browsers may do this in any frame in which the list changes. WebKit does it most often.
_SCROLLED_BY_THE_BROWSER = """
const scrolled = () => document.getElementById('log').dispatchEvent(new Event('scroll'))
new MutationObserver(scrolled).observe(document.getElementById('messages'), { childList: true })
"""
_IS_COMPOSING = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', arguments[0]))"
_PASTE = """
const data = new DataTransfer()
if (arguments[0]) data.setData('text/plain', arguments[0])
data.items.add(new File([new Uint8Array(arguments[2])], arguments[1], { type: 'image/png' }))
const event = new Event('paste', { bubbles: true, cancelable: true })
Object.defineProperty(event, 'clipboardData', { value: data })
return document.getElementById('text').dispatchEvent(event)
"""
_PICTURES = "return document.querySelectorAll('#messages .picture img').length"


@pytest.fixture
def talking(engine_shop: EngineShop) -> EngineWidget:
    """A visitor who has sent a message and gives no contact."""
    widget = engine_shop.visit()
    widget.open()
    widget.write("Hello")
    widget.expect_state("sent")
    widget.press_button("#cards button.quiet")
    return widget


def read_by_customer(widget: EngineWidget) -> int:
    """The last message that the customer has read, as stored by the server."""
    query = "SELECT max(coalesce(customer_sequence, 0)) FROM thread_reads WHERE thread_id = :thread"
    return int(widget.shop.demo.installation.database.value(query, thread=int(widget.thread)) or 0)


def test_after_opening_the_panel_every_key_is_typed_into_the_field(engine_shop: EngineShop) -> None:
    widget = engine_shop.visit()
    widget.open()
    widget.press("Is it in stock?", Keys.ENTER)
    widget.expect_state("sent")
    widget.expect_texts("Is it in stock?")


def test_escape_in_an_input_method_leaves_the_panel_open(talking: EngineWidget) -> None:
    # In Safari, only the key code says that a key belongs to an input method.
    talking.panel(_IS_COMPOSING, {"key": "Escape", "keyCode": 229, "bubbles": True})
    talking.write("Still here")  # its event would arrive after the one for closing
    talking.wait("return heard.filter(({ name }) => name === 'message:sent').length === 2")
    assert "closed" not in talking.heard()
    talking.press(Keys.ESCAPE)
    talking.wait("return heard.some(({ name }) => name === 'closed')")


def test_the_log_scrolls_after_images_and_new_messages_are_read(talking: EngineWidget) -> None:
    talking.panel(_SCROLLED_BY_THE_BROWSER)
    for number in range(6):
        talking.write(f"Line {number}")
    for number in range(1, 6):
        talking.send_file(f"bike-{number}.png", "image/png", PICTURE)
        talking.wait_in_panel(_PICTURES + " === arguments[0]", number)
    for number in range(1, 4):
        talking.shop.store.answer(talking.thread, f"Answer {number}\n" * 6)
        talking.wait_in_panel("return document.querySelectorAll('.theirs').length === arguments[0]", number)
    talking.wait_in_panel(_IS_AT_END)
    last = talking.panel(
        "return Math.max(...[...document.querySelectorAll('.theirs')].map(({ sequence }) => sequence))"
    )
    wait_until(lambda: read_by_customer(talking) >= last, lambda: "the last answer was not read")


def test_scrolling_up_keeps_the_position(talking: EngineWidget) -> None:
    for number in range(12):
        talking.shop.store.answer(talking.thread, f"Answer {number}\n" * 3)
    talking.wait_in_panel("return document.querySelectorAll('.theirs').length === 12")
    talking.wait_in_panel(_IS_AT_END)
    log = talking.panel("return document.getElementById('log')")
    ActionChains(talking.driver).move_to_element(log).click().send_keys(Keys.HOME).perform()
    talking.wait_in_panel("return document.getElementById('log').scrollTop === 0")
    talking.shop.store.answer(talking.thread, "One more")
    talking.wait_in_panel("return document.querySelectorAll('.theirs').length === 13")
    talking.panel("return document.getElementById('typing').textContent = 'Someone is typing…'")
    assert talking.panel("return document.getElementById('log').scrollTop") == 0


def test_pasted_cells_insert_their_text_and_offer_the_image(talking: EngineWidget) -> None:
    assert talking.panel(_PASTE, "Bike\t12", "image.png", list(PICTURE)), "the browser pastes the text"
    talking.wait_in_panel("return document.querySelector('#cards button.main')")
    assert talking.panel("return document.querySelectorAll('#messages .mine').length") == 1
    talking.press_button("#cards button.main")
    talking.wait_in_panel(_PICTURES + " === 1")
    assert talking.panel("return document.getElementById('offer') === null")


def test_a_pasted_image_is_sent_alone_or_as_a_file(talking: EngineWidget) -> None:
    assert not talking.panel(_PASTE, "", "image.png", list(PICTURE))
    talking.wait_in_panel(_PICTURES + " === 1")
    assert not talking.panel(_PASTE, "bike.png", "bike.png", list(PICTURE))  # as file managers copy it
    talking.wait_in_panel(_PICTURES + " === 2")
