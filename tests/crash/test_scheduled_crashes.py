"""A killed worker loses no scheduled message, and sends none twice."""

import random
import time
from collections import Counter
from dataclasses import replace

from broken_schedules import program

from harness.installation import Installation
from harness.scheduling import scheduled
from harness.shop import Shop
from harness.waiting import wait_until
from harness.workers import WorkerProcess
from harness.world import World

MESSAGES = 600
KILLS = 8


def _sent_despite_kills(installation: Installation, people: World, worker: Installation) -> Counter[str]:
    """Kill workers while they send; returns how often each message was sent."""
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        threads = [shop.send() for _ in range(6)]
        for number in range(MESSAGES):
            scheduled(shop, threads[number % 6], text=f"text {number}", delayMs=0)

        def sent() -> int:
            count: int = shop.database.value("SELECT count(*) FROM messages WHERE NOT from_customer")
            return count

        def send_until_killed(number: int) -> None:
            process, before = WorkerProcess(worker, number, poll_interval_s=0.05), sent()
            wait_until(lambda: sent() > before or before == MESSAGES, lambda: process.log)
            time.sleep(random.uniform(0, 0.02))
            process.kill()

        for number in range(KILLS):
            send_until_killed(number)
        last = WorkerProcess(installation, KILLS, poll_interval_s=0.05)
        left = "SELECT count(*) FROM scheduled_messages WHERE state = 'scheduled'"
        wait_until(lambda: shop.database.value(left) == 0, lambda: last.log)
        last.terminate()
        states = Counter(row["state"] for row in shop.database.rows("SELECT state FROM scheduled_messages"))
        assert states == {"sent": MESSAGES}
        rows = shop.database.rows("SELECT body FROM messages WHERE NOT from_customer")
    return Counter(row["body"] for row in rows)


def test_kill_9_of_the_sender_loses_and_doubles_no_message(installation: Installation, people: World) -> None:
    sent = _sent_despite_kills(installation, people, installation)
    assert sent == {f"text {number}": 1 for number in range(MESSAGES)}


def test_control_a_sender_with_two_transactions_sends_twice(installation: Installation, people: World) -> None:
    broken = replace(installation, server_program=program("notes_afterwards"))
    sent = _sent_despite_kills(installation, people, broken)
    assert set(sent) == {f"text {number}" for number in range(MESSAGES)}
    assert max(sent.values()) > 1
