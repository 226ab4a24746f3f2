"""Employees sign in and manage their account in a browser."""

import re
import time
from collections.abc import Callable
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Page, expect

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
from harness.demo import RunningDemo

PASSWORD = "correct horse battery"
REFUSED = "status of 40[01]"


def to_account(page: Page) -> None:
    """Wait until the employee is signed in, and open the account page."""
    page.wait_for_url(re.compile(r"/(account|inbox)(/[a-z-]+)?$"))
    if "/inbox" in page.url:
        page.goto(page.url.partition("/inbox")[0] + "/account")


def join(page: Page) -> None:
    """Accept the invitation that is shown."""
    page.locator("#password").fill(PASSWORD)
    page.locator("button.main").click()
    to_account(page)


def sign_out(page: Page) -> None:
    """Sign out on the account page."""
    page.locator("form[action$='sign-out'] button").click()
    page.wait_for_url("**/sign-in")


def give_password(page: Page, email: str, password: str = PASSWORD) -> None:
    """Fill in the sign-in page and send it."""
    page.locator("#email").fill(email)
    page.locator("#password").fill(password)
    page.locator("form button.main").click()


def set_up_app(page: Page) -> tuple[pyotp.TOTP, list[str]]:
    """Set up an authenticator app; returns it and the recovery codes.

    The page with the codes is shown.
    """
    page.locator("a[href$='account/app']").click()
    page.locator("summary").click()
    app = pyotp.TOTP(page.locator("details code").inner_text().replace(" ", ""))
    page.locator("#code").fill(app.now())
    page.locator("ol button.main").click()
    expect(page.locator(".codes li")).to_have_count(10)
    return app, page.locator(".codes li").all_inner_texts()


def next_code(app: pyotp.TOTP) -> str:
    """The next code: each is accepted once, and one step early."""
    return app.at(int(time.time()) + app.interval)


def have_passkeys(page: Page, *, offers: bool = False) -> None:
    """Give the machine a device for passkeys, whose owner shows their finger at once.

    Args:
        offers: whether the browser suggests passkeys in the address field; then the owner chooses one at once.
    """
    if not offers:
        page.add_init_script("PublicKeyCredential.isConditionalMediationAvailable = async () => false")
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options: dict[str, Any] = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_an_invited_employee_adds_a_passkey_and_signs_in_with_it(
    demo: RunningDemo, visit: Callable[..., Visit]
) -> None:
    _, link = demo.invite()
    page = visit().open(link)
    have_passkeys(page)
    join(page)
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("Chrome on Linux")).to_have_count(2)  # the passkey and the device
    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    to_account(page)
    expect(page.get_by_role("heading", name="My account")).to_be_visible()


def test_the_address_field_offers_the_passkey(demo: RunningDemo, visit: Callable[..., Visit]) -> None:
    _, link = demo.invite()
    page = visit().open(link)
    have_passkeys(page, offers=True)
    join(page)
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("Chrome on Linux")).to_have_count(2)
    # The employee chooses the passkey in the field; the device of the test does so at once.
    page.locator("form[action$='sign-out'] button").click()
    to_account(page)


def test_a_passkey_that_was_removed_is_refused_with_a_text(demo: RunningDemo, visit: Callable[..., Visit]) -> None:
    _, link = demo.invite()
    visitor = visit()
    page = visitor.open(link)
    have_passkeys(page)
    join(page)
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("Chrome on Linux")).to_have_count(2)
    page.locator("form[action$='passkeys/remove'] button").click()
    expect(page.get_by_text("Chrome on Linux")).to_have_count(1)
    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    # The device still has the passkey that the account has not.
    expect(page.get_by_role("alert")).to_have_text("The passkey was not accepted. Try again, or sign in another way.")
    assert faults(page) == []
    visitor.forgive(REFUSED)


@pytest.mark.parametrize("look", [DESKTOP, NO_SCRIPTS], ids=lambda look: look.name)
def test_an_employee_signs_in_with_an_app_and_with_a_recovery_code(
    look: Look, demo: RunningDemo, visit: Callable[..., Visit]
) -> None:
    email, link = demo.invite()
    visitor = visit(look)
    page = visitor.open(link)
    join(page)
    app, codes = set_up_app(page)
    page.locator("a.main").click()
    sign_out(page)
    give_password(page, email)
    page.wait_for_url("**/sign-in/code")
    code = next_code(app)
    page.locator("#code").fill(code)
    page.locator("form button.main").click()
    to_account(page)
    sign_out(page)
    give_password(page, email)
    page.locator("#code").fill(code)  # again
    page.locator("form button.main").click()
    expect(page.get_by_role("alert")).to_contain_text("This code is not valid.")
    page.locator("summary").click()
    page.locator("#recovery").fill(codes[0])
    page.locator("details button").click()
    to_account(page)
    expect(page.get_by_text("9 recovery codes are left.")).to_be_visible()
    visitor.forgive(REFUSED)


def expect_fine(page: Page, look: Look) -> None:
    """Check direction, accessibility and width of a page."""
    expect(page.locator("html")).to_have_css("direction", "rtl" if look is RIGHT_TO_LEFT else "ltr")
    assert faults(page) == []
    assert overflow_px(page) == 0


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_every_page_of_accounts_is_accessible(look: Look, demo: RunningDemo, visit: Callable[..., Visit]) -> None:
    email, link = demo.invite()
    visitor = visit(look)
    page = visitor.open(link)
    expect_fine(page, look)
    page.locator("#password").fill("1234567890")
    page.locator("button.main").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect_fine(page, look)
    join(page)
    expect_fine(page, look)
    page.locator("a[href$='account/app']").click()
    page.locator("summary").click()
    expect_fine(page, look)
    page.go_back()
    app, _ = set_up_app(page)
    expect_fine(page, look)
    page.locator("a.main").click()
    have_passkeys(page)
    page.locator("[data-passkey='add']").click()
    expect(page.locator("form[action$='passkeys/remove']")).to_have_count(1)
    expect_fine(page, look)
    if look is DESKTOP:
        keep_image(page, "account-desktop", whole=True)
    page.locator("#current").fill("wrong wrong wrong")
    page.locator("#password").fill("another horse battery")
    page.locator("form[action$='account/password'] button").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect_fine(page, look)
    for path in ("account/confirm", "account/audit"):
        page.goto(f"{demo.site}/{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect_fine(page, look)
    page.goto(link)
    expect(page.locator("a.button")).to_be_visible()
    expect_fine(page, look)
    laptop = visit(look)
    page = laptop.open(f"{demo.site}/sign-in")
    expect(page.locator("[data-passkey='sign-in']")).to_be_visible()
    expect_fine(page, look)
    keep_image(page, f"sign-in-{look.name}")
    give_password(page, email, "wrong wrong wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    expect_fine(page, look)
    give_password(page, email)
    page.wait_for_url("**/sign-in/code")
    page.locator("summary").click()
    expect_fine(page, look)
    page.locator("#code").fill(next_code(app))
    page.locator("form button.main").first.click()
    to_account(page)
    laptop.forgive(REFUSED)
    visitor.forgive("status of 4(00|10)")
