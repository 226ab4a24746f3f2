"""People with an account at a provider, who sign in as employees."""

import re
import time
import uuid
from dataclasses import dataclass
from typing import Any

import httpx2

from harness.employees import Browser, Hired, hire
from harness.oidc import Provider
from harness.shop import Shop
from shopbell.http.accounts.account_page import OIDC_FAULT
from shopbell.http.accounts.oidc import COOKIE
from shopbell.http.request.employee_sessions import COOKIE as SESSION_COOKIE

FLOW = f"__Host-{COOKIE}"
SESSION = f"__Host-{SESSION_COOKIE}"
FAILED = f"/sign-in?{OIDC_FAULT}"
DOMAIN = "staff.example"
KNOWN_S = 0.6
"""Longer than a server knows a session that has changed."""


@dataclass
class Person:
    """A person with an account at the provider, and a browser.

    Args:
        claims: what the provider says about them.
    """

    provider: Provider
    browser: Browser
    claims: dict[str, Any]

    @property
    def subject(self) -> str:
        """The provider's id of them."""
        return str(self.claims["sub"])

    def leave(self, query: str = "") -> str:
        """Follow a link to the provider; returns its URL."""
        answer = self.browser.click(f"/oidc/start{query}")
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def come_back(self, url: str, **changes: str) -> httpx2.Response:
        """Sign in at the provider, and come back."""
        return self.browser.get(self.provider.allow(url, **{"subject": self.subject} | self.claims) + extra(changes))

    def sign_in(self, query: str = "") -> str:
        """Go to the provider and back; returns the page on which they land."""
        return self.browser.follow(self.come_back(self.leave(query)))


def extra(changes: dict[str, str]) -> str:
    return "".join(f"&{name}={value}" for name, value in changes.items())


def person(shop: Shop, provider: Provider, browser: Browser | None = None, **claims: Any) -> Person:
    return Person(provider, browser or Browser(shop), {"sub": uuid.uuid4().hex, **claims})


def linked(shop: Shop, provider: Provider, **claims: Any) -> tuple[Hired, Person]:
    """An employee with a password and an identity.

    Their other browser is at the sign-in page.
    """
    alice = hire(shop)
    her = person(shop, provider, alice.browser, **claims)
    assert her.sign_in("?link=1") == "/account", shop.server.log
    return alice, Person(provider, Browser(shop), her.claims)


def identities(shop: Shop, employee_id: int) -> list[str]:
    rows = shop.database.rows("SELECT subject FROM oidc_identities WHERE employee_id = :id", id=employee_id)
    return [row["subject"] for row in rows]


def actions(shop: Shop, employee_id: int) -> list[str]:
    query = "SELECT action FROM audit_entries WHERE actor = :actor ORDER BY id"
    return [row["action"] for row in shop.database.rows(query, actor=f"employee {employee_id}")]


def let_time_pass(shop: Shop, employee_id: int) -> None:
    """Let the last factor of an employee's sessions be an hour old, and be known."""
    hour_ago = {"at": (int(time.time()) - 3_600) * 1_000, "id": employee_id}
    shop.database.change("UPDATE employee_sessions SET factor_at_ms = :at WHERE employee_id = :id", **hour_ago)
    time.sleep(KNOWN_S)


def remove(browser: Browser) -> httpx2.Response:
    """Press the button that removes the identity."""
    found = re.search(r'name="identity" value="(\d+)"', browser.get("/account").text)
    assert found
    return browser.submit("/account/identities/remove", identity=found[1])
