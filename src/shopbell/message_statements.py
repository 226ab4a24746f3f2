"""The statements of customers' messages, in both spellings side by side; ``messages.py`` says what they are for.

They stand at driver level, because there SQLAlchemy costs four to ten times as much. Every one of them begins at its
rowset and finds its rows by key, and each row names its organization.
"""

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

_WANTED = Rowset("wanted", organization_id=int, kind=str, value=str)
# Neither a join here: a table that was empty when the plan was made would be read by its organization alone ever after.
_OF_CUSTOMER = """
    (SELECT {column} FROM customers
     WHERE customers.organization_id = wanted.organization_id AND customers.id = identity.customer_id)
"""
_CUSTOMER = ", ".join(
    _OF_CUSTOMER.format(column=column) for column in ("locale", "blocked_at_ms", "coalesce(first_name, last_name)")
)

FIND_KNOWN = Statement(
    rowsets=(_WANTED, WANTED_KEYS, SUBSCRIBERS),
    # CROSS JOIN is SQLite's way to say which table comes first; OFFSET 0 keeps PostgreSQL from any plan but one look-up
    # by key for each row, however small the tables were when the plan was made.
    sqlite=(
        Part(f"""
            SELECT (SELECT json_group_array(json_array(organization_id, kind, value, customer_id, {_CUSTOMER}))
                    FROM {_WANTED.sqlite}
                    CROSS JOIN customer_identities AS identity USING (organization_id, kind, value)),
                   {FOUND_KEYS_SQLITE},
                   {FOUND_SUBSCRIPTIONS_SQLITE},
                   {FOUND_CHANGES_SQLITE}
        """),
    ),
    postgresql=f"""
        SELECT (SELECT coalesce(json_agg(json_build_array(organization_id, kind, value, customer_id, {_CUSTOMER})),
                                '[]')::text
                FROM {_WANTED.postgresql}
                CROSS JOIN LATERAL (
                    SELECT customer_id FROM customer_identities AS known
                    WHERE known.organization_id = wanted.organization_id AND known.kind = wanted.kind
                      AND known.value = wanted.value
                    OFFSET 0) AS identity),
               {FOUND_KEYS_POSTGRESQL},
               {FOUND_SUBSCRIPTIONS_POSTGRESQL},
               {FOUND_CHANGES_POSTGRESQL}
    """,
)
"""One row of four JSON arrays: the identities that are known, the keys that were used before, who is told of messages,
and how often the customers have changed."""

_CUSTOMERS = Rowset("changed_customers", organization_id=int, id=int, locale=str, first_name=str, created_at_ms=int)
_NEW_IDENTITIES = Rowset(
    "new_identities", organization_id=int, kind=str, value=str, customer_id=int, shown=str, created_at_ms=int
)
_PLACED = Rowset(
    "placed",
    organization_id=int,
    customer_id=int,
    business_id=int,
    id=int,
    count=int,
    now_ms=int,
    last_email=str,
    last_phone=str,
)
_SENT = Rowset(
    "sent",
    organization_id=int,
    customer_id=int,
    business_id=int,
    behind=int,
    id=int,
    body=str,
    created_at_ms=int,
)
_BLOCKED = Rowset("blocked", organization_id=int, id=int, customer_id=int, business_id=int, body=str, created_at_ms=int)
_NEW_DUPLICATES = Rowset("new_duplicates", organization_id=int, customer_id=int, other_customer_id=int, found_at_ms=int)

# New customers, and known ones with another locale or their first name: an UPDATE would be a join, which a plan can get
# wrong.
# "WHERE true" keeps SQLite from reading ON CONFLICT as the condition of a join.
_PUT_CUSTOMERS = """
    INSERT INTO customers (organization_id, id, locale, first_name, created_at_ms)
    SELECT organization_id, id, locale, first_name, created_at_ms FROM {changed_customers}
    WHERE true
    ON CONFLICT (organization_id, id) DO UPDATE
    SET locale = excluded.locale,
        first_name = CASE WHEN customers.last_name IS NULL THEN coalesce(customers.first_name, excluded.first_name)
                     ELSE customers.first_name END
"""
_ADD_IDENTITIES = """
    INSERT INTO customer_identities (organization_id, kind, value, customer_id, shown, created_at_ms)
    SELECT organization_id, kind, value, customer_id, shown, created_at_ms FROM {new_identities}
"""
# The thread's row is locked here, and its sequence moves on by as many messages as the batch has for it: by none, and
# nothing else changes, where its customer is blocked.
_PLACE_THREADS = """
    INSERT INTO threads (organization_id, id, customer_id, business_id, channel, status, last_sequence,
                         created_at_ms, updated_at_ms, last_customer_message_at_ms, last_email, last_phone)
    SELECT organization_id, id, customer_id, business_id, 'WEB', CASE WHEN count > 0 THEN 'waiting' ELSE 'resolved' END,
           count, now_ms, now_ms, CASE WHEN count > 0 THEN now_ms END, last_email, last_phone
    FROM {placed}
    WHERE {after_the_customers}
    ON CONFLICT (organization_id, customer_id, business_id) DO UPDATE
    SET status = CASE WHEN excluded.last_sequence > 0 THEN 'waiting' ELSE threads.status END,
        last_sequence = threads.last_sequence + excluded.last_sequence,
        channel = CASE WHEN excluded.last_sequence > 0 THEN excluded.channel ELSE threads.channel END,
        updated_at_ms = CASE WHEN excluded.last_sequence > 0 THEN excluded.updated_at_ms ELSE threads.updated_at_ms END,
        last_customer_message_at_ms =
            coalesce(excluded.last_customer_message_at_ms, threads.last_customer_message_at_ms),
        last_email = CASE WHEN excluded.last_sequence > 0 THEN excluded.last_email ELSE threads.last_email END,
        last_phone = CASE WHEN excluded.last_sequence > 0 THEN excluded.last_phone ELSE threads.last_phone END
"""
_ADD_MESSAGES = """
    INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, body, created_at_ms)
    SELECT sent.organization_id, thread.id, thread.last_sequence - sent.behind, sent.id, true, sent.body,
           sent.created_at_ms
    FROM {sent} {join} {threads} AS thread
      ON thread.organization_id = sent.organization_id AND thread.customer_id = sent.customer_id
     AND thread.business_id = sent.business_id
"""
_KEEP_APART = """
    INSERT INTO blocked_messages (organization_id, id, customer_id, business_id, body, created_at_ms)
    SELECT organization_id, id, customer_id, business_id, body, created_at_ms FROM {blocked}
"""
_FLAG_DUPLICATES = """
    INSERT INTO possible_duplicates (organization_id, customer_id, other_customer_id, found_at_ms)
    SELECT organization_id, customer_id, other_customer_id, found_at_ms FROM {new_duplicates}
    WHERE true
    ON CONFLICT DO NOTHING
"""

_ROWSETS = (_CUSTOMERS, _NEW_IDENTITIES, _PLACED, _SENT, _NEW_DUPLICATES, _BLOCKED)


def _in_turn(sql: str, after_the_customers: str) -> str:
    """Customers, then threads, then the feed: as everybody locks them."""
    return sql.replace("{after_the_customers}", after_the_customers)


_sqlite = spelled_for_sqlite(*_ROWSETS)
_postgresql = spelled_for_postgresql(*_ROWSETS)

WRITE = Statement(
    rowsets=(*_ROWSETS, *PROMISE_ROWSETS),
    sqlite=(
        Part(_sqlite(_PUT_CUSTOMERS), "changed_customers"),
        Part(_sqlite(_ADD_IDENTITIES), "new_identities"),
        Part(_sqlite(_FLAG_DUPLICATES), "new_duplicates"),
        Part(_sqlite(_in_turn(_PLACE_THREADS, "true")), "placed"),
        Part(_sqlite(_KEEP_APART), "blocked"),
        Part(_sqlite(_ADD_MESSAGES), "sent"),
        *PROMISE_SQLITE,
        Part(f"""
            SELECT organization_id, customer_id, business_id, threads.id
            FROM {_PLACED.sqlite} CROSS JOIN threads USING (organization_id, customer_id, business_id)
        """),
    ),
    postgresql=f"""
        WITH put_customers AS ({_postgresql(_PUT_CUSTOMERS)} RETURNING 1),
             added_identities AS ({_postgresql(_ADD_IDENTITIES)}),
             flagged AS ({_postgresql(_FLAG_DUPLICATES)}),
             thread AS ({_postgresql(_in_turn(_PLACE_THREADS, "(SELECT count(*) FROM put_customers) >= 0"))}
                        RETURNING organization_id, id, customer_id, business_id, last_sequence),
             kept_apart AS ({_postgresql(_KEEP_APART)}),
             added_messages AS ({_postgresql(_ADD_MESSAGES)}),
             {promise_for_postgresql("(SELECT count(*) FROM thread) >= 0")}
        SELECT organization_id, customer_id, business_id, id FROM thread
    """,
)
"""Everything that a batch writes; the rows are its threads: organization, customer, business, id."""
