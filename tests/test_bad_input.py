"""Whatever is sent: every input that schemathesis thinks of is answered as the reference says, and never by a 5xx."""

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from harness.shop import Shop

CASES_PER_ROUTE = 150


@pytest.fixture
def described_shop(shops: Callable[..., Shop]) -> Shop:
    """A running server; which engine stores what is valid makes no difference to what is not."""
    return shops("sqlite")


@pytest.fixture
def reference(described_shop: Shop) -> Any:
    """The API reference of that server."""
    return schemathesis.openapi.from_url(f"{described_shop.server.url}/openapi.json")


schema = schemathesis.pytest.from_fixture("reference")


@schema.parametrize()
@settings(
    max_examples=CASES_PER_ROUTE,
    deadline=None,
    derandomize=True,  # the same cases in every run
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_generated_request_is_answered_as_the_reference_says(case: Any, described_shop: Shop) -> None:
    token = described_shop.world.token
    case.call_and_validate(headers={"token": token})
    assert described_shop.server.is_running()
