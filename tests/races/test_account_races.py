"""What works once works once, also if several requests use it at the same moment."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlencode

import pytest

from harness.employees import PASSWORD, Browser, expire_codes, hire, invite
from harness.installation import Installation
from harness.load import send_all
from harness.raw import RawAnswer, post
from harness.shop import Shop
from harness.world import World
from shopbell.accounts.roles import Roles

AT_ONCE, CODES_AT_ONCE = 8, 4
ROUNDS = 5


@pytest.fixture
def shop(engine: str, installation: Installation, people: World) -> Iterator[Shop]:
    """A server, on PostgreSQL with two processes; no rate binds."""
    arguments = ["--workers", "2"] if engine == "postgresql" else []
    with installation.serving(*arguments, visitor_rate_per_min=1_000_000) as server:
        yield Shop(server, people)


def form(path: str, fields: Mapping[str, str], browser: Browser) -> bytes:
    """The form of a page."""
    kind = ("Content-Type", "application/x-www-form-urlencoded")
    return post(path, urlencode(fields).encode(), [kind, *_of_page(browser)])


def script(path: str, body: object, browser: Browser) -> bytes:
    """The request of a script."""
    return post(path, json.dumps(body).encode(), [("Content-Type", "application/json"), *_of_page(browser)])


def _of_page(browser: Browser) -> list[tuple[str, str]]:
    return [("Sec-Fetch-Site", "same-origin"), ("Cookie", browser.cookie or "x=y")]


def send(shop: Shop, requests: Sequence[bytes]) -> list[RawAnswer]:
    """Send all requests at the same moment."""
    return send_all(shop.server.port, requests, connections=len(requests))


def test_an_invitation_lets_one_browser_in(shop: Shop) -> None:
    for _ in range(ROUNDS):
        employee_id, path = invite(shop)
        answers = send(shop, [form(path, {"name": "Kim", "password": PASSWORD}, Browser(shop))] * AT_ONCE)
        assert Counter(answer.status for answer in answers) == {303: 1, 410: AT_ONCE - 1}
        count = "SELECT count(*) FROM employee_sessions WHERE employee_id = :id"
        assert shop.database.value(count, id=employee_id) == 1


def waiting(shop: Shop, email: str) -> list[Browser]:
    """Browsers that have given the password: as many as the account has guesses at once."""
    browsers = [Browser(shop) for _ in range(CODES_AT_ONCE)]
    for browser in browsers:
        browser.sign_in(email)
    return browsers


def test_a_code_of_the_app_lets_one_browser_in(shop: Shop) -> None:
    for _ in range(ROUNDS):
        alice = hire(shop)
        app, _ = alice.browser.add_app()
        browsers = waiting(shop, alice.email)
        expire_codes(shop)
        fields = {"code": app.now()}
        answers = send(shop, [form("/sign-in/code", fields, browser) for browser in browsers])
        assert Counter(answer.status for answer in answers) == {303: 1, 401: CODES_AT_ONCE - 1}


def test_a_recovery_code_lets_one_browser_in(shop: Shop) -> None:
    alice = hire(shop)
    _, codes = alice.browser.add_app()
    browsers = waiting(shop, alice.email)
    fields = {"recovery": codes[0]}
    answers = send(shop, [form("/sign-in/code", fields, browser) for browser in browsers])
    assert Counter(answer.status for answer in answers) == {303: 1, 401: CODES_AT_ONCE - 1}


def test_the_proof_of_a_passkey_lets_one_browser_in(shop: Shop) -> None:
    alice = hire(shop)
    passkey = alice.browser.add_passkey()
    passkey.origin = "http://127.0.0.1"  # the host that ``post`` names
    for _ in range(ROUNDS):
        options = Browser(shop).call("/api/sign-in/passkey/options").json()
        passkey.count += 1
        proof = {"credential": passkey.get(options)}
        answers = send(shop, [script("/api/sign-in/passkey", proof, Browser(shop)) for _ in range(AT_ONCE)])
        assert Counter(answer.status for answer in answers) == {200: 1, 400: AT_ONCE - 1}


@pytest.mark.parametrize("action", ["roles", "deactivate"])
def test_two_owners_who_remove_each_other_leave_one(shop: Shop, action: str) -> None:
    for _ in range(ROUNDS):
        pair = [hire(shop, roles=Roles("owner")) for _ in range(2)]
        others = "DELETE FROM organization_roles WHERE role = 'owner' AND employee_id NOT IN (:one, :two)"
        shop.database.change(others, one=pair[0].id, two=pair[1].id)
        requests = [
            script(f"/api/employees/{other.id}/{action}", {"role": "member"} if action == "roles" else {}, own.browser)
            for own, other in (pair, pair[::-1])
        ]
        answers = send(shop, requests)
        assert Counter(answer.status for answer in answers)[200] == 1, [answer.status for answer in answers]
        left = (
            "SELECT count(*) FROM organization_roles r JOIN employees e ON e.id = r.employee_id "
            "WHERE r.role = 'owner' AND e.deactivated_at_ms IS NULL AND r.employee_id IN (:one, :two)"
        )
        assert shop.database.value(left, one=pair[0].id, two=pair[1].id) == 1
