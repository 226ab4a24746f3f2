"""Several servers and workers share one database."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness import raw
from harness.databases import Databases
from harness.failing_receivers import Receiver, Receivers, repeated, wait_for
from harness.installation import Database, Installation
from harness.postgres import Postgres, stopped
from harness.several import (
    LOOKS_SELDOM,
    PATIENCE_S,
    SELDOM_POLL_S,
    SLOWEST_POLL_S,
    Load,
    customers,
    delivered,
    long_poll,
    most_at_once,
    states,
    subscribe,
)
from harness.shop import Shop
from harness.workers import WorkerProcess
from harness.world import World
from shopbell_client import verify_webhook

only_postgresql = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
PER_WEBHOOK = 3
PER_WORKER = 8
PER_WORKER_AND_ORGANIZATION = PER_WORKER // 2
"""No organization holds more of a worker's slots than it leaves free."""
OBEYED_WITHIN_S = 1
SLACK_S = 15
"""A busy machine."""
SETTINGS = {
    "outbound_allow": "127.0.0.0/8",
    "poll_interval_s": SLOWEST_POLL_S,
    "deliveries_per_webhook": PER_WEBHOOK,
    "deliveries_per_worker": PER_WORKER,
    "run_worker": False,
    "log_requests": False,
}
SELDOM = SETTINGS | {"poll_interval_s": SELDOM_POLL_S}


@dataclass
class Several:
    """Two servers and two workers on one PostgreSQL."""

    installation: Installation
    here: Shop
    there: Shop
    workers: list[WorkerProcess] = field(default_factory=list)
    _started: int = 0

    def add_worker(self) -> None:
        """Start one more worker."""
        self._started += 1
        self.workers.append(WorkerProcess(self.installation, self._started, **SELDOM))
        self.workers[-1].wait_until_started()


@pytest.fixture(scope="module")
def several(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    """Two servers and two workers, of the tests of this module; each test takes its webhooks away again."""
    database = databases.copy("postgresql", "world")
    installation = Installation(database, tmp_path_factory.mktemp("several"), server_program=LOOKS_SELDOM)
    people = databases.world("postgresql")
    with ExitStack() as stack:
        here, there = (Shop(stack.enter_context(installation.serving(**SELDOM)), people) for _ in range(2))
        several = Several(installation, here, there)
        stack.callback(lambda: [worker.stop() for worker in several.workers])
        several.add_worker()
        several.add_worker()
        yield several


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    """Receivers on loopback."""
    receivers = Receivers(tmp_path)
    yield receivers
    receivers.close()


@pytest.fixture
def hooks(several: Several) -> Iterator["Hooks"]:
    """Makes webhooks that are gone after the test."""
    hooks = Hooks(several.here)
    yield hooks
    for hook in hooks.made:
        hooks.change(hook, "delete")


@dataclass
class Hooks:
    """Makes and changes webhooks at one process."""

    shop: Shop
    made: list[dict[str, Any]] = field(default_factory=list)

    def add(self, receiver: Receiver) -> dict[str, Any]:
        """A webhook that leads to a receiver."""
        self.made.append(subscribe(self.shop, receiver))
        return self.made[-1]

    def change(self, hook: dict[str, Any], how: str, **body: Any) -> dict[str, Any]:
        """Change one; whether it was deleted before does not matter."""
        answer = self.shop.post(body, path=f"/api/webhooks/{hook['id']}/{how}")
        assert answer.status_code == 200 or (how == "delete" and answer.status_code == 404), answer.text
        done: dict[str, Any] = answer.json()
        return done


def test_two_servers_and_two_workers_deliver_everything_once_within_the_limit(
    several: Several, hooks: Hooks, receivers: Receivers
) -> None:
    both = [receivers.add(delay_s=1) for _ in range(2)]
    made = [hooks.add(receiver) for receiver in both]
    load = Load()
    with load.running(customers(several.here), customers(several.there)):
        load.more(24)
    sent = load.answers.total()
    assert load.answers == {"200": sent}
    for hook, receiver in zip(made, both, strict=True):
        delivered(several.here, hook, sent)
        assert len(receiver.requests) == sent
        assert repeated(receiver.requests) == 0
        assert most_at_once(receiver.requests) == PER_WEBHOOK
    at_once = most_at_once([request for receiver in both for request in receiver.requests])
    assert at_once > PER_WORKER_AND_ORGANIZATION, "one worker alone can have had all of it"


def test_a_stopping_worker_leaves_nothing_undone_or_done_twice(
    several: Several, hooks: Hooks, receivers: Receivers
) -> None:
    both = [receivers.add(delay_s=2) for _ in range(2)]
    made = [hooks.add(receiver) for receiver in both]
    with ThreadPoolExecutor(9) as pool:  # at once: where a commit takes long, the first would be over by the last
        list(pool.map(lambda _: several.here.send(), range(9)))

    def under_way() -> int:
        return sum(request.acknowledged_at_s is None for receiver in both for request in receiver.requests)

    wait_for(lambda: under_way() > PER_WORKER_AND_ORGANIZATION, PATIENCE_S, "only one worker is busy")
    assert several.workers.pop(0).terminate() == 0
    for hook in made:
        # What it had claimed and not sent is not left to a lease's end, which is 30 s away.
        delivered(several.here, hook, 9, timeout_s=25)
    several.add_worker()
    for receiver in both:
        assert len(receiver.requests) == 9


def test_a_webhook_created_changed_or_deleted_in_one_process_is_so_in_all(
    several: Several, hooks: Hooks, receivers: Receivers
) -> None:
    there, first, second = several.there, receivers.add(), receivers.add()
    hook = hooks.add(first)
    there.send()
    delivered(there, hook, 1)

    secret = hooks.change(hook, "rotate-secret")["secret"]
    there.send()
    delivered(there, hook, 2)
    old_signature, new_signature = first.requests[0], first.requests[1]
    verify_webhook(old_signature.body, old_signature.headers, hook["secret"])
    verify_webhook(new_signature.body, new_signature.headers, secret)

    hooks.change(hook, "update", url=second.url)
    there.send()
    delivered(there, hook, 3)
    assert (len(first.requests), len(second.requests)) == (2, 1)

    hooks.change(hook, "update", enabled=False)
    there.send()
    assert states(there, hook) == {"delivered": 3}
    hooks.change(hook, "update", enabled=True)
    there.send()
    delivered(there, hook, 4)

    hooks.change(hook, "delete")
    there.send()
    assert states(there, hook) in ({"delivered": 4}, {})
    assert (len(first.requests), len(second.requests)) == (2, 2)


def test_deliveries_to_a_webhook_stop_when_another_process_disables_it(
    several: Several, hooks: Hooks, receivers: Receivers
) -> None:
    for how, body in (("update", {"enabled": False}), ("delete", {})):
        receiver = receivers.add(delay_s=PATIENCE_S)
        hook = hooks.add(receiver)
        for _ in range(3 * PER_WEBHOOK):
            several.there.send()
        wait_for(lambda: len(receiver.requests) == PER_WEBHOOK, PATIENCE_S, "nothing is under way")  # noqa: B023
        hooks.change(hook, how, **body)
        changed_at_s = time.monotonic()
        wait_for(lambda: "waiting" not in states(several.here, hook), PATIENCE_S, "something still waits")  # noqa: B023
        assert all(request.at_s < changed_at_s for request in receiver.requests)
        assert len(receiver.requests) == PER_WEBHOOK


def test_idle_workers_notice_a_new_webhook_within_a_second(
    several: Several, hooks: Hooks, receivers: Receivers
) -> None:
    receiver = receivers.add()
    took_s = []
    for number in range(1, 4):
        began_s = time.monotonic()
        hook = hooks.add(receiver)
        several.there.send()
        wait_for(lambda: len(receiver.requests) == number, PATIENCE_S, "it does not arrive")  # noqa: B023
        took_s.append(receiver.requests[-1].at_s - began_s)
        delivered(several.here, hook, 1)
        hooks.change(hook, "delete")
    assert max(took_s) < SELDOM_POLL_S / 2, took_s


def test_a_token_revoked_by_the_command_line_is_refused_by_every_process_within_a_second(several: Several) -> None:
    token = several.here.spare_token()
    accepted_at_ms: list[int] = []

    def use(shop: Shop) -> None:
        while True:
            at_ms = time.time_ns() // 1_000_000
            if shop.post(shop.body(), token=token["token"]).status_code == 401:
                return
            accepted_at_ms.append(at_ms)

    users = [threading.Thread(target=use, args=[shop]) for shop in (several.here, several.there)]
    for user in users:
        user.start()
    wait_for(lambda: len(accepted_at_ms) > 20, PATIENCE_S, "it is not used")
    several.installation.cli("token", "revoke", token["id"])
    revoked_at_ms = time.time_ns() // 1_000_000
    for user in users:
        user.join(PATIENCE_S)
        assert not user.is_alive(), "it is accepted for ever"
    assert max(accepted_at_ms) - revoked_at_ms < OBEYED_WITHIN_S * 1_000


def test_a_worker_stops_in_time_although_the_database_is_silent(own_postgres: Postgres, tmp_path: Path) -> None:
    installation = Installation(Database(own_postgres.url()), tmp_path)
    installation.cli("migrate")
    worker = WorkerProcess(installation, shutdown_timeout_s=1)
    worker.wait_until_started()
    others = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    backends = [row["pid"] for row in installation.database.rows(others)]
    with stopped(backends):
        try:
            assert worker.terminate() == 0  # within its time, or it raises
            assert "ended while the database was silent" in worker.log
        finally:
            worker.stop()


@only_postgresql
def test_a_stopping_server_answers_long_polls_of_all_its_processes_at_once(
    installation: Installation, people: World
) -> None:
    patient = SETTINGS | {"shutdown_timeout_s": 60}
    with installation.serving("--workers", "2", **patient) as server, ExitStack() as stack:
        shop = Shop(server, people)
        wires = [stack.enter_context(long_poll(shop, wait_s=30)) for _ in range(8)]
        assert server.terminate() == 0
        for wire in wires:
            answer = raw.read_answer(wire)
            assert (answer.status, answer.json()["events"]) == (200, [])


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_command_line_and_a_running_server_share_a_sqlite_file(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    installation.settings = {**installation.settings, "SHOPBELL_OUTBOUND_ALLOW": "127.0.0.0/8"}
    receiver = receivers.add()
    with installation.serving(poll_interval_s=SLOWEST_POLL_S) as server:
        shop = Shop(server, people)
        organization = installation.cli("organization", "create", "Initech")["id"]
        business = installation.cli("business", "create", "--organization", organization, "Initech Shop")["id"]
        token = installation.cli("token", "create", "--organization", organization)["token"]
        thread_id = shop.send(businessId=str(business), token=token)
        (thread,) = installation.cli("threads", "list", "--organization", organization)
        assert str(thread["id"]) == thread_id

        hook = installation.cli("webhooks", "create", "--organization", organization, receiver.url)
        shop.send(businessId=str(business), token=token)
        began_s = time.monotonic()
        wait_for(lambda: len(receiver.requests) == 1, PATIENCE_S, "it does not arrive")
        assert receiver.requests[0].at_s - began_s < SLOWEST_POLL_S + SLACK_S
        delivered(shop, hook, 1)

        (delivery,) = installation.cli("webhooks", "deliveries", hook["id"])
        assert delivery["state"] == "delivered"
        installation.cli("webhooks", "replay", hook["id"], delivery["id"])
        began_s = time.monotonic()
        wait_for(lambda: len(receiver.requests) == 2, PATIENCE_S, "it does not arrive again")
        assert receiver.requests[1].at_s - began_s < SLOWEST_POLL_S + SLACK_S
        assert receiver.requests[0].id == receiver.requests[1].id


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_server_a_worker_and_the_command_line_write_one_sqlite_file_under_load(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    installation.settings = {**installation.settings, "SHOPBELL_OUTBOUND_ALLOW": "127.0.0.0/8"}
    receiver = receivers.add()
    load = Load()
    with installation.serving(run_worker=False, log_requests=False) as server, ExitStack() as stack:
        shop = Shop(server, people)
        hook = subscribe(shop, receiver)
        worker = WorkerProcess(installation, poll_interval_s=SLOWEST_POLL_S)
        stack.callback(worker.stop)
        worker.wait_until_started()
        with load.running(*[customers(shop)] * 4):
            for number in range(3):
                load.more(60)
                installation.cli("business", "create", "--organization", people.acme, f"Acme {number}")
        sent = load.answers.total()
        assert load.answers == {"200": sent}
        delivered(shop, hook, sent)
        assert len(receiver.requests) == sent
        # The worker may have to wait for longer than it can, where a sync takes long: then it comes again.
        assert "postponed" not in server.log
