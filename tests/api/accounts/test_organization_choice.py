"""A person with the same credentials in two organizations chooses one of them."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import httpx2
import pytest

from harness.employees import PASSWORD, Browser, deactivate, hire, invite
from harness.shop import Shop
from shopbell.accounts import organization_choice
from shopbell.accounts.passwords import is_password
from shopbell.accounts.roles import Roles
from shopbell.accounts.sign_in import ACCOUNTS_MAX
from shopbell.runtime.clock import now_ms


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that lets one machine sign in often."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


@dataclass
class Kim:
    """A person who works for Acme and Globex.

    Args:
        ids: their id in each organization.
    """

    shop: Shop
    email: str
    ids: dict[str, int]

    @classmethod
    def hired(cls, shop: Shop) -> "Kim":
        """Create their accounts in both organizations."""
        email, ids = f"{uuid.uuid4().hex}@staff.example", {}
        for organization in (shop.world.acme, shop.world.globex):
            ids[organization], path = invite(shop, organization_id=organization, email=email, roles=Roles("member"))
            Browser(shop).submit(path, name="Kim Both", password=PASSWORD)
        return cls(shop, email, ids)

    def asked(self, browser: Browser, **fields: str) -> httpx2.Response:
        """The page after address and password."""
        return browser.submit("/sign-in", email=self.email, password=PASSWORD, **fields)


@pytest.fixture
def kim(shop: Shop) -> Kim:
    """A person with two accounts."""
    return Kim.hired(shop)


def _proof(page: httpx2.Response) -> str:
    (proof,) = re.findall(r'name="proof" value="([^"]+)"', page.text)
    return str(proof)


def _choose(browser: Browser, proof: str, organization: str, **fields: str) -> httpx2.Response:
    return browser.submit("/sign-in/organization", proof=proof, organization=organization, **fields)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # its server is in this process
def test_each_attempt_checks_as_many_passwords_whatever_the_address(shop: Shop, kim: Kim) -> None:
    def checks(email: str, password: str, **fields: str) -> int:
        with mock.patch("shopbell.accounts.passwords.is_password", side_effect=is_password) as checked:
            Browser(shop).submit("/sign-in", email=email, password=password, **fields)
        return checked.call_count

    alice = hire(shop).email
    number = checks(kim.email, "wrong wrong wrong")
    assert 2 <= number <= ACCOUNTS_MAX
    for attempt in (
        (alice, "wrong wrong wrong"),
        ("nobody@staff.example", PASSWORD),
        ("no address", PASSWORD),
        (alice, PASSWORD),
        (kim.email, PASSWORD),
    ):
        assert checks(*attempt) == number
    assert checks(alice, PASSWORD, recovery="a wrong code") == number


def test_they_choose_one_and_are_signed_in_there(shop: Shop, kim: Kim) -> None:
    for organization, name in ((shop.world.acme, "Acme"), (shop.world.globex, "Globex")):
        browser = Browser(shop)
        page = kim.asked(browser, next="account/audit")
        assert page.status_code == 200
        assert not browser.is_signed_in()
        assert PASSWORD not in page.text
        assert re.findall(r'name="organization" value="(\d+)"', page.text) == list(kim.ids)
        assert name in page.text
        opened = _choose(browser, _proof(page), organization, next="account/audit")
        assert browser.follow(opened) == "/account/audit"
        assert browser.get("/api/me").json()["employeeUserId"] == str(kim.ids[organization])


def test_another_organization_cannot_be_chosen(shop: Shop, kim: Kim) -> None:
    proof = _proof(kim.asked(Browser(shop)))
    for organization in ("1", "", "Acme", str(2**53)):
        browser = Browser(shop)
        assert browser.follow(_choose(browser, proof, organization, next="account")) == "/sign-in?next=account"
        assert not browser.is_signed_in()


@pytest.mark.parametrize("proof", ["", "forged", "gAAAAA", "é"])
def test_without_the_proof_of_the_password_nothing_opens(shop: Shop, kim: Kim, proof: str) -> None:
    browser = Browser(shop)
    assert browser.follow(_choose(browser, proof, next(iter(kim.ids)))) == "/sign-in"
    assert not browser.is_signed_in()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # its server is in this process
def test_the_choice_must_be_made_in_time(shop: Shop, kim: Kim) -> None:
    proof, browser = _proof(kim.asked(Browser(shop))), Browser(shop)
    later_ms = now_ms() + organization_choice.VALID_MS
    with mock.patch("shopbell.http.accounts.sign_in.now_ms", return_value=later_ms):
        assert browser.follow(_choose(browser, proof, shop.world.acme)) == "/sign-in"
    assert browser.follow(_choose(browser, proof, shop.world.acme)) == "/inbox"  # the control


def test_an_account_that_has_changed_does_not_open(shop: Shop, kim: Kim) -> None:
    proof = _proof(kim.asked(Browser(shop)))
    shop.database.change("UPDATE passwords SET hash = 'another' WHERE employee_id = :id", id=kim.ids[shop.world.acme])
    deactivate(shop, kim.ids[shop.world.globex], shop.world.globex)
    for organization in kim.ids:
        browser = Browser(shop)
        assert browser.follow(_choose(browser, proof, organization)) == "/sign-in"


def test_the_second_factor_is_still_needed(shop: Shop, kim: Kim) -> None:
    browser = Browser(shop)
    _choose(browser, _proof(kim.asked(browser)), shop.world.acme)
    browser.add_app()
    again = Browser(shop)
    assert again.follow(_choose(again, _proof(kim.asked(again)), shop.world.acme)) == "/sign-in/code"
    assert again.get("/api/me").status_code == 401


def test_a_recovery_code_tells_the_organization(shop: Shop, kim: Kim) -> None:
    browser = Browser(shop)
    _choose(browser, _proof(kim.asked(browser)), shop.world.globex)
    _, codes = browser.add_app()
    again = Browser(shop)
    assert again.follow(kim.asked(again, recovery=codes[0])) == "/inbox"
    assert again.get("/api/me").json()["employeeUserId"] == str(kim.ids[shop.world.globex])


def test_another_site_cannot_choose(shop: Shop, kim: Kim) -> None:
    proof = _proof(kim.asked(Browser(shop)))
    mallory = Browser(shop, headers={"Sec-Fetch-Site": "cross-site"})
    assert _choose(mallory, proof, shop.world.acme).status_code == 403
