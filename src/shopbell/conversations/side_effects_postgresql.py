"""The side effects of messages on PostgreSQL.

Events, deliveries to webhooks, and idempotency keys. ``messages_postgresql.py`` and ``replies_postgresql.py`` put these
pieces into their own statements: a message and its side effects are one transaction, so a crash cannot separate them.
The function ``store_messages_v1`` writes both (``db/schema/functions/store_messages_v1.sql``).
"""

from shopbell.db.rowset import PostgresStatement, Rowset

WANTED_KEYS = Rowset("wanted_keys", organization_id=int, caller_id=int, route=str, key=str)
SUBSCRIBERS = Rowset("subscribers", organization_id=int)

FOUND_KEYS = f"""
    (SELECT json_agg(json_build_array(organization_id, caller_id, route, key,
                                               body_hash, result_id, created_at_ms))
     FROM {WANTED_KEYS.postgresql}
     CROSS JOIN LATERAL (
         SELECT body_hash, result_id, created_at_ms FROM idempotency_keys AS known
         WHERE known.organization_id = wanted_keys.organization_id AND known.caller_id = wanted_keys.caller_id
           AND known.route = wanted_keys.route AND known.key = wanted_keys.key
         OFFSET 0) AS used)
"""
FOUND_SUBSCRIPTIONS = f"""
    (SELECT json_agg(json_build_array(organization_id, webhook_id))
     FROM {SUBSCRIBERS.postgresql}
     CROSS JOIN LATERAL (
         SELECT webhook_id FROM webhook_subscriptions AS subscription
         WHERE subscription.organization_id = subscribers.organization_id AND subscription.topic = 'messages'
         OFFSET 0) AS subscribed)
"""
FOUND_CHANGES = f"""
    (SELECT json_agg(json_build_array(organization_id, customer_changes))
     FROM {SUBSCRIBERS.postgresql}
     CROSS JOIN LATERAL (
         SELECT customer_changes FROM feeds AS feed WHERE feed.organization_id = subscribers.organization_id
         OFFSET 0) AS changed)
"""

FORGOTTEN = Rowset("forgotten", organization_id=int, caller_id=int, route=str, key=str, created_at_ms=int)

FORGET_KEYS = PostgresStatement(
    (FORGOTTEN,),
    # The time is compared outside, so that PostgreSQL cannot choose the index of times. A join without LATERAL and
    # OFFSET 0 would read the whole table forever if it was small when the plan was made.
    f"""
    DELETE FROM idempotency_keys
    WHERE ctid = ANY (ARRAY(
        SELECT old.ctid FROM {FORGOTTEN.postgresql}
        CROSS JOIN LATERAL (
            SELECT ctid, created_at_ms FROM idempotency_keys AS known
            WHERE known.organization_id = forgotten.organization_id AND known.caller_id = forgotten.caller_id
              AND known.route = forgotten.route AND known.key = forgotten.key
            OFFSET 0) AS old
        WHERE old.created_at_ms = forgotten.created_at_ms))
    """,
)
"""A new row that another process stored under the same key stays."""


_MOVED = Rowset("moved_feeds", organization_id=int, count=int, seen_changes=int)
_NEW_EVENTS: dict[str, type[int]] = dict.fromkeys(
    ("organization_id", "customer_id", "business_id", "behind", "event_behind", "message_id", "now_ms"), int
)
_EVENTS = Rowset("new_events", **_NEW_EVENTS)
_REPLY_EVENTS = Rowset("new_events", **_NEW_EVENTS, actor_type=str, actor_id=int)
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
    caller_id=int,
    route=str,
    key=str,
    body_hash=str,
    result_id=int,
    now_ms=int,
)
SIDE_EFFECT_ROWSETS = (_MOVED, _EVENTS, _DELIVERIES, _QUEUES, _KEYS)
REPLY_SIDE_EFFECT_ROWSETS = (_MOVED, _REPLY_EVENTS, _DELIVERIES, _QUEUES, _KEYS)
"""The actor of a customer's message is not written, which is cheaper."""

SIDE_EFFECTS = ", ".join(f"{rowset.name} => %({rowset.name})s" for rowset in SIDE_EFFECT_ROWSETS)
"""Arguments of the function ``store_messages_v1``."""
