"""The widget with frameworks that replace pages in the browser."""

import pytest
from playwright.sync_api import expect

from harness.host_site import HostPage
from harness.npm_sites import TURBO, TURBOLINKS, library, react_page
from harness.widget import Shop, Widget

HTML = {"Content-Type": "text/html; charset=utf-8"}
STUB = "<script>window.Shopbell = function () { (Shopbell.q = Shopbell.q || []).push(arguments) }</script>"


def expect_one_bubble(widget: Widget) -> None:
    """Check that there is one bubble and that it works."""
    expect(widget.page.locator("shopbell-widget")).to_have_count(1)
    expect(widget.bubble).to_be_visible()
    widget.open()
    widget.panel.locator("#text").press("Escape")
    expect(widget.bubble).to_have_attribute("aria-expanded", "false")


def linked_pages(shop: Shop, name: str, tag: str, next_tag: str) -> str:
    """Two pages with a link from one to the other, and a library that follows it without loading the page."""
    shop.site.file("/library.js", library(name))
    for path, other, its in (("/", "/next", tag), ("/next", "/", next_tag)):
        head = '<!doctype html><html lang="en"><title>Shop</title><script src="/library.js"></script>'
        body = f'<body><h1>{path}</h1><a href="{other}">Go to {other}</a>{STUB}{its}</body></html>'
        shop.site.pages[path] = HostPage((head + body).encode(), HTML)
    return shop.site.origin + "/"


COUNT_LOADS = """
window.loads = 0
for (const name of ['turbo:load', 'turbolinks:load']) addEventListener(name, () => loads++)
"""


@pytest.mark.parametrize("name", [TURBO, TURBOLINKS])
def test_pages_replaced_by_turbo_or_turbolinks_keep_one_bubble_and_its_panel(name: str, shop: Shop) -> None:
    tag = shop.tag()
    widget = shop.visit(linked_pages(shop, name, tag, tag), script=COUNT_LOADS)
    widget.open()
    widget.write("Before the visit")
    widget.expect_state("sent")
    for visits, heading in enumerate(("/next", "/", "/next"), 1):
        widget.page.get_by_role("link").click()
        widget.wait_for(f"loads > {visits}")  # a known page is shown at once, and replaced when it has come
        expect(widget.page.locator("h1")).to_have_text(heading)
    widget.expect_texts("Before the visit")
    expect(widget.page.locator("shopbell-widget")).to_have_count(1)
    widget.page.evaluate("Shopbell('close')")
    expect_one_bubble(widget)


def test_the_tag_of_the_next_page_selects_the_business_of_the_bubble(shop: Shop) -> None:
    key = shop.store.key(shop.site.origin)
    next_tag = shop.tag(key, business=str(shop.demo.facts["businessIds"][1]), color="#7a0044")
    widget = shop.visit(linked_pages(shop, TURBO, shop.tag(key), next_tag))
    widget.page.get_by_role("link").click()
    expect(widget.page.locator("h1")).to_have_text("/next")
    expect(widget.bubble).to_have_css("background-color", "rgb(122, 0, 68)")
    expect_one_bubble(widget)
    expect(widget.panel.locator("h1")).to_have_text("Boutique du Coin")


def test_two_identical_tags_draw_one_bubble(shop: Shop) -> None:
    tag = shop.tag()
    widget = shop.visit(shop.page(tag + tag))
    widget.page.wait_for_load_state("networkidle")
    expect_one_bubble(widget)


def test_a_tag_of_type_module_draws_one_bubble(shop: Shop) -> None:
    tag = shop.tag().replace("<script async", "<script type=module")
    widget = shop.visit(shop.page(tag + tag))
    expect_one_bubble(widget)


def test_an_import_without_a_tag_warns_without_an_error(shop: Shop) -> None:
    visit = shop.enter()
    page = visit.open(shop.site.page("/", "<h1>Shop</h1>"))
    page.evaluate("address => import(address)", f"{shop.demo.url}/widget.js")
    visit.forgive("no script tag")


@pytest.mark.parametrize("version", ["react18", "react19"])
@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "late"])
def test_a_page_hydrated_by_react_has_a_bubble_and_keeps_its_own_handlers(
    version: str, is_late: bool, shop: Shop
) -> None:
    key = shop.store.key(shop.site.origin)
    tag = {"src": f"{shop.demo.url}/widget.js", "data-key": key, "data-business": shop.demo.business}
    html, script = react_page(version, tag)
    shop.site.pages["/"] = HostPage(html.encode(), HTML)
    shop.site.file("/react.js", script)
    # After the bubble is drawn, because that order is harder.
    at_once = "const wait = () => document.querySelector('shopbell-widget') ? hydrate() : setTimeout(wait); " * (
        not is_late
    )
    at_once += "addEventListener('DOMContentLoaded', wait)" * (not is_late)
    widget = shop.visit(shop.site.origin + "/", script=f"window.waits = true; {at_once}")
    if is_late:
        widget.open()
        widget.page.evaluate("hydrate()")
    button = widget.page.locator("#count")
    widget.wait_for("document.querySelector('#count')?.isHydrated")
    button.click()
    expect(button).to_have_text("Count: 1")
    expect(widget.page.locator("shopbell-widget")).to_have_count(1)
    if is_late:
        expect(widget.panel.locator("#text")).to_be_visible()
        widget.page.evaluate("Shopbell('close')")
    expect_one_bubble(widget)
    if is_late and version == "react18":
        # An element beside the body makes the framework render the whole document again. The widget comes back.
        shop.complaints.forgive("(?i)hydrat|Did not expect server HTML")


def test_a_rewritten_page_gets_its_bubble_back(shop: Shop) -> None:
    tag = shop.tag(launcher="#help")
    widget = shop.visit(shop.page(tag, policy=""))
    widget.page.evaluate("Shopbell('update', { launcher: undefined })")
    widget.open()
    widget.write("Before")
    widget.expect_state("sent")
    for again in ("", tag):
        widget.page.evaluate(
            "html => { document.open(); document.write(html); document.close() }",
            f"<!doctype html><html lang=en><title>Shop</title><h1>New</h1><button id=help>Help</button>{again}",
        )
        expect(widget.page.locator("h1")).to_have_text("New")
        widget.wait_for("document.readyState === 'complete'")  # the tag has run
        widget.expect_texts("Before")
        widget.panel.locator("#text").press("Escape")
        expect(widget.bubble).to_have_attribute("aria-expanded", "false")
        widget.page.evaluate("Shopbell('update', { launcher: undefined })")
        expect_one_bubble(widget)
        widget.open()
    widget.page.evaluate("Shopbell('update', { launcher: '#help' }); Shopbell('close')")
    widget.page.locator("#help").click()
    expect(widget.panel.locator("#text")).to_be_visible()


def test_a_removed_bubble_comes_back_and_a_destroyed_one_does_not(shop: Shop) -> None:
    widget = shop.visit()
    widget.page.evaluate("document.querySelector('shopbell-widget').remove()")
    expect_one_bubble(widget)
    widget.page.evaluate(
        "Shopbell('destroy'); document.body.remove(); document.documentElement.append(document.createElement('body'))"
    )
    widget.page.evaluate(
        "new Promise(done => setTimeout(done, 0)).then(() => new Promise(done => setTimeout(done, 0)))"
    )
    expect(widget.page.locator("shopbell-widget")).to_have_count(0)


OPEN_SHADOW = """
const host = document.createElement('shop-header')
document.querySelector('main').append(host)
host.attachShadow({ mode: 'open' }).innerHTML = '<button id=help-inside><span>Help</span></button>'
"""


def test_a_launcher_inside_an_open_shadow_root_opens_it(shop: Shop) -> None:
    widget = shop.visit(shop.page(shop.tag(launcher="#help-inside")))
    widget.page.evaluate(OPEN_SHADOW)
    widget.page.locator("#help-inside span").click()
    expect(widget.panel.locator("#text")).to_be_focused()
    widget.panel.locator("#text").press("Escape")
    expect(widget.page.locator("#help-inside")).to_be_focused()


def test_a_launcher_below_a_handler_that_stops_propagation_opens_it(shop: Shop) -> None:
    widget = shop.visit(shop.page(shop.tag(launcher="#help")))
    widget.page.evaluate("document.querySelector('main').addEventListener('click', event => event.stopPropagation())")
    widget.page.locator("#help").click()
    expect(widget.panel.locator("#text")).to_be_visible()


def test_an_invalid_launcher_selector_breaks_nothing(shop: Shop) -> None:
    widget = shop.visit(shop.page(shop.tag(launcher="#")))
    widget.page.locator("#help").click()
    assert widget.page.evaluate("typeof Shopbell") == "function"
    shop.complaints.forgive("is not a valid selector")
