"""Setting pending deliveries aside and releasing them in batches."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from harness.databases import Databases
from harness.installation import SECRET_KEY, Database, Installation
from harness.outbox import OOPS, RULES, SEALS, Outbox
from harness.shop import Shop
from harness.statements import Recorded
from harness.world import World
from shopbell.db.connect import open_database
from shopbell.errors import Conflict
from shopbell.events import record
from shopbell.events.actors import SYSTEM
from shopbell.settings.settings import Settings
from shopbell.webhooks import endpoints
from shopbell.webhooks.backlog import PIECE
from shopbell.webhooks.retry_policy import TryAgain
from shopbell.webhooks.settle import Finished, settle

LONG = 2 * PIECE + PIECE // 2
"""Events of one conversation: more than two pieces."""
OTHERS = PIECE // 5


@pytest.fixture
def outbox(installation: Installation, people: World) -> Iterator[Outbox]:
    """The outbox of a database of its own."""
    settings = Settings(database_url=installation.database.url, secret_key=SECRET_KEY)  # type: ignore[arg-type]
    database = open_database(settings)
    yield Outbox(installation, people, database)
    database.engine.dispose()


def let_wait(database: Database, organization_id: int, webhook_id: int) -> None:
    """A long conversation, and others of one event each; all of them wait for a webhook."""
    values = "(:organization, :webhook, {}, {}, 'waiting', 1)"
    of = {"organization": organization_id, "webhook": webhook_id}
    rows = [values.format(position, 70 if position <= LONG else position) for position in range(1, LONG + OTHERS + 1)]
    columns = "(organization_id, webhook_id, position, thread_id, state, created_at_ms)"
    database.change(f"INSERT INTO deliveries {columns} VALUES {', '.join(rows)}", **of)
    database.change(
        "INSERT INTO delivery_queues (organization_id, webhook_id, thread_id, background, position, due_at_ms) "
        "SELECT organization_id, webhook_id, thread_id, 0, min(position), 1 FROM deliveries "
        "GROUP BY organization_id, webhook_id, thread_id"
    )
    database.change("UPDATE feeds SET last_position = :last", last=LONG + OTHERS)


def switch(outbox: Outbox, webhook_id: int, *, enabled: bool) -> None:
    """Switch a webhook as its owner does."""
    given: endpoints.WebhookChanges = {"enabled": enabled}
    outbox.database.write_now(
        endpoints.update_webhook, outbox.acme, webhook_id, SEALS, given, actor="test", now_ms=outbox.now_ms
    )


def count(database: Database, state: str) -> int:
    """How many deliveries are in a state."""
    found: int = database.value("SELECT count(*) FROM deliveries WHERE state = :state", state=state)
    return found


def test_pending_deliveries_are_set_aside_in_batches_without_losing_any(outbox: Outbox) -> None:
    webhook_id, database = outbox.webhook(), outbox.installation.database
    outbox.transfer(outbox.thread())
    database.change("DELETE FROM delivery_queues")
    database.change("DELETE FROM deliveries")
    let_wait(database, outbox.acme, webhook_id)
    switch(outbox, webhook_id, enabled=False)
    assert (count(database, "skipped"), count(database, "waiting")) == (PIECE, LONG + OTHERS - PIECE)
    assert len(outbox.queues()) == OTHERS + 1
    assert (0, PIECE + 1) in outbox.queues()  # the long conversation goes on behind what was put aside
    with pytest.raises(Conflict):
        switch(outbox, webhook_id, enabled=True)
    while outbox.database.write_now(endpoints.skip_waiting, outbox.acme, webhook_id, now_ms=outbox.now_ms):
        pass
    assert (count(database, "skipped"), outbox.queues()) == (LONG + OTHERS, [])
    switch(outbox, webhook_id, enabled=True)
    assert not outbox.database.write_now(endpoints.skip_waiting, outbox.acme, webhook_id, now_ms=outbox.now_ms)


def test_deliveries_of_enabled_or_held_webhooks_are_not_set_aside(outbox: Outbox) -> None:
    webhook_id, database = outbox.webhook(), outbox.installation.database
    outbox.transfer(outbox.thread())
    for sql in ("", "UPDATE webhooks SET enabled = false, disabled_reason = 'failing'"):
        if sql:
            database.change(sql)
        assert not outbox.database.write_now(endpoints.skip_waiting, outbox.acme, webhook_id, now_ms=outbox.now_ms)
        assert (count(database, "waiting"), len(outbox.queues())) == (1, 1)


@pytest.mark.parametrize("path", ["update", "delete"])
def test_disabling_or_deleting_by_the_api_sets_all_deliveries_aside(
    installation: Installation, people: World, path: str
) -> None:
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        hook = {"url": "https://receiver.example/", "subscribedEvents": ["messages"]}
        webhook_id = shop.post(hook, path="/api/webhooks").json()["id"]
        let_wait(shop.database, int(people.acme), int(webhook_id))
        assert shop.post({"enabled": False}, path=f"/api/webhooks/{webhook_id}/{path}").status_code == 200
        assert (count(shop.database, "skipped"), shop.count("delivery_queues")) == (LONG + OTHERS, 0)


def test_enabling_by_the_api_does_not_wait_for_earlier_deliveries(installation: Installation, people: World) -> None:
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        hook = {"url": "https://receiver.example/", "subscribedEvents": ["messages"], "enabled": False}
        webhook_id = shop.post(hook, path="/api/webhooks").json()["id"]
        let_wait(shop.database, int(people.acme), int(webhook_id))
        assert shop.post({"enabled": True}, path=f"/api/webhooks/{webhook_id}/update").status_code == 200
        assert (count(shop.database, "skipped"), shop.count("delivery_queues")) == (LONG + OTHERS, 0)


def test_releasing_held_deliveries_writes_only_attempted_ones(outbox: Outbox) -> None:
    webhook_id, database = outbox.webhook(), outbox.installation.database
    threads = [outbox.thread() for _ in range(20)]
    positions = [outbox.transfer(thread) for thread in threads for _ in range(3)]
    for one in outbox.claim(4):
        again = TryAgain(outbox.now_ms + 60_000)
        outbox.database.write_now(settle, outbox.rules, [Finished(one, OOPS, again)], now_ms=outbox.now_ms)
    outbox.claim(2)  # is under way when it is switched off
    database.change("UPDATE webhooks SET enabled = false, disabled_reason = 'failing'")
    # The first event of another conversation continues alone, because the others have waited long enough.
    alone, following = positions[-3], positions[-2]
    queue = "UPDATE delivery_queues SET background = position, due_at_ms = 9999999999999 WHERE position = :p"
    assert database.change(queue, p=alone) == 1
    database.change(
        "INSERT INTO delivery_queues (organization_id, webhook_id, thread_id, background, position, due_at_ms) "
        "VALUES (:o, :w, :t, 0, :p, 1)",
        o=outbox.acme,
        w=webhook_id,
        t=threads[-1].id,
        p=following,
    )
    assert database.change("UPDATE deliveries SET step = 5, first_attempt_at_ms = 1 WHERE position = :p", p=alone) == 1

    def enable(tx: Connection) -> dict[str, int]:
        recorded = Recorded(tx)
        endpoints.update_webhook(
            tx, outbox.acme, webhook_id, SEALS, {"enabled": True}, actor="test", now_ms=outbox.now_ms
        )
        return recorded.written

    written = outbox.database.write_now(enable)
    assert (written["deliveries"], written["delivery_queues"]) == (4, 5)  # of 60, and of 21
    begun = database.rows("SELECT step, first_attempt_at_ms, state FROM deliveries")
    assert {tuple(row.values()) for row in begun} == {(0, None, "waiting")}
    assert outbox.queues() == [(0, position) for position in positions[::3]]
    assert len(outbox.claim()) == RULES.per_webhook


def test_sqlite_scans_no_log_to_set_deliveries_aside_or_release_them(databases: Databases, tmp_path: Path) -> None:
    installation = Installation(databases.copy("sqlite", "world"), tmp_path)
    people = databases.world("sqlite")
    settings = Settings(database_url=installation.database.url, secret_key=SECRET_KEY)  # type: ignore[arg-type]
    outbox = Outbox(installation, people, open_database(settings))
    webhook_id = outbox.webhook()
    outbox.transfer(outbox.thread())

    def plans(tx: Connection, enabled: bool) -> list[str]:
        recorded = Recorded(tx)
        endpoints.update_webhook(
            tx, outbox.acme, webhook_id, SEALS, {"enabled": enabled}, actor="test", now_ms=outbox.now_ms
        )
        return recorded.plans()

    installation.database.change("UPDATE webhooks SET enabled = false, disabled_reason = 'failing'")
    for enabled in (True, False):
        found = [plan for plan in outbox.database.write_now(plans, enabled) if "deliveries" in plan]
        assert found, "nothing was looked for"
        for plan in found:
            assert "ix_deliveries_unsettled" in plan or "position=?" in plan, plan
    outbox.database.engine.dispose()
    databases.drop(installation.database)


def test_a_transfer_is_queued_with_a_fixed_number_of_statements(outbox: Outbox) -> None:
    thread = outbox.thread()

    def statements(tx: Connection) -> int:
        recorded = Recorded(tx)
        record.record(tx, outbox.acme, "transfer", actor=SYSTEM, now_ms=outbox.now_ms, thread=thread)
        return len(recorded.statements)

    outbox.webhook()
    one = outbox.database.write_now(statements)
    for _ in range(9):
        outbox.webhook()
    assert outbox.database.write_now(statements) == one
    promised = outbox.installation.database.rows("SELECT position FROM deliveries ORDER BY position")
    first, *second = [row["position"] for row in promised]
    assert second == [first + 1] * 10
    assert outbox.queues() == [(0, first)] + [(0, first + 1)] * 9
