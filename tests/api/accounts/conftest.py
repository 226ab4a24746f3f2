"""Servers with an OpenID Connect provider."""

from collections.abc import Callable, Iterator

import pytest

from harness.oidc import Provider
from harness.oidc_people import DOMAIN
from harness.shop import Shop


@pytest.fixture(scope="session")
def running_provider() -> Iterator[Provider]:
    """A provider for this worker: servers keep its address."""
    provider = Provider()
    yield provider
    provider.close()


@pytest.fixture
def provider(running_provider: Provider) -> Provider:
    """The provider, as it was at first."""
    running_provider.reset()
    return running_provider


@pytest.fixture
def oidc_shop(engine: str, shops: Callable[..., Shop], provider: Provider) -> Shop:
    """A server with the provider; any address may sign in once it is linked."""
    return shops(engine, run_worker="false", **provider.settings)


@pytest.fixture
def domain_shop(engine: str, shops: Callable[..., Shop], provider: Provider) -> Shop:
    """A server that trusts the provider with the addresses of one domain."""
    return shops(engine, run_worker="false", oidc_allowed_domains=f"acme.example, {DOMAIN}", **provider.settings)
