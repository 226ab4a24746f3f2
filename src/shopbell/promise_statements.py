"""What every message promises, whoever wrote it: its event, its deliveries to webhooks, and its idempotency key.

Pieces of the statements of ``message_statements.py`` and ``reply_statements.py``, in both spellings. All of it is
written in the transaction of the message, so that no crash comes between them.
"""

from collections.abc import Callable

from shopbell.storage.rowset import Part, Rowset, Statement

WANTED_KEYS = Rowset("wanted_keys", organization_id=int, token_id=int, route=str, key=str)
SUBSCRIBERS = Rowset("subscribers", organization_id=int)

FOUND_KEYS_SQLITE = f"""
    (SELECT json_group_array(json_array(organization_id, token_id, route, key, body_hash, result_id, created_at_ms))
     FROM {WANTED_KEYS.sqlite}
     CROSS JOIN idempotency_keys USING (organization_id, token_id, route, key))
"""
FOUND_KEYS_POSTGRESQL = f"""
    (SELECT coalesce(json_agg(json_build_array(organization_id, token_id, route, key,
                                               body_hash, result_id, created_at_ms)), '[]')::text
     FROM {WANTED_KEYS.postgresql}
     CROSS JOIN LATERAL (
         SELECT body_hash, result_id, created_at_ms FROM idempotency_keys AS known
         WHERE known.organization_id = wanted_keys.organization_id AND known.token_id = wanted_keys.token_id
           AND known.route = wanted_keys.route AND known.key = wanted_keys.key
         OFFSET 0) AS used)
"""
FOUND_SUBSCRIPTIONS_SQLITE = f"""
    (SELECT json_group_array(json_array(organization_id, webhook_id))
     FROM {SUBSCRIBERS.sqlite}
     CROSS JOIN webhook_subscriptions USING (organization_id)
     WHERE topic = 'messages')
"""
FOUND_SUBSCRIPTIONS_POSTGRESQL = f"""
    (SELECT coalesce(json_agg(json_build_array(organization_id, webhook_id)), '[]')::text
     FROM {SUBSCRIBERS.postgresql}
     CROSS JOIN LATERAL (
         SELECT webhook_id FROM webhook_subscriptions AS subscription
         WHERE subscription.organization_id = subscribers.organization_id AND subscription.topic = 'messages'
         OFFSET 0) AS subscribed)
"""
FOUND_CHANGES_SQLITE = f"""
    (SELECT json_group_array(json_array(organization_id, customer_changes))
     FROM {SUBSCRIBERS.sqlite} CROSS JOIN feeds USING (organization_id))
"""
FOUND_CHANGES_POSTGRESQL = f"""
    (SELECT coalesce(json_agg(json_build_array(organization_id, customer_changes)), '[]')::text
     FROM {SUBSCRIBERS.postgresql}
     CROSS JOIN LATERAL (
         SELECT customer_changes FROM feeds AS feed WHERE feed.organization_id = subscribers.organization_id
         OFFSET 0) AS changed)
"""

_FORGOTTEN = Rowset("forgotten", organization_id=int, token_id=int, route=str, key=str, created_at_ms=int)

FORGET_KEYS = Statement(
    rowsets=(_FORGOTTEN,),
    sqlite=(
        Part(f"""
            DELETE FROM idempotency_keys
            WHERE (organization_id, token_id, route, key, created_at_ms)
               IN (SELECT organization_id, token_id, route, key, created_at_ms FROM {_FORGOTTEN.sqlite})
        """),
    ),
    postgresql=f"""
        DELETE FROM idempotency_keys AS old USING {_FORGOTTEN.postgresql}
        WHERE old.organization_id = forgotten.organization_id AND old.token_id = forgotten.token_id
          AND old.route = forgotten.route AND old.key = forgotten.key
          AND old.created_at_ms = forgotten.created_at_ms
    """,
)
"""Expired keys that are used again; not the fresh row that another process has put in the place of one."""


_MOVED = Rowset("moved_feeds", organization_id=int, count=int, seen_changes=int)
_EVENTS = Rowset(
    "new_events",
    organization_id=int,
    customer_id=int,
    business_id=int,
    behind=int,
    event_behind=int,
    message_id=int,
    now_ms=int,
)
_DELIVERIES = Rowset(
    "new_deliveries",
    organization_id=int,
    customer_id=int,
    business_id=int,
    webhook_id=int,
    event_behind=int,
    now_ms=int,
)
_QUEUES = Rowset(
    "new_queues",
    organization_id=int,
    customer_id=int,
    business_id=int,
    webhook_id=int,
    event_behind=int,
    now_ms=int,
)
_KEYS = Rowset(
    "new_keys",
    organization_id=int,
    customer_id=int,
    business_id=int,
    token_id=int,
    route=str,
    key=str,
    body_hash=str,
    result_id=int,
    now_ms=int,
)
PROMISE_ROWSETS = (_MOVED, _EVENTS, _DELIVERIES, _QUEUES, _KEYS)

# The feed's row is the last lock that a transaction takes: on PostgreSQL the condition makes it wait for the threads.
# Who merges, blocks or erases a customer holds it, too, and counts up: where that happened after this batch looked its
# customers up, the division by zero undoes all of the statement, and the batch is run again (``postgres.py``).
_MOVE_FEEDS = """
    INSERT INTO feeds (organization_id, last_position, customer_changes)
    SELECT organization_id, count, seen_changes FROM {moved_feeds}
    WHERE {after_the_threads}
    ON CONFLICT (organization_id) DO UPDATE
    SET last_position = feeds.last_position + excluded.last_position
                        / CASE WHEN feeds.customer_changes = excluded.customer_changes THEN 1 ELSE 0 END
"""


def _beside_thread(name: str) -> str:
    """A rowset and the thread that each of its rows is of."""
    return f"""
        {{{name}}} {{join}} {{threads}} AS thread
          ON thread.organization_id = {name}.organization_id AND thread.customer_id = {name}.customer_id
         AND thread.business_id = {name}.business_id
    """


def _beside_feed(name: str) -> str:
    """As above, and the organization's feed."""
    return f"{_beside_thread(name)} {{join}} {{feeds}} AS feed ON feed.organization_id = {name}.organization_id"


_ADD_EVENTS = f"""
    INSERT INTO events (organization_id, position, type, business_id, customer_id, thread_id, thread_sequence,
                        message_id, created_at_ms)
    SELECT feed.organization_id, feed.last_position - event_behind, 'message', thread.business_id, thread.customer_id,
           thread.id, thread.last_sequence - behind, message_id, now_ms
    FROM {_beside_feed("new_events")}
"""
_ADD_DELIVERIES = f"""
    INSERT INTO deliveries (organization_id, webhook_id, position, thread_id, state, created_at_ms)
    SELECT feed.organization_id, webhook_id, feed.last_position - event_behind, thread.id, 'waiting', now_ms
    FROM {_beside_feed("new_deliveries")}
"""
# A row that is there is locked although nothing is changed: whoever settles the last delivery of a queue and takes its
# row away is waited for. Sorted, so that two processes never wait in a circle.
_ADD_QUEUES = f"""
    INSERT INTO delivery_queues (organization_id, webhook_id, thread_id, background, position, due_at_ms)
    SELECT feed.organization_id, webhook_id, thread.id, 0, feed.last_position - event_behind, now_ms
    FROM {_beside_feed("new_queues")}
    WHERE true
    ORDER BY feed.organization_id, webhook_id, thread.id
    ON CONFLICT (organization_id, webhook_id, thread_id, background) DO UPDATE SET due_at_ms = excluded.due_at_ms
    WHERE false
"""
_ADD_KEYS = f"""
    INSERT INTO idempotency_keys (organization_id, token_id, route, key, body_hash, result_id, created_at_ms)
    SELECT thread.organization_id, token_id, route, key, body_hash, coalesce(result_id, thread.id), now_ms
    FROM {_beside_thread("new_keys")}
"""

Spelling = Callable[[str], str]
"""Writes the rowsets and the tables into a piece, as one engine wants them."""


def spelled_for_sqlite(*rowsets: Rowset) -> Spelling:
    """How SQLite wants a piece that uses these rowsets."""
    names = {rowset.name: rowset.sqlite for rowset in rowsets}
    return lambda sql: sql.format(
        join="CROSS JOIN", threads="threads", feeds="feeds", after_the_threads="true", **names
    )


def spelled_for_postgresql(*rowsets: Rowset, after_the_threads: str = "true") -> Spelling:
    """How PostgreSQL wants a piece that uses these rowsets."""
    names = {rowset.name: rowset.postgresql for rowset in rowsets}
    # What one WITH query writes its neighbours cannot see in the table: they join what it returned.
    return lambda sql: sql.format(
        join="JOIN", threads="thread", feeds="feed", after_the_threads=after_the_threads, **names
    )


_sqlite = spelled_for_sqlite(*PROMISE_ROWSETS)

PROMISE_SQLITE = (
    Part(_sqlite(_MOVE_FEEDS), "moved_feeds"),
    Part(_sqlite(_ADD_EVENTS), "new_events"),
    Part(_sqlite(_ADD_DELIVERIES), "new_deliveries"),
    Part(_sqlite(_ADD_QUEUES), "new_queues"),
    Part(_sqlite(_ADD_KEYS), "new_keys"),
)


def promise_for_postgresql(after_the_threads: str) -> str:
    """What PostgreSQL writes of a promise: parts of a WITH query that has a part named ``thread``.

    Args:
        after_the_threads: a condition that is true, and is only known when all threads are locked.
    """
    spelled = spelled_for_postgresql(*PROMISE_ROWSETS, after_the_threads=after_the_threads)
    return f"""
             feed AS ({spelled(_MOVE_FEEDS)} RETURNING organization_id, last_position),
             added_events AS ({spelled(_ADD_EVENTS)}),
             added_deliveries AS ({spelled(_ADD_DELIVERIES)}),
             added_queues AS ({spelled(_ADD_QUEUES)}),
             added_keys AS ({spelled(_ADD_KEYS)})
    """
