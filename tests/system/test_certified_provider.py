"""Employees sign in with a certified OpenID Connect provider."""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx2
import pytest

from harness.certified_provider import CertifiedProvider
from harness.employees import Browser, hire, invite
from harness.oidc_people import FAILED, identities
from harness.shop import Shop

PUBLIC_URL = "https://chat.example.org"


@pytest.fixture(scope="module")
def provider() -> Iterator[CertifiedProvider]:
    """The provider, which runs until the module ends."""
    running = CertifiedProvider((f"{PUBLIC_URL}/oidc/callback",))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def shop(shops: Callable[..., Shop], provider: CertifiedProvider) -> Shop:
    """A server whose employees have addresses of the provider.

    One engine is enough, because the provider sees none.
    """
    settings = provider.settings | {"public_url": PUBLIC_URL, "oidc_allowed_domains": "staff.example"}
    return shops("sqlite", run_worker="false", visitor_rate_per_min=100_000, **settings)


def sign_in(browser: Browser, provider: CertifiedProvider, name: str, query: str = "") -> str:
    """Go to the provider and back in a new browser; returns the page it lands on."""
    url = browser.click(f"/oidc/start{query}").headers["location"]
    with httpx2.Client(trust_env=False, timeout=30) as client:
        back = urlsplit(provider.sign_in(client, url, name))
    return browser.follow(browser.get(f"{back.path}?{back.query}"))


def test_an_employee_accepts_an_invitation_signs_in_and_confirms(shop: Shop, provider: CertifiedProvider) -> None:
    invited, path = invite(shop)
    alice = Browser(shop)
    assert sign_in(alice, provider, "alice-invited", f"?invitation={path.rpartition('/')[2]}") == "/inbox"
    assert identities(shop, invited) == ["alice-invited"]
    phone = Browser(shop)
    assert sign_in(phone, provider, "alice-invited", "?next=account/audit") == "/account/audit"
    assert "Alice Archer" in phone.get("/account").text
    assert sign_in(phone, provider, "alice-invited", "?again=1&next=account/app") == "/account/app"


def test_an_employee_links_and_is_recognized(shop: Shop, provider: CertifiedProvider) -> None:
    alice = hire(shop)
    assert sign_in(alice.browser, provider, "alice-linked", "?link=1") == "/account"
    assert "alice-linked@staff.example" in alice.browser.get("/account").text
    bob, _ = invite(shop, email="bob-recognized@staff.example", organization_id=shop.world.globex)
    assert sign_in(Browser(shop), provider, "bob-recognized") == "/inbox"
    assert identities(shop, bob) == ["bob-recognized"]


def test_a_stranger_is_refused(shop: Shop, provider: CertifiedProvider) -> None:
    stranger = Browser(shop)
    assert sign_in(stranger, provider, "mallory") == FAILED
    assert not stranger.is_signed_in()


def test_the_provider_may_change_its_keys(shop: Shop, provider: CertifiedProvider) -> None:
    _, path = invite(shop)
    assert sign_in(Browser(shop), provider, "carol", f"?invitation={path.rpartition('/')[2]}") == "/inbox"
    provider.stop()
    assert Browser(shop).get("/oidc/start").status_code == 303  # what it publishes is known
    provider.start()
    assert sign_in(Browser(shop), provider, "carol") == "/inbox"
