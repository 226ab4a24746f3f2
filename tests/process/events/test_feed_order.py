"""Feed positions follow commit order, so readers miss nothing."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.installation import Installation, Server
from harness.shop import Shop
from harness.world import World
from shopbell.events import record
from shopbell.events.actors import SYSTEM

SENDERS = 3
MESSAGES = 60
SLOW_TRANSACTIONS = 25
SLOW_S = 0.05


def _follow(server: Server, token: str, after: int, is_over: threading.Event) -> list[dict[str, Any]]:
    """Follow the feed as the reference says, until nothing more can come."""
    seen: list[dict[str, Any]] = []
    while True:
        was_over = is_over.is_set()
        query = {"after": after, "waitSeconds": 0 if was_over else 1, "limit": 7}
        page = server.client.get("/api/events", params=query, headers={"token": token}).json()
        assert not page["truncated"]
        seen += page["events"]
        after = page["lastPosition"]
        if was_over and not page["events"] and not page["hasMore"]:
            return seen


def _write_slowly(installation: Installation, organization_id: int) -> None:
    """Transactions that take their position long before they commit."""
    for _ in range(SLOW_TRANSACTIONS):
        with installation.database.connection() as tx:
            record.record(tx, organization_id, "business-updated", actor=SYSTEM, now_ms=1, business_id=1)
            time.sleep(SLOW_S)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_feed_reader_misses_nothing_during_concurrent_writes(installation: Installation, people: World) -> None:
    # Boston has no address: that it cannot be told would be one more event of each conversation.
    installation.database.change("UPDATE businesses SET tells_store = :told", told=False)
    with installation.serving() as first, installation.serving() as second:
        shops = [Shop(first, people), Shop(second, people)]
        token = people.token
        latest = first.client.get("/api/events", params={"after": "latest"}, headers={"token": token})
        before = latest.json()["lastPosition"]
        is_over = threading.Event()

        def send(shop: Shop) -> list[str]:
            return [shop.send() for _ in range(MESSAGES)]

        with ThreadPoolExecutor() as pool:
            followers = [pool.submit(_follow, shop.server, token, before, is_over) for shop in shops]
            slow = pool.submit(_write_slowly, installation, int(people.acme))
            sending = [pool.submit(send, shop) for shop in shops for _ in range(SENDERS)]
            sent = {thread_id for sender in sending for thread_id in sender.result()}
            slow.result()
            is_over.set()
            seen_by = [follower.result() for follower in followers]

    written = len(sent) + SLOW_TRANSACTIONS
    assert len(sent) == 2 * SENDERS * MESSAGES
    for seen in seen_by:
        assert [event["position"] for event in seen] == list(range(before + 1, before + 1 + written))
        assert {event["customerThreadId"] for event in seen if event["type"] == "message"} == sent
