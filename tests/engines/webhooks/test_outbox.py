"""Claiming and settling deliveries on real databases, without a worker."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from harness.installation import SECRET_KEY, Installation
from harness.outbox import DAY_MS, MINUTE_MS, RULES, SEALS, Outbox
from harness.world import World
from shopbell.db.connect import open_database
from shopbell.settings.settings import Settings
from shopbell.webhooks import endpoints
from shopbell.webhooks.claim import Rules, look
from shopbell.webhooks.retry_policy import Attempt, Delivered, GiveUp, NotSent, TryAgain


@pytest.fixture
def outbox(installation: Installation, people: World) -> Iterator[Outbox]:
    """The outbox of a database of its own."""
    settings = Settings(database_url=installation.database.url, secret_key=SECRET_KEY)  # type: ignore[arg-type]
    database = open_database(settings)
    yield Outbox(installation, people, database)
    database.engine.dispose()


def change_webhook(outbox: Outbox, webhook_id: int, changes: endpoints.WebhookChanges) -> None:
    """Change a webhook as its owner does."""
    outbox.database.write_now(
        endpoints.update_webhook, outbox.acme, webhook_id, SEALS, changes, actor="test", now_ms=outbox.now_ms
    )


def test_the_attempt_is_committed_before_anything_is_sent(outbox: Outbox) -> None:
    outbox.webhook()
    position = outbox.transfer(outbox.thread())
    (claimed,) = outbox.claim()
    (row,) = outbox.installation.database.rows("SELECT attempts, body, state FROM deliveries")
    assert (row["attempts"], row["state"]) == (1, "waiting")
    assert row["body"] == claimed.body
    assert (claimed.position, claimed.number, claimed.step) == (position, 1, 0)


def test_a_leased_delivery_is_not_claimed_until_the_lease_ends(outbox: Outbox) -> None:
    outbox.webhook()
    outbox.transfer(outbox.thread())
    (first,) = outbox.claim()
    outbox.now_ms += RULES.lease_ms - 1
    assert outbox.claim() == []
    outbox.now_ms += 1
    (second,) = outbox.claim()
    assert (second.number, second.step, second.body) == (2, 0, first.body)


def test_a_result_after_another_claim_changes_nothing(outbox: Outbox) -> None:
    outbox.webhook()
    position = outbox.transfer(outbox.thread())
    (late,) = outbox.claim()
    outbox.now_ms += RULES.lease_ms
    (present,) = outbox.claim()
    outbox.settle(late, Delivered())
    assert outbox.state(position) == "waiting"
    outbox.settle(late, TryAgain(outbox.now_ms))
    assert outbox.claim() == [], "the lease of the present worker was taken away"
    outbox.settle(present, Delivered())
    assert outbox.state(position) == "delivered"
    numbers = outbox.installation.database.rows("SELECT number, answer FROM delivery_attempts ORDER BY number")
    assert numbers == [{"number": 1, "answer": None}, {"number": 2, "answer": "fine"}], "the log has both attempts"


def test_settling_twice_has_no_second_effect(outbox: Outbox) -> None:
    outbox.webhook()
    outbox.transfer(outbox.thread())
    (claimed,) = outbox.claim()
    outbox.settle(claimed, TryAgain(outbox.now_ms + 5_000))
    outbox.settle(claimed, TryAgain(outbox.now_ms + 9_000))
    outbox.now_ms += 5_000
    (again,) = outbox.claim()
    assert (again.number, again.step) == (2, 1)
    outbox.settle(again, Delivered())
    outbox.settle(again, GiveUp("exhausted"))
    assert outbox.installation.database.value("SELECT state FROM deliveries") == "delivered"
    assert outbox.queues() == []


def test_an_unsent_claim_is_due_at_once_and_costs_no_attempt(outbox: Outbox) -> None:
    outbox.webhook()
    outbox.transfer(outbox.thread())
    (claimed,) = outbox.claim()
    outbox.settle(claimed, NotSent())
    (again,) = outbox.claim()
    assert (again.number, again.step) == (2, 0)
    assert outbox.installation.database.value("SELECT count(*) FROM delivery_attempts") == 0


def test_the_next_delivery_of_a_conversation_waits_for_the_previous_one(outbox: Outbox) -> None:
    outbox.webhook()
    thread, other = outbox.thread(), outbox.thread()
    first, second = outbox.transfer(thread), outbox.transfer(thread)
    elsewhere = outbox.transfer(other)
    claimed = {one.position: one for one in outbox.claim()}
    assert set(claimed) == {first, elsewhere}
    outbox.settle(claimed[first], TryAgain(outbox.now_ms + 1_000))
    assert outbox.claim() == []
    outbox.now_ms += 1_000
    (again,) = outbox.claim()
    assert again.position == first
    outbox.settle(again, Delivered())
    (after,) = outbox.claim()
    assert after.position == second


def test_after_an_hour_later_deliveries_stop_waiting_for_the_failing_one(outbox: Outbox) -> None:
    outbox.webhook()
    thread = outbox.thread()
    first, second = outbox.transfer(thread), outbox.transfer(thread)
    (claimed,) = outbox.claim()
    outbox.settle(claimed, TryAgain(outbox.now_ms + 61 * MINUTE_MS))
    assert outbox.queues() == [(0, second), (first, first)]
    assert outbox.claim() == [], "it waits for the rest of the hour"
    outbox.now_ms += 60 * MINUTE_MS
    (next_one,) = outbox.claim()
    assert next_one.position == second
    third = outbox.transfer(thread)
    outbox.settle(next_one, Delivered())
    outbox.now_ms += MINUTE_MS
    late, newest = sorted(outbox.claim(), key=lambda one: one.position)
    assert (late.position, newest.position) == (first, third)
    outbox.settle(late, TryAgain(outbox.now_ms + 5))
    outbox.settle(newest, Delivered())
    outbox.now_ms += 5
    (last,) = outbox.claim()
    outbox.settle(last, Delivered())
    assert outbox.queues() == []


def test_the_last_attempt_exhausts_a_delivery_and_releases_the_next(outbox: Outbox) -> None:
    outbox.webhook()
    thread = outbox.thread()
    first, second = outbox.transfer(thread), outbox.transfer(thread)
    (claimed,) = outbox.claim()
    outbox.settle(claimed, GiveUp("exhausted"))
    assert outbox.state(first) == "exhausted"
    (next_one,) = outbox.claim()
    assert next_one.position == second


def test_concurrent_deliveries_per_webhook_are_limited_across_workers(outbox: Outbox) -> None:
    outbox.webhook()
    for _ in range(12):
        outbox.transfer(outbox.thread())
    first = outbox.claim()
    assert len(first) == 8
    assert outbox.claim() == []
    outbox.settle(first[0], Delivered())
    assert len(outbox.claim()) == 1


def test_hanging_receivers_of_one_organization_do_not_delay_another(outbox: Outbox) -> None:
    globex = int(outbox.people.globex)
    for _ in range(10):
        outbox.webhook()
    outbox.webhook(globex)
    for _ in range(8):
        outbox.transfer(outbox.thread())
    held = outbox.claim()
    assert len(held) == 32
    outbox.transfer(outbox.thread(globex), globex)
    (healthy,) = outbox.claim(64 - 32, busy={outbox.acme: 32})
    assert healthy.webhook[0] == globex


def test_a_gone_receiver_is_disabled_at_once_and_its_deliveries_are_held(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()
    thread = outbox.thread()
    first, second = outbox.transfer(thread), outbox.transfer(thread)
    (claimed,) = outbox.claim()
    outbox.settle(claimed, GiveUp("skipped", is_gone=True), Attempt(1, 1, status=410))
    row = outbox.row(webhook_id)
    assert (bool(row["enabled"]), row["disabled_reason"]) == (False, "gone")
    assert (outbox.state(first), outbox.state(second)) == ("skipped", "waiting")
    third = outbox.transfer(thread)
    assert outbox.claim() == []
    audit = outbox.installation.database.rows(
        "SELECT actor, subject FROM audit_entries WHERE action = 'webhook.disable'"
    )
    assert audit == [{"actor": "delivery", "subject": f"webhook {webhook_id}"}]
    outbox.database.write_now(
        endpoints.update_webhook, outbox.acme, webhook_id, SEALS, {"enabled": True}, actor="test", now_ms=outbox.now_ms
    )
    for position in (second, third):
        (released,) = outbox.claim()
        assert released.position == position
        outbox.settle(released, Delivered())


def test_failures_of_a_former_url_do_not_count_against_the_new_one(outbox: Outbox) -> None:
    webhook_id = outbox.webhook(url="https://a.example/")
    position, failing = outbox.transfer(outbox.thread()), outbox.transfer(outbox.thread())
    claimed, other = sorted(outbox.claim(), key=lambda one: one.position)
    change_webhook(outbox, webhook_id, {"url": "https://b.example/"})
    outbox.settle(claimed, GiveUp("skipped", is_gone=True), Attempt(1, 1, status=410))
    outbox.settle(other, TryAgain(outbox.now_ms + 1_000))
    row = outbox.row(webhook_id)
    assert (bool(row["enabled"]), row["disabled_reason"], row["failures"]) == (True, None, 0)
    (again,) = outbox.claim()
    assert (again.position, again.url) == (position, "https://b.example/"), "the new address was not told"
    assert outbox.state(failing) == "waiting"


def test_a_duplicate_or_late_result_disables_nothing(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()
    thread = outbox.thread()
    outbox.transfer(thread)
    outbox.transfer(thread)
    (claimed,) = outbox.claim()
    outbox.settle(claimed, TryAgain(outbox.now_ms))
    outbox.settle(claimed, TryAgain(outbox.now_ms))
    assert outbox.row(webhook_id)["failures"] == 1, "one attempt was counted twice"
    (claimed,) = outbox.claim()
    outbox.settle(claimed, GiveUp("skipped", is_gone=True), Attempt(1, 1, status=410))
    assert outbox.row(webhook_id)["disabled_reason"] == "gone"
    change_webhook(outbox, webhook_id, {"enabled": True})
    outbox.settle(claimed, GiveUp("skipped", is_gone=True), Attempt(1, 1, status=410))
    row = outbox.row(webhook_id)
    assert (bool(row["enabled"]), row["disabled_reason"], row["failures"]) == (True, None, 0)


def test_a_receiver_that_fails_often_for_days_is_disabled(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()
    outbox.transfer(outbox.thread())
    for number in range(1, 22):
        (claimed,) = outbox.claim()
        outbox.settle(claimed, TryAgain(outbox.now_ms))
        assert outbox.row(webhook_id)["failures"] == number
        outbox.now_ms += DAY_MS // 10
        assert outbox.row(webhook_id)["enabled"], "neither the days nor the attempts alone are enough"
    outbox.now_ms += 3 * DAY_MS
    (claimed,) = outbox.claim()
    outbox.settle(claimed, TryAgain(outbox.now_ms))
    row = outbox.row(webhook_id)
    assert (bool(row["enabled"]), row["disabled_reason"]) == (False, "failing")
    assert outbox.claim() == []


def test_a_success_resets_the_failure_count(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()
    outbox.transfer(outbox.thread())
    (claimed,) = outbox.claim()
    outbox.settle(claimed, TryAgain(outbox.now_ms))
    assert outbox.row(webhook_id)["failing_since_ms"] == outbox.now_ms
    (claimed,) = outbox.claim()
    outbox.settle(claimed, Delivered())
    row = outbox.row(webhook_id)
    assert (row["failing_since_ms"], row["failures"]) == (None, 0)


def test_events_of_an_erased_customer_are_not_delivered(outbox: Outbox) -> None:
    outbox.webhook()
    thread = outbox.thread()
    position = outbox.transfer(thread)
    change = outbox.installation.database.change
    change("UPDATE customers SET erased_at_ms = 1 WHERE id = :id", id=thread.customer_id)
    taken = outbox.take()
    assert (taken.claimed, taken.again) == ([], True)
    assert outbox.state(position) == "skipped"
    assert outbox.queues() == []


def test_a_delivery_can_be_resent_after_its_event_was_deleted(outbox: Outbox) -> None:
    outbox.webhook()
    threads = [outbox.thread(), outbox.thread()]
    known, of_erased = (outbox.transfer(thread) for thread in threads)
    first, other = sorted(outbox.claim(), key=lambda one: one.position)
    outbox.settle(first, TryAgain(outbox.now_ms))
    outbox.settle(other, TryAgain(outbox.now_ms))
    change = outbox.installation.database.change
    change("DELETE FROM events")
    change("UPDATE customers SET erased_at_ms = 1 WHERE id = :id", id=threads[1].customer_id)
    (again,) = outbox.claim()
    assert (again.position, again.body) == (known, first.body)
    assert outbox.state(of_erased) == "skipped"


def test_a_payload_that_cannot_be_built_delays_no_others(outbox: Outbox) -> None:
    outbox.webhook()
    thread = outbox.thread()
    bad, behind, elsewhere = outbox.transfer(thread), outbox.transfer(thread), outbox.transfer(outbox.thread())
    change = outbox.installation.database.change
    change("UPDATE events SET details = 'canary' WHERE position = :bad", bad=bad)
    with structlog.testing.capture_logs() as lines:
        assert [one.position for one in outbox.claim()] == [elsewhere]
    # Background jobs of other servers of this process may log, too.
    assert [(line["log_level"], line["position"]) for line in lines if "position" in line] == [("error", bad)]
    assert outbox.state(bad) == "skipped"
    (next_one,) = outbox.claim()
    assert next_one.position == behind


def test_a_first_delay_is_respected(outbox: Outbox) -> None:
    outbox.webhook()
    outbox.transfer(outbox.thread())
    outbox.rules = Rules(30_000, 8, 2_000, 60 * MINUTE_MS, 5, 20)
    assert outbox.claim() == []
    outbox.now_ms += 1_999
    assert outbox.claim() == []
    outbox.now_ms += 1
    assert len(outbox.claim()) == 1


def test_a_claim_returns_when_the_next_delivery_is_due(outbox: Outbox) -> None:
    def see() -> Any:
        return outbox.database.read_now(look, RULES, now_ms=outbox.now_ms)

    assert see().webhooks == 0
    outbox.webhook()
    assert (see().webhooks, see().has_work, see().next_due_ms) == (1, False, None)
    outbox.transfer(outbox.thread())
    assert (see().has_work, see().oldest_due_ms) == (True, outbox.now_ms)
    (claimed,) = outbox.claim()
    assert (see().has_work, see().next_due_ms) == (False, outbox.now_ms + RULES.lease_ms)
    outbox.settle(claimed, TryAgain(outbox.now_ms + 5_000))
    assert (see().has_work, see().next_due_ms) == (False, outbox.now_ms + 5_000)


def test_a_transfer_is_delivered_in_both_versions(outbox: Outbox) -> None:
    outbox.webhook()
    outbox.webhook(payload_version="flat")
    thread = outbox.thread()
    outbox.transfer(thread)
    envelope, flat = (json.loads(claimed.body) for claimed in sorted(outbox.claim(), key=lambda one: one.webhook))
    assert (envelope["eventType"], envelope["timestamp"]) == ("transfer", outbox.now_ms)
    assert envelope["data"] == flat
    assert flat == {
        "customerThreadId": thread.id,
        "organizationId": outbox.acme,
        "customerId": str(thread.customer_id),
        "fromBusinessId": 1,
        "toBusinessId": 2,
        "employeeUserId": None,
        "threadSequence": 0,
        "actor": {"type": "system", "id": None},
    }
