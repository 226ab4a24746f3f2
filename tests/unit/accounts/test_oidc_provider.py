"""What Shopbell reads from an OpenID Connect provider, and when."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import pytest

from harness.oidc import DISCOVERY, Provider
from shopbell.accounts.id_tokens import Claims
from shopbell.accounts.oidc_provider import CACHED_S, OidcProvider, ProviderFailure, Request, is_allowed, open_provider
from shopbell.settings.settings import Settings

T = TypeVar("T")
REQUEST = Request("https://chat.example.org/oidc/callback", "a state", "a nonce", "v" * 43)


@pytest.fixture
def provider() -> Iterator[Provider]:
    running = Provider()
    yield running
    running.close()


def run(provider: Provider, work: Callable[[OidcProvider], Awaitable[T]], **settings: str) -> T:
    """Do something with the provider, as a server with these settings."""

    async def main() -> T:
        opened = open_provider(Settings(**provider.settings | settings))  # type: ignore[arg-type]
        assert opened is not None
        async with aclosing(opened):
            return await work(opened)

    return asyncio.run(main())


def code_of(provider: Provider, url: str) -> str:
    """The code with which the browser of a person comes back."""
    return parse_qs(urlsplit(provider.allow(url, "1234")).query)["code"][0]


async def read(opened: OidcProvider) -> object:
    return await opened.published()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"issuer": "https://mallory.example"}, "another issuer"),
        ({"issuer": None}, "another issuer"),
        ({"jwks_uri": None}, "jwks_uri"),
        ({"authorization_endpoint": None}, "authorization_endpoint"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
        ({"token_endpoint": 5}, "token_endpoint"),
        ({"token_endpoint": "http://id.example/token"}, "token_endpoint must be an https URL"),
        ({"token_endpoint": "https://169.254.169.254/latest"}, "token_endpoint must not point to a private address"),
        ({"userinfo_endpoint": "https://localhost/userinfo"}, "userinfo_endpoint must not point to a private address"),
        ({"response_types_supported": ["id_token"]}, "response_types_supported"),
        ({"code_challenge_methods_supported": ["plain"]}, "code_challenge_methods_supported"),
        ({"id_token_signing_alg_values_supported": ["HS256", "none"]}, "id_token_signing_alg_values_supported"),
    ],
)
def test_a_description_that_is_not_safe_is_refused(document: dict[str, Any], said: str, provider: Provider) -> None:
    provider.document = document
    with pytest.raises(ProviderFailure, match=said):
        run(provider, read)


def test_a_description_is_read_once_in_an_hour_and_by_all_at_once(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_s = [1_000.0]
    monkeypatch.setattr("shopbell.accounts.oidc_provider.time.monotonic", lambda: clock_s[0])

    async def work(opened: OidcProvider) -> None:
        await asyncio.gather(*(opened.published() for _ in range(20)))
        assert provider.seen == {DISCOVERY: 1, "/keys": 1}
        clock_s[0] += CACHED_S
        await opened.published()
        assert provider.seen[DISCOVERY] == 1
        clock_s[0] += 1
        await opened.published()
        assert provider.seen[DISCOVERY] == 2

    run(provider, work)


def test_a_failure_is_not_kept(provider: Provider) -> None:
    async def work(opened: OidcProvider) -> None:
        provider.document = {"issuer": None}
        for _ in range(2):
            with pytest.raises(ProviderFailure):
                await opened.published()
        provider.document = {}
        await opened.published()
        assert provider.seen[DISCOVERY] == 3

    run(provider, work)


def test_simultaneous_sign_ins_with_a_new_key_read_it_once(provider: Provider) -> None:
    async def sign_in(opened: OidcProvider) -> Claims:
        url = await opened.authorization_url(REQUEST, asks_again=False)
        code = code_of(provider, url)
        return await opened.claims(REQUEST, code, now_s=provider.now_s())

    async def work(opened: OidcProvider) -> None:
        assert (await sign_in(opened)).subject == "1234"
        provider.rotate()
        provider.seen.clear()
        assert {one.subject for one in await asyncio.gather(*(sign_in(opened) for _ in range(8)))} == {"1234"}
        assert provider.seen["/keys"] == 1

    run(provider, work)


def test_a_key_that_stays_unknown_is_read_again_once_for_each_token(provider: Provider) -> None:
    other = Provider()

    async def work(opened: OidcProvider) -> None:
        url = await opened.authorization_url(REQUEST, asks_again=False)
        provider.make_token = other.sign
        provider.seen.clear()
        for _ in range(2):
            code = code_of(provider, url)
            with pytest.raises(ValueError, match="unknown key"):
                await opened.claims(REQUEST, code, now_s=provider.now_s())
        assert provider.seen["/keys"] == 2

    try:
        run(provider, work)
    finally:
        other.close()


@pytest.mark.parametrize(
    ("methods", "is_basic"),
    [
        (None, True),
        (["client_secret_post", "client_secret_basic"], True),
        (["client_secret_post"], False),
    ],
)
def test_the_secret_is_sent_as_the_provider_wants_it(
    methods: list[str] | None, is_basic: bool, provider: Provider
) -> None:
    provider.document = {"token_endpoint_auth_methods_supported": methods}

    async def work(opened: OidcProvider) -> None:
        url = await opened.authorization_url(REQUEST, asks_again=False)
        code = code_of(provider, url)
        await opened.claims(REQUEST, code, now_s=provider.now_s())
        assert ("authorization" in provider.forms[0], "client_secret" in provider.forms[0]) == (is_basic, not is_basic)

    run(provider, work)


def test_the_provider_refuses_a_code_of_another_request(provider: Provider) -> None:
    async def work(opened: OidcProvider) -> None:
        url = await opened.authorization_url(REQUEST, asks_again=False)
        code = code_of(provider, url)
        other = Request(REQUEST.redirect_uri, REQUEST.state, REQUEST.nonce, "w" * 43)
        with pytest.raises(ProviderFailure, match="status 400"):
            await opened.claims(other, code, now_s=provider.now_s())

    run(provider, work)


def test_a_query_of_the_authorization_endpoint_is_kept(provider: Provider) -> None:
    provider.document = {"authorization_endpoint": f"{provider.issuer}/authorize?tenant=acme"}
    url = run(provider, lambda opened: opened.authorization_url(REQUEST, asks_again=True))
    assert "?tenant=acme&response_type=code&" in url
    assert "max_age=0" in url


@pytest.mark.parametrize(
    ("names_itself", "iss", "is_accepted"),
    [
        (True, "own", True),
        (True, None, False),
        (True, "https://mallory.example", False),
        (None, "own", True),
        (None, None, True),
        (None, "https://mallory.example", False),
        (None, "", False),
    ],
)
def test_a_response_of_another_provider_is_refused(
    names_itself: bool | None, iss: str | None, is_accepted: bool, provider: Provider
) -> None:
    provider.document = {"authorization_response_iss_parameter_supported": names_itself}
    response = {"code": "x"}
    if iss is not None:
        response["iss"] = provider.issuer if iss == "own" else iss

    async def work(opened: OidcProvider) -> str:
        return await opened.code_of(response)

    if is_accepted:
        assert run(provider, work) == "x"
    else:
        with pytest.raises(ProviderFailure, match="iss"):
            run(provider, work)


def test_an_address_of_a_domain_is_allowed_if_it_is_verified() -> None:
    domains = frozenset(["acme.example"])
    assert is_allowed(Claims("1"), frozenset())
    assert is_allowed(Claims("1", "alice@acme.example", True), domains)
    for claims in (
        Claims("1"),
        Claims("1", None, True),
        Claims("1", "alice@acme.example", False),
        Claims("1", "alice@acme.example.evil", True),
        Claims("1", "alice@sub.acme.example", True),
        Claims("1", '"alice@acme.example"@evil.example', True),
    ):
        assert not is_allowed(claims, domains)
