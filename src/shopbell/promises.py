"""What a batch of messages promises the world, worked out in memory: events, deliveries, places in threads and feeds.

Pure: ``promise_statements.py`` writes what is worked out here.
"""

from collections import Counter
from collections.abc import Iterable

from shopbell.storage.rowset import Row

ThreadKey = tuple[int, int, int]
"""Organization, customer, business: there is one thread of each."""

IdempotencyKey = tuple[int, int, str, str]
"""Organization, token, route and the client's own key."""


class Promises:
    """The messages of a batch in the order in which they were placed, and what each of them promises.

    Args:
        now_ms: the time of the batch in Unix ms.
        subscriptions: organization and webhook, of each webhook that is told of messages.
        customer_changes: organization and how often its customers had changed when the batch looked them up.
    """

    def __init__(
        self, now_ms: int, subscriptions: Iterable[tuple[int, int]], customer_changes: Iterable[tuple[int, int]]
    ) -> None:
        self._now_ms = now_ms
        self._customer_changes = dict(customer_changes)
        self._webhooks: dict[int, list[int]] = {}
        for organization_id, webhook_id in subscriptions:
            self._webhooks.setdefault(organization_id, []).append(webhook_id)
        self._in_thread: Counter[ThreadKey] = Counter()
        self._in_feed: Counter[int] = Counter()
        self._messages: list[tuple[ThreadKey, int, int, int]] = []

    def add(self, thread: ThreadKey, message_id: int) -> int:
        """Place a message.

        Returns:
            Its place among the batch's messages of this thread, from 1 on.
        """
        self._in_thread[thread] += 1
        self._in_feed[thread[0]] += 1
        place = self._in_thread[thread]
        self._messages.append((thread, place, message_id, self._in_feed[thread[0]]))
        return place

    def add_unseen(self, organization_id: int) -> None:
        """Place a message that promises nothing, but that its customer is the one that was looked up."""
        self._in_feed[organization_id] += 0

    def count(self, thread: ThreadKey) -> int:
        """How many messages of the batch are the thread's."""
        return self._in_thread[thread]

    def rows(self, keys: Iterable[tuple[IdempotencyKey, str | None, ThreadKey, int | None]]) -> dict[str, list[Row]]:
        """What the promise statements take.

        Args:
            keys: for each idempotency key what its body says, its thread, and the id that its answer carries: None for
                the thread's own.
        """
        now_ms = self._now_ms
        deliveries: list[Row] = []
        queues: dict[tuple[ThreadKey, int], Row] = {}
        events: list[Row] = []
        for thread, place, message_id, place_in_feed in self._messages:
            behind = self._in_thread[thread] - place
            event_behind = self._in_feed[thread[0]] - place_in_feed
            events.append((*thread, behind, event_behind, message_id, now_ms))
            for webhook_id in self._webhooks.get(thread[0], ()):
                delivery = (*thread, webhook_id, event_behind, now_ms)
                deliveries.append(delivery)
                queues.setdefault((thread, webhook_id), delivery)  # it begins with the first of them
        return {
            "moved_feeds": [
                (organization_id, count, self._customer_changes.get(organization_id, 0))
                for organization_id, count in sorted(self._in_feed.items())
            ],
            "new_events": events,
            "new_deliveries": deliveries,
            "new_queues": list(queues.values()),
            "new_keys": sorted(
                (*thread, *key[1:], body_hash, result_id, now_ms) for key, body_hash, thread, result_id in keys
            ),
        }
