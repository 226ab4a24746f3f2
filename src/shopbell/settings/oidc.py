"""Settings for sign-in with OpenID Connect; ``Settings`` inherits them."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

_ISSUER = re.compile(r"https?://[^/?#@\s]+(?:/[^?#\s]*)?")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]*[a-z0-9]")


def _check_issuer(value: str | None) -> str | None:
    # Kept as given, because it is compared with the provider's issuer character by character.
    if value is not None and not _ISSUER.fullmatch(value):
        raise ValueError("must be an https URL without query, fragment or password")
    return value


def _check_domains(value: str) -> str:
    if all(map(_DOMAIN.fullmatch, _split(value))):
        return value
    raise ValueError("must be domains such as example.com, separated by commas; write international ones as xn--…")


def _split(value: str) -> list[str]:
    return [domain for each in value.split(",") if (domain := each.strip().lower())]


class OidcSettings(BaseSettings):
    """The OpenID Connect provider with which employees may sign in."""

    oidc_issuer: Annotated[str | None, AfterValidator(_check_issuer)] = Field(
        None,
        max_length=255,
        description="Issuer URL of the OpenID Connect provider with which employees may sign in, exactly as the "
        "provider writes it: `https://accounts.example.com`. Requires SHOPBELL_PUBLIC_URL.",
    )
    oidc_client_id: str | None = Field(None, max_length=500, description="Client id that the provider has assigned.")
    oidc_client_secret: SecretStr | None = Field(
        None, description="Client secret that the provider has assigned. Unset for a public client."
    )
    oidc_name: str | None = Field(
        None,
        min_length=1,
        max_length=40,
        description="Name of the provider on the sign-in page. If unset, the host name of the issuer.",
    )
    oidc_allowed_domains: Annotated[str, AfterValidator(_check_domains)] = Field(
        "",
        description="Comma-separated domains whose email addresses the provider manages. Employees can sign in "
        "only with a verified address of these domains. At the first sign-in, this address identifies the employee.",
    )

    @property
    def oidc_domains(self) -> frozenset[str]:
        """The allowed domains, in lower case; empty if all are allowed."""
        return frozenset(_split(self.oidc_allowed_domains))

    @model_validator(mode="after")
    def _check_oidc_requirements(self) -> Self:
        if self.oidc_issuer is not None:
            for name in ("oidc_client_id", "public_url"):  # the public URL is a field of ``Settings``
                if getattr(self, name, None) is None:
                    raise ValueError(f"SHOPBELL_{name.upper()} is required with SHOPBELL_OIDC_ISSUER")
        return self
