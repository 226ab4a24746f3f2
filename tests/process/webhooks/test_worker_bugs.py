"""A bug affects only its own job of a worker and is logged."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.changed import changed
from harness.failing_receivers import Receivers, wait_for
from harness.installation import Installation
from harness.shop import Shop
from harness.world import World

PATIENCE_S = 60
SETTINGS = {"outbound_allow": "127.0.0.0/8", "delivery_timeout_s": 20, "delivery_lease_s": 60, "log_format": "json"}

NEVER_SETTLES_THE_FIRST = """
from dataclasses import replace
from shopbell.webhooks.send import WebhookChannel

send = WebhookChannel.send
bad = []

async def send_with_a_number_that_no_database_takes(self, claimed):
    attempt = await send(self, claimed)
    bad.append(claimed.position)
    return replace(attempt, duration_ms=10**30) if claimed.position == bad[0] else attempt

WebhookChannel.send = send_with_a_number_that_no_database_takes
"""

SWEEPS_NO_DELIVERIES = """
import shopbell.workers.webhook_worker

async def sweep(*_, **__):
    raise RuntimeError("canary")

shopbell.workers.webhook_worker.sweep = sweep
shopbell.workers.webhook_worker.SWEEP_EVERY_S = 0.2
"""


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    """Receivers on loopback."""
    receivers = Receivers(tmp_path)
    yield receivers
    receivers.close()


def test_a_result_that_cannot_be_stored_delays_no_others(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    receiver = receivers.add()
    installation.server_program = changed(NEVER_SETTLES_THE_FIRST)
    with installation.serving(**SETTINGS) as server:
        shop = Shop(server, people)
        hook = {"url": receiver.url, "subscribedEvents": ["messages"]}
        assert shop.post(hook, path="/api/webhooks").status_code == 200
        for _ in range(3):
            shop.send()
        count = "SELECT count(*) FROM deliveries WHERE state = 'delivered'"
        wait_for(lambda: shop.database.value(count) == 2, PATIENCE_S, "the others were not settled")
        assert shop.database.value("SELECT count(*) FROM deliveries WHERE state = 'waiting'") == 1
        wait_for(lambda: '"job":"settle"' in server.log, PATIENCE_S, "it is not logged")
    assert len(receiver.requests) == 3, "it was sent again before its lease ended"


def test_old_messages_are_deleted_although_deleting_the_delivery_log_fails(
    installation: Installation, people: World
) -> None:
    installation.server_program = changed(SWEEPS_NO_DELIVERIES)
    with installation.serving(**SETTINGS) as server:
        shop = Shop(server, people)
        shop.send()
        assert shop.post({"keepMessagesDays": 1}, path="/api/organization/update").status_code == 200
        shop.database.change("UPDATE messages SET created_at_ms = 1")
        wait_for(lambda: shop.count("messages") == 0, PATIENCE_S, "they were not deleted")
        assert '"job":"delete old deliveries"' in server.log
        assert "canary" not in server.log
