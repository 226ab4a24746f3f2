"""Several actions on many conversations at once, while messages arrive."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.employees import hire
from harness.installation import Installation
from harness.shop import Shop
from harness.world import World

BULK, UNDO = "/api/inbox/bulk", "/api/inbox/undo"
THREADS = 150
ROUNDS = 4


@pytest.fixture
def shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A server of its own."""
    with installation.serving(run_worker=False) as server:
        yield Shop(server, people)


def test_actions_messages_and_undos_at_the_same_moment_lose_nothing(shop: Shop) -> None:
    emails = [shop.somebody() for _ in range(THREADS)]
    threads = [shop.send(user={"email": email}) for email in emails]
    employees = [hire(shop) for _ in range(3)]
    statuses: Counter[int] = Counter()

    def act(number: int) -> None:
        who = employees[number]
        actions: list[dict[str, Any]] = [
            {"type": "status", "status": "resolved"},
            {"type": "assign", "assigneeUserId": str(who.id)},
            {"type": "transfer", "businessId": (shop.world.paris, shop.world.boston)[number % 2]},
        ]
        for turn in range(ROUNDS):
            action = actions[(number + turn) % len(actions)]
            answer = who.browser.call(BULK, {"action": action, "customerThreadIds": threads[:: 1 if number else -1]})
            statuses[answer.status_code] += 1
            undone = who.browser.call(UNDO, {"actionId": answer.json()["actionId"]})
            statuses[undone.status_code] += 1
            assert undone.status_code == 200, undone.text + shop.server.log[-6000:]
            assert undone.json()["reversed"] + undone.json()["skipped"] == answer.json()["changed"]

    def write(number: int) -> None:
        for email in emails[number::4]:
            statuses[shop.post(shop.body(user={"email": email})).status_code] += 1

    with ThreadPoolExecutor(7) as pool:
        tasks = [pool.submit(act, number) for number in range(3)] + [pool.submit(write, number) for number in range(4)]
        for task in tasks:
            task.result()
    assert set(statuses) == {200}
    rows = shop.database.rows("SELECT id, last_sequence FROM threads")
    assert sum(row["last_sequence"] for row in rows) == 2 * THREADS
    for row in rows:
        sequences = [message["sequence"] for message in shop.messages(str(row["id"]))]
        assert sequences == list(range(1, row["last_sequence"] + 1))
    events = shop.database.rows("SELECT position FROM events WHERE organization_id = :id", id=int(shop.world.acme))
    positions = sorted(row["position"] for row in events)
    assert positions == list(range(1, len(positions) + 1))


def test_two_undos_at_the_same_moment_undo_once(shop: Shop) -> None:
    alice, threads = hire(shop), [shop.send() for _ in range(20)]
    action = {"type": "status", "status": "resolved"}
    done = alice.browser.call(BULK, {"action": action, "customerThreadIds": threads}).json()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: alice.browser.call(UNDO, {"actionId": done["actionId"]}), range(4)))
    assert {answer.text for answer in answers} == {answers[0].text}
    assert answers[0].json()["reversed"] == len(threads)
    assert shop.count("actions") == 2
    (changes,) = shop.database.rows("SELECT count(*) AS size FROM events WHERE type = 'status'")
    assert changes["size"] == 2 * len(threads)
