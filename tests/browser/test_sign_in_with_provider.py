"""Employees sign in with an OpenID Connect provider in a browser."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Route, expect
from test_sign_in_pages import to_account

from harness.browser import (
    DESKTOP,
    LOOKS,
    NO_SCRIPTS,
    RIGHT_TO_LEFT,
    Look,
    Visit,
    faults,
    keep_image,
    overflow_px,
)
from harness.certified_provider import CertifiedProvider
from harness.demo import RunningDemo, running_demo
from harness.ports import free_port


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """A demo with a provider.

    The sites are ``localhost`` and ``127.0.0.1``, so cookies cross sites.
    """
    port = free_port()
    provider = CertifiedProvider((f"http://localhost:{port}/oidc/callback",))
    provider.start()
    settings = provider.settings | {"public_url": f"http://localhost:{port}", "visitor_rate_per_min": "6000"}
    variables = {f"SHOPBELL_{name.upper()}": value for name, value in settings.items()}
    with running_demo(tmp_path_factory.mktemp("demo"), port, **variables) as demo:
        yield demo
    provider.stop()


def without_fonts(visitor: Visit) -> Visit:
    """Keep the sign-in page of the provider from loading fonts from the internet."""

    def nothing(route: Route) -> None:
        route.fulfill(content_type="text/css", body="")

    visitor.context.route("https://fonts.googleapis.com/**", nothing)
    return visitor


def give_name(page: Page, name: str) -> None:
    """Sign in on the page of the provider, and agree."""
    page.locator("[name='login']").fill(name)
    page.locator("[name='password']").fill("any")
    page.locator("button[type='submit']").click()
    page.get_by_role("button", name="Continue").click()


@pytest.mark.parametrize("look", [DESKTOP, NO_SCRIPTS], ids=lambda look: look.name)
def test_an_employee_joins_signs_out_and_signs_in_again(
    look: Look, site: RunningDemo, visit: Callable[..., Visit]
) -> None:
    _, link = site.invite()
    page = without_fonts(visit(look)).open(link)
    page.get_by_role("link", name="Join with Example ID").click()
    give_name(page, f"joins-{look.name}")
    to_account(page)
    expect(page.get_by_text("Alice Miller")).to_be_visible()
    page.locator("form[action$='sign-out'] button").click()
    page.wait_for_url("**/sign-in")
    page.get_by_role("link", name="Sign in with Example ID").click()
    to_account(page)  # the provider knows the browser
    page.goto(f"{site.site}/account/confirm?next=account/app")
    page.get_by_role("link", name="Sign in with Example ID").click()
    page.locator("[name='password']").fill("any")  # and asks again
    page.locator("[name='login']").fill(f"joins-{look.name}")
    page.locator("button[type='submit']").click()
    page.wait_for_url("**/account/app")


def test_an_employee_adds_the_provider_and_removes_it(site: RunningDemo, visit: Callable[..., Visit]) -> None:
    _, link = site.invite()
    page = without_fonts(visit()).open(link)
    page.locator("#password").fill("correct horse battery")
    page.locator("button.main").click()
    to_account(page)
    page.get_by_role("link", name="Add Example ID").click()
    give_name(page, "adds")
    to_account(page)
    expect(page.get_by_role("link", name="Add Example ID")).to_have_count(0)
    page.get_by_role("button", name="Remove Example ID").click()
    expect(page.get_by_role("link", name="Add Example ID")).to_be_visible()


def test_an_employee_who_cancels_is_back_at_the_sign_in_page(site: RunningDemo, visit: Callable[..., Visit]) -> None:
    page = without_fonts(visit()).open(f"{site.site}/sign-in")
    page.get_by_role("link", name="Sign in with Example ID").click()
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/sign-in?fault=oidc")
    expect(page.get_by_role("alert").first).to_contain_text("Signing in with Example ID did not work.")


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_every_page_with_a_provider_is_accessible(look: Look, site: RunningDemo, visit: Callable[..., Visit]) -> None:
    def expect_fine() -> None:
        expect(page.locator("html")).to_have_css("direction", "rtl" if look is RIGHT_TO_LEFT else "ltr")
        assert faults(page) == []
        assert overflow_px(page) == 0

    _, link = site.invite()
    page = without_fonts(visit(look)).open(f"{site.site}/sign-in")
    expect(page.locator("[data-passkey='sign-in']")).to_be_visible()
    expect_fine()
    keep_image(page, f"sign-in-provider-{look.name}")
    page.goto(f"{site.site}/sign-in?fault=oidc")
    expect_fine()
    page.goto(link)
    expect_fine()
    page.locator("a.other").click()
    give_name(page, f"looks-{look.name}")
    to_account(page)
    expect_fine()
    keep_image(page, f"account-provider-{look.name}", whole=True)
    page.goto(f"{site.site}/account/confirm")
    expect_fine()
