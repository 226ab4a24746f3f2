"""Cleaning the delivery log on real databases."""

import asyncio
from collections.abc import Iterator

import pytest

from harness.installation import SECRET_KEY, Installation
from harness.outbox import DAY_MS, SEALS, Outbox
from harness.world import World
from shopbell.db.connect import open_database
from shopbell.db.lock_order import try_job_lock
from shopbell.settings.settings import Settings
from shopbell.webhooks import endpoints, log_cleanup
from shopbell.webhooks.log_cleanup import forget, give_up_held
from shopbell.webhooks.retry_policy import Delivered, TryAgain
from shopbell.workers.webhook_worker import sweep


@pytest.fixture
def outbox(installation: Installation, people: World) -> Iterator[Outbox]:
    """The outbox of a database of its own."""
    settings = Settings(database_url=installation.database.url, secret_key=SECRET_KEY)  # type: ignore[arg-type]
    database = open_database(settings)
    yield Outbox(installation, people, database)
    database.engine.dispose()


def sweep_all(outbox: Outbox) -> None:
    """Sweep as a worker does, which keeps 30 days."""
    asyncio.run(sweep(outbox.database, 30, now_ms=outbox.now_ms))


def test_deliveries_held_longer_than_log_retention_are_given_up(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()
    thread = outbox.thread()
    old = [outbox.transfer(thread), outbox.transfer(thread)]
    outbox.now_ms += 31 * DAY_MS
    young = outbox.transfer(thread)
    change = outbox.installation.database.change

    def give_up() -> bool:
        before_ms = outbox.now_ms - 30 * DAY_MS
        return outbox.database.write_now(give_up_held, before_ms=before_ms, now_ms=outbox.now_ms)

    assert not give_up(), "it is enabled: its own schedule decides"
    change("UPDATE webhooks SET enabled = false, disabled_reason = 'failing' WHERE id = :id", id=webhook_id)
    while give_up():
        pass
    assert [outbox.state(position) for position in (*old, young)] == ["exhausted", "exhausted", "waiting"]
    assert outbox.queues() == [(0, young)]


def test_old_log_entries_are_deleted_and_pending_deliveries_are_kept(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()
    settled, waiting = outbox.transfer(outbox.thread()), outbox.transfer(outbox.thread())
    for claimed in outbox.claim():
        outbox.settle(claimed, Delivered() if claimed.position == settled else TryAgain(outbox.now_ms + 40 * DAY_MS))
    outbox.now_ms += 31 * DAY_MS
    young = outbox.transfer(outbox.thread())
    (claimed,) = outbox.claim()
    outbox.settle(claimed, Delivered())
    key = (outbox.acme, webhook_id)
    assert (
        outbox.database.write_now(forget, key, 0, before_ms=outbox.now_ms - 30 * DAY_MS, now_ms=outbox.now_ms) is None
    )
    rows = outbox.installation.database.rows("SELECT position FROM deliveries ORDER BY position")
    assert [row["position"] for row in rows] == [waiting, young]
    rows = outbox.installation.database.rows("SELECT position FROM delivery_attempts ORDER BY position")
    assert [row["position"] for row in rows] == [waiting, young]


def test_log_entries_from_a_clock_that_ran_ahead_do_not_keep_old_ones(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.webhook()
    monkeypatch.setattr(log_cleanup, "BATCH", 1)
    positions = []
    for days in (365, -365, 31):  # the clock runs ahead, is set back, and is right from then on
        outbox.now_ms += days * DAY_MS
        positions.append(outbox.transfer(outbox.thread()))
        (claimed,) = outbox.claim()
        outbox.settle(claimed, Delivered())
    sweep_all(outbox)
    rows = outbox.installation.database.rows("SELECT position FROM deliveries ORDER BY position")
    assert [row["position"] for row in rows] == [positions[0], positions[2]]


def delete(outbox: Outbox, webhook_id: int) -> None:
    """Delete a webhook as its owner does."""
    outbox.database.write_now(
        endpoints.delete_webhook, outbox.acme, webhook_id, SEALS, actor="test", now_ms=outbox.now_ms
    )


def late_message(outbox: Outbox, webhook_id: int, thread_id: int, *positions: int, queued: bool = True) -> None:
    """Deliveries of a message that saw the webhook before it was switched off, and was committed after that."""
    change = outbox.installation.database.change
    keys = {"o": outbox.acme, "w": webhook_id, "t": thread_id}
    values = ", ".join(f"(:o, :w, {position}, :t, 'waiting', :now_ms)" for position in positions)
    into = "INSERT INTO deliveries (organization_id, webhook_id, position, thread_id, state, created_at_ms) VALUES "
    change(into + values, **keys, now_ms=outbox.now_ms)
    if queued:
        change(
            "INSERT INTO delivery_queues (organization_id, webhook_id, thread_id, background, position, due_at_ms)"
            " VALUES (:o, :w, :t, 0, :p, :now_ms)",
            **keys,
            p=positions[0],
            now_ms=outbox.now_ms,
        )


def test_late_deliveries_of_a_disabled_or_deleted_webhook_are_skipped(outbox: Outbox) -> None:
    deleted, switched_off, at_work, failing = (outbox.webhook() for _ in range(4))
    outbox.database.write_now(
        endpoints.update_webhook,
        outbox.acme,
        switched_off,
        SEALS,
        {"enabled": False},
        actor="test",
        now_ms=outbox.now_ms,
    )
    delete(outbox, deleted)
    change = outbox.installation.database.change
    change("UPDATE webhooks SET enabled = false, disabled_reason = 'failing' WHERE id = :id", id=failing)
    for webhook_id in (deleted, switched_off, at_work, failing):
        late_message(outbox, webhook_id, 77, 900, 901)
        late_message(outbox, webhook_id, 78, 902, queued=False)
    sweep_all(outbox)
    rows = outbox.installation.database.rows("SELECT webhook_id, state FROM deliveries ORDER BY webhook_id, position")
    states = {
        webhook_id: [row["state"] for row in rows if row["webhook_id"] == webhook_id]
        for webhook_id in (deleted, switched_off, at_work, failing)
    }
    assert states[deleted] == states[switched_off] == ["skipped"] * 3
    assert states[at_work] == states[failing] == ["waiting"] * 3
    left = outbox.installation.database.rows("SELECT webhook_id FROM delivery_queues ORDER BY webhook_id")
    assert [row["webhook_id"] for row in left] == [at_work, failing]


def test_a_deleted_webhook_is_removed_with_its_last_log_entry(outbox: Outbox) -> None:
    webhook_id, kept = outbox.webhook(), outbox.webhook()
    outbox.transfer(outbox.thread())
    for claimed in outbox.claim():
        outbox.settle(claimed, Delivered())
    delete(outbox, webhook_id)
    ids = "SELECT id FROM webhooks ORDER BY id"
    outbox.now_ms += 29 * DAY_MS
    sweep_all(outbox)
    assert [row["id"] for row in outbox.installation.database.rows(ids)] == [webhook_id, kept]
    outbox.now_ms += 2 * DAY_MS
    sweep_all(outbox)
    assert [row["id"] for row in outbox.installation.database.rows(ids)] == [kept]
    assert outbox.installation.database.value("SELECT count(*) FROM deliveries") == 0


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_only_one_process_cleans_the_log_at_a_time(outbox: Outbox) -> None:
    outbox.webhook()
    outbox.transfer(outbox.thread())
    (claimed,) = outbox.claim()
    outbox.settle(claimed, Delivered())
    outbox.now_ms += 31 * DAY_MS
    count = "SELECT count(*) FROM deliveries"
    with outbox.database.engine.begin() as other:
        assert try_job_lock(other, "delivery log")
        sweep_all(outbox)
        assert outbox.installation.database.value(count) == 1
    sweep_all(outbox)
    assert outbox.installation.database.value(count) == 0
