"""Employees link and remove identities, and accept invitations with them."""

import re
import time

from harness.employees import PASSWORD, Browser, hire, invite
from harness.oidc import Provider
from harness.oidc_people import (
    FAILED,
    SESSION,
    Person,
    actions,
    identities,
    let_time_pass,
    linked,
    person,
    remove,
)
from harness.shop import Shop
from shopbell.accounts.roles import Roles
from shopbell.http.accounts.account_page import OIDC_FAULT

# Link and remove


def test_an_identity_opens_one_account_and_an_account_has_one_of_a_provider(
    oidc_shop: Shop, provider: Provider
) -> None:
    _, her = linked(oidc_shop, provider)
    bob = hire(oidc_shop, organization_id=oidc_shop.world.globex)
    assert Person(provider, bob.browser, her.claims).sign_in("?link=1") == f"/account?{OIDC_FAULT}"
    assert identities(oidc_shop, bob.id) == []
    his = person(oidc_shop, provider, bob.browser)
    assert his.sign_in("?link=1") == "/account"
    assert person(oidc_shop, provider, bob.browser).sign_in("?link=1") == f"/account?{OIDC_FAULT}"
    assert identities(oidc_shop, bob.id) == [his.subject]
    assert "did not work" in bob.browser.get(f"/account?{OIDC_FAULT}").text


def test_linking_and_removing_need_a_fresh_factor(oidc_shop: Shop, provider: Provider) -> None:
    alice = hire(oidc_shop)
    let_time_pass(oidc_shop, alice.id)
    assert alice.browser.follow(alice.browser.click("/oidc/start?link=1")) == "/account/confirm?next=account"
    alice.browser.submit("/account/confirm", password=PASSWORD)
    her = person(oidc_shop, provider, alice.browser)
    assert her.sign_in("?link=1") == "/account"
    let_time_pass(oidc_shop, alice.id)
    assert alice.browser.follow(remove(alice.browser)) == "/account/confirm"
    assert identities(oidc_shop, alice.id) == [her.subject]
    alice.browser.submit("/account/confirm", password=PASSWORD)
    assert alice.browser.follow(remove(alice.browser)) == "/account"
    assert identities(oidc_shop, alice.id) == []
    assert actions(oidc_shop, alice.id)[-1] == "oidc.unlink"
    her.browser = Browser(oidc_shop)
    assert her.sign_in() == FAILED


def test_employees_remove_only_their_own_identities(oidc_shop: Shop, provider: Provider) -> None:
    alice, _ = linked(oidc_shop, provider)
    bob = hire(oidc_shop, organization_id=oidc_shop.world.globex)
    identity = oidc_shop.database.value("SELECT id FROM oidc_identities WHERE employee_id = :id", id=alice.id)
    assert bob.browser.submit("/account/identities/remove", identity=str(identity)).status_code == 404
    assert bob.browser.submit("/account/identities/remove", identity="x").status_code == 404
    assert len(identities(oidc_shop, alice.id)) == 1


def test_the_last_credential_stays(oidc_shop: Shop, provider: Provider) -> None:
    invited, path = invite(oidc_shop)
    her = person(oidc_shop, provider)
    assert her.sign_in(f"?invitation={path.rpartition('/')[2]}") == "/inbox"
    assert "set a password or add a passkey first" in her.browser.get("/account").text
    identity = oidc_shop.database.value("SELECT id FROM oidc_identities WHERE employee_id = :id", id=invited)
    assert her.browser.submit("/account/identities/remove", identity=str(identity)).status_code == 409
    assert identities(oidc_shop, invited) == [her.subject]
    her.browser.add_passkey()
    assert her.browser.follow(remove(her.browser)) == "/account"
    passkey = oidc_shop.database.value("SELECT id FROM passkeys WHERE employee_id = :id", id=invited)
    assert her.browser.submit("/account/passkeys/remove", passkey=str(passkey)).status_code == 409
    her.browser.submit("/account/password", password=PASSWORD)
    assert her.browser.follow(her.browser.submit("/account/passkeys/remove", passkey=str(passkey))) == "/account"


def test_an_identity_must_come_back_to_the_session_that_began_it(oidc_shop: Shop, provider: Provider) -> None:
    alice, bob = hire(oidc_shop), hire(oidc_shop)
    her = person(oidc_shop, provider, alice.browser)
    url = her.leave("?link=1")
    alice.browser.cookies[SESSION] = bob.browser.cookies[SESSION]
    assert alice.browser.follow(her.come_back(url)) == f"/account?{OIDC_FAULT}"
    assert (identities(oidc_shop, alice.id), identities(oidc_shop, bob.id)) == ([], [])


def test_an_employee_confirms_with_the_provider(oidc_shop: Shop, provider: Provider) -> None:
    alice, her = linked(oidc_shop, provider)
    her.sign_in()
    let_time_pass(oidc_shop, alice.id)
    assert her.browser.follow(her.browser.get("/account/app")) == "/account/confirm?next=account/app"
    assert "oidc/start?again=1&amp;next=account" in her.browser.get("/account/confirm?next=account/app").text
    url = her.leave("?again=1&next=account/app")
    assert "max_age=0" in url
    her.claims["auth_time"] = int(time.time()) - 3_600  # as if the parameter had been removed on the way
    assert her.browser.follow(her.come_back(url)) == f"/account/confirm?{OIDC_FAULT}&next=account/app"
    assert "did not work" in her.browser.get(f"/account/confirm?{OIDC_FAULT}").text
    her.claims["auth_time"] = int(time.time())
    assert her.sign_in("?again=1&next=account/app") == "/account/app"
    assert her.browser.get("/account/app").status_code == 200


def test_a_sign_in_without_a_factor_at_the_provider_is_not_fresh(oidc_shop: Shop, provider: Provider) -> None:
    _, her = linked(oidc_shop, provider)
    her.claims["auth_time"] = int(time.time()) - 3_600  # the provider remembers the browser
    assert her.sign_in() == "/inbox"
    assert her.browser.follow(her.browser.get("/account/app")) == "/account/confirm?next=account/app"
    assert her.browser.call("/api/passkeys/options").status_code == 403


# Invitations


def test_an_invitation_is_accepted_with_an_identity(oidc_shop: Shop, provider: Provider) -> None:
    invited, path = invite(oidc_shop, roles=Roles("manager"))
    her = person(oidc_shop, provider, name="Alice Archer")
    shown = her.browser.get(path).text
    assert "Join with Example ID" in shown
    (link,) = re.findall(r'href="../(oidc/start\?invitation=[^"]+)"', shown)
    assert her.browser.follow(her.come_back(her.leave(link.removeprefix("oidc/start")))) == "/inbox"
    assert "Alice Archer" in her.browser.get("/account").text
    assert identities(oidc_shop, invited) == [her.subject]
    assert her.browser.get(path).status_code == 410
    again = person(oidc_shop, provider)
    assert again.browser.follow(again.come_back(again.leave(f"?invitation={path[13:]}"))) == f"{path}?{OIDC_FAULT}"
    assert identities(oidc_shop, invited) == [her.subject]


def test_an_invitation_removes_the_identities_of_the_account(oidc_shop: Shop, provider: Provider) -> None:
    alice, her = linked(oidc_shop, provider)
    _, path = invite(oidc_shop, email=alice.email)
    Browser(oidc_shop).submit(path, name="Bob Baker", password=PASSWORD)
    assert her.sign_in() == FAILED
    _, path = invite(oidc_shop, email=alice.email)
    his = person(oidc_shop, provider)
    assert his.sign_in(f"?invitation={path.rpartition('/')[2]}") == "/inbox"
    assert Browser(oidc_shop).sign_in(alice.email).status_code == 401  # so it does with the password
