"""Webhooks created, changed, resent and deleted while messages arrive."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from sqlalchemy import text

from harness.installation import Installation
from harness.shop import Shop
from harness.world import World

HOOKS = "/api/webhooks"
ROUNDS = 12
NEW = {"url": "https://receiver.example/", "subscribedEvents": ["messages"]}


@pytest.fixture
def quiet_shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A separate server that delivers nothing."""
    with installation.serving(run_worker=False) as server:
        yield Shop(server, people)


def _forgotten(shop: Shop) -> list[dict[str, Any]]:
    """Threads of which something waits, but whose queue does not begin with its first; and the other way round."""
    return shop.database.rows("""
        SELECT * FROM
            (SELECT webhook_id, thread_id, min(position) AS first FROM deliveries AS one WHERE state = 'waiting'
             AND NOT EXISTS (SELECT 1 FROM delivery_queues AS beside WHERE beside.webhook_id = one.webhook_id
                             AND beside.thread_id = one.thread_id AND beside.background = one.position)
             GROUP BY webhook_id, thread_id) AS waiting
            FULL JOIN (SELECT webhook_id, thread_id, position FROM delivery_queues WHERE background = 0) AS queue
            ON queue.webhook_id = waiting.webhook_id AND queue.thread_id = waiting.thread_id
        WHERE first IS NULL OR position IS NULL OR first <> position
    """)


def test_no_delivery_is_lost_while_webhooks_are_changed_and_resent(quiet_shop: Shop) -> None:
    shop = quiet_shop
    hooks = [shop.post(NEW, path=HOOKS).json()["id"] for _ in range(3)]
    done = Event()
    statuses: Counter[int] = Counter()

    def write(number: int) -> None:
        people = [f"carol{number}.{each}@example.com" for each in range(3)]
        while not done.is_set():
            for email in people:
                statuses[shop.post(shop.body(user={"email": email})).status_code] += 1

    def change(webhook_id: str) -> None:
        for _ in range(ROUNDS):
            for path, body in (
                ("update", {"enabled": False}),
                ("update", {"enabled": True}),
                ("deliveries/replay", {"since": 0, "state": "skipped"}),
                ("rotate-secret", {}),
                ("test", {}),
            ):
                statuses[shop.post(body, path=f"{HOOKS}/{webhook_id}/{path}").status_code] += 1

    with ThreadPoolExecutor(5) as pool:
        writers = [pool.submit(write, number) for number in range(2)]
        changes = [pool.submit(change, webhook_id) for webhook_id in hooks]
        for each in changes:
            each.result()
        done.set()
        for each in writers:
            each.result()
    assert set(statuses) == {200}
    # What came between being switched off and a message that was under way is not promised to anybody: switch again.
    for webhook_id in hooks:
        assert shop.post({"enabled": False}, path=f"{HOOKS}/{webhook_id}/update").status_code == 200
        assert shop.post({"enabled": True}, path=f"{HOOKS}/{webhook_id}/update").status_code == 200
        again = shop.post({"since": 0, "state": "skipped"}, path=f"{HOOKS}/{webhook_id}/deliveries/replay").json()
        assert again["replayed"] > 0
    assert _forgotten(shop) == []
    shop.database.change("DELETE FROM delivery_queues WHERE webhook_id = :id", id=int(hooks[0]))
    assert _forgotten(shop) != []  # it would have been seen


def test_disabling_a_webhook_waits_for_the_message_being_written(quiet_shop: Shop) -> None:
    shop = quiet_shop
    webhook_id = shop.post(NEW, path=HOOKS).json()["id"]
    shop.send()
    of = {"organization": int(shop.world.acme), "webhook": int(webhook_id)}
    with ThreadPoolExecutor(1) as pool, shop.database.connection() as message:
        # As a message does: the feed first, then its deliveries and their queues.
        message.execute(text("UPDATE feeds SET last_position = 900 WHERE organization_id = :organization"), of)
        message.execute(
            text(
                "INSERT INTO deliveries (organization_id, webhook_id, position, thread_id, state, created_at_ms) "
                "VALUES (:organization, :webhook, 900, 77, 'waiting', 1)"
            ),
            of,
        )
        message.execute(
            text(
                "INSERT INTO delivery_queues (organization_id, webhook_id, thread_id, background, position, due_at_ms) "
                "VALUES (:organization, :webhook, 77, 0, 900, 1)"
            ),
            of,
        )
        off = pool.submit(shop.post, {"enabled": False}, path=f"{HOOKS}/{webhook_id}/update")
        with pytest.raises(TimeoutError):
            off.result(timeout=2)
        message.commit()
        assert off.result().status_code == 200
    states = shop.database.rows("SELECT state FROM deliveries WHERE webhook_id = :webhook", webhook=int(webhook_id))
    assert [row["state"] for row in states] == ["skipped", "skipped"]
    assert shop.count("delivery_queues") == 0


def test_of_many_webhooks_created_concurrently_only_fifty_are_accepted(quiet_shop: Shop) -> None:
    for _ in range(46):
        assert quiet_shop.post(NEW, path=HOOKS).status_code == 200
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: quiet_shop.post(NEW, path=HOOKS).status_code, range(16)))
    assert sorted(made) == [200] * 4 + [409] * 12
