"""Hanging receivers do not delay other organizations.

``SHOPBELL_FIRE_P99_S``: seconds from an event to its receipt that 99 of 100 may take; only counts are judged without.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.failing_receivers import Receiver, Receivers, wait_for
from harness.installation import Installation
from harness.shop import Shop
from harness.world import World

EVENTS = int(os.environ.get("SHOPBELL_FIRE_EVENTS", "100"))
P99_S = float(os.environ.get("SHOPBELL_FIRE_P99_S", "inf"))
PACE_S = 0.02
HANGING = 10
PATIENCE_S = 60
SETTINGS = {"outbound_allow": "127.0.0.0/8", "log_requests": "false"}


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    """Receivers on loopback."""
    receivers = Receivers(tmp_path)
    yield receivers
    receivers.close()


def _hook(shop: Shop, receiver: Receiver, token: str) -> None:
    body = {"url": receiver.url, "subscribedEvents": ["messages"]}
    made = shop.post(body, path="/api/webhooks", token=token)
    assert made.status_code == 200, made.text


def test_an_organization_with_only_hanging_receivers_delays_no_other(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    healthy, beside = receivers.add(), receivers.add()
    with installation.serving(**SETTINGS) as server:
        shop = Shop(server, people)
        for _ in range(HANGING):
            _hook(shop, receivers.add(share=1.0, ways=("hang",)), people.token)
        _hook(shop, beside, people.token)
        _hook(shop, healthy, people.globex_token)
        for _ in range(20):  # so that all that can hang hangs before anything is measured
            shop.send()
        begun_s = time.monotonic()
        for number in range(EVENTS):
            time.sleep(max(0.0, begun_s + number * PACE_S - time.monotonic()))
            shop.post(shop.body(businessId=people.london), token=people.globex_token)
        wait_for(lambda: len(healthy.requests) == EVENTS, PATIENCE_S, "the healthy receiver has not got everything")
    late_s = sorted(request.late_ms / 1_000 for request in healthy.requests)
    p50_s, p99_s = late_s[len(late_s) // 2], late_s[len(late_s) * 99 // 100]
    print(f"{EVENTS} events beside {HANGING} receivers that hang: p50 {p50_s:.3f} s, p99 {p99_s:.3f} s")
    assert p99_s <= P99_S
