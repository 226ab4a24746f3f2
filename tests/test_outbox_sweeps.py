"""What is swept from the outbox on real databases: old parts of the log, what is held, what nobody wants any more."""

import asyncio
from collections.abc import Iterator

import pytest

from harness.installation import SECRET_KEY, Installation
from harness.outbox import DAY_MS, SEALS, Outbox
from harness.world import World
from shopbell import webhooks
from shopbell.outbox.log import forget, give_up_held
from shopbell.schedule import Delivered, TryAgain
from shopbell.settings import Settings
from shopbell.storage.open import open_database
from shopbell.storage.turns import take_turn
from shopbell.worker import sweep


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


def test_what_is_held_longer_than_the_log_is_kept_is_given_up(outbox: Outbox) -> None:
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


def test_the_old_part_of_the_log_is_deleted_and_what_waits_stays(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()
    settled, waiting = outbox.transfer(outbox.thread()), outbox.transfer(outbox.thread())
    for claimed in outbox.claim():
        outbox.settle(claimed, Delivered() if claimed.position == settled else TryAgain(outbox.now_ms + 40 * DAY_MS))
    outbox.now_ms += 31 * DAY_MS
    young = outbox.transfer(outbox.thread())
    (claimed,) = outbox.claim()
    outbox.settle(claimed, Delivered())
    key = (outbox.acme, webhook_id)
    assert outbox.database.write_now(forget, key, 0, before_ms=outbox.now_ms - 30 * DAY_MS) is None
    rows = outbox.installation.database.rows("SELECT position FROM deliveries ORDER BY position")
    assert [row["position"] for row in rows] == [waiting, young]
    rows = outbox.installation.database.rows("SELECT position FROM delivery_attempts ORDER BY position")
    assert [row["position"] for row in rows] == [waiting, young]


def delete(outbox: Outbox, webhook_id: int) -> None:
    """Delete a webhook as its owner does."""
    outbox.database.write_now(webhooks.delete_webhook, outbox.acme, webhook_id, SEALS, now_ms=outbox.now_ms)


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


def test_what_came_too_late_for_a_webhook_that_was_switched_off_or_deleted_is_skipped(outbox: Outbox) -> None:
    deleted, switched_off, at_work, failing = (outbox.webhook() for _ in range(4))
    outbox.database.write_now(
        webhooks.update_webhook, outbox.acme, switched_off, SEALS, {"enabled": False}, now_ms=outbox.now_ms
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


def test_a_deleted_webhook_goes_with_the_last_of_its_log(outbox: Outbox) -> None:
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
def test_one_process_at_a_time_goes_through_the_log(outbox: Outbox) -> None:
    outbox.webhook()
    outbox.transfer(outbox.thread())
    (claimed,) = outbox.claim()
    outbox.settle(claimed, Delivered())
    outbox.now_ms += 31 * DAY_MS
    count = "SELECT count(*) FROM deliveries"
    with outbox.database.engine.begin() as other:
        assert take_turn(other, "delivery log")
        sweep_all(outbox)
        assert outbox.installation.database.value(count) == 1
    sweep_all(outbox)
    assert outbox.installation.database.value(count) == 0
