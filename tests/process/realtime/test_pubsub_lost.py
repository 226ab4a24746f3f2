"""Losing publish/subscribe under load fails no call and loses no event."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.failing_receivers import Receivers, repeated, wait_for
from harness.installation import Installation, Server
from harness.nats import Nats
from harness.ports import free_port
from harness.several import (
    LOOKS_SELDOM,
    PATIENCE_S,
    SELDOM_POLL_S,
    SLOWEST_POLL_S,
    Load,
    Subscriber,
    colleague,
    customers,
    delivered,
    is_woken,
    subscribe,
)
from harness.shop import Shop
from harness.workers import WorkerProcess
from harness.world import World

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

LOST = "disconnected from the other processes; polling continues"
BACK = "reconnected to the other processes"
TIMES = 2
ANSWERS = 60
SETTINGS = {
    "outbound_allow": "127.0.0.0/8",
    "poll_interval_s": SLOWEST_POLL_S,
    "run_worker": False,
    "log_requests": False,
}
# Mails wait for longer than a test takes: each that was sent, or could not be, would be an event.
NOTHING_IS_DELIVERED = {"smtp_url": "smtp://127.0.0.1:9", "mail_from": "shop@acme.example", "mail_batch_s": 3_600}


@dataclass
class Several:
    """Two servers and a worker, and what carries their wake-ups."""

    here: Shop
    there: Shop
    worker: WorkerProcess
    nats: Nats | None

    def lose(self) -> None:
        """Take the way from all of them."""
        before = self._said(LOST)
        if self.nats is not None:
            self.nats.stop()
        else:
            cut = (
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'shopbell notifications'"
            )
            assert self.here.database.value(cut) == 6, "each process has a connection to talk and one to listen"
        self._wait_for(LOST, before)

    def give_back(self) -> None:
        """Let it come back, and wait until all of them have it again."""
        if self.nats is not None:
            self.nats.start()
        wait_for(lambda: self._said(BACK) == self._said(LOST), PATIENCE_S, "the wake-ups do not come back")

    def _wait_for(self, line: str, before: list[int]) -> None:
        wait_for(lambda: self._said(line) == [count + 1 for count in before], PATIENCE_S, f"not all say: {line}")

    def _said(self, line: str) -> list[int]:
        processes: tuple[Server | WorkerProcess, ...] = (self.here.server, self.there.server, self.worker)
        return [process.log.count(line) for process in processes]


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    """Receivers on loopback."""
    receivers = Receivers(tmp_path)
    yield receivers
    receivers.close()


@pytest.fixture(params=["nats", "notify"])
def several(request: pytest.FixtureRequest, installation: Installation, people: World) -> Iterator[Several]:
    """Two servers and a worker on one PostgreSQL, with each way."""
    nats: Nats | None = request.getfixturevalue("own_nats") if request.param == "nats" else None
    installation.server_program = LOOKS_SELDOM
    quiet = "UPDATE businesses SET tells_store = :wanted, invites_customers = :wanted"
    installation.database.change(quiet, wanted=False)
    settings = (
        SETTINGS | NOTHING_IS_DELIVERED | {"poll_interval_s": SELDOM_POLL_S} | ({"nats_url": nats.url} if nats else {})
    )
    with ExitStack() as stack:
        here, there = (Shop(stack.enter_context(installation.serving(**settings)), people) for _ in range(2))
        worker = WorkerProcess(installation, **settings)
        stack.callback(worker.stop)
        worker.wait_until_started()
        yield Several(here, there, worker, nats)


def test_lost_notifications_under_load_fail_no_call_and_lose_no_event(several: Several, receivers: Receivers) -> None:
    here, there = several.here, several.there
    receiver = receivers.add()
    hook = subscribe(here, receiver)
    thread_id = here.send()
    assert is_woken(there, here, poll_s=SELDOM_POLL_S)
    load = Load()
    with Subscriber(there).following() as follower, Subscriber(here).following() as other:
        with load.running(customers(here), customers(there), colleague(here, thread_id)):
            for _ in range(TIMES):
                load.more(ANSWERS)
                several.lose()
                load.more(ANSWERS)
                several.give_back()
            load.more(ANSWERS)
        sent = load.answers.total()
        for each in (follower, other):
            wait_for(lambda: len(each.events) >= sent, PATIENCE_S, "the followers do not hear of all")  # noqa: B023
    assert load.answers == {"200": sent}
    for each in (follower, other):
        assert each.refused == []
        assert each.positions == list(range(each.begin + 1, each.begin + sent + 1)), "an event is missing or doubled"
    delivered(here, hook, sent + 2)
    assert repeated(receiver.requests) == 0
    assert len(receiver.requests) == sent + 2
    # And then wake-ups go as before.
    assert is_woken(there, here, poll_s=SELDOM_POLL_S)
    assert is_woken(here, there, poll_s=SELDOM_POLL_S)


def test_without_notifications_events_are_found_by_polling(installation: Installation, people: World) -> None:
    """The control: what the tests take for a wake-up is none where there is none."""
    nobody = f"nats://127.0.0.1:{free_port()}"
    with (
        installation.serving(**SETTINGS) as one,
        installation.serving(**SETTINGS, nats_url=nobody) as other,
    ):
        assert not is_woken(Shop(one, people), Shop(other, people), poll_s=SLOWEST_POLL_S)
