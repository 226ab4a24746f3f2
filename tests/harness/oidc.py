"""An OpenID Connect provider whose responses a test can change.

It checks requests like a real one.

``tests/system`` and ``tests/browser`` use a certified one: ``harness/certified_provider.py``.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID = "shopbell of tests"
CLIENT_SECRET = "a secret: of + tests"
DISCOVERY = "/.well-known/openid-configuration"


def settings_for(issuer: str, client_id: str, secret: str) -> dict[str, str]:
    """What a server needs to use a provider on 127.0.0.1, by the names of settings, without the public URL."""
    return {
        "oidc_issuer": issuer,
        "oidc_client_id": client_id,
        "oidc_client_secret": secret,
        "oidc_name": "Example ID",
        "outbound_allow": urlsplit(issuer).netloc,
    }


@dataclass
class Provider:
    """A provider on a free port of 127.0.0.1.

    Args:
        key: signs the tokens.
        claims: more claims of each token; None removes one.
        profile: more of the response about the person (UserInfo).
        document: more of the discovery document; None removes a member.
        checks_verifier: whether it checks that a code belongs to the request (PKCE).
        make_token: makes the ID token from its claims; None signs it.
        seen: how often each path was requested.
        forms: the token requests, as sent.
    """

    key: RSAKey = field(default_factory=lambda: _new_key())
    claims: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    checks_verifier: bool = True
    make_token: Callable[[dict[str, Any]], str] | None = None
    seen: Counter[str] = field(default_factory=Counter)
    forms: list[dict[str, str]] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _subject: object = None

    def __post_init__(self) -> None:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(*provider._get(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self._answer(*provider._token(body, self.headers.get("authorization")))

            def _answer(self, status: int, document: object) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    @property
    def issuer(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a server that uses it."""
        return settings_for(self.issuer, CLIENT_ID, CLIENT_SECRET) | {"public_url": "https://chat.example.org"}

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        """Forget what tests have changed, except for the key."""
        self.claims, self.profile, self.document, self.make_token, self.checks_verifier = {}, {}, {}, None, True
        self.seen.clear()
        self.forms.clear()

    def rotate(self) -> None:
        """Sign with another key from now on."""
        self.key = _new_key()

    def allow(self, url: str, subject: str, **claims: Any) -> str:
        """Let a person sign in at a URL; returns the path and query that they return to."""
        asked = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        assert url.startswith(f"{self.issuer}/authorize?"), url
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked | {"claims": json.dumps({"sub": subject} | claims)}
        return self.back(url, code=code)

    def back(self, url: str, **response: str) -> str:
        """Path and query with which the browser goes back from a URL."""
        asked = dict(parse_qsl(urlsplit(url).query))
        query = {"state": asked["state"], "iss": self.issuer} | response
        return f"{urlsplit(asked['redirect_uri']).path}?{urlencode(query)}"

    def now_s(self) -> int:
        """The time of its clock."""
        return int(time.time())

    def sign(self, claims: dict[str, Any]) -> str:
        """An ID token."""
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, kept, self.key)

    def _get(self, path: str) -> tuple[int, object]:
        self.seen[path] += 1
        if path == DISCOVERY:
            document = {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "jwks_uri": f"{self.issuer}/keys",
                "response_types_supported": ["code"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "authorization_response_iss_parameter_supported": True,
            } | self.document
            return 200, {name: value for name, value in document.items() if value is not None}
        if path == "/keys":
            return 200, {"keys": [self.key.as_dict(private=False) | {"use": "sig", "alg": "RS256"}]}
        return (200, {"sub": self._subject} | self.profile) if path == "/userinfo" else (404, {})

    def _token(self, body: bytes, authorization: str | None) -> tuple[int, object]:
        form = dict(parse_qsl(body.decode()))
        self.forms.append(form | ({"authorization": authorization} if authorization else {}))
        asked = self._codes.pop(form.get("code", ""), None)
        if not self._is_client(form, authorization):
            return 401, {"error": "invalid_client"}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            asked is None
            or asked["redirect_uri"] != form.get("redirect_uri")
            or (self.checks_verifier and asked["code_challenge"] != challenge)
        ):
            return 400, {"error": "invalid_grant"}
        now_s = self.now_s()
        times = {"iat": now_s, "exp": now_s + 300}
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "nonce": asked["nonce"]} | times
        claims |= json.loads(asked["claims"]) | self.claims
        self._subject = claims["sub"]
        token = (self.make_token or self.sign)(claims)
        return 200, {"access_token": "opaque", "token_type": "Bearer", "id_token": token}

    def _is_client(self, form: dict[str, str], authorization: str | None) -> bool:
        if authorization is None:
            return form.get("client_secret") == CLIENT_SECRET
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
        return [unquote_plus(part) for part in pair] == [CLIENT_ID, CLIENT_SECRET]


def _new_key() -> RSAKey:
    return cast("RSAKey", RSAKey.generate_key(2048, auto_kid=True))
