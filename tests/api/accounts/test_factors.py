"""Second factors, passkeys and devices of employees."""

import re
import time
from collections.abc import Callable

import pytest

from harness.employees import PASSWORD, Browser, deactivate, expire_codes, hire, invite, problem
from harness.shop import Shop
from harness.soft_passkey import SoftPasskey
from shopbell.http.request.ttl_cache import MAX_AGE_S

HALF_A_SECOND_LATER = MAX_AGE_S * 1.2


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that lets one machine sign in often."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


# The second factor


def test_a_code_of_the_app_is_needed_and_works_once(shop: Shop) -> None:
    alice = hire(shop)
    app, _ = alice.browser.add_app()
    expire_codes(shop)
    phone, thief = Browser(shop), Browser(shop)
    assert phone.follow(phone.sign_in(alice.email)) == "/sign-in/code"
    assert not phone.is_signed_in()  # the password alone opens nothing
    assert phone.get("/api/employees").status_code == 401
    waiting = phone.token
    assert phone.submit("/sign-in/code", code="000000").status_code == 401
    code = app.now()
    assert phone.follow(phone.submit("/sign-in/code", code=code)) == "/inbox"
    assert phone.is_signed_in()
    assert phone.token != waiting
    thief.sign_in(alice.email)
    assert thief.submit("/sign-in/code", code=code).status_code == 401
    assert not thief.is_signed_in()


def test_a_recovery_code_stands_for_the_app_once(shop: Shop) -> None:
    alice = hire(shop)
    _, codes = alice.browser.add_app()
    for attempt, expected in ((codes[0], True), (codes[0], False), (codes[1].upper(), True)):
        phone = Browser(shop)
        phone.sign_in(alice.email)
        phone.submit("/sign-in/code", recovery=attempt)
        assert phone.is_signed_in() is expected


def test_a_session_waits_a_quarter_of_an_hour_for_the_second_factor(shop: Shop) -> None:
    alice = hire(shop)
    app, _ = alice.browser.add_app()
    expire_codes(shop)
    phone = Browser(shop)
    phone.sign_in(alice.email)
    waiting = "UPDATE employee_sessions SET created_at_ms = created_at_ms - 15 * 60 * 1000 WHERE stage = 'code'"
    shop.database.change(waiting)
    time.sleep(HALF_A_SECOND_LATER)
    assert phone.follow(phone.get("/sign-in/code")) == "/sign-in"
    assert phone.follow(phone.submit("/sign-in/code", code=app.now())) == "/sign-in"


def test_an_invitation_lets_the_account_start_again(shop: Shop) -> None:
    before = hire(shop)
    passkey = before.browser.add_passkey()
    before.browser.add_app()
    _, path = invite(shop, email=before.email)
    assert before.browser.is_signed_in()
    new = Browser(shop)
    assert new.follow(new.submit(path, name="Dora", password="another horse battery")) == "/inbox"
    time.sleep(HALF_A_SECOND_LATER)
    assert not before.browser.is_signed_in()
    assert problem(Browser(shop).use_passkey(passkey)) == (400, "/problems/passkey-refused")
    assert Browser(shop).sign_in(before.email).status_code == 401
    phone = Browser(shop)
    assert phone.follow(phone.sign_in(before.email, "another horse battery")) == "/inbox"


def test_guesses_of_codes_are_limited(shop: Shop) -> None:
    alice = hire(shop)
    alice.browser.add_app()
    mallory = Browser(shop)
    mallory.sign_in(alice.email)
    statuses = [mallory.submit("/sign-in/code", code=f"{number:06d}").status_code for number in range(8)]
    assert statuses[0] == 401
    assert statuses[-1] == 429


def test_an_organization_can_require_a_second_factor(shop: Shop) -> None:
    alice = hire(shop, organization_id=shop.world.globex)
    shop.database.change(
        "UPDATE organizations SET requires_second_factor = true WHERE id = :id", id=int(shop.world.globex)
    )
    try:
        phone = Browser(shop)
        assert phone.follow(phone.sign_in(alice.email)) == "/account/app"
        assert not phone.is_signed_in()
        phone.add_app()
        assert phone.is_signed_in()
    finally:
        shop.database.change("UPDATE organizations SET requires_second_factor = false")


# Passkeys


def test_a_passkey_signs_in_alone(shop: Shop) -> None:
    alice = hire(shop)
    passkey = alice.browser.add_passkey()
    laptop = Browser(shop)
    assert laptop.use_passkey(passkey).json() == {"result": "ok"}
    assert laptop.is_signed_in()


def test_a_passkey_is_refused_unless_everything_fits(shop: Shop) -> None:
    alice = hire(shop)
    passkey = alice.browser.add_passkey()
    thief = Browser(shop)
    refused = (400, "/problems/passkey-refused")

    options = thief.call("/api/sign-in/passkey/options").json()
    passkey.count += 1
    proof = passkey.get(options)
    assert thief.call("/api/sign-in/passkey", {"credential": proof}).status_code == 200
    assert problem(thief.call("/api/sign-in/passkey", {"credential": proof})) == refused  # a challenge works once

    passkey.count -= 2
    assert problem(thief.use_passkey(passkey)) == refused  # the counter went back: a copy
    passkey.count = 10
    passkey.is_verified = False
    assert problem(thief.use_passkey(passkey)) == refused  # no finger was shown
    passkey.is_verified = True
    passkey.origin = "https://evil.example"
    assert problem(thief.use_passkey(passkey)) == refused
    stranger = SoftPasskey(thief.origin)
    assert problem(thief.use_passkey(stranger)) == refused
    own_challenge = SoftPasskey(thief.origin).get({"challenge": "AAAA"})
    assert problem(thief.call("/api/sign-in/passkey", {"credential": own_challenge})) == refused
    assert thief.call("/api/sign-in/passkey", {"credential": "x"}).status_code == 400
    assert thief.call("/api/sign-in/passkey", {"credential": {}}).status_code == 400
    passkey.origin = thief.origin
    assert thief.use_passkey(passkey).status_code == 200
    deactivate(shop, alice.id)
    assert problem(thief.use_passkey(passkey)) == refused


def test_a_passkey_is_added_only_soon_after_a_factor(shop: Shop) -> None:
    alice = hire(shop)
    shop.database.change("UPDATE employee_sessions SET factor_at_ms = 1 WHERE employee_id = :id", id=alice.id)
    time.sleep(HALF_A_SECOND_LATER)
    assert alice.browser.call("/api/passkeys/options").status_code == 403
    assert alice.browser.follow(alice.browser.get("/account/app")) == "/account/confirm?next=account/app"
    wrong = alice.browser.submit("/account/confirm", password="wrong wrong wrong")
    assert wrong.status_code == 400
    assert alice.browser.follow(alice.browser.submit("/account/confirm", password=PASSWORD, next="account/app")) == (
        "/account/app"
    )
    alice.browser.add_passkey()


# Devices


def test_an_employee_sees_and_ends_the_sessions_of_other_devices(shop: Shop) -> None:
    alice, phone, laptop = hire(shop), Browser(shop), Browser(shop)
    for browser in (phone, laptop):
        browser.sign_in(alice.email)
    shown = alice.browser.get("/account").text
    ids = re.findall(r'name="session" value="(\d+)"', shown)
    assert len(ids) == 2
    alice.browser.submit("/account/sessions/end", session=ids[0])
    alice.browser.submit("/account/sessions/end")
    time.sleep(HALF_A_SECOND_LATER)
    assert [browser.is_signed_in() for browser in (alice.browser, phone, laptop)] == [True, False, False]


def test_a_new_password_signs_all_other_devices_out(shop: Shop) -> None:
    alice, phone = hire(shop), Browser(shop)
    phone.sign_in(alice.email)
    new = "another horse battery"
    assert alice.browser.submit("/account/password", current="wrong", password=new).status_code == 400
    assert alice.browser.follow(alice.browser.submit("/account/password", current=PASSWORD, password=new)) == "/account"
    time.sleep(HALF_A_SECOND_LATER)
    assert alice.browser.is_signed_in()
    assert not phone.is_signed_in()
    assert phone.sign_in(alice.email, PASSWORD).status_code == 401
    assert phone.sign_in(alice.email, new).status_code == 303


def test_employees_see_and_end_only_their_own_sessions_and_passkeys(shop: Shop) -> None:
    alice, bob = hire(shop), hire(shop, organization_id=shop.world.globex)
    bob.browser.add_passkey()
    session_id = shop.database.value("SELECT id FROM employee_sessions WHERE employee_id = :id", id=bob.id)
    passkey_id = shop.database.value("SELECT id FROM passkeys WHERE employee_id = :id", id=bob.id)
    alice.browser.submit("/account/sessions/end", session=str(session_id))
    assert alice.browser.submit("/account/passkeys/remove", passkey=str(passkey_id)).status_code == 404
    time.sleep(HALF_A_SECOND_LATER)
    assert bob.browser.is_signed_in()
