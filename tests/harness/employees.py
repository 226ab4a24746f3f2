"""The browser of an employee, without pages being drawn: cookies, forms and JSON."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urljoin

import httpx2
import pyotp

from harness.installation import SECRET_KEY
from harness.shop import Shop
from harness.soft_passkey import SoftPasskey
from shopbell.accounts import invitations
from shopbell.accounts.roles import Roles
from shopbell.accounts.totp import STEP_S
from shopbell.http.request.employee_sessions import COOKIE
from shopbell.organizations import employees
from shopbell.runtime.clock import now_ms
from shopbell.security.keys import Keys

PASSWORD = "correct horse battery"


@dataclass
class Browser:
    """A browser on one device.

    Args:
        shop: whose pages it shows.
        headers: what it sends with each request that changes something; a page of this server does so by default.
    """

    shop: Shop
    headers: dict[str, str] = field(default_factory=lambda: {"Sec-Fetch-Site": "same-origin"})
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """The site, as scripts see it."""
        return self.shop.server.public_origin

    @property
    def token(self) -> str | None:
        """The token of its session."""
        return self.cookies.get(COOKIE)

    @property
    def cookie(self) -> str:
        """The header with its cookies."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """Open a page, without following a redirect."""
        return self._send("GET", path, headers=headers)

    def click(self, path: str) -> httpx2.Response:
        """Follow a link on a page of this server."""
        return self._send("GET", path, headers=self.headers)

    def submit(self, path: str, **fields: str) -> httpx2.Response:
        """Send a form, without following the redirect."""
        return self._send("POST", path, data=fields, headers=self.headers)

    def call(self, path: str, body: object = None) -> httpx2.Response:
        """Send JSON as a script does."""
        return self._send("POST", path, json={} if body is None else body, headers=self.headers)

    def _send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx2.Response:
        # All browsers share the connections of one client, which must not keep their cookies.
        client = self.shop.server.client
        sent = {**(headers or {}), "Cookie": self.cookie.encode("latin-1")}
        answer = client.request(method, path, headers=sent, **body)
        client.cookies.clear()
        for name, value in answer.cookies.items():
            if value:
                self.cookies[name] = value
        for given in answer.headers.get_list("set-cookie"):
            if "Max-Age=0" in given:
                self.cookies.pop(given.partition("=")[0], None)
        return answer

    def sign_in(self, email: str, password: str = PASSWORD, **fields: str) -> httpx2.Response:
        """Send the form of the sign-in page."""
        return self.submit("/sign-in", email=email, password=password, **fields)

    def follow(self, answer: httpx2.Response) -> str:
        """The path to which a response redirects."""
        assert answer.status_code == 303, answer.text
        return urljoin(answer.request.url.path, answer.headers["location"])

    def is_signed_in(self) -> bool:
        """Whether the browser sees the account."""
        return self.get("/account").status_code == 200

    def add_passkey(self) -> SoftPasskey:
        """Add a passkey to the account."""
        passkey = SoftPasskey(self.origin)
        options = self.call("/api/passkeys/options")
        assert options.status_code == 200, options.text
        added = self.call("/api/passkeys", {"credential": passkey.create(options.json())})
        assert added.status_code == 200, added.text
        return passkey

    def use_passkey(self, passkey: SoftPasskey) -> httpx2.Response:
        """Sign in with a passkey."""
        options = self.call("/api/sign-in/passkey/options").json()
        passkey.count += 1
        return self.call("/api/sign-in/passkey", {"credential": passkey.get(options)})

    def add_app(self) -> tuple[pyotp.TOTP, list[str]]:
        """Set up an authenticator app; returns it and the recovery codes."""
        shown = self.get("/account/app").text
        found = re.search(r'<code dir="ltr">([A-Z2-7 ]+)</code>', shown)
        assert found, shown
        app = pyotp.TOTP(found[1].replace(" ", ""))
        codes = self.submit("/account/app", code=app.now())
        assert codes.status_code == 200, codes.text
        return app, [unescape(code) for code in re.findall(r"<li><code>([a-z0-9-]+)</code>", codes.text)]


@dataclass(frozen=True)
class Hired:
    """An employee who has an account.

    Args:
        id: their id.
        email: their address; the password is ``PASSWORD``.
        browser: a browser in which they are signed in.
    """

    id: int
    email: str
    browser: Browser


def invite(shop: Shop, *, organization_id: str = "", roles: Roles | None = None, email: str = "") -> tuple[int, str]:
    """Invite an employee, as the command line does; returns their id and the path of the link."""
    keys = Keys((SECRET_KEY.encode(),)).derive(invitations.KEY_PURPOSE)
    with shop.database.writing() as tx:
        employee, token = invitations.invite(
            tx,
            keys,
            int(organization_id or shop.world.acme),
            email or f"{uuid.uuid4().hex}@staff.example",
            wanted=roles or Roles("member"),
            by=None,
            valid_ms=invitations.PRINTED_MS,
            actor="a test",
            now_ms=now_ms(),
        )
    return employee.id, invitations.PATH + token


def hire(shop: Shop, *, organization_id: str = "", roles: Roles | None = None, name: str = "Alice Archer") -> Hired:
    """Invite an employee who accepts."""
    email = f"{uuid.uuid4().hex}@staff.example"
    employee_id, path = invite(shop, organization_id=organization_id, roles=roles, email=email)
    browser = Browser(shop)
    accepted = browser.submit(path, name=name, password=PASSWORD)
    assert browser.follow(accepted) == "/inbox"
    return Hired(employee_id, email, browser)


def deactivate(shop: Shop, employee_id: int, organization_id: str = "") -> None:
    """Let an employee leave."""
    with shop.database.writing() as tx:
        employees.deactivate(tx, int(organization_id or shop.world.acme), employee_id, actor="a test", now_ms=now_ms())


def expire_codes(shop: Shop) -> None:
    """Let the codes that were used count as used long ago: time passes."""
    shop.database.change(f"UPDATE totp_secrets SET last_step = last_step - 10 * {STEP_S}")


def problem(answer: httpx2.Response) -> tuple[int, Any]:
    """Status and problem type of a response."""
    return answer.status_code, answer.json().get("type")
