"""Delivery slots: batches for fast receivers, limits for all."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.failing_receivers import Receivers, repeated, wait_for
from harness.installation import SECRET_KEY, Installation
from harness.outbox import Outbox
from harness.several import most_at_once
from harness.shop import Shop
from harness.workers import WorkerProcess
from harness.world import World
from shopbell.db.connect import open_database
from shopbell.settings.settings import Settings
from shopbell.webhooks.claim import run_length
from shopbell.webhooks.retry_policy import Delivered, NotSent, TryAgain

PATIENCE_S = 60
SLOTS = 2
SETTINGS = {
    "outbound_allow": "127.0.0.0/8",
    "delivery_schedule_s": "0,0.2,0.2,0.2,0.2",
    "deliveries_per_webhook": SLOTS,
    "poll_interval_s": 0.5,
}


@pytest.fixture
def outbox(installation: Installation, people: World) -> Iterator[Outbox]:
    """The outbox of a database of its own."""
    settings = Settings(database_url=installation.database.url, secret_key=SECRET_KEY)  # type: ignore[arg-type]
    database = open_database(settings)
    yield Outbox(installation, people, database)
    database.engine.dispose()


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    """Receivers on loopback."""
    receivers = Receivers(tmp_path)
    yield receivers
    receivers.close()


def test_a_fast_webhook_gets_batches_instead_of_more_slots(outbox: Outbox) -> None:
    quick = {(outbox.acme, outbox.webhook())}
    run = outbox.database.read_now(run_length)
    for _ in range(run * 8 + 3):
        outbox.transfer(outbox.thread())
    claimed = outbox.claim(quick=quick)
    assert sorted(Counter(one.slot for one in claimed).values()) == [run] * 8
    assert outbox.claim(quick=quick) == [], "all slots are taken"
    slot = [one for one in claimed if one.slot == claimed[0].slot]
    for one in slot[:-1]:
        outbox.settle(one, Delivered())
    assert outbox.claim(quick=quick) == [], "its slot still sends the last one"
    outbox.settle(slot[-1], NotSent())
    assert len({one.slot for one in outbox.claim(quick=quick)}) == 1
    outbox.now_ms += outbox.rules.lease_ms
    assert len({one.slot for one in outbox.claim(quick=quick)}) == 8, "a lease that is over still holds its slot"


def test_few_deliveries_are_spread_over_the_free_slots(outbox: Outbox) -> None:
    quick = {(outbox.acme, outbox.webhook())}
    for _ in range(10):
        outbox.transfer(outbox.thread())
    assert sorted(Counter(one.slot for one in outbox.claim(quick=quick)).values()) == [1] * 6 + [2] * 2


def test_a_failing_webhook_gets_no_batches(outbox: Outbox) -> None:
    quick = {(outbox.acme, outbox.webhook())}
    for _ in range(20):
        outbox.transfer(outbox.thread())
    first, *rest = outbox.claim(1, quick=quick)
    outbox.settle(first, TryAgain(outbox.now_ms + 1_000))
    for one in rest:
        outbox.settle(one, NotSent())
    assert len(outbox.claim(quick=quick)) == 8


def _leased(shop: Shop) -> int:
    now_ms = time.time_ns() // 1_000_000
    count: int = shop.database.value("SELECT count(*) FROM delivery_queues WHERE leased_until_ms > :now", now=now_ms)
    return count


def _waiting(shop: Shop) -> int:
    count: int = shop.database.value("SELECT count(*) FROM deliveries WHERE state = 'waiting'")
    return count


def _promise(shop: Shop, url: str, count: int) -> None:
    made = shop.post({"url": url, "subscribedEvents": ["messages"]}, path="/api/webhooks")
    assert made.status_code == 200, made.text
    for _ in range(count):
        shop.send()


def test_two_workers_with_batches_share_the_limit(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    receiver = receivers.add(delay_s=0.03)
    with ExitStack() as stack:
        shop = Shop(stack.enter_context(installation.serving(**SETTINGS | {"run_worker": False})), people)
        _promise(shop, receiver.url, 200)
        for number in range(2):
            stack.callback(WorkerProcess(installation, number, **SETTINGS).stop)
        wait_for(lambda: _leased(shop) > SLOTS, PATIENCE_S, "no slot has taken a run")
        wait_for(lambda: _waiting(shop) == 0, PATIENCE_S, "not everything was delivered")
    assert len(receiver.requests) == 200
    assert repeated(receiver.requests) == 0
    assert most_at_once(receiver.requests) == SLOTS


def test_deliveries_behind_a_hanging_one_are_released_before_it_times_out(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    receiver = receivers.add(delay_s=0.03, ways=("hang",))
    settings = SETTINGS | {"delivery_timeout_s": 50, "delivery_lease_s": 110, "shutdown_timeout_s": 1}
    with ExitStack() as stack:
        shop = Shop(stack.enter_context(installation.serving(**settings | {"run_worker": False})), people)
        _promise(shop, receiver.url, 200)
        worker = WorkerProcess(installation, **settings)
        stack.callback(worker.stop)
        wait_for(lambda: _leased(shop) > SLOTS, PATIENCE_S, "no slot has taken a run")
        receiver.share = 1.0
        wait_for(lambda: receiver.failed == SLOTS, PATIENCE_S, "nothing hangs")
        # Long before the hanging ones are given up, nothing but them is this worker's.
        wait_for(lambda: _leased(shop) == SLOTS, 20, "what was not begun is still held")
        receiver.share = 0.0
        worker.kill()


def test_a_worker_that_stops_during_batches_leaves_no_leases(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    receiver = receivers.add(delay_s=0.03)
    with ExitStack() as stack:
        shop = Shop(stack.enter_context(installation.serving(**SETTINGS | {"run_worker": False})), people)
        _promise(shop, receiver.url, 200)
        worker = WorkerProcess(installation, **SETTINGS)
        stack.callback(worker.stop)
        wait_for(lambda: _leased(shop) > SLOTS, PATIENCE_S, "no slot has taken a run")
        assert worker.terminate() == 0
        assert _leased(shop) == 0
        assert 0 < _waiting(shop) == 200 - len(receiver.requests)
    assert repeated(receiver.requests) == 0
