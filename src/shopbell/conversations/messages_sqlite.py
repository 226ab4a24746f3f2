"""How ``create_customer_messages`` reads and writes on SQLite.

There is one writer: nothing that a batch reads changes before its commit. So ids, sequences and positions are computed
here, and each table is written by one prepared statement.

The statements bypass SQLAlchemy, which would cost four to ten times as much. Each names the organization of each row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shopbell.conversations.side_effects_sqlite import Threads, find_side_effects, write_side_effects
from shopbell.db.rowset import Row
from shopbell.db.sqlite_rows import fetch_rows, write_rows

# CROSS JOIN tells SQLite which table comes first.
_FIND_IDENTITIES = """
    SELECT identity.organization_id, identity.kind, identity.value, customers.id, locale, blocked_at_ms,
           coalesce(first_name, last_name)
    FROM json_each(?) AS wanted
    CROSS JOIN customer_identities AS identity
            ON identity.organization_id = wanted.value ->> 0
           AND identity.kind = wanted.value ->> 1 AND identity.value = wanted.value ->> 2
    CROSS JOIN customers
            ON customers.organization_id = identity.organization_id AND customers.id = identity.customer_id
"""
_FIND_THREADS = """
    SELECT placed.key, threads.id, last_sequence, status, channel
    FROM json_each(?) AS placed
    CROSS JOIN threads ON organization_id = placed.value ->> 0 AND customer_id = placed.value ->> 1
                      AND business_id = placed.value ->> 2
"""
# New customers, and known customers whose locale or name changes.
_PUT_CUSTOMERS = """
    INSERT INTO customers (organization_id, id, locale, first_name, created_at_ms)
    VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (organization_id, id) DO UPDATE
    SET locale = excluded.locale,
        first_name = CASE WHEN customers.last_name IS NULL THEN coalesce(customers.first_name, excluded.first_name)
                     ELSE customers.first_name END
"""
_ADD_IDENTITIES = """
    INSERT INTO customer_identities (organization_id, kind, value, customer_id, shown, created_at_ms)
    VALUES (?, ?, ?, ?, ?, ?)
"""
_FLAG_DUPLICATES = """
    INSERT INTO possible_duplicates (organization_id, customer_id, other_customer_id, found_at_ms)
    VALUES (?, ?, ?, ?)
    ON CONFLICT DO NOTHING
"""
_ADD_THREADS = """
    INSERT INTO threads (organization_id, customer_id, business_id, id, last_sequence, status, channel, created_at_ms,
                         updated_at_ms, last_customer_message_at_ms, last_email, last_phone)
    VALUES (?1, ?2, ?3, ?4, ?5, iif(?5 > 0, 'waiting', 'resolved'), 'WEB', ?6, ?6, iif(?5 > 0, ?6, NULL), ?7, ?8)
"""
_MOVE_THREADS = """
    UPDATE threads
    SET last_sequence = ?3, updated_at_ms = ?4, last_customer_message_at_ms = ?4, last_email = ?5, last_phone = ?6
    WHERE organization_id = ?1 AND id = ?2
"""
# A statement of its own, because to set the status is to write the index that begins with it.
_REOPEN_THREADS = """
    UPDATE threads
    SET last_sequence = ?3, updated_at_ms = ?4, last_customer_message_at_ms = ?4, last_email = ?5, last_phone = ?6,
        status = 'waiting', channel = 'WEB'
    WHERE organization_id = ?1 AND id = ?2
"""
_KEEP_APART = """
    INSERT INTO blocked_messages (organization_id, id, customer_id, business_id, body, created_at_ms)
    VALUES (?, ?, ?, ?, ?, ?)
"""
_ADD_MESSAGES = """
    INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, body, created_at_ms)
    VALUES (?, ?, ?, ?, true, ?, ?)
"""


def find_known(tx: Any, arguments: Mapping[str, Sequence[Row]]) -> tuple[list[Row], ...]:
    """Find the rows that a batch refers to.

    ``create_customer_messages`` describes the result, that of its first statement.
    """
    identities = fetch_rows(tx, _FIND_IDENTITIES, arguments["wanted"])
    return identities, *find_side_effects(tx, arguments)


def write(tx: Any, rows: Mapping[str, Sequence[Row]]) -> list[Row]:
    """Write a batch; returns its threads: organization, customer, business, id."""
    write_rows(tx, _PUT_CUSTOMERS, rows["changed_customers"])
    write_rows(tx, _ADD_IDENTITIES, rows["new_identities"])
    write_rows(tx, _FLAG_DUPLICATES, rows["new_duplicates"])
    threads = _place_threads(tx, rows["placed"])
    write_rows(tx, _KEEP_APART, rows["blocked"])
    messages = []
    for organization_id, customer_id, business_id, behind, id_, body, now_ms in rows["sent"]:
        thread_id, last_sequence = threads[organization_id, customer_id, business_id]
        messages.append((organization_id, thread_id, last_sequence - behind, id_, body, now_ms))
    write_rows(tx, _ADD_MESSAGES, messages)
    write_side_effects(tx, rows, threads)
    return [(*key, id_) for key, (id_, _) in threads.items()]


def _place_threads(tx: Any, placed: Sequence[Row]) -> Threads:
    """Create or move the threads.

    The count of a blocked customer is 0; their thread does not change.
    """
    known = {number: row for number, *row in fetch_rows(tx, _FIND_THREADS, [row[:3] for row in placed])}
    threads: Threads = {}
    new: list[Row] = []
    moved: list[Row] = []
    reopened: list[Row] = []
    for number, row in enumerate(placed):
        organization_id, customer_id, business_id, id_, count, now_ms, email, phone = row
        if number not in known:
            threads[organization_id, customer_id, business_id] = (id_, count)
            new.append(row)
            continue
        id_, last_sequence, status, channel = known[number]
        threads[organization_id, customer_id, business_id] = (id_, last_sequence + count)
        if count:
            change = (organization_id, id_, last_sequence + count, now_ms, email, phone)
            (moved if (status, channel) == ("waiting", "WEB") else reopened).append(change)
    write_rows(tx, _ADD_THREADS, new)
    write_rows(tx, _MOVE_THREADS, moved)
    write_rows(tx, _REOPEN_THREADS, reopened)
    return threads
