"""The demo's first page: a customer writes left, an employee answers right."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from harness.browser import DARK, DESKTOP, PHONE, RIGHT_TO_LEFT, Look, Visit, faults, keep_image, overflow_px
from harness.demo import RunningDemo, running_demo

WIDE = {"viewport": {"width": 1440, "height": 900}}


@pytest.fixture(scope="module")
def own_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """A demo for this test alone."""
    with running_demo(tmp_path_factory.mktemp("own-demo")) as demo:
        yield demo


def sign_in(page: Page, name: str = "Alice Miller") -> None:
    """Sign in as an employee of the demo, and wait until the pages in the frames have run their scripts."""
    page.get_by_role("button", name=name).click()
    expect(page.locator("form strong", has_text=name)).to_be_visible()
    page.wait_for_load_state()


def test_a_customer_writes_in_the_shop_and_an_employee_answers_beside_it(
    own_demo: RunningDemo, visit: Callable[..., Visit]
) -> None:
    page = visit(DESKTOP, viewport={"width": 1600, "height": 1000}).open(own_demo.site + "/")
    sign_in(page)
    shop, inbox = page.frame_locator("iframe[title='The shop']"), page.frame_locator("iframe[title='The inbox']")
    expect(inbox.get_by_text("Yusuf Demir")).to_be_visible()
    expect(shop.locator("shopbell-widget")).to_be_attached()
    # The panel is in a closed shadow root.
    with page.expect_event("framenavigated", lambda frame: "/widget/panel" in frame.url) as opened:
        shop.get_by_role("button", name="Ask us anything").click()
    panel = opened.value
    expect(panel.locator("#close")).to_be_visible()
    panel.locator("textarea").fill("Is the small bike in stock?")
    panel.locator("textarea").press("Enter")
    row = inbox.locator(".row", has_text="Is the small bike in stock?")
    row.click()
    answer = inbox.get_by_role("textbox", name="Reply")
    answer.fill("Yes, in green and in blue.")
    answer.press("Control+Enter")
    expect(panel.get_by_text("Yes, in green and in blue.")).to_be_visible()
    keep_image(page, "demo")


@pytest.mark.parametrize("look", [DESKTOP, DARK, RIGHT_TO_LEFT, PHONE], ids=lambda look: look.name)
def test_an_open_conversation_is_accessible(own_demo: RunningDemo, visit: Callable[..., Visit], look: Look) -> None:
    options = {} if look is PHONE else WIDE
    page = visit(look, **options).open(own_demo.site + "/")
    sign_in(page)
    page.goto(f"{own_demo.site}/inbox/open")
    page.locator(".row", has_text="Leïla Haddad").click()
    expect(page.locator(".note .at")).to_have_text("@Alice Miller")
    expect(page.get_by_role("textbox").first).to_be_visible()
    keep_image(page, f"inbox-{look.name}")
    assert faults(page) == []
    assert overflow_px(page) == 0
