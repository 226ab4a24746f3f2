"""A server with its clock set back delivers on time."""

import time
from pathlib import Path

import pytest

from harness.failing_receivers import Receivers
from harness.installation import Installation
from harness.outbox import MINUTE_MS
from harness.set_clock import set_clock_from_file
from harness.several import delivered, subscribe
from harness.shop import Shop
from harness.waiting import wait_until
from harness.world import World

HOUR_MS = 60 * MINUTE_MS


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_server_with_its_clock_set_back_delivers_on_time(
    installation: Installation, people: World, tmp_path: Path
) -> None:
    receivers = Receivers(tmp_path)
    try:
        receiver = receivers.add()
        set_clock_from_file(installation)
        settings = {"outbound_allow": "127.0.0.0/8", "delivery_schedule_s": "0,5,5", "poll_interval_s": "0.5"}
        with installation.serving(**settings) as server:
            shop = Shop(server, people)
            hook = subscribe(shop, receiver)
            receivers.refuse(receiver)
            shop.send()
            wait_until(
                lambda: shop.database.value("SELECT count(*) FROM deliveries WHERE step = 1") == 1,
                lambda: "the attempt has not failed",
            )
            receivers.accept(receiver)
            (installation.folder / "clock").write_text(str(-24 * HOUR_MS))
            delivered(shop, hook, 1)
            shop.send()
            delivered(shop, hook, 2)
            late_ms = shop.database.value("SELECT min(created_at_ms) FROM messages") - time.time_ns() // 1_000_000
            assert late_ms < -23 * HOUR_MS, "the clock was not set back"
            assert "the clock was set back" in server.log
    finally:
        receivers.close()
