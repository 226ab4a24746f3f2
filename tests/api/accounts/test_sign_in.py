"""Employees get in by an invitation or a password, and other sites do not."""

import re
import time
from collections.abc import Callable

import pytest

from harness.employees import PASSWORD, Browser, deactivate, hire, invite
from harness.shop import Shop
from shopbell.accounts.roles import Roles
from shopbell.http.request.employee_sessions import COOKIE
from shopbell.http.request.ttl_cache import MAX_AGE_S

HALF_A_SECOND_LATER = MAX_AGE_S * 1.2


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that lets one machine sign in often."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


# Invitations


def test_an_invitation_shows_who_invites_and_signs_the_employee_in(shop: Shop) -> None:
    _, path = invite(shop, email="alice.invited@staff.example")
    alice = Browser(shop)
    shown = alice.get(path)
    assert shown.status_code == 200
    assert "Join Acme" in shown.text
    assert "alice.invited@staff.example" in shown.text
    assert alice.get(path).status_code == 200  # a mail scanner that opens the link uses nothing up
    accepted = alice.submit(path, name="Alice Archer", password=PASSWORD)
    assert alice.follow(accepted) == "/inbox"
    assert "Alice Archer" in alice.get("/account").text


def test_an_invitation_that_was_used_or_never_existed_is_gone(shop: Shop) -> None:
    _, path = invite(shop)
    Browser(shop).submit(path, name="Alice", password=PASSWORD)
    for link in (path, path[:-1] + "x", "/invitations/sbi_"):
        mallory = Browser(shop)
        assert mallory.get(link).status_code == 410
        assert mallory.submit(link, name="Mallory", password=PASSWORD).status_code == 410
        assert not mallory.is_signed_in()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "Alice", "password": "short"}, "at least 10 characters"),
        ({"name": "Alice Archer!", "password": "alice archer!"}, "easy to guess"),
        ({"name": " ", "password": PASSWORD}, "enter your name"),
    ],
)
def test_a_bad_name_or_password_can_be_corrected(shop: Shop, fields: dict[str, str], said: str) -> None:
    _, path = invite(shop)
    alice = Browser(shop)
    refused = alice.submit(path, **fields)
    assert refused.status_code == 400
    assert said in re.sub(r"Your password needs at", "at", refused.text)
    assert fields["password"] not in refused.text
    assert alice.follow(alice.submit(path, name="Alice", password=PASSWORD)) == "/inbox"


# Password


def test_an_employee_signs_in_and_out(shop: Shop) -> None:
    alice = hire(shop)
    phone = Browser(shop)
    assert phone.follow(phone.get("/account")) == "/sign-in?next=account"
    assert phone.follow(phone.sign_in(alice.email.upper() + " ", next="account")) == "/account"
    assert phone.is_signed_in()
    assert phone.follow(phone.submit("/sign-out")) == "/sign-in"
    assert not phone.is_signed_in()
    assert alice.browser.is_signed_in()


def test_every_failure_looks_the_same(shop: Shop) -> None:
    alice, gone, roleless = hire(shop), hire(shop), hire(shop)
    deactivate(shop, gone.id)
    shop.database.change("DELETE FROM organization_roles WHERE employee_id = :id", id=roleless.id)
    stranger = Browser(shop)
    answers = {
        re.sub(r'value="[^"]*"', "", stranger.sign_in(email, password).text)
        for email, password in (
            (alice.email, "wrong wrong wrong"),
            ("nobody@staff.example", PASSWORD),
            ("no address", PASSWORD),
            (gone.email, PASSWORD),
            (roleless.email, PASSWORD),
            (alice.email, ""),
            (alice.email, PASSWORD * 100),
        )
    }
    assert len(answers) == 1
    assert not stranger.is_signed_in()


def test_an_address_in_two_organizations_opens_the_account_with_the_password(shop: Shop) -> None:
    world = shop.world
    for organization, password in ((world.acme, "horse at acme"), (world.globex, "horse at globex")):
        _, path = invite(shop, organization_id=organization, email="both@staff.example")
        Browser(shop).submit(path, name="Kim Both", password=password)
    kim = Browser(shop)
    kim.sign_in("both@staff.example", "horse at globex")
    assert "Globex" in kim.get("/account").text
    kim.sign_in("both@staff.example", "horse at acme")
    assert "Acme" in kim.get("/account").text


def test_signing_in_gives_a_new_token_whatever_the_browser_had(shop: Shop) -> None:
    alice, mallory = hire(shop), hire(shop)
    victim = Browser(shop)
    victim.cookies[COOKIE] = str(mallory.browser.token)  # planted
    victim.sign_in(alice.email)
    assert victim.token not in (None, mallory.browser.token)
    assert "Alice" in victim.get("/account").text
    before = victim.token
    victim.submit("/account/confirm", password=PASSWORD)
    assert victim.token != before
    time.sleep(HALF_A_SECOND_LATER)  # what a session was is known for half a second
    old = Browser(shop)
    old.cookies[COOKIE] = str(before)
    assert not old.is_signed_in()


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(shop: Shop, shops: Callable[..., Shop]) -> None:
    alice = hire(shop)
    given = Browser(shop).sign_in(alice.email).headers["set-cookie"]
    assert re.fullmatch(
        r"shopbell_session=sbe_\w+; HttpOnly; Max-Age=43200; Path=/; SameSite=lax", given, re.IGNORECASE
    ), given


def test_behind_https_no_other_host_can_set_the_cookie(engine: str, shops: Callable[..., Shop]) -> None:
    secure = shops(engine, run_worker="false", visitor_rate_per_min=1_000, public_url="https://chat.example.org")
    _, path = invite(secure)
    mallory = Browser(secure)
    given = mallory.submit(path, name="Mallory", password=PASSWORD).headers["set-cookie"]
    assert given.startswith("__Host-shopbell_session=sbe_")
    assert "; Secure" in given
    assert "Domain" not in given
    assert mallory.is_signed_in()
    # A host of the same domain can set a cookie without the prefix, and so sign a victim in as Mallory.
    victim = Browser(secure, cookies={COOKIE: mallory.cookies[f"__Host-{COOKIE}"]})
    assert not victim.is_signed_in()
    assert victim.get("/api/threads").status_code == 401


def test_below_a_path_of_a_proxy_every_link_stays_below_it(engine: str, shops: Callable[..., Shop]) -> None:
    shop = shops(engine, run_worker="false", visitor_rate_per_min=1_000, public_url="https://shop.example/chat")
    alice = hire(shop, roles=Roles("owner"))
    invited = alice.browser.call(f"/api/employees/{hire(shop).id}/invite").json()["link"]
    assert invited.startswith("https://shop.example/chat/invitations/sbi_")
    options = alice.browser.call("/api/passkeys/options").json()
    assert options["rp"]["id"] == "shop.example"
    for path in ("/account", "/account/app", "/account/confirm", "/sign-in/code", invited.partition("/chat")[2]):
        shown = alice.browser.get(path)
        for link in re.findall(r'(?:href|src|action|content)="([^"]*)"', shown.text):
            assert not link.startswith(("/", "http")), (path, link)
        assert not shown.headers.get("location", "").startswith(("/", "http")), path


@pytest.mark.parametrize(
    "next_page",
    [
        *("https://evil.example/", "//evil.example/", "/\\evil.example", "\\evil", "a\nb", "x" * 501),
        *(" javascript:alert(1)", "javascript:alert(1)", "\u00a0//evil.example", "account@evil.example:80/", "#x"),
    ],
)
def test_signing_in_leads_to_no_other_site(shop: Shop, next_page: str) -> None:
    alice = hire(shop)
    browser = Browser(shop)
    assert browser.follow(browser.sign_in(alice.email, next=next_page)) == "/inbox"


def test_many_attempts_lock_the_password_but_not_a_recovery_code_or_a_passkey(shop: Shop) -> None:
    alice = hire(shop)
    passkey = alice.browser.add_passkey()
    _, codes = alice.browser.add_app()
    mallory = Browser(shop)
    statuses = [mallory.sign_in(alice.email, f"guess number {number}").status_code for number in range(12)]
    assert statuses[:9] == [401] * 9
    assert statuses[-1] == 429
    phone = Browser(shop)
    assert phone.sign_in(alice.email).status_code == 429
    assert phone.follow(phone.sign_in(alice.email, recovery=codes[0])) == "/inbox"
    laptop = Browser(shop)
    assert laptop.use_passkey(passkey).status_code == 200
    assert laptop.is_signed_in()
    assert mallory.sign_in(alice.email, "guess", recovery=codes[1]).status_code == 429  # a code without the password


def test_a_stolen_session_does_not_serve_to_guess_the_password(shop: Shop) -> None:
    alice = hire(shop)
    guesses = [alice.browser.submit("/account/confirm", password=f"guess number {number}") for number in range(12)]
    assert "This is not your password." in guesses[0].text
    assert "too many attempts" in guesses[-1].text
    assert "too many attempts" in alice.browser.submit("/account/confirm", password=PASSWORD).text
    assert Browser(shop).sign_in(alice.email).status_code == 303  # strangers are counted apart


def test_a_form_of_a_session_that_has_ended_leads_to_the_sign_in_page(shop: Shop) -> None:
    browser = Browser(shop, headers={"Sec-Fetch-Site": "same-origin", "Accept": "text/html"})
    for path in ("password", "sessions/end", "passkeys/remove", "confirm", "app", "app/remove", "recovery-codes"):
        assert browser.follow(browser.submit(f"/account/{path}")) == "/sign-in", path


def test_an_error_is_a_page_in_a_browser(engine: str, shops: Callable[..., Shop]) -> None:
    strict = shops(engine, run_worker="false", visitor_rate_per_min=1)
    browser = Browser(strict, headers={"Sec-Fetch-Site": "same-origin", "Accept": "text/html"})
    answers = [browser.sign_in("alice@staff.example") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [401, 429]
    assert "Please wait a moment and try again." in answers[1].text
    assert int(answers[1].headers["retry-after"]) > 0
    browser.headers["Sec-Fetch-Site"] = "cross-site"
    foreign = browser.submit("/sign-out")
    assert foreign.status_code == 403
    assert "This form could not be sent" in foreign.text


# Other sites


def test_pages_of_other_sites_can_do_nothing_with_the_cookie(shop: Shop) -> None:
    alice = hire(shop)
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
    ):
        alice.browser.headers = headers
        for path in ("/account/password", "/account/recovery-codes", "/account/sessions/end", "/sign-out", "/sign-in"):
            assert alice.browser.submit(path).status_code == 403, (path, headers)
        for path in ("/api/passkeys/options", "/api/sign-in/passkey/options", "/api/employees"):
            assert alice.browser.call(path, {"name": "Mallory"}).status_code == 403, (path, headers)
    alice.browser.headers = {}
    assert alice.browser.call("/api/employees", {"name": "Mallory"}).status_code == 403  # no proof is no proof
    alice.browser.headers = {"Origin": alice.browser.origin}
    assert alice.browser.call("/api/passkeys/options").status_code == 200
    assert alice.browser.is_signed_in()


def test_no_page_shows_in_a_frame_or_runs_a_script_of_its_content(shop: Shop) -> None:
    alice = hire(shop, name="<script>alert(1)</script>")
    _, path = invite(shop)
    for page in ("/account", "/account/app", "/account/confirm"):
        shown = alice.browser.get(page)
        policy = shown.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert shown.headers["cache-control"] == "no-store"
        assert "<script>alert" not in shown.text
    for page in ("/sign-in", path):
        assert "frame-ancestors 'none'" in Browser(shop).get(page).headers["content-security-policy"]


# The API


def test_the_session_of_an_employee_uses_the_api_with_the_permissions_of_their_role(shop: Shop) -> None:
    member, owner = hire(shop), hire(shop, roles=Roles("owner"))
    assert member.browser.get("/api/threads").status_code == 200
    assert member.browser.get("/api/organization").status_code == 403
    assert owner.browser.get("/api/organization").json()["name"] == "Acme"
    assert member.browser.call("/api/employees", {"name": "Eve"}).status_code == 403
    assert owner.browser.call("/api/employees", {"name": "Eve"}).status_code == 200
    entry = shop.database.rows("SELECT actor FROM audit_entries WHERE action = 'employee.create' ORDER BY id")[-1]
    assert entry["actor"] == f"employee {owner.id}"


def test_an_employee_who_is_signed_in_writes_as_themselves(shop: Shop) -> None:
    alice, other = hire(shop), hire(shop)
    thread_id = shop.send()
    body = {"customerThreadId": thread_id, "text": "Yes."}
    assert alice.browser.call("/api/send-message-to-customer-thread", body).status_code == 200
    assert [row["employee_id"] for row in shop.messages(thread_id)] == [None, alice.id]
    refused = alice.browser.call("/api/send-message-to-customer-thread", body | {"employeeUserId": str(other.id)})
    assert refused.status_code == 403
    assert len(shop.messages(thread_id)) == 2
