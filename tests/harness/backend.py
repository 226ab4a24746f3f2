"""A website's backend that issues identity tokens to the widget."""

import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey

from harness.host_site import Asked, HostPage
from harness.widget import Shop

BOOT = """
window.Shopbell ||= (...call) => (Shopbell.q ||= []).push(call)
const ask = async () => {{
  const answer = await fetch('/chat-token')
  if (!answer.ok) throw new Error('the backend is down')
  return answer.status === 204 ? null : answer.text()
}}
Shopbell('boot', {{ key: '{key}', business: '{business}', getToken: ask }})
"""


class Backend:
    """The shop's backend.

    Attributes:
        subject: who is signed in; None if no one is.
        says: what it answers instead of a token, if anything.
        fails: whether it answers 500.
        lives_s: seconds for which its tokens are good.
        claims: more claims for its tokens.
        asked: how often it was asked for a token.
    """

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.asked = 0
        self.lives_s = 600.0
        self.says: str | None = None
        self.fails = False
        self.claims: dict[str, Any] = {}
        self.publishable_key = shop.store.key(shop.site.origin)
        organization = shop.demo.facts["organizationId"]
        self._secret = str(shop.demo.installation.cli("organization", "private-key", organization)["privateKey"])
        self.subject: str | None = self.new_subject("carol")
        shop.site.answers["/chat-token"] = self._answer
        shop.site.file("/boot.js", BOOT.format(key=self.publishable_key, business=shop.demo.business))

    def new_subject(self, name: str) -> str:
        """A new customer."""
        return f"{name}-{time.time_ns()}"

    def page(self, path: str = "/") -> str:
        """A page for who is signed in."""
        tags = f'<script src="/boot.js"></script><script async src="{self.shop.demo.url}/widget.js"></script>'
        return self.shop.page(tags, path=path, policy="")

    def plain_page(self, path: str = "/plain") -> str:
        """A page that does not know who is signed in."""
        return self.shop.page(self.shop.tag(self.publishable_key), path=path, policy="")

    def token(self) -> str:
        """A token for who is signed in."""
        now_s = time.time()
        claims = {
            "sub": self.subject,
            "aud": self.publishable_key,
            "iat": int(now_s),
            "exp": int(now_s + self.lives_s),
            "email": f"{self.subject}@customers.example",
        }
        return jwt.encode({"alg": "HS256"}, claims | self.claims, OctKey.import_key(self._secret))

    def _answer(self, _: Asked) -> HostPage:
        self.asked += 1
        headers = {"Content-Type": "text/plain", "Cache-Control": "no-store"}
        if self.fails:
            return HostPage(b"", headers, 500)
        if self.says is None and self.subject is None:
            return HostPage(b"", headers, 204)
        return HostPage((self.token() if self.says is None else self.says).encode(), headers)
