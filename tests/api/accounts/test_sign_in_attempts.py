"""What an attempt to sign in may cost, and what may change during one."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from harness.employees import PASSWORD, Browser, hire
from harness.shop import Shop
from shopbell.accounts import sign_in
from shopbell.accounts.passwords import is_password


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that lets one machine sign in often."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


def use_up(shop: Shop, email: str, **fields: str) -> None:
    """Guess until guesses of this account are refused."""
    while Browser(shop).sign_in(email, "a guess", **fields).status_code != 429:
        pass


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # its server is in this process
def test_an_invented_recovery_code_allows_no_further_guesses(shop: Shop) -> None:
    alice = hire(shop)
    _, codes = alice.browser.add_app()
    _, of_another = hire(shop).browser.add_app()
    use_up(shop, alice.email)
    with mock.patch("shopbell.accounts.passwords.is_password", side_effect=is_password) as checked:
        for code in ("x", "aaaaa-aaaaa", of_another[0]):
            assert Browser(shop).sign_in(alice.email, PASSWORD, recovery=code).status_code == 429
        assert checked.call_count == 0
        phone = Browser(shop)
        assert phone.follow(phone.sign_in(alice.email, PASSWORD, recovery=codes[0].upper())) == "/inbox"
        assert checked.call_count > 0


def test_guesses_with_a_found_recovery_code_are_limited_for_this_code(shop: Shop) -> None:
    alice = hire(shop)
    _, codes = alice.browser.add_app()
    use_up(shop, alice.email)
    for number in range(10):
        spelled = codes[0].replace("-", " " * number)
        assert Browser(shop).sign_in(alice.email, "a guess", recovery=spelled).status_code == 429
    assert Browser(shop).sign_in(alice.email, recovery=codes[0]).status_code == 429
    phone = Browser(shop)
    assert phone.follow(phone.sign_in(alice.email, recovery=codes[1])) == "/inbox"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # its server is in this process
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE passwords SET hash = 'another' WHERE employee_id = :id", 401),
        ("DELETE FROM passwords WHERE employee_id = :id", 401),
        ("UPDATE employees SET deactivated_at_ms = 1 WHERE id = :id", 401),
        ("UPDATE employees SET name = 'Alicia' WHERE id = :id", 303),
    ],
)
def test_no_session_opens_after_the_account_was_changed(shop: Shop, change: str, expected: int) -> None:
    alice, find_accounts = hire(shop), sign_in.find_accounts

    def then_change(*arguments: Any) -> list[sign_in.Account]:
        found = find_accounts(*arguments)
        assert shop.database.change(change, id=alice.id) == 1
        return found

    browser = Browser(shop)
    with mock.patch("shopbell.accounts.sign_in.find_accounts", side_effect=then_change):
        assert browser.sign_in(alice.email).status_code == expected
    assert browser.is_signed_in() is (expected == 303)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # its server is in this process
def test_a_second_factor_that_was_just_set_up_is_asked_for(shop: Shop) -> None:
    alice, find_accounts = hire(shop), sign_in.find_accounts

    def then_add_app(*arguments: Any) -> list[sign_in.Account]:
        found = find_accounts(*arguments)
        shop.database.change(
            "INSERT INTO totp_secrets (organization_id, employee_id, sealed_secret, last_step, confirmed_at_ms)"
            " SELECT organization_id, id, 'sealed', 0, 1 FROM employees WHERE id = :id",
            id=alice.id,
        )
        return found

    browser = Browser(shop)
    with mock.patch("shopbell.accounts.sign_in.find_accounts", side_effect=then_add_app):
        assert browser.follow(browser.sign_in(alice.email)) == "/sign-in/code"
    assert not browser.is_signed_in()
