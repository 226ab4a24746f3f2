"""SQL of ``create_replies`` for PostgreSQL."""

from shopbell.conversations.side_effects_postgresql import (
    FOUND_CHANGES,
    FOUND_KEYS,
    FOUND_SUBSCRIPTIONS,
    REPLY_SIDE_EFFECT_ROWSETS,
    SIDE_EFFECTS,
    SUBSCRIBERS,
    WANTED_KEYS,
)
from shopbell.db.rowset import PostgresStatement, Rowset, decode_row_of_json

WANTED = Rowset("wanted_threads", organization_id=int, thread_id=int, by_whatsapp=int)
SEEN = Rowset("seen", organization_id=int, id=int)

_THREAD = "id, customer_id, business_id, channel, last_reply_sequence, last_reply_author_id, last_other_reply_sequence"
# Searched backwards from the end of the conversation, and only if a reply may be sent by WhatsApp.
_LAST_BY_WHATSAPP = """
    CASE WHEN wanted_threads.by_whatsapp = 1 OR threads.channel = 'WHATSAPP' THEN
        (SELECT messages.created_at_ms FROM messages
         WHERE messages.organization_id = threads.organization_id AND messages.thread_id = threads.id
           AND messages.channel = 'WHATSAPP' AND messages.from_customer
         ORDER BY messages.sequence DESC LIMIT 1) END
"""
_ERASED = """
    (SELECT erased_at_ms FROM customers
     WHERE customers.organization_id = threads.organization_id AND customers.id = threads.customer_id)
"""

FIND_THREADS = PostgresStatement(
    (WANTED, SEEN, WANTED_KEYS, SUBSCRIBERS),
    f"""
        SELECT (SELECT json_agg(json_build_array(organization_id, {_THREAD}, last_by_whatsapp_ms,
                                                          erased_at_ms))
                FROM {WANTED.postgresql}
                CROSS JOIN LATERAL (
                    SELECT {_THREAD}, {_LAST_BY_WHATSAPP} AS last_by_whatsapp_ms, {_ERASED} AS erased_at_ms
                    FROM threads
                    WHERE threads.organization_id = wanted_threads.organization_id
                      AND threads.id = wanted_threads.thread_id
                    OFFSET 0) AS known),
               (SELECT json_agg(json_build_array(seen.organization_id, seen.id, thread_id, sequence))
                FROM {SEEN.postgresql}
                CROSS JOIN LATERAL (
                    SELECT thread_id, sequence FROM messages
                    WHERE messages.organization_id = seen.organization_id AND messages.id = seen.id
                    OFFSET 0) AS known),
               {FOUND_KEYS},
               {FOUND_SUBSCRIPTIONS},
               {FOUND_CHANGES}
    """,
    decode_row_of_json,
)

ANSWERED = Rowset(
    "answered",
    organization_id=int,
    id=int,
    customer_id=int,
    business_id=int,
    count=int,
    effect=str,
    author_id=int,
    visible_behind=int,
    other_behind=int,
    expected_reply=int,
    now_ms=int,
)
REPLIES = Rowset(
    "replies",
    organization_id=int,
    customer_id=int,
    business_id=int,
    behind=int,
    id=int,
    internal=int,
    body=str,
    employee_id=int,
    attachment_id=int,
    content_sid=str,
    channel=str,
    external_id=str,
    created_at_ms=int,
)
WRITE_REPLIES = PostgresStatement(
    (ANSWERED, REPLIES, *REPLY_SIDE_EFFECT_ROWSETS),
    f"SELECT store_messages_v1(answered => %(answered)s, new_messages => %(replies)s, {SIDE_EFFECTS})",
)
