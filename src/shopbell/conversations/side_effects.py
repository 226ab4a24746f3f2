"""Plan the side effects of a batch of messages.

These are events, deliveries to webhooks, and places in threads and feeds.

Pure functions of their input: ``side_effects_sqlite.py`` and ``side_effects_postgresql.py`` write the result.
"""

from collections.abc import Iterable

from shopbell.db.rowset import Row

ThreadKey = tuple[int, int, int]
"""Organization, customer, business: each combination has one thread."""

IdempotencyKey = tuple[int, int, str, str]
"""Organization, caller (a token or an employee), route, and the key that the client sent."""


class PlannedThread:
    """A thread that gets messages in a batch.

    Args:
        key: identifies it.
        id_: its id, or the id that it gets if it does not exist.

    Attributes:
        count: the number of its messages in the batch.
    """

    __slots__ = ("count", "id", "key")

    def __init__(self, key: ThreadKey, id_: int) -> None:
        self.key = key
        self.id = id_
        self.count = 0


class SideEffects:
    """The messages of a batch in order, and the side effects of each.

    Args:
        now_ms: the time of the batch in Unix ms.
        subscriptions: organization and webhook of each webhook that subscribes to messages.
        customer_changes: organization and its ``customer_changes`` when the batch read its customers.
    """

    def __init__(
        self, now_ms: int, subscriptions: Iterable[tuple[int, int]], customer_changes: Iterable[tuple[int, int]]
    ) -> None:
        self._now_ms = now_ms
        self._customer_changes = dict(customer_changes)
        self._webhooks: dict[int, list[int]] = {}
        for organization_id, webhook_id in subscriptions:
            self._webhooks.setdefault(organization_id, []).append(webhook_id)
        self._in_feed: dict[int, int] = {}
        self._messages: list[tuple[PlannedThread, int, int, int]] = []

    def add(self, thread: PlannedThread, message_id: int) -> int:
        """Add a message.

        Returns:
            Its place among the messages of this thread in the batch, from 1.
        """
        place = thread.count = thread.count + 1
        organization_id = thread.key[0]
        place_in_feed = self._in_feed[organization_id] = self._in_feed.get(organization_id, 0) + 1
        self._messages.append((thread, place, message_id, place_in_feed))
        return place

    def add_unseen(self, organization_id: int) -> None:
        """Add a message of a blocked customer.

        No side effects, but on PostgreSQL the batch fails if customers have changed.
        """
        self._in_feed.setdefault(organization_id, 0)

    def rows(self, keys: Iterable[tuple[IdempotencyKey, str | None, ThreadKey, int | None]]) -> dict[str, list[Row]]:
        """The rows to write.

        Args:
            keys: each idempotency key with the hash of its body, its thread, and the id in its response: None for the
                id of the thread.
        """
        now_ms, in_feed = self._now_ms, self._in_feed
        deliveries: list[Row] = []
        queues: dict[tuple[ThreadKey, int], Row] = {}
        if self._webhooks:
            for thread, _, _, place_in_feed in self._messages:
                organization_id = thread.key[0]
                for webhook_id in self._webhooks.get(organization_id, ()):
                    delivery = (*thread.key, webhook_id, in_feed[organization_id] - place_in_feed, now_ms)
                    deliveries.append(delivery)
                    queues.setdefault((thread.key, webhook_id), delivery)  # the queue starts at the first one
        return {
            "moved_feeds": [
                (organization_id, count, self._customer_changes.get(organization_id, 0))
                for organization_id, count in sorted(in_feed.items())
            ],
            "new_events": [
                (*thread.key, thread.count - place, in_feed[thread.key[0]] - place_in_feed, message_id, now_ms)
                for thread, place, message_id, place_in_feed in self._messages
            ],
            "new_deliveries": deliveries,
            "new_queues": list(queues.values()),
            "new_keys": sorted(
                (*thread, *key[1:], body_hash, result_id, now_ms) for key, body_hash, thread, result_id in keys
            ),
        }
