"""Scheduled messages with several senders, while employees cancel them."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from harness.installation import Installation
from harness.scheduling import ROUTE, schedule, scheduled
from harness.shop import Shop
from harness.waiting import wait_until
from harness.workers import WorkerProcess
from harness.world import World

MESSAGES = 200
SENDERS = 3
HOUR_MS = 3_600_000


@pytest.fixture
def shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A server of its own, and workers beside it."""
    with ExitStack() as stack:
        server = stack.enter_context(installation.serving(run_worker=False))
        for number in range(SENDERS):
            worker = WorkerProcess(installation, number, poll_interval_s=0.05)
            stack.callback(worker.stop)
            worker.wait_until_started()
        yield Shop(server, people)


def _left(shop: Shop) -> int:
    left: int = shop.database.value("SELECT count(*) FROM scheduled_messages WHERE state = 'scheduled'")
    return left


def _sent(shop: Shop) -> Counter[str]:
    rows = shop.database.rows("SELECT body FROM messages WHERE NOT from_customer")
    return Counter(row["body"] for row in rows)


def test_each_message_is_either_cancelled_or_sent_once(shop: Shop) -> None:
    threads = [shop.send() for _ in range(10)]
    at_ms = time.time_ns() // 1_000_000 + HOUR_MS

    def place(number: int) -> str:
        thread_id = threads[number % len(threads)]
        return scheduled(shop, thread_id, text=f"text {number}", sendAt=at_ms + number, delayMs=None)

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(place, range(MESSAGES)))
        # They are cancelled in the order in which they are due, about when they are: the hour passes at once.
        early_ms = at_ms - time.time_ns() // 1_000_000
        shop.database.change("UPDATE scheduled_messages SET send_at_ms = send_at_ms - :early_ms", early_ms=early_ms)
        answers = list(pool.map(lambda id_: shop.post({}, path=f"{ROUTE}/{id_}/cancel"), ids))
    wait_until(lambda: _left(shop) == 0, lambda: f"{_left(shop)} messages are left")
    assert {answer.status_code for answer in answers} <= {200, 409}
    kept = {f"text {number}" for number, answer in enumerate(answers) if answer.status_code == 409}
    assert _sent(shop) == dict.fromkeys(kept, 1)
    sent = shop.database.rows("SELECT message_id FROM scheduled_messages WHERE state = 'sent'")
    assert len({row["message_id"] for row in sent}) == len(kept)
    for thread_id in threads:
        assert [message["sequence"] for message in shop.messages(thread_id)] == list(
            range(1, shop.thread(thread_id)["last_sequence"] + 1)
        )


def test_several_senders_and_replies_at_the_same_moment_send_each_message_once(shop: Shop) -> None:
    threads = [shop.send() for _ in range(4)]
    bodies = [
        {"customerThreadId": threads[number % 4], "text": f"direct {number}", "delayMs": None}
        for number in range(MESSAGES // 2)
    ]

    def write(number: int) -> int:
        if number % 2:
            return schedule(shop, threads[number % 4], text=f"later {number}", delayMs=number % 50).status_code
        body = {name: value for name, value in bodies[number // 2].items() if value is not None}
        return shop.post(body, path="/api/send-message-to-customer-thread").status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(write, range(MESSAGES)))
    assert statuses == {200: MESSAGES}
    wait_until(lambda: _left(shop) == 0, lambda: f"{_left(shop)} messages are left")
    later = {f"later {number}" for number in range(MESSAGES) if number % 2}
    direct = {f"direct {number}" for number in range(MESSAGES // 2)}
    assert _sent(shop) == dict.fromkeys(later | direct, 1)
