"""The loader: cost, isolation and script interface."""

from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route, expect

from harness.browser import DESKTOP, PHONE, RIGHT_TO_LEFT
from harness.widget import Shop

SLOWER = 4
MAIN_THREAD_MS = 20
THREE_SECONDS_ON_CALL = """
const after = window.setTimeout
window.late = []
window.setTimeout = (callback, ms, ...more) => ms === 3000 ? (late.push(callback), 0) : after(callback, ms, ...more)
"""
"""A page that waits for the panel until the test calls what is ``late``."""


def test_before_the_click_there_is_only_one_request(shop: Shop) -> None:
    visit = shop.enter()
    requests: list[str] = []
    visit.context.on("request", lambda request: requests.append(request.url))
    visit.context.add_init_script(
        "new PerformanceObserver(list => { window.shifts = list.getEntries().length })"
        ".observe({ type: 'layout-shift', buffered: true })"
    )
    page = visit.open(shop.page())
    page.wait_for_selector("shopbell-widget", state="attached")
    page.wait_for_load_state("networkidle")
    of_the_server = [url for url in requests if url.startswith(shop.demo.url)]
    assert of_the_server == [f"{shop.demo.url}/widget.js"]
    assert len(page.frames) == 1
    assert visit.context.cookies() == []
    assert page.evaluate("[localStorage.length, sessionStorage.length, window.shifts ?? 0]") == [0, 0, 0]


def test_opening_takes_three_requests_and_the_first_message_two_and_a_stream(shop: Shop) -> None:
    widget = shop.visit()
    asked: list[str] = []
    widget.page.context.on("request", lambda request: asked.append(urlsplit(request.url).path))
    widget.open()
    assert asked == ["/widget/panel", "/widget/panel.css", "/widget/panel.js"]
    widget.write("Hello")
    widget.expect_state("sent")
    assert asked[3:5] == ["/api/customer/sessions", "/api/customer/messages"]
    assert set(asked[5:]) <= {"/api/customer/stream"}


def test_the_page_cannot_access_bubble_or_panel(shop: Shop) -> None:
    visit = shop.enter()
    page = visit.open(shop.page())
    page.wait_for_selector("shopbell-widget", state="attached")
    assert page.evaluate("document.querySelector('shopbell-widget').shadowRoot") is None
    assert page.evaluate("document.querySelectorAll('iframe').length") == 0


def test_the_widget_works_under_a_policy_that_allows_only_its_server(shop: Shop) -> None:
    widget = shop.visit()
    widget.open()
    widget.write("Is there anybody?")
    widget.expect_state("sent")
    box = widget.bubble.bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (56, 56)
    assert box["x"] + box["width"] == DESKTOP.width - 20


def test_the_pages_styles_do_not_affect_the_bubble(shop: Shop) -> None:
    tag = shop.tag()
    hostile = (
        "body * , shopbell-widget { display: none !important; position: static !important; opacity: 0 !important }"
    )
    widget = shop.visit(shop.page(f"<style>{hostile}</style>{tag}", policy=""))
    expect(widget.bubble).to_be_visible()


def test_a_website_not_listed_in_the_key_sees_no_panel_and_the_reason(shop: Shop) -> None:
    key = shop.store.key("https://elsewhere.example")
    widget = shop.visit(shop.page(shop.tag(key)))
    widget.bubble.click()
    widget.wait_for("heard.some(({ name }) => name === 'opened')")
    expect(widget.bubble).to_have_attribute("aria-expanded", "false")
    assert "error" in widget.heard()
    expect(widget.bubble.locator("b")).to_have_text("! Chat is unavailable")
    expect(widget.page.locator("shopbell-widget").get_by_role("status")).to_have_text("Chat is unavailable")
    shop.complaints.forgive("frame-ancestors|postMessage|does not answer")


def test_a_panel_in_a_foreign_frame_ignores_messages(shop: Shop) -> None:
    """The browser blocks the panel there.

    Even in a browser that does not, the panel does not start.
    """
    url = shop.page(shop.tag(shop.store.key("https://elsewhere.example")), policy="")
    widget = shop.visit(url, script=THREE_SECONDS_ON_CALL)

    def let_in(route: Route) -> None:
        answer = route.fetch()
        headers = {name: value for name, value in answer.headers.items() if name != "content-security-policy"}
        route.fulfill(response=answer, headers=headers)

    widget.page.route("**/widget/panel?*", let_in)
    widget.bubble.click()
    expect(widget.panel.locator("#text")).to_be_attached()
    widget.wait_for("late.length")
    widget.page.evaluate("late.splice(0).forEach(callback => callback())")
    expect(widget.bubble.locator("b")).to_have_text("! Chat is unavailable")
    assert "ready" not in widget.heard()
    shop.complaints.forgive("does not answer")


def test_calls_before_the_script_loads_are_queued(shop: Shop) -> None:
    key = shop.store.key(shop.site.origin)
    shop.site.file(
        "/early.js",
        "window.Shopbell = window.Shopbell || function () { (Shopbell.q = Shopbell.q || []).push(arguments) };"
        "Shopbell('on', 'opened', () => { window.wasOpened = true });"
        f"Shopbell('boot', {{ key: '{key}', business: '{shop.demo.business}' }}); Shopbell('open')",
    )
    tags = f'<script src="/early.js"></script><script async src="{shop.demo.url}/widget.js"></script>'
    widget = shop.visit(shop.page(tags, policy=""))
    widget.wait_for("window.wasOpened")
    expect(widget.panel.locator("#text")).to_be_visible()


def test_an_unknown_call_warns_and_never_throws(shop: Shop) -> None:
    widget = shop.visit()
    calls = "Shopbell('dance'); Shopbell('draw'); Shopbell(); Shopbell('other:open'); 'went on'"
    assert widget.page.evaluate(calls) == "went on"
    assert len(shop.complaints.complaints) == 4
    shop.complaints.forgive(r"\[shopbell\]")


def test_an_event_listener_can_be_removed(shop: Shop) -> None:
    widget = shop.visit()
    count = widget.page.evaluate(
        "() => { let count = 0; const off = Shopbell('on', 'closed', () => count++);"
        " Shopbell('open'); Shopbell('close'); off(); Shopbell('open'); Shopbell('close'); return count }"
    )
    assert count == 1


@pytest.mark.parametrize("is_named_first", [False, True])
def test_of_two_widgets_only_one_is_open(is_named_first: bool, shop: Shop) -> None:
    key = shop.store.key(shop.site.origin)
    tags = [shop.tag(key), shop.tag(key, name="sales", color="#ffd43b")]
    # They run in this order, or in the other one: they are asynchronous.
    widget = shop.visit(shop.page("".join(tags[::-1] if is_named_first else tags)))
    bubbles = widget.page.locator("shopbell-widget button")
    expect(bubbles).to_have_count(2)
    first, second = bubbles.nth(0).bounding_box(), bubbles.nth(1).bounding_box()
    assert first is not None
    assert second is not None
    assert abs(first["x"] - second["x"]) >= 56
    call_and_hear = (
        "(call) => { let name; const hear = ({ detail }) => (name = detail.widget);"
        " document.addEventListener('shopbell:opened', hear, { once: true }); Shopbell(call); return name }"
    )
    places = []
    for call, name in (("open", "main"), ("sales:open", "sales")):
        assert widget.page.evaluate(call_and_hear, call) == name
        opened = widget.page.locator("shopbell-widget button[aria-expanded=true]")
        expect(opened).to_have_count(1)
        box = opened.bounding_box()
        assert box is not None
        places.append(box["x"])
    assert sorted(places) == sorted([first["x"], second["x"]])


def test_single_page_navigation_keeps_the_conversation(shop: Shop) -> None:
    widget = shop.visit()
    widget.open()
    widget.write("Before the navigation")
    widget.expect_state("sent")
    widget.page.evaluate("history.pushState({}, '', '/another'); document.body.replaceChildren('another page')")
    widget.write("and after")
    widget.expect_texts("Before the navigation", "and after")
    widget.page.evaluate("Shopbell('destroy')")
    expect(widget.page.locator("shopbell-widget")).to_have_count(0)
    assert len(widget.page.frames) == 1
    assert widget.heard()[-1] == "destroyed"


def test_an_element_of_the_page_can_open_the_widget(shop: Shop) -> None:
    widget = shop.visit(shop.page(shop.tag(launcher="#help")))
    expect(widget.bubble).to_be_hidden()
    # Frameworks insert a new element with the same name.
    widget.page.evaluate("document.querySelector('main').innerHTML += ''")
    widget.page.locator("#help").click()
    expect(widget.panel.locator("#text")).to_be_focused()
    widget.panel.locator("#text").press("Escape")
    expect(widget.page.locator("#help")).to_be_focused()


def test_the_widget_can_be_hidden_and_shown(shop: Shop) -> None:
    widget = shop.visit()
    widget.page.evaluate("Shopbell('hide')")
    expect(widget.bubble).to_be_hidden()
    widget.page.evaluate("Shopbell('show')")
    expect(widget.bubble).to_be_visible()


def test_the_page_can_prefill_a_message(shop: Shop) -> None:
    widget = shop.visit()
    widget.page.evaluate("Shopbell('newMessage', 'About order 12')")
    expect(widget.panel.locator("#text")).to_have_value("About order 12")
    expect(widget.panel.locator("#messages li")).to_have_count(0)
    widget.page.evaluate("Shopbell('newMessage', 'About order 13')")
    expect(widget.panel.locator("#text")).to_have_value("About order 13")


def test_a_prefilled_message_does_not_replace_the_visitors_draft(shop: Shop) -> None:
    widget = shop.visit()
    widget.open()
    text = widget.panel.locator("#text")
    text.fill("I have a question")
    widget.panel.locator("#close").focus()
    widget.page.evaluate("Shopbell('newMessage', 'About order 12')")
    expect(text).to_be_focused()  # by the code that the page queued
    expect(text).to_have_value("I have a question")


def test_each_business_has_its_own_panel(shop: Shop) -> None:
    widget = shop.visit()
    widget.open()
    other = str(shop.demo.facts["businessIds"][1])
    widget.page.evaluate("id => Shopbell('setBusiness', id)", other)
    expect(widget.panel.locator("h1")).to_have_text("Boutique du Coin")


def test_opening_by_script_does_not_take_the_focus_from_a_field(shop: Shop) -> None:
    shop.site.file("/open.js", "window.Shopbell ||= (...call) => (Shopbell.q ||= []).push(call); Shopbell('open')")
    tags = f"<label>Search <input id=search autofocus></label><script src=/open.js></script>{shop.tag()}"
    widget = shop.visit(shop.page(tags, policy=""))
    expect(widget.panel.locator("#text")).to_be_visible()
    expect(widget.page.locator("#search")).to_be_focused()


def test_on_a_phone_nothing_behind_the_panel_is_reachable(shop: Shop) -> None:
    widget = shop.visit(look=PHONE)
    frame = widget.open()
    assert widget.page.evaluate("[document.body.inert, document.documentElement.style.overflow]") == [True, "hidden"]
    expect(frame.locator("#title")).to_be_focused()  # not the field, because the keyboard would cover half of the panel
    frame.locator("#close").click()
    expect(widget.bubble).to_be_focused()
    assert widget.page.evaluate("[document.body.inert, document.documentElement.style.overflow]") == [False, ""]


def test_on_a_desktop_the_page_beside_the_panel_stays_usable(shop: Shop) -> None:
    widget = shop.visit()
    widget.open()
    assert widget.page.evaluate("document.body.inert") is False
    widget.page.locator("#help").click()
    expect(widget.page.locator("#help")).to_be_focused()


def test_in_right_to_left_pages_the_widget_is_on_the_left(shop: Shop) -> None:
    widget = shop.visit(shop.page(lang="ar"), look=RIGHT_TO_LEFT)
    box = widget.bubble.bounding_box()
    assert box is not None
    assert box["x"] == 20
    expect(widget.open().locator("html")).to_have_attribute("dir", "rtl")


def test_the_loader_does_not_slow_the_page_down(shop: Shop) -> None:
    page = shop.visit(shop.page(policy="")).page
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    session.send("Profiler.enable")
    session.send("Profiler.setSamplingInterval", {"interval": 100})
    taken_ms = []
    for _ in range(5):
        session.send("Profiler.start")
        page.reload()
        page.wait_for_selector("shopbell-widget", state="attached")
        taken_ms.append(_in_loader_ms(session.send("Profiler.stop")["profile"]))
    assert max(taken_ms) > 0
    assert min(taken_ms) <= MAIN_THREAD_MS  # other work of this machine only adds to it


def _in_loader_ms(profile: dict[str, Any]) -> float:
    nodes = {node["id"]: node for node in profile["nodes"]}
    spent_us: Counter[int] = Counter()
    for node, delta_us in zip(profile["samples"], profile["timeDeltas"], strict=True):
        spent_us[node] += delta_us

    def total_us(node: int, *, inside: bool) -> int:
        inside = inside or nodes[node]["callFrame"]["url"].endswith("/widget.js")
        own_us = spent_us[node] if inside else 0
        return own_us + sum(total_us(child, inside=inside) for child in nodes[node].get("children", ()))

    return total_us(profile["nodes"][0]["id"], inside=False) / 1000
