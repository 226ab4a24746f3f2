"""Requests to the OpenID Connect provider with which employees sign in.

All requests go through the guarded client, because the provider's configuration names the URLs of further requests. A
private provider must be in ``SHOPBELL_OUTBOUND_ALLOW``.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import orjson

from shopbell import __version__
from shopbell.accounts import id_tokens, sessions
from shopbell.accounts.id_tokens import Claims, UnknownKey
from shopbell.errors import SettingsError, ShopbellError
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.client import HttpResponse, OutboundClient
from shopbell.safe_http.errors import OutboundFailure
from shopbell.safe_http.urls import check_url
from shopbell.settings.settings import Settings

CACHED_S = 3_600
"""How long the provider's configuration is kept. It is read again earlier if a token has an unknown key."""

TIMEOUT_S = 10.0
"""Timeout of each request."""

_DISCOVERY = "/.well-known/openid-configuration"
_SCOPE = "openid email profile"
_OK = 200
_RESPONSE_MAX_BYTES = 262_144
_CONCURRENT_MAX = 16
_JSON = {"accept": "application/json", "user-agent": f"Shopbell/{__version__}", "connection": "close"}
_FORM = {**_JSON, "content-type": "application/x-www-form-urlencoded"}


class ProviderFailure(ShopbellError):
    """The provider did not respond as it should. The text tells the operator why."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a provider publishes (OpenID Connect Discovery 1.0, 3).

    Args:
        names_itself: whether all its authorization responses have the parameter ``iss`` (RFC 9207).
        takes_basic: whether it takes the client secret in the header ``Authorization``.
        tells_time: whether it says when a person last gave a factor (``auth_time``).
        keys: its public keys.
    """

    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str | None
    names_itself: bool
    takes_basic: bool
    tells_time: bool
    keys: Sequence[Mapping[str, Any]] = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """What binds an authorization request to its response.

    Args:
        redirect_uri: where the provider sends the browser back to.
        state: comes back with the browser.
        nonce: comes back in the ID token.
        verifier: proves to the provider that the code belongs to this request (PKCE, RFC 7636).
    """

    redirect_uri: str
    state: str
    nonce: str
    verifier: str


class OidcProvider:
    """The provider of this installation.

    Args:
        settings: those of the process.
        client: sends the requests.
    """

    def __init__(self, issuer: str, settings: Settings, client: OutboundClient | None = None) -> None:
        self.issuer = issuer
        self.name = settings.oidc_name or name_of(issuer)
        self.domains = settings.oidc_domains
        self._client_id = settings.oidc_client_id or ""
        self._secret = settings.oidc_client_secret
        self._allow = AllowList.parse(settings.outbound_allow)
        self._connect_timeout_s = settings.delivery_connect_timeout_s
        self._client = client or OutboundClient(
            self._allow, dns_timeout_s=settings.delivery_dns_timeout_s, keep_alive_limit=0
        )
        self._slots = asyncio.Semaphore(_CONCURRENT_MAX)
        self._reading: asyncio.Task[Published] | None = None
        self._read_at_s = 0.0

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def published(self) -> Published:
        """Return the provider's configuration, at most an hour old.

        Simultaneous callers share one look-up.

        Raises:
            ProviderFailure: it cannot be read, or is not what was expected.
        """
        task = self._reading
        is_old = time.monotonic() - self._read_at_s > CACHED_S
        if task is None or (task.done() and (is_old or task.cancelled() or task.exception() is not None)):
            task = self._read_again()
        return await asyncio.shield(task)

    async def authorization_url(self, request: Request, *, asks_again: bool) -> str:
        """Return the URL to which a browser is sent.

        Args:
            asks_again: whether the provider must ask for a factor even if the person is signed in there.

        Raises:
            ProviderFailure: the provider cannot be reached.
        """
        endpoint = (await self.published()).authorization_endpoint
        digest = hashlib.sha256(request.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": request.redirect_uri,
            "scope": _SCOPE,
            "state": request.state,
            "nonce": request.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            # With any value, the provider must say when the person gave it a factor (OpenID Connect Core 1.0, 3.1.2.1).
            "max_age": "0" if asks_again else str(sessions.MAX_MS // 1_000),
        }
        return endpoint + ("&" if "?" in endpoint else "?") + urlencode(query)

    async def code_of(self, response: Mapping[str, str]) -> str:
        """Return the code of an authorization response.

        Args:
            response: the parameters with which the browser came back. Their ``state`` is that of its request.

        Raises:
            ProviderFailure: the response is from another provider, or the provider refused.
        """
        issuer = response.get("iss")
        if issuer != self.issuer and (issuer is not None or (await self.published()).names_itself):
            raise ProviderFailure("the response is from another provider (iss)")
        if not response.get("code"):
            raise ProviderFailure("the provider refused, or the employee cancelled")
        return response["code"]

    async def claims(self, request: Request, code: str, *, now_s: float) -> Claims:
        """Exchange a code for the provider's claims about the person.

        Raises:
            ProviderFailure: the provider refused, or cannot be reached.
            WrongIdToken: its token is not for this request.
        """
        async with self._slots:
            published = await self.published()
            tokens = await self._tokens(published, request, code)
            token, access_token = tokens.get("id_token"), tokens.get("access_token")
            if not isinstance(token, str):
                raise ProviderFailure("the token response has no ID token")
            read = partial(
                id_tokens.read,
                token,
                issuer=self.issuer,
                client_id=self._client_id,
                nonce=request.nonce,
                now_s=now_s,
            )
            try:
                claims = read(keys=published.keys)
            except UnknownKey:
                published = await self._newer_than(published)
                claims = read(keys=published.keys)
            # Needed only if the address decides: some providers do not include it in the token.
            has_profile = published.userinfo_endpoint is not None and isinstance(access_token, str)
            if self.domains and claims.email is None and has_profile:
                headers = {**_JSON, "authorization": f"Bearer {access_token}"}
                claims = id_tokens.with_profile(claims, await self._json(published.userinfo_endpoint or "", headers))
            return replace(claims, should_tell_time=published.tells_time)

    def _read_again(self) -> "asyncio.Task[Published]":
        self._read_at_s = time.monotonic()
        self._reading = asyncio.create_task(self._read())
        return self._reading

    async def _newer_than(self, known: Published) -> Published:
        """Read the configuration again, unless another request has done so since."""
        if self._reading is not None and self._reading.done() and await self._reading is known:
            self._read_again()
        return await self.published()

    async def _read(self) -> Published:
        document = await self._json(self.issuer.rstrip("/") + _DISCOVERY, _JSON)
        if document.get("issuer") != self.issuer:
            raise ProviderFailure("the provider names another issuer than SHOPBELL_OIDC_ISSUER")
        for name, needed in _NEEDED.items():
            offered = document.get(name)
            if isinstance(offered, list) and not any(one in offered for one in needed):
                raise ProviderFailure(f"the provider supports none of {', '.join(needed)} ({name})")
        keys = (await self._json(self._address(document, "jwks_uri"), _JSON)).get("keys")
        if not isinstance(keys, list) or not keys or not all(isinstance(key, dict) for key in keys):
            raise ProviderFailure("the provider publishes no keys (jwks_uri)")
        claims = document.get("claims_supported")
        methods = document.get("token_endpoint_auth_methods_supported")
        has_userinfo = document.get("userinfo_endpoint") is not None
        return Published(
            authorization_endpoint=self._address(document, "authorization_endpoint"),
            token_endpoint=self._address(document, "token_endpoint"),
            userinfo_endpoint=self._address(document, "userinfo_endpoint") if has_userinfo else None,
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
            takes_basic=not isinstance(methods, list) or "client_secret_basic" in methods,
            tells_time=isinstance(claims, list) and "auth_time" in claims,
            keys=keys,
        )

    def _address(self, document: Mapping[str, Any], name: str) -> str:
        address = document.get(name)
        try:
            check_url(address if isinstance(address, str) else "", self._allow)
        except ValueError as error:
            raise ProviderFailure(f"the provider's {name} {error}") from None
        return str(address)

    async def _tokens(self, published: Published, request: Request, code: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": request.redirect_uri,
            "code_verifier": request.verifier,
            "client_id": self._client_id,
        }
        headers = _FORM
        if self._secret is not None and published.takes_basic:
            pair = ":".join(map(quote_plus, (self._client_id, self._secret.get_secret_value())))  # RFC 6749, 2.3.1
            headers = {**_FORM, "authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        elif self._secret is not None:
            form["client_secret"] = self._secret.get_secret_value()
        return await self._json(published.token_endpoint, headers, urlencode(form).encode())

    async def _json(self, url: str, headers: Mapping[str, str], form: bytes | None = None) -> Mapping[str, Any]:
        """Send a GET request, or a form, and return the JSON object of the response."""
        try:
            response = await self._send(url, headers, form)
            document = orjson.loads(response.body)
        except OutboundFailure as failure:
            raise ProviderFailure(f"{_place(url)}: {failure.error_class}") from None
        except ValueError:
            raise ProviderFailure(f"{_place(url)}: the response is not what was expected") from None
        if response.status != _OK or not isinstance(document, dict):
            raise ProviderFailure(f"{_place(url)}: status {response.status}")
        return document

    async def _send(self, url: str, headers: Mapping[str, str], form: bytes | None) -> HttpResponse:
        limits = {"timeout_s": TIMEOUT_S, "connect_timeout_s": self._connect_timeout_s}
        if form is None:
            return await self._client.get(url, headers=headers, read_limit_bytes=_RESPONSE_MAX_BYTES, **limits)
        return await self._client.post(
            url, headers=headers, content=form, read_limit_bytes=_RESPONSE_MAX_BYTES, **limits
        )


_NEEDED = {
    "response_types_supported": ("code",),
    "code_challenge_methods_supported": ("S256",),
    "id_token_signing_alg_values_supported": id_tokens.ALGORITHMS,
}
"""What the provider must support, if it lists what it supports."""


def open_provider(settings: Settings) -> OidcProvider | None:
    """Create the provider of an installation; None if the operator has set none.

    Raises:
        SettingsError: the issuer is neither an https URL nor allowed by the operator.
    """
    if settings.oidc_issuer is None:
        return None
    try:
        check_url(settings.oidc_issuer, AllowList.parse(settings.outbound_allow))
    except ValueError as error:
        raise SettingsError(f"SHOPBELL_OIDC_ISSUER: {error}") from None
    return OidcProvider(settings.oidc_issuer, settings)


def name_of(issuer: str) -> str:
    """The name to show for a provider without one: its host."""
    return urlsplit(issuer).hostname or issuer


def is_allowed(claims: Claims, domains: frozenset[str]) -> bool:
    """Whether a person's verified address is in one of the allowed domains."""
    if not domains:
        return True
    return claims.is_email_verified and claims.email is not None and claims.email.rpartition("@")[2] in domains


def _place(url: str) -> str:
    """The host and path of a URL, without parts that may be secret."""
    parts = urlsplit(url)
    return f"{parts.hostname}{parts.path}"
