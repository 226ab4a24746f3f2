"""Upload quotas survive a restart."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.installation import Installation
from harness.set_clock import avoid_midnight
from harness.shop import Shop
from harness.upload_limits import QUOTA_BYTES, is_refused, upload, upload_limits
from harness.world import World


@pytest.fixture
def settings(tmp_path: Path, installation: Installation) -> dict[str, Any]:
    """Small limits, which midnight must not reset during a test."""
    avoid_midnight(installation)
    return upload_limits(tmp_path)


@pytest.fixture
def shop(installation: Installation, people: World, settings: Mapping[str, Any]) -> Iterator[Shop]:
    """A server with these limits."""
    with installation.serving(**settings) as server:
        yield Shop(server, people)


def test_quotas_survive_a_restart(
    installation: Installation, people: World, settings: Mapping[str, Any], shop: Shop
) -> None:
    assert upload(shop, QUOTA_BYTES).status_code == 200
    shop.server.kill()
    shop.server.start()
    is_refused(upload(shop, 1), "organization", QUOTA_BYTES)
