"""The server's HTML pages in a browser."""

from collections.abc import Callable

import httpx2
import pytest
from playwright.sync_api import Page, expect

from harness.browser import (
    DARK,
    DESKTOP,
    NARROW,
    NO_SCRIPTS,
    PHONE,
    RIGHT_TO_LEFT,
    Look,
    Visit,
    faults,
    keep_image,
    overflow_px,
)
from harness.demo import RunningDemo
from harness.host_site import HostSite

SEEN = (DESKTOP, DARK, NARROW, PHONE, RIGHT_TO_LEFT)
SEND = "/api/widget/send-message-to-business"
PAGES = ("/", "/problems", "/problems/validation-error")


def in_looks(looks: tuple[Look, ...]) -> pytest.MarkDecorator:
    """Runs a test once in each look."""
    return pytest.mark.parametrize("look", looks, ids=lambda look: look.name)


@pytest.mark.parametrize("path", PAGES)
@in_looks(SEEN)
def test_every_page_is_accessible(path: str, look: Look, demo: RunningDemo, visit: Callable[..., Visit]) -> None:
    page = visit(look).open(demo.url + path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert faults(page) == []
    assert overflow_px(page) == 0


def reference(demo: RunningDemo, visit: Visit) -> tuple[Page, int]:
    """The rendered API reference, and the number of its operations."""
    with httpx2.Client(trust_env=False) as client:
        paths = client.get(f"{demo.url}/openapi.json").json()["paths"]
    methods = ("get", "post", "put", "patch", "delete")
    operations = sum(1 for path in paths.values() for method in path if method in methods)
    page = visit.open(f"{demo.url}/docs")
    expect(page.locator(".opblock")).to_have_count(operations)
    return page, operations


@in_looks((DESKTOP, DARK, NARROW))
def test_the_reference_shows_every_operation_and_is_accessible(
    look: Look, demo: RunningDemo, visit: Callable[..., Visit]
) -> None:
    page, operations = reference(demo, visit(look))
    assert operations > 40
    operation = page.locator(".opblock", has_text=SEND).first
    operation.get_by_role("button").first.click()
    expect(operation.get_by_role("button", name="Try it out")).to_be_visible()
    keep_image(page, f"docs-{look.name}")
    assert faults(page) == []
    assert overflow_px(page) == 0


def test_a_message_can_be_sent_from_the_reference_of_the_demo_without_its_token(
    demo: RunningDemo, visit: Callable[..., Visit]
) -> None:
    page, _ = reference(demo, visit())
    send_from(page)


def test_a_token_can_be_entered_in_the_reference(demo: RunningDemo, visit: Callable[..., Visit]) -> None:
    page, _ = reference(demo, visit())
    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Remove authorization").or_(dialog.locator("button.modal-btn.auth")).first.click()
    dialog.locator("input").first.fill(demo.token)
    assert faults(page) == []
    dialog.get_by_role("button", name="Apply credentials").or_(dialog.locator("button.authorize")).first.click()
    dialog.get_by_role("button", name="Close").last.click()
    send_from(page)


def send_from(page: Page) -> None:
    """Send the example of the reference."""
    operation = page.locator(".opblock", has_text=SEND).first
    operation.get_by_role("button").first.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_contain_text('"result": "ok"')
    assert faults(page) == []


def test_the_reference_says_what_to_do_without_scripts(demo: RunningDemo, visit: Callable[..., Visit]) -> None:
    page = visit(NO_SCRIPTS).open(f"{demo.url}/docs")
    expect(page.get_by_role("link", name="OpenAPI document")).to_be_visible()


def test_control_accessibility_errors_are_found(host_site: HostSite, visit: Callable[..., Visit]) -> None:
    inside = host_site.page("/inside", "<main><h1>In</h1><input></main>", policy="default-src 'none'")
    body = f'<main><h1 style="color:#aaa;background:#bbb">Pale</h1><iframe title="in" src="{inside}"></iframe></main>'
    page = visit().open(host_site.page("/", body, policy="default-src 'none'; style-src 'unsafe-inline'; frame-src *"))
    assert {fault.partition(":")[0] for fault in faults(page)} == {"color-contrast", "label"}


def test_no_page_requests_other_hosts(host_site: HostSite, visit: Callable[..., Visit]) -> None:
    visitor = visit()
    page = visitor.open(host_site.page("/", '<main><h1>Shop</h1><img alt="" src="http://example.com/a.png"></main>'))
    assert page.evaluate("document.images[0].naturalWidth") == 0
    visitor.forgive("ERR_NAME_NOT_RESOLVED")


def test_control_a_page_that_is_too_wide_is_found(host_site: HostSite, visit: Callable[..., Visit]) -> None:
    page = visit(NARROW).open(host_site.page("/", '<main><h1>Shop</h1><p style="width:400px">Wide</p></main>'))
    assert overflow_px(page) > 0


def test_control_browser_errors_are_found(host_site: HostSite, visit: Callable[..., Visit]) -> None:
    visitor = visit()
    host_site.file("/bad.js", "console.error('out loud'); nothing.there()")
    page = visitor.open(host_site.page("/", '<main><h1>Shop</h1></main><script src="/bad.js"></script>'))
    expect(page.get_by_role("heading")).to_be_visible()
    visitor.forgive("out loud")
    visitor.forgive("not caught: nothing is not defined")
