"""The side effects of messages on SQLite.

Events, deliveries to webhooks, and idempotency keys. ``messages_sqlite.py`` and ``replies_sqlite.py`` call these
functions in their transactions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shopbell.conversations.side_effects import ThreadKey
from shopbell.db.rowset import Row
from shopbell.db.sqlite_rows import fetch_rows, write_rows

_FIND_KEYS = """
    SELECT organization_id, caller_id, route, used.key, body_hash, result_id, created_at_ms
    FROM json_each(?) AS wanted
    CROSS JOIN idempotency_keys AS used ON organization_id = wanted.value ->> 0 AND caller_id = wanted.value ->> 1
                                       AND route = wanted.value ->> 2 AND used.key = wanted.value ->> 3
"""
_FIND_SUBSCRIPTIONS = """
    SELECT organization_id, webhook_id
    FROM json_each(?) AS subscriber
    CROSS JOIN webhook_subscriptions ON organization_id = subscriber.value ->> 0 AND topic = 'messages'
"""
# Without "WHERE true", SQLite takes ON CONFLICT for the condition of a join.
_MOVE_FEEDS = """
    INSERT INTO feeds (organization_id, last_position)
    SELECT value ->> 0, value ->> 1 FROM json_each(?) WHERE true
    ON CONFLICT (organization_id) DO UPDATE SET last_position = feeds.last_position + excluded.last_position
    RETURNING organization_id, last_position
"""
_ADD_EVENTS = """
    INSERT INTO events (organization_id, position, type, business_id, customer_id, thread_id, thread_sequence,
                        message_id, created_at_ms)
    VALUES (?, ?, 'message', ?, ?, ?, ?, ?, ?)
"""
_ADD_REPLY_EVENTS = """
    INSERT INTO events (organization_id, position, type, business_id, customer_id, thread_id, thread_sequence,
                        message_id, created_at_ms, actor_type, actor_id)
    VALUES (?, ?, 'message', ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ADD_DELIVERIES = """
    INSERT INTO deliveries (organization_id, webhook_id, position, thread_id, state, created_at_ms)
    VALUES (?, ?, ?, ?, 'waiting', ?)
"""
_ADD_QUEUES = """
    INSERT INTO delivery_queues (organization_id, webhook_id, position, thread_id, background, due_at_ms)
    VALUES (?, ?, ?, ?, 0, ?)
    ON CONFLICT (organization_id, webhook_id, thread_id, background) DO NOTHING
"""
_ADD_KEYS = """
    INSERT INTO idempotency_keys (organization_id, caller_id, route, key, body_hash, result_id, created_at_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_FORGET_KEYS = """
    DELETE FROM idempotency_keys
    WHERE organization_id = ? AND caller_id = ? AND route = ? AND key = ? AND created_at_ms = ?
"""

Threads = dict[ThreadKey, tuple[int, int]]
"""The threads of a batch, each with its id and its last sequence after the batch."""


def find_side_effects(tx: Any, arguments: Mapping[str, Sequence[Row]]) -> tuple[list[Row], list[Row], list[Row]]:
    """Find used idempotency keys and the webhooks that subscribe to messages.

    The third list is empty: ``customer_changes`` cannot change during a transaction of the only writer.
    """
    return (
        fetch_rows(tx, _FIND_KEYS, arguments["wanted_keys"]),
        fetch_rows(tx, _FIND_SUBSCRIPTIONS, arguments["subscribers"]),
        [],
    )


def forget_keys(tx: Any, arguments: Mapping[str, Sequence[Row]]) -> None:
    """Delete expired keys that are used again."""
    write_rows(tx, _FORGET_KEYS, arguments["forgotten"])


def write_side_effects(
    tx: Any, rows: Mapping[str, Sequence[Row]], threads: Threads, actors: Sequence[Row] | None = None
) -> None:
    """Write the events, deliveries, queues and idempotency keys of a batch.

    Args:
        actors: type and id of the actor of each event; None for customers.
    """
    moved = [(organization_id, count) for organization_id, count, _ in rows["moved_feeds"] if count]
    positions: dict[int, int] = dict(fetch_rows(tx, _MOVE_FEEDS, moved))
    events = []
    for organization_id, customer_id, business_id, behind, event_behind, message_id, now_ms in rows["new_events"]:
        thread_id, last_sequence = threads[organization_id, customer_id, business_id]
        position = positions[organization_id] - event_behind
        sequence = last_sequence - behind
        events.append((organization_id, position, business_id, customer_id, thread_id, sequence, message_id, now_ms))
    if actors is None:
        write_rows(tx, _ADD_EVENTS, events)
    else:
        write_rows(tx, _ADD_REPLY_EVENTS, [(*event, *actor) for event, actor in zip(events, actors, strict=True)])
    for sql, name in ((_ADD_DELIVERIES, "new_deliveries"), (_ADD_QUEUES, "new_queues")):
        write_rows(tx, sql, _deliveries(rows[name], threads, positions))
    write_rows(
        tx,
        _ADD_KEYS,
        [(key[0], *key[3:7], threads[key[:3]][0] if key[7] is None else key[7], key[8]) for key in rows["new_keys"]],
    )


def _deliveries(rows: Sequence[Row], threads: Threads, positions: dict[int, int]) -> list[Row]:
    return [
        (
            organization_id,
            webhook_id,
            positions[organization_id] - event_behind,
            threads[organization_id, customer_id, business_id][0],
            now_ms,
        )
        for organization_id, customer_id, business_id, webhook_id, event_behind, now_ms in rows
    ]
