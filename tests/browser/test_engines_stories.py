"""The widget's main stories in Chromium, Firefox and WebKit."""

import json

from invited import Invited
from selenium.webdriver import ActionChains, Keys

from harness.engine_widget import EngineShop
from harness.host_site import Asked, HostPage
from harness.waiting import wait_until


def test_both_sides_talk_and_the_conversation_continues_on_the_next_page(engine_shop: EngineShop) -> None:
    widget = engine_shop.visit()
    widget.open()
    widget.write("Do you have the red one?")
    widget.expect_state("sent")
    engine_shop.store.answer(widget.thread, "Yes, in all sizes.")
    widget.expect_texts("Do you have the red one?", "Yes, in all sizes.")
    assert engine_shop.store.messages(widget.thread) == widget.texts()
    widget.go(engine_shop.page("/next"))
    widget.open()
    widget.expect_texts("Do you have the red one?", "Yes, in all sizes.")
    widget.write("Thank you")
    widget.expect_state("sent")


def test_a_closed_panel_counts_messages_and_returns_the_focus(engine_shop: EngineShop) -> None:
    widget = engine_shop.visit()
    widget.open()
    widget.write("Hello")
    widget.expect_state("sent")
    widget.press(Keys.ESCAPE)
    widget.wait("return heard.some(({ name }) => name === 'closed')")
    is_bubble = "return document.querySelector('shopbell-widget').shadowRoot.activeElement?.tagName"
    assert widget.page(is_bubble) == "BUTTON"
    engine_shop.store.answer(widget.thread, "Are you there?")
    label = "return document.querySelector('shopbell-widget').shadowRoot.querySelector('button').ariaLabel"
    wait_until(lambda: widget.page(label) == "Open chat, Unread messages: 1", lambda: str(widget.page(label)))
    ActionChains(widget.driver).send_keys(Keys.ENTER).perform()
    wait_until(lambda: widget.page(label) == "Close chat", lambda: str(widget.page(label)))


def test_a_site_sends_through_its_own_backend(engine_shop: EngineShop) -> None:
    got: list[Asked] = []

    def contact(asked: Asked) -> HostPage:
        got.append(asked)
        return HostPage(b'{"result": "ok"}', {"Content-Type": "application/json"})

    engine_shop.site.answers["/contact"] = contact
    widget = engine_shop.visit(engine_shop.page(endpoint="/contact"))
    widget.open()
    widget.press("Is it open on Monday?", Keys.TAB, "dave@customers.example", Keys.ENTER)
    widget.wait_in_panel(
        "return document.getElementById('done').textContent === 'Thank you. We have received your message.'"
    )
    sent = json.loads(got[0].body)
    assert (sent["message"], sent["email"]) == ("Is it open on Monday?", "dave@customers.example")


def test_a_reset_by_the_page_forgets_the_conversation(engine_shop: EngineShop) -> None:
    widget = engine_shop.visit()
    widget.open()
    widget.write("Hello")
    widget.expect_state("sent")
    widget.page("Shopbell('reset')")
    widget.wait_in_panel("return !document.querySelector('#messages li')")
    widget.go(engine_shop.page("/next"))
    widget.open()
    widget.write("Somebody else")
    widget.expect_state("sent")
    widget.expect_texts("Somebody else")


def test_the_conversation_page_is_live_and_reloads(engine_shop: EngineShop) -> None:
    driver = engine_shop.driver
    carol = Invited(engine_shop)
    carol.comes_by(driver)
    driver.find_element("id", "text").send_keys("It is order 12.", Keys.ENTER)
    engine_shop.store.answer(carol.thread, "We look for it.")
    texts = "return [...document.querySelectorAll('#messages .text')].map((one) => one.textContent).sort()"
    said = ["Hello, I need help with my order.", "It is order 12.", "We look for it."]
    wait_until(lambda: driver.execute_script(texts) == said, lambda: str(driver.execute_script(texts)))
    driver.refresh()
    wait_until(lambda: driver.execute_script(texts) == said, lambda: str(driver.execute_script(texts)))
