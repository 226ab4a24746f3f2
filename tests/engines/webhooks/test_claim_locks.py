"""What a claim does while others change what it has read, and how its last statements are sent."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from harness.installation import SECRET_KEY, Installation
from harness.outbox import Outbox
from harness.world import World
from shopbell.db.connect import open_database
from shopbell.db.last_writes import last_writes
from shopbell.settings.settings import Settings
from shopbell.webhooks import claim

only_postgresql = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


@pytest.fixture
def outbox(installation: Installation, people: World) -> Iterator[Outbox]:
    """The outbox of a database of its own."""
    settings = Settings(database_url=installation.database.url, secret_key=SECRET_KEY)  # type: ignore[arg-type]
    database = open_database(settings)
    yield Outbox(installation, people, database)
    database.engine.dispose()


def change_during_the_claim(outbox: Outbox, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another transaction change something after the claim has read the deliveries."""
    read = claim.read

    def read_and_change(tx: Connection, keys: list[claim.DeliveryKey]) -> object:
        rows = read(tx, keys)
        outbox.installation.database.change(sql)
        return rows

    monkeypatch.setattr(claim, "read", read_and_change)


@only_postgresql  # on SQLite, others cannot write during a claim
@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM delivery_queues",  # as an erasure does
        "UPDATE delivery_queues SET due_at_ms = due_at_ms - 1",  # as another worker and a replay do
        "UPDATE delivery_queues SET position = position + 1",
    ],
)
def test_a_queue_that_changes_during_a_claim_is_not_claimed(
    outbox: Outbox, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.webhook()
    outbox.transfer(outbox.thread())
    change_during_the_claim(outbox, sql, monkeypatch)
    assert outbox.claim() == []
    (row,) = outbox.installation.database.rows("SELECT attempts, body FROM deliveries")
    assert row == {"attempts": 0, "body": None}


@only_postgresql
def test_a_claim_continues_after_an_unrelated_change(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox.webhook()
    outbox.transfer(outbox.thread())
    change_during_the_claim(outbox, "UPDATE webhooks SET failures = 0 WHERE id = 0", monkeypatch)
    assert len(outbox.claim()) == 1


def test_the_last_writes_are_committed(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()

    def write(tx: Connection) -> None:
        with last_writes(tx):
            tx.execute(text("UPDATE webhooks SET failures = failures + 1"))
            tx.execute(text("UPDATE webhooks SET failures = failures * 10"))

    outbox.database.write_now(write)
    assert outbox.row(webhook_id)["failures"] == 10


def test_nothing_is_stored_if_one_of_the_last_writes_fails(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()

    def write(tx: Connection) -> None:
        with last_writes(tx):
            tx.execute(text("UPDATE webhooks SET failures = 5"))
            tx.execute(text("UPDATE webhooks SET disabled_reason = 'no such reason'"))
            tx.execute(text("UPDATE webhooks SET failures = 6"))

    with pytest.raises(DBAPIError):
        outbox.database.write_now(write)
    assert outbox.row(webhook_id)["failures"] == 0


@only_postgresql
def test_a_transaction_whose_last_writes_lose_a_race_runs_again(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()
    runs: list[Connection] = []

    def write(tx: Connection) -> None:
        runs.append(tx)
        with last_writes(tx):
            tx.execute(text("UPDATE webhooks SET failures = failures + 1"))
            if len(runs) == 1:
                tx.execute(text("DO $$ BEGIN RAISE EXCEPTION 'too late' USING ERRCODE = '40001'; END $$"))

    outbox.database.write_now(write)
    assert (len(runs), outbox.row(webhook_id)["failures"]) == (2, 1)
