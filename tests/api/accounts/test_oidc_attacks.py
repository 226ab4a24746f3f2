"""What an OpenID Connect provider, or another site, cannot do."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from harness.employees import Browser, deactivate, hire, invite
from harness.oidc import CLIENT_ID, Provider
from harness.oidc_people import FAILED, FLOW, linked, person
from harness.shop import Shop
from shopbell.http.accounts.account_page import OIDC_FAULT
from shopbell.http.accounts.oidc import COOKIE


def test_a_response_without_the_cookie_is_refused(oidc_shop: Shop, provider: Provider) -> None:
    _, mallory = linked(oidc_shop, provider)
    back = provider.allow(mallory.leave(), mallory.subject)
    victim = Browser(oidc_shop)  # the victim follows the link that Mallory has not used
    assert victim.follow(victim.get(back)) == FAILED
    victim.get("/oidc/start")
    assert victim.follow(victim.get(back)) == FAILED  # on the way to the provider, too
    assert not victim.is_signed_in()
    assert provider.forms[1:] == []  # the provider was not even asked
    assert FLOW in victim.cookies  # another site does not end the sign-in of the victim


@pytest.mark.parametrize("cookie", ["", "x", "é" * 20, "gAAAAA", "A" * 4_000, "=;="])
def test_a_cookie_that_is_not_ours_is_refused(cookie: str, oidc_shop: Shop, provider: Provider) -> None:
    browser = Browser(oidc_shop, cookies={FLOW: cookie})
    assert browser.follow(browser.get("/oidc/callback?code=x&state=x")) == FAILED


def test_a_cookie_without_the_prefix_is_not_read(oidc_shop: Shop, provider: Provider) -> None:
    _, mallory = linked(oidc_shop, provider)
    back = provider.allow(mallory.leave(), mallory.subject)
    victim = Browser(oidc_shop, cookies={COOKIE: mallory.browser.cookies[FLOW]})  # set by another host of the domain
    assert victim.follow(victim.get(back)) == FAILED


@pytest.mark.parametrize("iss", ["https://mallory.example", "", None])
def test_a_response_of_another_provider_is_refused(iss: str | None, oidc_shop: Shop, provider: Provider) -> None:
    _, her = linked(oidc_shop, provider)
    url = her.leave()
    back = urlsplit(provider.allow(url, her.subject))
    query = {name: values[0] for name, values in parse_qs(back.query).items()} | {"iss": iss}
    sent = httpx2.QueryParams({name: value for name, value in query.items() if value is not None})
    assert her.browser.follow(her.browser.get(f"{back.path}?{sent}")) == FAILED
    assert provider.forms[1:] == []


@pytest.mark.parametrize("twice", ["code", "state", "iss"])
def test_a_parameter_that_is_sent_twice_is_refused(twice: str, oidc_shop: Shop, provider: Provider) -> None:
    _, her = linked(oidc_shop, provider)
    url = her.leave()
    back = provider.allow(url, her.subject)
    value = parse_qs(urlsplit(back).query)[twice][0]
    assert her.browser.follow(her.browser.get(f"{back}&{twice}={value}")) == FAILED


def test_an_employee_who_cancels_can_try_again(oidc_shop: Shop, provider: Provider) -> None:
    _, her = linked(oidc_shop, provider)
    refused = provider.back(her.leave("?next=account/audit"), error="access_denied")
    page = her.browser.follow(her.browser.get(refused))
    assert page == f"{FAILED}&next=account/audit"
    assert "oidc/start?next=account/audit" in her.browser.get(page).text
    assert her.sign_in() == "/inbox"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://mallory.example"},
        {"aud": "another client"},
        {"aud": [CLIENT_ID, "another"], "azp": "another"},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": 1_700_000_000},
        {"iat": 4_000_000_000},
        {"sub": None},
    ],
)
def test_a_token_for_another_purpose_is_refused(claims: dict[str, Any], oidc_shop: Shop, provider: Provider) -> None:
    _, her = linked(oidc_shop, provider)
    provider.claims = claims
    assert her.sign_in() == FAILED
    assert not her.browser.is_signed_in()
    provider.claims = {}
    assert her.sign_in() == "/inbox"


def test_other_sites_cannot_begin_to_link_or_accept(oidc_shop: Shop, provider: Provider) -> None:
    alice = hire(oidc_shop)
    _, path = invite(oidc_shop)
    for query in ("?link=1", f"?invitation={path.rpartition('/')[2]}"):
        for headers in (
            {},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "none"},
            {"Referer": "https://evil.example/https://chat.example.org/"},
            {"Referer": "https://chat.example.org.evil.example/"},
        ):
            refused = alice.browser.get(f"/oidc/start{query}", **headers)
            assert refused.status_code == 403, headers
            assert FLOW not in alice.browser.cookies
        allowed = alice.browser.get(f"/oidc/start{query}", Referer="https://chat.example.org/account")
        assert allowed.status_code == 303
        alice.browser.cookies.pop(FLOW)


@pytest.mark.parametrize(
    "next_page", ["https://evil.example/", "//evil.example/", "/\\evil.example", "%5Cevil", "javascript:alert(1)"]
)
def test_the_way_back_leads_to_no_other_site(next_page: str, oidc_shop: Shop, provider: Provider) -> None:
    _, her = linked(oidc_shop, provider)
    assert her.sign_in(f"?next={next_page}") == "/inbox"
    refused = provider.back(her.leave(f"?next={next_page}"), error="access_denied")
    assert her.browser.follow(her.browser.get(refused)) == FAILED


def test_every_failure_looks_the_same_and_only_the_log_says_why(oidc_shop: Shop, provider: Provider) -> None:
    alice, her = linked(oidc_shop, provider, email="alice@secret.example")
    deactivate(oidc_shop, alice.id)
    stranger = person(oidc_shop, provider, email="mallory@secret.example")
    pages = {her.sign_in(), stranger.sign_in(), her.browser.follow(her.browser.get("/oidc/callback"))}
    provider.claims = {"nonce": "another"}
    pages.add(her.sign_in())
    assert pages == {FAILED}
    log = oidc_shop.server.log
    for reason in ("deactivated or has no role", "not linked", "did not begin it here", "nonce"):
        assert reason in log, reason
    for private in ("secret.example", her.subject, stranger.subject):
        assert private not in log


def test_attempts_of_an_address_are_limited(engine: str, shops: Callable[..., Shop], provider: Provider) -> None:
    strict = shops(engine, run_worker="false", visitor_rate_per_min=2, **provider.settings)
    browser = Browser(strict)
    assert [browser.get("/oidc/start").status_code for _ in range(3)] == [303, 303, 429]
    assert browser.get("/oidc/callback").status_code == 429


def test_without_a_provider_there_is_nothing(engine: str, shops: Callable[..., Shop]) -> None:
    plain = shops(engine, run_worker="false", visitor_rate_per_min=100_000)
    alice = hire(plain)
    for path in ("/oidc/start", "/oidc/callback?code=x&state=y"):
        assert alice.browser.get(path).status_code == 404
    assert "oidc" not in Browser(plain).get(f"/sign-in?{OIDC_FAULT}").text
    assert "oidc" not in alice.browser.get("/account").text


def test_a_provider_that_does_not_respond_leads_back(engine: str, shops: Callable[..., Shop]) -> None:
    gone = Provider()
    settings = gone.settings
    gone.close()
    shop = shops(engine, run_worker="false", **settings)
    browser = Browser(shop)
    assert browser.follow(browser.get("/oidc/start?next=account/audit")) == f"{FAILED}&next=account/audit"
    assert "connect_refused" in shop.server.log
