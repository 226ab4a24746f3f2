"""Settings for the sign-in with OpenID Connect."""

import pytest

from shopbell.accounts.oidc_provider import open_provider
from shopbell.errors import SettingsError
from shopbell.settings.settings import load

RIGHT = {
    "public_url": "https://chat.example.org",
    "oidc_issuer": "https://id.example/realms/acme",
    "oidc_client_id": "shopbell",
}


def test_the_issuer_is_kept_as_it_is_given() -> None:
    for issuer in ("https://id.example", "https://id.example/", "https://ID.example:8443/realms/acme"):
        assert load(**RIGHT | {"oidc_issuer": issuer}).oidc_issuer == issuer


@pytest.mark.parametrize(
    "issuer",
    ["id.example", "ftp://id.example", "https://id.example?a=b", "https://id.example#a", "https://u:p@id.example", ""],
)
def test_an_issuer_that_is_not_a_plain_url_is_refused(issuer: str) -> None:
    with pytest.raises(SettingsError, match="SHOPBELL_OIDC_ISSUER: must be an https URL"):
        load(**RIGHT | {"oidc_issuer": issuer})


def test_a_private_provider_must_be_allowed() -> None:
    private = RIGHT | {"oidc_issuer": "http://127.0.0.1:8443"}
    with pytest.raises(SettingsError, match="unless SHOPBELL_OUTBOUND_ALLOW allows it"):
        open_provider(load(**private | {"outbound_allow": "127.0.0.1:1"}))
    assert open_provider(load(**private | {"outbound_allow": "127.0.0.1:8443"})) is not None


@pytest.mark.parametrize("missing", ["oidc_client_id", "public_url"])
def test_the_issuer_needs_a_client_and_the_public_url(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"SHOPBELL_{missing.upper()} is required with SHOPBELL_OIDC_ISSUER"):
        load(**RIGHT | {missing: None})


def test_domains_are_compared_in_lower_case() -> None:
    settings = load(oidc_allowed_domains=" Acme.example, staff.acme.EXAMPLE ,")
    assert settings.oidc_domains == {"acme.example", "staff.acme.example"}
    assert load().oidc_domains == frozenset()


@pytest.mark.parametrize("domains", ["example", "@acme.example", "*.acme.example", "a b.example", "bücher.example"])
def test_a_text_that_is_not_a_domain_is_refused(domains: str) -> None:
    with pytest.raises(SettingsError, match="SHOPBELL_OIDC_ALLOWED_DOMAINS: must be domains such as"):
        load(oidc_allowed_domains=domains)
