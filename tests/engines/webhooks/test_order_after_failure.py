"""Events that come after a failed one of their conversation wait for it, for at most an hour."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness.installation import SECRET_KEY, Installation
from harness.outbox import DAY_MS, MINUTE_MS, SEALS, Outbox
from harness.world import World
from shopbell.db.connect import open_database
from shopbell.events.record import InThread
from shopbell.settings.settings import Settings
from shopbell.webhooks import delivery_log, endpoints, redaction
from shopbell.webhooks.log_cleanup import give_up_held
from shopbell.webhooks.retry_policy import Delivered, GiveUp, TryAgain

HOUR_MS = 60 * MINUTE_MS


@pytest.fixture
def outbox(installation: Installation, people: World) -> Iterator[Outbox]:
    """The outbox of a database of its own."""
    settings = Settings(database_url=installation.database.url, secret_key=SECRET_KEY)  # type: ignore[arg-type]
    database = open_database(settings)
    yield Outbox(installation, people, database)
    database.engine.dispose()


def failed(outbox: Outbox, thread: InThread) -> int:
    """An event whose next attempt is in two hours, as its receiver asked for."""
    position = outbox.transfer(thread)
    (claimed,) = outbox.claim()
    outbox.settle(claimed, TryAgain(outbox.now_ms + 2 * HOUR_MS))
    return position


def positions(outbox: Outbox) -> list[int]:
    """Claim; a claim that only moves queues on is repeated, as the worker does."""
    taken = outbox.take()
    while taken.again and not taken.claimed:
        taken = outbox.take()
    return [claimed.position for claimed in taken.claimed]


def change(outbox: Outbox, webhook_id: int, *, enabled: bool) -> None:
    """Enable or disable a webhook as its owner does."""
    args: Any = (outbox.acme, webhook_id, SEALS, {"enabled": enabled})
    outbox.database.write_now(endpoints.update_webhook, *args, actor="test", now_ms=outbox.now_ms)


def test_an_event_that_comes_after_a_failure_waits_for_the_rest_of_the_hour(outbox: Outbox) -> None:
    outbox.webhook()
    thread = outbox.thread()
    first = failed(outbox, thread)
    outbox.now_ms += 5_000
    second = outbox.transfer(thread)
    elsewhere = outbox.transfer(outbox.thread())
    assert positions(outbox) == [elsewhere]
    outbox.now_ms += HOUR_MS - 5_001
    assert positions(outbox) == [elsewhere], "only the lease has ended"
    outbox.now_ms += 1
    assert positions(outbox) == [second]
    outbox.now_ms += HOUR_MS
    assert first in positions(outbox)


def test_an_event_that_comes_after_the_hour_does_not_wait(outbox: Outbox) -> None:
    outbox.webhook()
    thread = outbox.thread()
    first = failed(outbox, thread)
    outbox.now_ms += HOUR_MS
    second = outbox.transfer(thread)
    assert positions(outbox) == [second]
    assert outbox.queues() == [(0, second), (first, first)]


def test_a_queue_for_which_no_event_came_is_deleted_after_the_hour(outbox: Outbox) -> None:
    outbox.webhook()
    first = failed(outbox, outbox.thread())
    outbox.now_ms += HOUR_MS
    assert positions(outbox) == []
    assert outbox.queues() == [(first, first)]


def test_one_claim_moves_on_the_queues_of_several_conversations(outbox: Outbox) -> None:
    outbox.webhook()
    threads = [outbox.thread() for _ in range(3)]
    for thread in threads:
        failed(outbox, thread)
    later = [outbox.transfer(thread) for thread in threads]
    outbox.now_ms += HOUR_MS
    assert outbox.take().claimed == []
    assert sorted(one.position for one in outbox.claim()) == later


def test_replaying_the_event_that_waits_sends_it_at_once(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()
    thread = outbox.thread()
    failed(outbox, thread)
    second, third = outbox.transfer(thread), outbox.transfer(thread)
    for position, sent in ((third, []), (second, [second])):
        outbox.database.write_now(
            delivery_log.replay, outbox.acme, webhook_id, position, actor="test", now_ms=outbox.now_ms
        )
        assert positions(outbox) == sent


def test_replayed_events_are_sent_at_once_and_in_order(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()
    thread = outbox.thread()
    exhausted = outbox.transfer(thread)
    (claimed,) = outbox.claim()
    outbox.settle(claimed, GiveUp("exhausted"))
    failed(outbox, thread)
    last = outbox.transfer(thread)
    outbox.database.write_now(
        delivery_log.replay_all,
        outbox.acme,
        webhook_id,
        state="exhausted",
        since_ms=0,
        actor="test",
        now_ms=outbox.now_ms,
    )
    assert positions(outbox) == [exhausted]
    (row,) = outbox.installation.database.rows("SELECT position FROM delivery_queues WHERE background = 0")
    assert row["position"] == exhausted
    assert outbox.state(last) == "waiting"


def test_events_of_a_held_webhook_are_given_up_although_they_waited(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()
    thread = outbox.thread()
    first = failed(outbox, thread)
    sql = "UPDATE webhooks SET enabled = false, disabled_reason = 'failing' WHERE id = :id"
    outbox.installation.database.change(sql, id=webhook_id)
    second = outbox.transfer(thread)
    outbox.now_ms += 31 * DAY_MS
    times = {"before_ms": outbox.now_ms - 30 * DAY_MS, "now_ms": outbox.now_ms}
    while outbox.database.write_now(give_up_held, **times):  # type: ignore[arg-type]
        pass
    assert [outbox.state(first), outbox.state(second)] == ["exhausted", "exhausted"]
    assert outbox.queues() == []


def test_a_webhook_that_is_enabled_again_gets_all_events_in_order(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()
    thread = outbox.thread()
    first = failed(outbox, thread)
    sql = "UPDATE webhooks SET enabled = false, disabled_reason = 'failing' WHERE id = :id"
    outbox.installation.database.change(sql, id=webhook_id)
    second = outbox.transfer(thread)
    change(outbox, webhook_id, enabled=True)
    for position in (first, second):
        claimed = outbox.claim() or outbox.claim()
        assert [one.position for one in claimed] == [position]
        outbox.settle(claimed[0], Delivered())
    assert outbox.queues() == []


def test_disabling_a_webhook_deletes_its_queues(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()
    thread = outbox.thread()
    positions_ = [failed(outbox, thread), outbox.transfer(thread)]
    failed(outbox, outbox.thread())
    change(outbox, webhook_id, enabled=False)
    assert outbox.queues() == []
    assert [outbox.state(position) for position in positions_] == ["skipped", "skipped"]


def test_nothing_waits_after_a_conversation_was_erased(outbox: Outbox) -> None:
    outbox.webhook()
    thread = outbox.thread()
    skipped = [failed(outbox, thread), outbox.transfer(thread)]
    outbox.database.write_now(redaction.skip, outbox.acme, [thread.id], now_ms=outbox.now_ms, limit=10)
    assert [outbox.state(position) for position in skipped] == ["skipped", "skipped"]
    outbox.now_ms += HOUR_MS
    assert positions(outbox) == []
    assert outbox.queues() == []
