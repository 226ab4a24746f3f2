"""``kill -9`` of servers and workers under load loses no delivery.

``SHOPBELL_FIRE_KILLS`` says how often; ``make soak`` kills 100 times on each engine.
"""

import os
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from broken_workers import program

from harness.failing_receivers import Receiver, Receivers, changed, out_of_order, wait_for
from harness.installation import Installation, ServerProcess
from harness.record import Load, Record, examine
from harness.workers import WorkerProcess
from harness.world import World

KILLS = int(os.environ.get("SHOPBELL_FIRE_KILLS", "3"))
LONGEST_S = 0.3
PATIENCE_S = 60 + 10 * KILLS
SETTINGS = {
    "outbound_allow": "127.0.0.0/8",
    "delivery_schedule_s": ",".join(["0", *["0.2"] * 60]),
    "delivery_timeout_s": 1.5,
    "delivery_lease_s": 4,
    "poll_interval_s": 0.25,
    "log_requests": "false",
}


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    """Receivers on loopback."""
    receivers = Receivers(tmp_path)
    yield receivers
    receivers.close()


def _kill_under_load(
    installation: Installation, people: World, receivers: Receivers, *, run_worker: bool = True
) -> tuple[Record, Receiver]:
    """Kill the server, which delivers, and a worker beside it, again and again; then let all be delivered.

    Args:
        run_worker: whether the server delivers, too.
    """
    record = Record(people.token, (people.boston, people.paris))
    receiver = receivers.add()
    server = ServerProcess(installation, **SETTINGS, run_worker=run_worker)
    worker = None
    try:
        for kill in range(KILLS):
            server.start()
            if kill == 0:
                body = {"url": receiver.url, "subscribedEvents": ["messages"]}
                made = server.client.post("/api/webhooks", headers={"token": people.token}, json=body)
                assert made.status_code == 200, made.text
            worker = WorkerProcess(installation, kill, **SETTINGS)
            worker.wait_until_started()
            before = len(record.acknowledged)
            with Load(server.port, record, connections=4) as load:
                load.wait_for(200, 40)
                time.sleep(random.uniform(0, LONGEST_S))
                server.kill()
                worker.kill()
            assert len(record.acknowledged) > before
        server.start()
        record.repeat_unanswered(server.port)
        if not run_worker:
            worker = WorkerProcess(installation, KILLS, **SETTINGS)
            worker.wait_until_started()
        waiting = "SELECT count(*) FROM deliveries WHERE state = 'waiting'"
        wait_for(lambda: installation.database.value(waiting) == 0, PATIENCE_S, "deliveries still wait")
    finally:
        if worker is not None:
            worker.stop()
        server.stop()
    return record, receiver


def _lost(record: Record, receiver: Receiver) -> int:
    told = {request.data["messageBody"] for request in receiver.requests if request.acknowledged_at_s}
    return len({sending.body for sending in record.acknowledged} - told)


def test_every_acknowledged_message_has_an_event_and_a_delivery_that_arrives(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    record, receiver = _kill_under_load(installation, people, receivers)
    examine(record, installation.database.rows).check()
    assert _lost(record, receiver) == 0, f"lost, n = {len(record.acknowledged)} acknowledged, {KILLS} kills"
    assert changed(receiver.requests) == []
    assert out_of_order(receiver.requests) == []
    unpromised = installation.database.value(
        "SELECT count(*) FROM events WHERE type = 'message' AND NOT EXISTS (SELECT 1 FROM deliveries"
        " WHERE deliveries.organization_id = events.organization_id AND deliveries.position = events.position)"
    )
    assert unpromised == 0, f"events without a delivery, {KILLS} kills"


def test_control_a_server_that_settles_before_it_sends_is_detected(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    broken = replace(installation, server_program=program("settles_before_it_sends", "sends_slowly"))
    # The worker process of a server is never broken, and would take most deliveries.
    record, receiver = _kill_under_load(broken, people, receivers, run_worker=False)
    assert _lost(record, receiver) > 0
