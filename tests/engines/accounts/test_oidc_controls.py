"""Controls: attacks succeed once the protection against them is removed.

``tests/api/accounts/test_oidc_attacks.py`` has the same attacks with all protections.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from fastapi import Request
from joserfc.jws import extract_compact
from orjson import loads

from harness.employees import Browser
from harness.oidc import Provider
from harness.oidc_people import FAILED, FLOW, linked
from harness.shop import Shop
from shopbell.accounts import id_tokens
from shopbell.accounts.oidc_provider import OidcProvider
from shopbell.http.accounts import oidc


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    running = Provider()
    yield running
    running.close()


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop], provider: Provider) -> Shop:
    provider.reset()
    return shops(engine, run_worker="false", **provider.settings)


def forget_state(provider: Provider, patch: pytest.MonkeyPatch) -> None:
    real = oidc._flow_of

    def flow_of(request: Request, services: Any) -> Any:
        flow = real(request, services)
        return flow and replace(flow, request=replace(flow.request, state=request.query_params["state"]))

    patch.setattr(oidc, "_flow_of", flow_of)


def forget_nonce(provider: Provider, patch: pytest.MonkeyPatch) -> None:
    real = id_tokens.read

    def read(token: str, keys: Any, *, nonce: str, **expected: Any) -> id_tokens.Claims:
        own = loads(extract_compact(token.encode()).payload)["nonce"]
        return real(token, keys, nonce=own, **expected)

    patch.setattr(id_tokens, "read", read)


def forget_verifier(provider: Provider, patch: pytest.MonkeyPatch) -> None:
    provider.checks_verifier = False


PROTECTIONS = (forget_state, forget_nonce, forget_verifier)


def land_as_mallory(shop: Shop, provider: Provider) -> bool:
    """Let a victim who is at the provider follow the link with Mallory's code."""
    _, mallory = linked(shop, provider)
    back = provider.allow(mallory.leave(), mallory.subject)
    victim = Browser(shop)
    victim.get("/oidc/start")
    victim.get(back)
    return victim.is_signed_in()


def test_without_state_nonce_and_verifier_a_victim_would_be_signed_in_as_the_attacker(
    shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not land_as_mallory(shop, provider)
    for forget in PROTECTIONS:
        forget(provider, monkeypatch)
    assert land_as_mallory(shop, provider)


@pytest.mark.parametrize("kept", PROTECTIONS, ids=lambda kept: kept.__name__.removeprefix("forget_"))
def test_each_of_state_nonce_and_verifier_is_enough(
    kept: Callable[..., None], shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for forget in PROTECTIONS:
        if forget is not kept:
            forget(provider, monkeypatch)
    assert not land_as_mallory(shop, provider)


def test_without_the_check_of_iss_the_response_of_another_provider_would_be_accepted(
    shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, her = linked(shop, provider)

    def come_back() -> str:
        back = urlsplit(provider.allow(her.leave(), her.subject))
        query = {name: values[0] for name, values in parse_qs(back.query).items()} | {"iss": "https://mallory.example"}
        return her.browser.follow(her.browser.get(f"{back.path}?{urlencode(query)}"))

    async def code_of(_: OidcProvider, response: Any) -> str:
        return str(response["code"])

    assert come_back() == FAILED
    monkeypatch.setattr(OidcProvider, "code_of", code_of)
    assert come_back() == "/inbox"


def test_without_the_check_of_links_another_site_could_begin_to_link(
    shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _ = linked(shop, provider)
    cross_site = {"Sec-Fetch-Site": "cross-site"}
    assert alice.browser.get("/oidc/start?link=1", **cross_site).status_code == 403
    monkeypatch.setattr(oidc, "check_own_link", lambda *_: None)
    assert alice.browser.get("/oidc/start?link=1", **cross_site).status_code == 303
    assert FLOW in alice.browser.cookies


def test_without_the_check_of_the_next_page_the_way_back_would_lead_to_another_site(
    shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, her = linked(shop, provider)
    assert her.sign_in("?next=//evil.example/") == "/inbox"
    monkeypatch.setattr(oidc, "next_of", lambda text: text)
    answer = her.come_back(her.leave("?next=//evil.example/"))
    assert "//evil.example/" in answer.headers["location"]


def test_without_the_check_of_the_session_another_one_would_get_the_identity(
    shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = oidc._flow_of
    alice, her = linked(shop, provider)
    bob, _ = linked(shop, provider)
    shop.database.change("DELETE FROM oidc_identities")
    url = replace(her, browser=alice.browser).leave("?link=1")
    bob.browser.cookies[FLOW] = alice.browser.cookies[FLOW]
    assert bob.browser.follow(back_in(provider, url, her.subject, bob.browser)).startswith("/account?")

    def flow_of(request: Request, services: Any) -> Any:
        flow = real(request, services)
        ids = shop.database.rows("SELECT id FROM employee_sessions WHERE employee_id = :id", id=bob.id)
        return flow and replace(flow, session_id=ids[0]["id"])

    monkeypatch.setattr(oidc, "_flow_of", flow_of)
    bob.browser.cookies[FLOW] = alice.browser.cookies[FLOW]
    assert bob.browser.follow(back_in(provider, url, her.subject, bob.browser)) == "/account"


def back_in(provider: Provider, url: str, subject: str, browser: Browser) -> Any:
    return browser.get(provider.allow(url, subject))
