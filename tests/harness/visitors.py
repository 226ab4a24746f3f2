"""Websites with the widget, and their visitors' browsers."""

import hmac
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import OctKey

from harness.shop import Shop
from harness.waiting import ask_until_obeyed

ORIGIN = "https://shop.example"


@dataclass
class Browser:
    """A browser, or an app, with a session."""

    shop: Shop
    token: str
    begun: Mapping[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        """What each request of it carries."""
        return {"authorization": f"Bearer {self.token}"}

    def get(self, what: str, **query: Any) -> httpx2.Response:
        """Ask for something below /api/customer/."""
        return self.shop.server.client.get(f"/api/customer/{what}", params=query, headers=self.headers)

    def post(self, what: str, **body: Any) -> httpx2.Response:
        """Send something there."""
        return self.shop.server.client.post(f"/api/customer/{what}", json=body, headers=self.headers)

    def upload(self, content: bytes, name: str = "a.txt") -> httpx2.Response:
        """Send a file."""
        files = {"file": (name, content, "text/plain")}
        return self.shop.server.client.post("/api/customer/attachments", files=files, headers=self.headers)

    def say(self, text: str = "Is it in stock?", **body: Any) -> dict[str, Any]:
        """Write to the store, which must be answered 200."""
        answer = self.post("messages", text=text, clientMessageId=str(uuid.uuid4()), **body)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def texts(self, **query: Any) -> list[str]:
        """What it sees of its conversation."""
        answer = self.get("messages", **query)
        assert answer.status_code == 200, answer.text
        return [message["text"] for message in answer.json()["messages"]]

    def wait_until_ended(self) -> None:
        """Ask until the session is refused; an end counts within a second."""
        ask_until_obeyed(lambda: self.get("messages").status_code == 401, "the session is still good")


@dataclass
class Site:
    """A website of an organization: its key, and the backend that has the private key."""

    shop: Shop
    token: str
    organization_id: str
    business_id: str

    @cached_property
    def key(self) -> str:
        """Its publishable key."""
        return str(self.new_key()["key"])

    @cached_property
    def private_key(self) -> str:
        """What its backend signs with."""
        made = self.shop.server.installation.cli("organization", "private-key", self.organization_id)
        return str(made["privateKey"])

    def new_key(self, *origins: str, **fields: Any) -> dict[str, Any]:
        """Make another publishable key."""
        body = {"allowedOrigins": list(origins or (ORIGIN,)), **fields}
        answer = self.shop.post(body, token=self.token, path="/api/publishable-keys")
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def begin(self, headers: Mapping[str, str] | None = None, **changes: Any) -> httpx2.Response:
        """Ask for a session as the widget's own document does; None leaves a field or a header out."""
        body = {"key": self.key, "businessId": self.business_id, "origin": ORIGIN} | changes
        its = {"origin": self.shop.server.public_origin} | dict(headers or {})
        return self.shop.server.client.post(
            "/api/customer/sessions",
            json={name: value for name, value in body.items() if value is not None},
            headers={name: value for name, value in its.items() if value},
        )

    def visitor(self, headers: Mapping[str, str] | None = None, **changes: Any) -> Browser:
        """Begin a session as a visitor of the website."""
        answer = self.begin(headers, **changes)
        assert answer.status_code == 200, answer.text
        return Browser(self.shop, answer.json()["sessionToken"], answer.json())

    def identity_token(self, key: str = "", algorithm: str = "HS256", **claims: Any) -> str:
        """What its backend signs; None leaves a claim out."""
        all_claims = {"aud": self.key, "exp": int(time.time()) + 300} | claims
        said = {name: value for name, value in all_claims.items() if value is not None}
        signed_with = OctKey.import_key(key or self.private_key)
        return jwt.encode({"alg": algorithm}, said, signed_with, algorithms=[algorithm])

    def prove(self, customer_id: str, **changes: Any) -> httpx2.Response:
        """Let an app prove which customer it acts for."""
        body: dict[str, Any] = {"customerId": customer_id, "nonce": uuid.uuid4().hex, "algorithm": "hmac-sha256"}
        body |= changes
        said = f"{body['nonce']}:{customer_id}".encode()
        body.setdefault("digest", hmac.digest(self.private_key.encode(), said, "sha256").hex())
        return self.shop.post(body, token=self.token, path="/api/authenticate-customer")

    def app(self, customer_id: str) -> Browser:
        """An app of a customer's."""
        answer = self.prove(customer_id)
        assert answer.status_code == 200, answer.text
        return Browser(self.shop, answer.json()["sessionToken"], answer.json())


def acmes_site(shop: Shop) -> Site:
    """Acme's website, for its shop in Boston."""
    return Site(shop, shop.world.token, shop.world.acme, shop.world.boston)


def globexs_site(shop: Shop) -> Site:
    """Globex's website."""
    return Site(shop, shop.world.globex_token, shop.world.globex, shop.world.london)
