"""The statements of the hot path, in both spellings side by side; ``messages.py`` says what they are for.

They stand at driver level, because there SQLAlchemy costs four to ten times as much. Every one of them begins at its
rowset and finds its rows by key, and each row names its organization.
"""

from shopbell.storage.rowset import Part, Rowset, Statement

_WANTED = Rowset("wanted", organization_id=int, kind=str, value=str)
_WANTED_KEYS = Rowset("wanted_keys", organization_id=int, token_id=int, route=str, key=str)

# Neither a join here: a table that was empty when the plan was made would be read by its organization alone ever after.
_LOCALE = """
    (SELECT locale FROM customers
     WHERE customers.organization_id = wanted.organization_id AND customers.id = identity.customer_id)
"""

FIND_KNOWN = Statement(
    rowsets=(_WANTED, _WANTED_KEYS),
    # CROSS JOIN is SQLite's way to say which table comes first; OFFSET 0 keeps PostgreSQL from any plan but one look-up
    # by key for each row, however small the tables were when the plan was made.
    sqlite=(
        Part(f"""
            SELECT (SELECT json_group_array(json_array(organization_id, kind, value, customer_id, {_LOCALE}))
                    FROM {_WANTED.sqlite}
                    CROSS JOIN customer_identities AS identity USING (organization_id, kind, value)),
                   (SELECT json_group_array(json_array(organization_id, token_id, route, key,
                                                       body_hash, result_id, created_at_ms))
                    FROM {_WANTED_KEYS.sqlite}
                    CROSS JOIN idempotency_keys USING (organization_id, token_id, route, key))
        """),
    ),
    postgresql=f"""
        SELECT (SELECT coalesce(json_agg(json_build_array(organization_id, kind, value, customer_id, {_LOCALE})),
                                '[]')::text
                FROM {_WANTED.postgresql}
                CROSS JOIN LATERAL (
                    SELECT customer_id FROM customer_identities AS known
                    WHERE known.organization_id = wanted.organization_id AND known.kind = wanted.kind
                      AND known.value = wanted.value
                    OFFSET 0) AS identity),
               (SELECT coalesce(json_agg(json_build_array(organization_id, token_id, route, key,
                                                          body_hash, result_id, created_at_ms)), '[]')::text
                FROM {_WANTED_KEYS.postgresql}
                CROSS JOIN LATERAL (
                    SELECT body_hash, result_id, created_at_ms FROM idempotency_keys AS known
                    WHERE known.organization_id = wanted_keys.organization_id AND known.token_id = wanted_keys.token_id
                      AND known.route = wanted_keys.route AND known.key = wanted_keys.key
                    OFFSET 0) AS used)
    """,
)
"""One row of two JSON arrays: the identities that are known, and the keys that were used before."""

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

_CUSTOMERS = Rowset("changed_customers", organization_id=int, id=int, locale=str, created_at_ms=int)
_NEW_IDENTITIES = Rowset(
    "new_identities", organization_id=int, kind=str, value=str, customer_id=int, shown=str, created_at_ms=int
)
_PLACED = Rowset("placed", organization_id=int, customer_id=int, business_id=int, id=int, count=int, now_ms=int)
_SENT = Rowset(
    "sent",
    organization_id=int,
    customer_id=int,
    business_id=int,
    behind=int,
    id=int,
    event_id=int,
    body=str,
    created_at_ms=int,
)
_NEW_KEYS = Rowset(
    "new_keys",
    organization_id=int,
    token_id=int,
    route=str,
    key=str,
    body_hash=str,
    customer_id=int,
    business_id=int,
    created_at_ms=int,
)
_NEW_DUPLICATES = Rowset("new_duplicates", organization_id=int, customer_id=int, other_customer_id=int, found_at_ms=int)

# New customers, and known ones whose locale is another now: an UPDATE would be a join, which a plan can get wrong.
# "WHERE true" keeps SQLite from reading ON CONFLICT as the condition of a join.
_PUT_CUSTOMERS = """
    INSERT INTO customers (organization_id, id, locale, created_at_ms)
    SELECT organization_id, id, locale, created_at_ms FROM {changed_customers}
    WHERE true
    ON CONFLICT (organization_id, id) DO UPDATE SET locale = excluded.locale
"""
_ADD_IDENTITIES = """
    INSERT INTO customer_identities (organization_id, kind, value, customer_id, shown, created_at_ms)
    SELECT organization_id, kind, value, customer_id, shown, created_at_ms FROM {new_identities}
"""
# The thread's row is locked here, and its sequence moves on by as many messages as the batch has for it.
_PLACE_THREADS = """
    INSERT INTO threads (organization_id, id, customer_id, business_id, channel, status, last_sequence,
                         created_at_ms, updated_at_ms)
    SELECT organization_id, id, customer_id, business_id, 'WEB', 'waiting', count, now_ms, now_ms FROM {placed}
    WHERE true
    ON CONFLICT (organization_id, customer_id, business_id) DO UPDATE
    SET status = 'waiting', last_sequence = threads.last_sequence + excluded.last_sequence,
        updated_at_ms = excluded.updated_at_ms
"""
_ADD_MESSAGES = """
    INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, body, created_at_ms)
    SELECT sent.organization_id, thread.id, thread.last_sequence - sent.behind, sent.id, true, sent.body,
           sent.created_at_ms
    FROM {sent} {join} {threads} AS thread
      ON thread.organization_id = sent.organization_id AND thread.customer_id = sent.customer_id
     AND thread.business_id = sent.business_id
"""
_ADD_EVENTS = """
    INSERT INTO events (organization_id, id, type, business_id, customer_id, thread_id, message_id, created_at_ms)
    SELECT sent.organization_id, sent.event_id, 'message', sent.business_id, sent.customer_id, thread.id, sent.id,
           sent.created_at_ms
    FROM {sent} {join} {threads} AS thread
      ON thread.organization_id = sent.organization_id AND thread.customer_id = sent.customer_id
     AND thread.business_id = sent.business_id
"""
_ADD_KEYS = """
    INSERT INTO idempotency_keys (organization_id, token_id, route, key, body_hash, result_id, created_at_ms)
    SELECT new_keys.organization_id, new_keys.token_id, new_keys.route, new_keys.key, new_keys.body_hash, thread.id,
           new_keys.created_at_ms
    FROM {new_keys} {join} {threads} AS thread
      ON thread.organization_id = new_keys.organization_id AND thread.customer_id = new_keys.customer_id
     AND thread.business_id = new_keys.business_id
"""
_FLAG_DUPLICATES = """
    INSERT INTO possible_duplicates (organization_id, customer_id, other_customer_id, found_at_ms)
    SELECT organization_id, customer_id, other_customer_id, found_at_ms FROM {new_duplicates}
    WHERE true
    ON CONFLICT DO NOTHING
"""

_ROWSETS = (_CUSTOMERS, _NEW_IDENTITIES, _PLACED, _SENT, _NEW_KEYS, _NEW_DUPLICATES)


def _sqlite(sql: str) -> str:
    return sql.format(join="CROSS JOIN", threads="threads", **{rowset.name: rowset.sqlite for rowset in _ROWSETS})


def _postgresql(sql: str) -> str:
    # What one WITH query writes its neighbours cannot see in the table: they join what it returned.
    return sql.format(join="JOIN", threads="thread", **{rowset.name: rowset.postgresql for rowset in _ROWSETS})


WRITE = Statement(
    rowsets=_ROWSETS,
    sqlite=(
        Part(_sqlite(_PUT_CUSTOMERS), "changed_customers"),
        Part(_sqlite(_ADD_IDENTITIES), "new_identities"),
        Part(_sqlite(_FLAG_DUPLICATES), "new_duplicates"),
        Part(_sqlite(_PLACE_THREADS), "placed"),
        Part(_sqlite(_ADD_MESSAGES), "sent"),
        Part(_sqlite(_ADD_EVENTS), "sent"),
        Part(_sqlite(_ADD_KEYS), "new_keys"),
        Part(f"""
            SELECT organization_id, customer_id, business_id, threads.id
            FROM {_PLACED.sqlite} CROSS JOIN threads USING (organization_id, customer_id, business_id)
        """),
    ),
    postgresql=f"""
        WITH put_customers AS ({_postgresql(_PUT_CUSTOMERS)}),
             added_identities AS ({_postgresql(_ADD_IDENTITIES)}),
             flagged AS ({_postgresql(_FLAG_DUPLICATES)}),
             thread AS ({_postgresql(_PLACE_THREADS)}
                        RETURNING organization_id, id, customer_id, business_id, last_sequence),
             added_messages AS ({_postgresql(_ADD_MESSAGES)}),
             added_events AS ({_postgresql(_ADD_EVENTS)}),
             added_keys AS ({_postgresql(_ADD_KEYS)})
        SELECT organization_id, customer_id, business_id, id FROM thread
    """,
)
"""Everything that a batch writes; the rows are its threads: organization, customer, business, id."""
