"""Employees sign in with an OpenID Connect provider."""

import re
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from harness.employees import Browser, deactivate, hire, invite
from harness.oidc import Provider
from harness.oidc_people import (
    DOMAIN,
    FAILED,
    FLOW,
    KNOWN_S,
    SESSION,
    Person,
    actions,
    identities,
    linked,
    person,
)
from harness.shop import Shop
from shopbell.http.accounts.account_page import OIDC_FAULT

# Sign in


def test_an_employee_links_an_identity_and_signs_in_with_it(oidc_shop: Shop, provider: Provider) -> None:
    alice, her = linked(oidc_shop, provider, email="alice@elsewhere.example")
    assert her.sign_in("?next=account/audit") == "/account/audit"
    assert her.browser.is_signed_in()
    assert "Example ID</bdi> · <bdi>alice@elsewhere.example" in her.browser.get("/account").text
    assert [one for one in actions(oidc_shop, alice.id) if "oidc" in one] == ["oidc.link"]
    assert actions(oidc_shop, alice.id)[-1] == "session.sign-in"


def test_the_request_to_the_provider_is_bound_to_the_browser(oidc_shop: Shop, provider: Provider) -> None:
    browser = Browser(oidc_shop)
    answer = browser.get("/oidc/start")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert asked["redirect_uri"] == "https://chat.example.org/oidc/callback"
    assert asked["code_challenge_method"] == "S256"
    assert all(len(asked[name]) >= 43 for name in ("state", "nonce", "code_challenge"))
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(
        rf"{FLOW}=[\w-]+; HttpOnly; Max-Age=600; Path=/; SameSite=lax; Secure", cookie, re.IGNORECASE
    ), cookie
    assert asked["state"] not in cookie
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


def test_the_cookie_is_gone_after_the_sign_in_and_the_response_cannot_be_used_again(
    oidc_shop: Shop, provider: Provider
) -> None:
    _, her = linked(oidc_shop, provider)
    back = provider.allow(her.leave(), her.subject)
    kept = dict(her.browser.cookies)
    assert her.browser.follow(her.browser.get(back)) == "/inbox"
    assert FLOW not in her.browser.cookies
    assert Browser(oidc_shop).follow(Browser(oidc_shop).get(back)) == FAILED
    thief = Browser(oidc_shop, cookies=kept)  # with the cookie, too: the provider takes a code once
    assert thief.follow(thief.get(back)) == FAILED


def test_a_sign_in_replaces_the_session_of_the_browser(oidc_shop: Shop, provider: Provider) -> None:
    _, her = linked(oidc_shop, provider)
    mallory = hire(oidc_shop)
    her.browser.cookies[SESSION] = mallory.browser.cookies[SESSION]  # planted
    her.sign_in()
    assert her.browser.cookies[SESSION] != mallory.browser.cookies[SESSION]
    time.sleep(KNOWN_S)
    assert not mallory.browser.is_signed_in()  # the session that was replaced has ended
    assert "Alice Archer" in her.browser.get("/account").text


def test_linking_gives_the_session_a_new_token(oidc_shop: Shop, provider: Provider) -> None:
    alice = hire(oidc_shop)
    before = alice.browser.cookies[SESSION]
    person(oidc_shop, provider, alice.browser).sign_in("?link=1")
    assert alice.browser.cookies[SESSION] != before
    time.sleep(KNOWN_S)
    assert not Browser(oidc_shop, cookies={SESSION: before}).is_signed_in()


def test_the_secret_is_sent_as_the_provider_wants_it(oidc_shop: Shop, provider: Provider) -> None:
    _, her = linked(oidc_shop, provider)
    her.sign_in()
    assert provider.forms[-1]["authorization"].startswith("Basic ")
    assert "client_secret" not in provider.forms[-1]
    assert len(provider.forms[-1]["code_verifier"]) >= 43


def test_a_key_that_is_not_known_yet_is_read_again(oidc_shop: Shop, provider: Provider) -> None:
    _, her = linked(oidc_shop, provider)
    provider.seen.clear()
    her.sign_in()
    assert provider.seen == {}  # known for an hour
    provider.rotate()
    assert her.sign_in() == "/inbox"
    assert provider.seen["/keys"] == 1


# Second factor


def test_the_organization_asks_for_its_own_second_factor(oidc_shop: Shop, provider: Provider) -> None:
    alice, her = linked(oidc_shop, provider)
    alice.browser.add_app()
    assert her.sign_in() == "/sign-in/code"
    assert not her.browser.is_signed_in()


def test_a_provider_that_has_asked_for_several_factors_is_believed(oidc_shop: Shop, provider: Provider) -> None:
    alice, her = linked(oidc_shop, provider)
    alice.browser.add_app()
    her.claims["amr"] = ["pwd", "otp", "mfa"]
    assert her.sign_in() == "/inbox"
    assert her.browser.is_signed_in()


def test_an_employee_without_a_second_factor_sets_one_up_if_it_is_required(oidc_shop: Shop, provider: Provider) -> None:
    alice, her = linked(oidc_shop, provider)
    oidc_shop.database.change(
        "UPDATE organizations SET requires_second_factor = true WHERE id = :id", id=int(oidc_shop.world.acme)
    )
    try:
        assert her.sign_in() == "/account/app"
        assert not her.browser.is_signed_in()
        her.claims["acr"] = "phr"
        assert her.sign_in() == "/inbox"
    finally:
        oidc_shop.database.change(
            "UPDATE organizations SET requires_second_factor = false WHERE id = :id", id=int(oidc_shop.world.acme)
        )
    assert identities(oidc_shop, alice.id)


# Who is let in


@pytest.mark.parametrize(
    "leaves",
    [
        deactivate,
        lambda shop, id_: shop.database.change("DELETE FROM organization_roles WHERE employee_id = :id", id=id_),
    ],
)
def test_an_employee_who_has_left_or_has_no_role_is_refused(
    leaves: Callable[[Shop, int], object], oidc_shop: Shop, provider: Provider
) -> None:
    alice, her = linked(oidc_shop, provider)
    leaves(oidc_shop, alice.id)
    assert her.sign_in() == FAILED
    assert not her.browser.is_signed_in()


def test_a_stranger_is_refused_and_no_employee_is_created(oidc_shop: Shop, provider: Provider) -> None:
    before = oidc_shop.count("employees")
    stranger = person(oidc_shop, provider, email=f"mallory@{DOMAIN}", email_verified=True)
    assert stranger.sign_in() == FAILED
    assert oidc_shop.count("employees") == before
    text = stranger.browser.get(FAILED).text
    assert "Signing in with Example ID did not work." in text


def test_an_address_alone_opens_no_account_unless_the_operator_trusts_its_domain(
    oidc_shop: Shop, provider: Provider
) -> None:
    alice = hire(oidc_shop)
    assert person(oidc_shop, provider, email=alice.email, email_verified=True).sign_in() == FAILED
    assert identities(oidc_shop, alice.id) == []


def test_an_employee_is_recognized_by_a_verified_address_at_the_first_sign_in(
    domain_shop: Shop, provider: Provider
) -> None:
    invited, _ = invite(domain_shop, email=(email := f"{uuid.uuid4().hex}@{DOMAIN}"))
    her = person(domain_shop, provider, email=email.upper(), email_verified=True)
    assert her.sign_in() == "/inbox"
    assert identities(domain_shop, invited) == [her.subject]
    assert actions(domain_shop, invited) == ["oidc.link", "session.sign-in"]
    her.claims["email"] = f"married@{DOMAIN}"  # the address may change: the subject does not
    assert her.sign_in() == "/inbox"


@pytest.mark.parametrize("claims", [{"email_verified": False}, {}, {"email_verified": "yes"}])
def test_an_address_that_is_not_verified_is_refused(
    claims: dict[str, Any], domain_shop: Shop, provider: Provider
) -> None:
    alice = hire(domain_shop)
    assert person(domain_shop, provider, email=alice.email, **claims).sign_in() == FAILED
    assert identities(domain_shop, alice.id) == []


def test_an_address_of_two_employees_is_not_recognized(domain_shop: Shop, provider: Provider) -> None:
    email = f"{uuid.uuid4().hex}@{DOMAIN}"
    for organization in (domain_shop.world.acme, domain_shop.world.globex):
        invite(domain_shop, organization_id=organization, email=email)
    assert person(domain_shop, provider, email=email, email_verified=True).sign_in() == FAILED


def test_an_employee_without_a_role_does_not_count(domain_shop: Shop, provider: Provider) -> None:
    email = f"{uuid.uuid4().hex}@{DOMAIN}"
    roleless, _ = invite(domain_shop, email=email)
    domain_shop.database.change("DELETE FROM organization_roles WHERE employee_id = :id", id=roleless)
    her = person(domain_shop, provider, email=email, email_verified=True)
    assert her.sign_in() == FAILED
    bob, _ = invite(domain_shop, organization_id=domain_shop.world.globex, email=email)
    assert her.sign_in() == "/inbox"
    assert (identities(domain_shop, roleless), identities(domain_shop, bob)) == ([], [her.subject])


def test_a_new_owner_of_an_address_does_not_get_the_account_of_the_former_owner(
    domain_shop: Shop, provider: Provider
) -> None:
    alice = hire(domain_shop)
    first = person(domain_shop, provider, email=alice.email, email_verified=True)
    assert first.sign_in() == "/inbox"
    assert person(domain_shop, provider, email=alice.email, email_verified=True).sign_in() == FAILED
    assert identities(domain_shop, alice.id) == [first.subject]


def test_an_address_does_not_replace_a_second_factor(domain_shop: Shop, provider: Provider) -> None:
    with_passkey, with_app = hire(domain_shop), hire(domain_shop)
    with_passkey.browser.add_passkey()
    with_app.browser.add_app()
    for employee in (with_passkey, with_app):
        assert person(domain_shop, provider, email=employee.email, email_verified=True).sign_in() == FAILED
        assert identities(domain_shop, employee.id) == []


def test_only_addresses_of_allowed_domains_sign_in(domain_shop: Shop, provider: Provider) -> None:
    alice = hire(domain_shop)
    her = person(domain_shop, provider, alice.browser, email="alice@elsewhere.example", email_verified=True)
    assert her.sign_in("?link=1") == f"/account?{OIDC_FAULT}"
    her.claims |= {"email": "alice@acme.example"}
    assert her.sign_in("?link=1") == "/account"
    for wrong in (
        {"email": f"alice@evil.{DOMAIN}"},
        {"email": "alice@acme.example", "email_verified": False},
        {"email": None},
    ):
        changed = Person(provider, Browser(domain_shop), her.claims | wrong)
        assert changed.sign_in() == FAILED
    assert Person(provider, Browser(domain_shop), her.claims).sign_in() == "/inbox"


def test_an_address_that_only_the_profile_has_counts(domain_shop: Shop, provider: Provider) -> None:
    invited, _ = invite(domain_shop, email=(email := f"{uuid.uuid4().hex}@{DOMAIN}"))
    her = person(domain_shop, provider)
    provider.profile = {"sub": "another", "email": email, "email_verified": True}
    assert her.sign_in() == FAILED
    provider.profile["sub"] = her.subject
    assert her.sign_in() == "/inbox"
    assert identities(domain_shop, invited) == [her.subject]
