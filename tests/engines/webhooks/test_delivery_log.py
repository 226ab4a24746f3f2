"""The cost of a page or a resend does not depend on the log's length."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from harness.databases import Databases
from harness.installation import SECRET_KEY, Database, Installation
from harness.outbox import Outbox
from harness.shop import Shop
from harness.statements import Recorded
from harness.world import World
from shopbell.db.connect import open_database
from shopbell.settings.settings import Settings
from shopbell.webhooks import delivery_log
from shopbell.webhooks.delivery_log import REPLAY_PIECE

COUNT = 2 * REPLAY_PIECE + 7
HOUR_MS = 3_600_000


@pytest.fixture
def outbox(installation: Installation, people: World) -> Iterator[Outbox]:
    """The outbox of a database of its own."""
    yield from _outbox(installation, people)


@pytest.fixture
def outbox_on_sqlite(databases: Databases, tmp_path: Path) -> Iterator[Outbox]:
    """As above, on SQLite, which tells its plans."""
    installation = Installation(databases.copy("sqlite", "world"), tmp_path)
    yield from _outbox(installation, databases.world("sqlite"))
    databases.drop(installation.database)


def _outbox(installation: Installation, people: World) -> Iterator[Outbox]:
    settings = Settings(database_url=installation.database.url, secret_key=SECRET_KEY)  # type: ignore[arg-type]
    database = open_database(settings)
    yield Outbox(installation, people, database)
    database.engine.dispose()


def fill(database: Database, organization_id: int, webhook_id: int, *, state: str = "exhausted") -> None:
    """A log of many events, an hour between each two, seven conversations in turn."""
    rows = [
        f"(:organization, :webhook, {number}, {70 + number % 7}, :state, {number * HOUR_MS}, 1)"
        for number in range(1, COUNT + 1)
    ]
    columns = "(organization_id, webhook_id, position, thread_id, state, created_at_ms, settled_at_ms)"
    insert = f"INSERT INTO deliveries {columns} VALUES {', '.join(rows)}"
    database.change(insert, organization=organization_id, webhook=webhook_id, state=state)


def find(outbox: Outbox, webhook_id: int, **wanted: int | str) -> list[int]:
    """The positions of a page."""
    found = outbox.database.read_now(delivery_log.find, outbox.acme, webhook_id, limit=3, **wanted)  # type: ignore[arg-type]
    return [delivery.position for delivery in found]


def test_a_page_starts_at_the_requested_time(outbox: Outbox) -> None:
    webhook_id = outbox.webhook()
    assert find(outbox, webhook_id, since_ms=1) == []
    fill(outbox.installation.database, outbox.acme, webhook_id)
    assert find(outbox, webhook_id, since_ms=0) == [COUNT, COUNT - 1, COUNT - 2]
    assert find(outbox, webhook_id, since_ms=(COUNT - 1) * HOUR_MS) == [COUNT, COUNT - 1]
    assert find(outbox, webhook_id, since_ms=(COUNT - 1) * HOUR_MS + 1) == [COUNT]
    assert find(outbox, webhook_id, since_ms=COUNT * HOUR_MS + 1) == []
    for state, found in (("exhausted", [9, 8, 7]), ("skipped", []), ("waiting", []), ("delivered", [])):
        assert find(outbox, webhook_id, since_ms=HOUR_MS, before=10, state=state) == found


def test_differing_clocks_hide_no_delivery(outbox: Outbox) -> None:
    webhook_id, database = outbox.webhook(), outbox.installation.database
    fill(database, outbox.acme, webhook_id)
    noon_ms = 500 * HOUR_MS
    for position in (498, 499):  # written first, by a machine whose clock is five minutes fast
        database.change(
            "UPDATE deliveries SET created_at_ms = :at WHERE position = :p", at=noon_ms + 300_000, p=position
        )
    assert find(outbox, webhook_id, since_ms=noon_ms + 1, before=501) == [499, 498]
    again = outbox.database.write_now(
        delivery_log.replay_all,
        outbox.acme,
        webhook_id,
        state="exhausted",
        since_ms=noon_ms + 1,
        until_ms=501 * HOUR_MS,
        actor="test",
        now_ms=outbox.now_ms,
    )
    assert (again.count, again.more) == (2, False)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({"state": "exhausted"}, "ix_deliveries_failed (webhook_id=? AND state=?"),
        ({"state": "skipped", "since_ms": 9 * HOUR_MS}, "ix_deliveries_failed (webhook_id=? AND state=?"),
        ({"state": "waiting"}, "ix_deliveries_unsettled (webhook_id=?"),
        ({"since_ms": 9 * HOUR_MS}, "(organization_id=? AND webhook_id=? AND position>?"),
    ],
)
def test_sqlite_uses_an_index_for_every_filter(
    outbox_on_sqlite: Outbox, wanted: dict[str, int | str], index: str
) -> None:
    outbox, webhook_id = outbox_on_sqlite, outbox_on_sqlite.webhook()
    fill(outbox.installation.database, outbox.acme, webhook_id, state="delivered")

    def plans(tx: Connection) -> list[str]:
        recorded = Recorded(tx)
        delivery_log.find(tx, outbox.acme, webhook_id, limit=3, **wanted)  # type: ignore[arg-type]
        recorded.statements[:-1] = []
        return recorded.plans()

    (plan,) = [each for each in outbox.database.read_now(plans) if " deliveries " in f"{each} "]
    assert index in plan


def test_resending_works_in_batches(outbox: Outbox) -> None:
    webhook_id, database = outbox.webhook(), outbox.installation.database
    fill(database, outbox.acme, webhook_id)
    counts, after = [], 0
    more = True
    while more:
        done = outbox.database.write_now(
            delivery_log.replay_all,
            outbox.acme,
            webhook_id,
            state="exhausted",
            since_ms=0,
            after=after,
            actor="test",
            now_ms=outbox.now_ms,
        )
        counts.append(done.count)
        after, more = done.last, done.more
    assert counts == [REPLAY_PIECE, REPLAY_PIECE, 7]
    assert outbox.queues() == [(0, position) for position in range(1, 8)]
    assert database.value("SELECT count(*) FROM deliveries WHERE state = 'waiting'") == COUNT


def test_one_request_resends_several_batches(installation: Installation, people: World) -> None:
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        hook = {"url": "https://receiver.example/", "subscribedEvents": ["messages"]}
        webhook_id = shop.post(hook, path="/api/webhooks").json()["id"]
        fill(shop.database, int(people.acme), int(webhook_id))
        answer = shop.post({"since": 0}, path=f"/api/webhooks/{webhook_id}/deliveries/replay")
        assert answer.json() == {"result": "ok", "replayed": COUNT, "more": False}
        noted = shop.database.rows("SELECT action FROM audit_entries WHERE action = 'webhook.replay'")
        assert len(noted) == 1


def test_a_delivery_settled_during_a_resend_is_resent(outbox: Outbox) -> None:
    webhook_id, database = outbox.webhook(), outbox.installation.database
    position = outbox.transfer(outbox.thread())
    (claimed,) = outbox.claim()
    with ThreadPoolExecutor(1) as pool, database.connection() as settling:
        # As a worker does: the queue first, then the delivery that is at its head.
        settling.execute(text("UPDATE delivery_queues SET leased_until_ms = NULL"))
        again = pool.submit(
            outbox.database.write_now,
            delivery_log.replay,
            outbox.acme,
            webhook_id,
            claimed.position,
            actor="test",
            now_ms=outbox.now_ms,
        )
        with pytest.raises(TimeoutError):
            again.result(timeout=1)
        settling.execute(text("UPDATE deliveries SET state = 'exhausted', settled_at_ms = 2"))
        settling.execute(text("DELETE FROM delivery_queues"))
        settling.commit()
        again.result()
    assert (outbox.state(position), outbox.queues()) == ("waiting", [(position, position)])
