"""A clock set back delays no delivery."""

from collections.abc import Iterator

import pytest

from harness.installation import SECRET_KEY, Installation
from harness.outbox import MINUTE_MS, RULES, Outbox
from harness.world import World
from shopbell.db.clock_changes import correct
from shopbell.db.connect import open_database
from shopbell.runtime.clock import TOLERANCE_MS, ClockWatch, SetBack
from shopbell.settings.settings import Settings
from shopbell.webhooks.claim import Claimed
from shopbell.webhooks.queues import move_up
from shopbell.webhooks.retry_policy import Delivered, TryAgain
from shopbell.webhooks.settle import Finished, earlier

HOUR_MS = 60 * MINUTE_MS


class Clocks:
    """A wall clock that can be set, and a monotonic one that cannot."""

    def __init__(self) -> None:
        self.wall_ms = 1_800_000_000_000
        self.monotonic_s = 1_000.0
        self.watch = ClockWatch(lambda: self.wall_ms, lambda: self.monotonic_s)

    def pass_ms(self, ms: int, *, step_ms: int = 0) -> SetBack | None:
        """Let time pass, then set the wall clock by so much, and look."""
        self.wall_ms += ms + step_ms
        self.monotonic_s += ms / 1_000
        return self.watch.look()


def test_setting_the_clock_back_is_noticed_once() -> None:
    clocks = Clocks()
    assert clocks.pass_ms(5_000) is None
    found = clocks.pass_ms(2_000, step_ms=-HOUR_MS)
    assert found == SetBack(by_ms=HOUR_MS, since_ms=clocks.wall_ms - 2_000)
    assert clocks.pass_ms(5_000) is None
    assert clocks.pass_ms(5_000, step_ms=-2 * HOUR_MS) is not None


def test_setting_the_clock_ahead_is_followed() -> None:
    clocks = Clocks()
    assert clocks.pass_ms(5_000, step_ms=HOUR_MS) is None
    found = clocks.pass_ms(5_000, step_ms=-HOUR_MS)
    assert found is not None
    assert found.by_ms == HOUR_MS


def test_many_small_steps_count_as_a_large_one() -> None:
    clocks = Clocks()
    found = [clocks.pass_ms(1_000, step_ms=-TOLERANCE_MS // 4) for _ in range(5)]
    assert found[:4] == [None] * 4
    assert found[4] is not None
    assert found[4].by_ms == 5 * TOLERANCE_MS // 4


@pytest.fixture
def outbox(installation: Installation, people: World) -> Iterator[Outbox]:
    """The outbox of a database of its own."""
    settings = Settings(database_url=installation.database.url, secret_key=SECRET_KEY)  # type: ignore[arg-type]
    database = open_database(settings)
    yield Outbox(installation, people, database)
    database.engine.dispose()


def _set_back(outbox: Outbox) -> SetBack:
    outbox.now_ms -= HOUR_MS
    return SetBack(HOUR_MS, outbox.now_ms - 100)


def _move_up(outbox: Outbox, set_back: SetBack) -> bool:
    return outbox.database.write_now(correct, "deliveries", move_up, set_back, now_ms=outbox.now_ms)


def _fail(outbox: Outbox, pause_ms: int) -> Claimed:
    outbox.webhook()
    outbox.transfer(outbox.thread())
    (claimed,) = outbox.claim()
    outbox.settle(claimed, TryAgain(outbox.now_ms + pause_ms))
    return claimed


def test_a_retry_is_due_after_its_pause_despite_a_clock_set_back(outbox: Outbox) -> None:
    _fail(outbox, 5_000)
    set_back = _set_back(outbox)
    outbox.now_ms += 4_999
    assert _move_up(outbox, set_back)
    assert len(outbox.claim()) == 0
    outbox.now_ms += 1
    assert len(outbox.claim()) == 1


def test_control_without_the_correction_a_retry_is_late(outbox: Outbox) -> None:
    """The control."""
    _fail(outbox, 5_000)
    _set_back(outbox)
    outbox.now_ms += HOUR_MS
    assert outbox.claim() == []


def test_a_due_delivery_stays_due(outbox: Outbox) -> None:
    outbox.webhook()
    outbox.transfer(outbox.thread())
    set_back = _set_back(outbox)
    assert outbox.claim() == []
    assert _move_up(outbox, set_back)
    assert len(outbox.claim()) == 1


def test_one_of_many_workers_adjusts_due_times(outbox: Outbox) -> None:
    _fail(outbox, 3 * HOUR_MS)
    for _ in range(2):
        first = _set_back(outbox)
        assert _move_up(outbox, first)
        outbox.now_ms += 2_000
        # Another one looked later, but had looked before the clock was set back, too.
        assert not _move_up(outbox, SetBack(HOUR_MS, outbox.now_ms - 2_050))
        assert outbox.claim() == []
    outbox.now_ms += 3 * HOUR_MS - 2 * 2_000
    assert len(outbox.claim()) == 1


def test_a_delivery_in_progress_stays_with_its_worker(outbox: Outbox) -> None:
    outbox.webhook()
    position = outbox.transfer(outbox.thread())
    (claimed,) = outbox.claim()
    assert _move_up(outbox, _set_back(outbox))
    assert outbox.claim() == []
    outbox.settle(claimed, Delivered())
    assert outbox.state(position) == "delivered"


def test_an_unrecorded_result_is_corrected(outbox: Outbox) -> None:
    outbox.webhook()
    outbox.transfer(outbox.thread())
    (claimed,) = outbox.claim()
    retry = Finished(claimed, None, TryAgain(HOUR_MS + 5_000))
    assert earlier(retry, HOUR_MS).outcome == TryAgain(5_000)
    assert earlier(retry, 0) == retry
    sent = Finished(claimed, None, Delivered())
    assert earlier(sent, HOUR_MS) == sent


def test_later_deliveries_of_a_thread_do_not_wait_longer(outbox: Outbox) -> None:
    outbox.webhook()
    thread = outbox.thread()
    outbox.transfer(thread)
    (claimed,) = outbox.claim()
    behind = outbox.transfer(thread)
    _set_back(outbox)
    outbox.settle(claimed, TryAgain(outbox.now_ms + RULES.order_wait_ms))
    outbox.now_ms += RULES.order_wait_ms
    assert behind in [each.position for each in outbox.claim()]
