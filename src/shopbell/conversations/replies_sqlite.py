"""How ``create_replies`` reads and writes on SQLite; see ``messages_sqlite.py``."""

from collections.abc import Mapping, Sequence
from typing import Any

from shopbell.conversations.side_effects_sqlite import Threads, find_side_effects, write_side_effects
from shopbell.db.rowset import Row
from shopbell.db.sqlite_rows import fetch_rows, write_rows

# The last message by WhatsApp is searched backwards from the end of the conversation, and only if a reply may be sent
# there.
_FIND_THREADS = """
    SELECT organization_id, threads.id, customer_id, business_id, channel, last_reply_sequence, last_reply_author_id,
           last_other_reply_sequence,
           CASE WHEN wanted.value ->> 2 = 1 OR channel = 'WHATSAPP' THEN
               (SELECT messages.created_at_ms FROM messages
                WHERE messages.organization_id = threads.organization_id AND messages.thread_id = threads.id
                  AND messages.channel = 'WHATSAPP' AND messages.from_customer
                ORDER BY messages.sequence DESC LIMIT 1) END,
           (SELECT erased_at_ms FROM customers
            WHERE customers.organization_id = threads.organization_id AND customers.id = threads.customer_id)
    FROM json_each(?) AS wanted
    CROSS JOIN threads ON threads.organization_id = wanted.value ->> 0 AND threads.id = wanted.value ->> 1
"""
_FIND_SEEN = """
    SELECT organization_id, messages.id, thread_id, sequence
    FROM json_each(?) AS seen
    CROSS JOIN messages ON messages.organization_id = seen.value ->> 0 AND messages.id = seen.value ->> 1
"""
_FIND_PLACES = """
    SELECT answered.key, last_sequence, last_reply_sequence, last_reply_author_id, last_other_reply_sequence, status
    FROM json_each(?) AS answered
    CROSS JOIN threads ON threads.organization_id = answered.value ->> 0 AND threads.id = answered.value ->> 1
"""
_MOVE_THREADS = """
    UPDATE threads
    SET last_sequence = ?3, last_reply_sequence = ?4, last_reply_author_id = ?5, last_other_reply_sequence = ?6,
        updated_at_ms = ?7
    WHERE organization_id = ?1 AND id = ?2
"""
# A statement of its own, because to set the status is to write the index that begins with it.
_ANSWER_THREADS = """
    UPDATE threads
    SET last_sequence = ?3, last_reply_sequence = ?4, last_reply_author_id = ?5, last_other_reply_sequence = ?6,
        updated_at_ms = ?7, status = 'replied'
    WHERE organization_id = ?1 AND id = ?2
"""
_ADD_MESSAGES = """
    INSERT INTO messages (organization_id, thread_id, sequence, id, internal, body, employee_id, attachment_id,
                          content_sid, channel, external_id, created_at_ms, from_customer)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, false)
"""


def find_threads(tx: Any, arguments: Mapping[str, Sequence[Row]]) -> tuple[list[Row], ...]:
    """Find the rows that a batch refers to.

    ``create_replies`` describes the result, that of its first statement.
    """
    threads = fetch_rows(tx, _FIND_THREADS, arguments["wanted_threads"])
    seen = fetch_rows(tx, _FIND_SEEN, arguments["seen"])
    return threads, seen, *find_side_effects(tx, arguments)


def write(tx: Any, rows: Mapping[str, Sequence[Row]]) -> None:
    """Write a batch of replies."""
    threads = _move_threads(tx, rows["answered"])
    messages = []
    for organization_id, customer_id, business_id, behind, *message in rows["replies"]:
        thread_id, last_sequence = threads[organization_id, customer_id, business_id]
        messages.append((organization_id, thread_id, last_sequence - behind, *message))
    write_rows(tx, _ADD_MESSAGES, messages)
    events = rows["new_events"]
    write_side_effects(
        tx, {**rows, "new_events": [row[:-2] for row in events]}, threads, actors=[row[-2:] for row in events]
    )


def _move_threads(tx: Any, answered: Sequence[Row]) -> Threads:
    known = {number: row for number, *row in fetch_rows(tx, _FIND_PLACES, [row[:2] for row in answered])}
    threads: Threads = {}
    moved: list[Row] = []
    replied: list[Row] = []
    for number, row in enumerate(answered):
        organization_id, id_, customer_id, business_id, count, effect, author_id, behind, other_behind, _, now_ms = row
        last, last_reply, last_author_id, last_other, status = known[number]
        last += count
        if author_id is not None:
            if other_behind is not None:
                last_other = last - other_behind
            elif last_author_id is not None and last_author_id != author_id:
                last_other = last_reply
            last_reply, last_author_id = last - behind, author_id
        threads[organization_id, customer_id, business_id] = (id_, last)
        is_replied = effect == "reply" or (effect == "template" and status != "resolved")
        change = (organization_id, id_, last, last_reply, last_author_id, last_other, now_ms)
        (replied if is_replied and status != "replied" else moved).append(change)
    write_rows(tx, _MOVE_THREADS, moved)
    write_rows(tx, _ANSWER_THREADS, replied)
    return threads
