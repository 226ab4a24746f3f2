"""No delivery is lost, changed or reordered while everything fails.

``SHOPBELL_FIRE_EVENTS`` says how many messages; ``make soak`` sends 10,000. Only counts are judged here.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from broken_workers import program

from harness.failing_receivers import Receiver, Receivers, changed, out_of_order, repeated, wait_for
from harness.installation import Installation, Server
from harness.load import send_all
from harness.record import Record
from harness.workers import WorkerProcess
from harness.world import World

EVENTS = int(os.environ.get("SHOPBELL_FIRE_EVENTS", "350"))
EVENTS_A_SECOND = int(os.environ.get("SHOPBELL_FIRE_EVENTS_A_SECOND", "100"))
SHARE = 0.2
PATIENCE_S = 60 + EVENTS / 20
SETTINGS = {
    "outbound_allow": "127.0.0.0/8, localhost:1, 127.0.0.1:1",
    "delivery_schedule_s": ",".join(["0", "0.05", "0.1", *["0.2"] * 60]),
    "delivery_timeout_s": 1.5,
    "delivery_connect_timeout_s": 1.5,
    "delivery_lease_s": 4,
    "poll_interval_s": 0.25,
    "webhook_failure_days": 1,
    "log_requests": "false",
}


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    """Receivers on loopback."""
    receivers = Receivers(tmp_path)
    yield receivers
    receivers.close()


@dataclass
class Fire:
    """An installation under load, its workers killed one after the other."""

    installation: Installation
    people: World
    workers: int
    hooks: dict[int, Receiver] = field(default_factory=dict)
    under_way: int = 0
    kills: int = 0

    def __post_init__(self) -> None:
        self.record = Record(self.people.token, (self.people.boston, self.people.paris))

    def subscribe(self, server: Server, *receivers: Receiver) -> None:
        """Let a webhook of Acme's lead to each receiver."""
        for receiver in receivers:
            body = {"url": receiver.url, "subscribedEvents": ["messages"]}
            made = server.client.post("/api/webhooks", headers={"token": self.people.token}, json=body)
            assert made.status_code == 200, made.text
            self.hooks[int(made.json()["id"])] = receiver

    def run(self, server: Server, *, kill: bool = True, **settings: object) -> None:
        """Send all messages; every second, kill a worker and start another one."""
        given = SETTINGS | settings
        alive = [WorkerProcess(self.installation, number, **given) for number in range(self.workers)]
        try:
            for worker in alive:
                worker.wait_until_started()
            left = EVENTS
            while left > 0:
                began_s = time.monotonic()
                self.send(server, min(left, EVENTS_A_SECOND))
                left -= EVENTS_A_SECOND
                time.sleep(max(0.0, 1 - (time.monotonic() - began_s)))
                if kill and alive:
                    self.under_way += self._leased()
                    alive.pop(0).kill()
                    self.kills += 1
                    alive.append(WorkerProcess(self.installation, self.workers + self.kills, **given))
            wait_for(lambda: not self._waiting(), PATIENCE_S, f"{self._waiting()} deliveries still wait")
        finally:
            for worker in alive:
                worker.stop()

    def send(self, server: Server, count: int) -> None:
        """Send messages, all of which must be acknowledged."""
        sendings = [self.record.next() for _ in range(count)]
        answers = send_all(server.port, [sending.request for sending in sendings], connections=8)
        for sending, answer in zip(sendings, answers, strict=True):
            assert answer.status == 200
            self.record.note(sending, answer)

    def _leased(self) -> int:
        now_ms = time.time_ns() // 1_000_000
        sql = "SELECT count(*) FROM delivery_queues WHERE leased_until_ms > :now"
        count: int = self.installation.database.value(sql, now=now_ms)
        return count

    def _waiting(self) -> int:
        sql = "SELECT count(*) FROM deliveries WHERE state = 'waiting'"
        count: int = self.installation.database.value(sql)
        return count

    def lost(self) -> int:
        """How many of the promised deliveries were never acknowledged by their receiver."""
        promised = self.installation.database.rows("SELECT webhook_id, position, created_at_ms FROM deliveries")
        assert len(promised) == EVENTS * len(self.hooks), "a message has no delivery"
        lost = 0
        for webhook_id, receiver in self.hooks.items():
            told = {request.id for request in receiver.requests if request.acknowledged_at_s}
            ids = {
                f"evt_{self.people.acme}_{webhook_id}_{row['position']}_{row['created_at_ms']}"
                for row in promised
                if row["webhook_id"] == webhook_id
            }
            lost += len(ids - told)
        return lost

    def states(self) -> dict[str, int]:
        """How many deliveries are in each state."""
        rows = self.installation.database.rows("SELECT state, count(*) AS count FROM deliveries GROUP BY state")
        return {row["state"]: row["count"] for row in rows}

    @property
    def repeated(self) -> int:
        """How many acknowledged requests told what had been acknowledged before."""
        return sum(repeated(receiver.requests) for receiver in self.hooks.values())

    @property
    def early(self) -> int:
        """How many requests came before an earlier message of their conversation was acknowledged."""
        return sum(len(out_of_order(receiver.requests)) for receiver in self.hooks.values())


@pytest.fixture
def fire(installation: Installation, people: World, engine: str, receivers: Receivers) -> Fire:
    """Three workers on PostgreSQL; on SQLite one beside the one inside the server."""
    trusting = replace(installation, settings={**installation.settings, "SSL_CERT_FILE": str(receivers.certificates)})
    return Fire(trusting, people, workers=1 if engine == "sqlite" else 3)


def test_no_delivery_is_lost_changed_or_reordered_while_receivers_fail_and_workers_die(
    fire: Fire, engine: str, receivers: Receivers
) -> None:
    plain, encrypted, refusing = (
        receivers.add(share=SHARE),
        receivers.add(share=SHARE / 2, tls=True),
        receivers.add(share=SHARE, ways=("server_error",)),
    )
    settings = SETTINGS | {"outbound_allow": f"127.0.0.0/8, localhost:{encrypted.port}"}
    with ExitStack() as stack:
        server = stack.enter_context(fire.installation.serving(run_worker=engine == "sqlite", **settings))
        fire.subscribe(server, plain, encrypted, refusing)
        stack.enter_context(receivers.flapping(refusing))
        fire.run(server, **settings)
    assert fire.states() == {"delivered": EVENTS * 3}
    assert fire.lost() == 0, f"lost, n = {EVENTS * 3} deliveries, {fire.kills} kills"
    for receiver in fire.hooks.values():
        assert receiver.failed > EVENTS * SHARE / 4, "this receiver hardly ever failed"
        assert changed(receiver.requests) == []
        assert out_of_order(receiver.requests) == []
    assert fire.repeated <= fire.under_way, f"{fire.kills} kills with {fire.under_way} deliveries under way"


def test_control_a_worker_that_settles_before_it_sends_is_detected(fire: Fire, receivers: Receivers) -> None:
    broken = replace(fire, installation=replace(fire.installation, server_program=program("settles_before_it_sends")))
    receiver = receivers.add(share=SHARE, ways=("server_error",))
    with fire.installation.serving(run_worker=False, **SETTINGS) as server:
        broken.subscribe(server, receiver)
        broken.run(server, kill=False)
    assert broken.lost() > 0


def test_control_workers_without_leases_are_detected(fire: Fire, receivers: Receivers) -> None:
    broken = replace(fire.installation, server_program=program("takes_no_lease"))
    receiver = receivers.add(delay_s=0.05)
    with fire.installation.serving(run_worker=False, **SETTINGS) as server:
        fire.subscribe(server, receiver)
        fire.send(server, 20)
        worker = WorkerProcess(broken, **SETTINGS)
        try:
            wait_for(lambda: fire.repeated > 0, PATIENCE_S, "nothing was sent twice")
        finally:
            worker.stop()


def test_control_deliveries_without_ordering_are_detected(fire: Fire, receivers: Receivers) -> None:
    receiver = receivers.add(share=SHARE, ways=("server_error",))
    with fire.installation.serving(run_worker=False, **SETTINGS) as server:
        fire.subscribe(server, receiver)
        fire.run(server, kill=False, delivery_order_wait_s=0)
    assert fire.lost() == 0
    assert fire.early > 0
