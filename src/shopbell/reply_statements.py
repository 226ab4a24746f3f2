"""The statements of the organization's own messages, in both spellings; ``replies.py`` says what they are for."""

from shopbell.promise_statements import (
    FOUND_CHANGES_POSTGRESQL,
    FOUND_CHANGES_SQLITE,
    FOUND_KEYS_POSTGRESQL,
    FOUND_KEYS_SQLITE,
    FOUND_SUBSCRIPTIONS_POSTGRESQL,
    FOUND_SUBSCRIPTIONS_SQLITE,
    PROMISE_ROWSETS,
    PROMISE_SQLITE,
    SUBSCRIBERS,
    WANTED_KEYS,
    promise_for_postgresql,
    spelled_for_postgresql,
    spelled_for_sqlite,
)
from shopbell.storage.rowset import Part, Rowset, Statement

_WANTED = Rowset("wanted_threads", organization_id=int, thread_id=int, by_whatsapp=int)
_SEEN = Rowset("seen", organization_id=int, id=int)

_THREAD = "id, customer_id, business_id, channel, last_reply_sequence, last_reply_author_id, last_other_reply_sequence"
# Looked for backwards from the end of the conversation, and only where a reply may go by WhatsApp.
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

FIND_THREADS = Statement(
    rowsets=(_WANTED, _SEEN, WANTED_KEYS, SUBSCRIBERS),
    sqlite=(
        Part(f"""
            SELECT (SELECT json_group_array(json_array(organization_id, {_THREAD}, {_LAST_BY_WHATSAPP}, {_ERASED}))
                    FROM {_WANTED.sqlite}
                    CROSS JOIN threads USING (organization_id) WHERE threads.id = wanted_threads.thread_id),
                   (SELECT json_group_array(json_array(organization_id, id, thread_id, sequence))
                    FROM {_SEEN.sqlite} CROSS JOIN messages USING (organization_id, id)),
                   {FOUND_KEYS_SQLITE},
                   {FOUND_SUBSCRIPTIONS_SQLITE},
                   {FOUND_CHANGES_SQLITE}
        """),
    ),
    postgresql=f"""
        SELECT (SELECT coalesce(json_agg(json_build_array(organization_id, {_THREAD}, last_by_whatsapp_ms,
                                                          erased_at_ms)), '[]')::text
                FROM {_WANTED.postgresql}
                CROSS JOIN LATERAL (
                    SELECT {_THREAD}, {_LAST_BY_WHATSAPP} AS last_by_whatsapp_ms, {_ERASED} AS erased_at_ms
                    FROM threads
                    WHERE threads.organization_id = wanted_threads.organization_id
                      AND threads.id = wanted_threads.thread_id
                    OFFSET 0) AS known),
               (SELECT coalesce(json_agg(json_build_array(seen.organization_id, seen.id, thread_id, sequence)),
                                '[]')::text
                FROM {_SEEN.postgresql}
                CROSS JOIN LATERAL (
                    SELECT thread_id, sequence FROM messages
                    WHERE messages.organization_id = seen.organization_id AND messages.id = seen.id
                    OFFSET 0) AS known),
               {FOUND_KEYS_POSTGRESQL},
               {FOUND_SUBSCRIPTIONS_POSTGRESQL},
               {FOUND_CHANGES_POSTGRESQL}
    """,
)
"""One row of five JSON arrays: the threads, the messages that were seen last, used keys, who is told, and how often the
customers have changed."""

_ANSWERED = Rowset(
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
_REPLIES = Rowset(
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
_ROWSETS = (_ANSWERED, _REPLIES)

# The thread's row is locked here. A row that has gone over to another customer or business since it was read, or that
# somebody has answered since although a reply depends on that (``expected_reply``), is not found.
_MOVE_THREADS = """
    UPDATE threads
    SET last_sequence = threads.last_sequence + answered.count,
        last_reply_sequence = coalesce(threads.last_sequence + answered.count - answered.visible_behind,
                                       threads.last_reply_sequence),
        last_reply_author_id = coalesce(answered.author_id, threads.last_reply_author_id),
        last_other_reply_sequence = CASE
            WHEN answered.other_behind IS NOT NULL THEN threads.last_sequence + answered.count - answered.other_behind
            WHEN answered.author_id <> threads.last_reply_author_id THEN threads.last_reply_sequence
            ELSE threads.last_other_reply_sequence END,
        status = CASE WHEN answered.effect = 'reply' THEN 'replied'
                      WHEN answered.effect = 'template' AND threads.status <> 'resolved' THEN 'replied'
                      ELSE threads.status END,
        updated_at_ms = answered.now_ms
    FROM {answered}
    WHERE threads.organization_id = answered.organization_id AND threads.id = answered.id
      AND threads.customer_id = answered.customer_id AND threads.business_id = answered.business_id
      AND threads.last_reply_sequence = coalesce(answered.expected_reply, threads.last_reply_sequence)
"""
# Where one was not found, the division by zero undoes all of the statement, and the batch is run again
# (``postgres.py``): else the feed would have places without events. On SQLite nobody else writes meanwhile.
_ALL_THREADS = """
    1 / CASE WHEN (SELECT count(*) FROM thread) = json_array_length(%(answered)s::json) THEN 1 ELSE 0 END = 1
"""
_ADD_MESSAGES = """
    INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, internal, body, created_at_ms,
                          employee_id, attachment_id, content_sid, channel, external_id)
    SELECT replies.organization_id, thread.id, thread.last_sequence - behind, replies.id, false, internal = 1, body,
           replies.created_at_ms, employee_id, attachment_id, content_sid, replies.channel, replies.external_id
    FROM {replies} {join} {threads} AS thread
      ON thread.organization_id = replies.organization_id AND thread.customer_id = replies.customer_id
     AND thread.business_id = replies.business_id
"""

_sqlite = spelled_for_sqlite(*_ROWSETS)
_postgresql = spelled_for_postgresql(*_ROWSETS)

WRITE_REPLIES = Statement(
    rowsets=(*_ROWSETS, *PROMISE_ROWSETS),
    sqlite=(
        Part(_sqlite(_MOVE_THREADS), "answered"),
        Part(_sqlite(_ADD_MESSAGES), "replies"),
        *PROMISE_SQLITE,
    ),
    postgresql=f"""
        WITH thread AS ({_postgresql(_MOVE_THREADS)}
                        RETURNING threads.organization_id, threads.id, threads.customer_id, threads.business_id,
                                  threads.last_sequence),
             added_messages AS ({_postgresql(_ADD_MESSAGES)}),
             {promise_for_postgresql(_ALL_THREADS)}
        SELECT count(*) FROM thread
    """,
)
"""Everything that a batch of replies writes: all of it, or nothing."""
