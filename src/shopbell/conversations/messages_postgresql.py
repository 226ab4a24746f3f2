"""SQL of ``create_customer_messages`` for PostgreSQL.

The statements bypass SQLAlchemy, which would cost four to ten times as much here. Each begins at its rowset, finds its
rows by key, and names the organization of each row.
"""

from shopbell.conversations.side_effects_postgresql import (
    FOUND_CHANGES,
    FOUND_KEYS,
    FOUND_SUBSCRIPTIONS,
    SIDE_EFFECT_ROWSETS,
    SIDE_EFFECTS,
    SUBSCRIBERS,
    WANTED_KEYS,
)
from shopbell.db.rowset import PostgresStatement, Rowset, decode_row_of_json, decode_value_of_json

WANTED = Rowset("wanted", organization_id=int, kind=str, value=str)
# No join here: if the table was empty when PostgreSQL planned it, the plan would read the whole organization forever.
_OF_CUSTOMER = """
    (SELECT {column} FROM customers
     WHERE customers.organization_id = wanted.organization_id AND customers.id = identity.customer_id)
"""
_CUSTOMER = ", ".join(
    _OF_CUSTOMER.format(column=column) for column in ("locale", "blocked_at_ms", "coalesce(first_name, last_name)")
)

FIND_KNOWN = PostgresStatement(
    (WANTED, WANTED_KEYS, SUBSCRIBERS),
    # OFFSET 0 makes PostgreSQL look up each row by its key, however small the tables were when it made the plan.
    f"""
        SELECT (SELECT json_agg(json_build_array(organization_id, kind, value, customer_id, {_CUSTOMER}))
                FROM {WANTED.postgresql}
                CROSS JOIN LATERAL (
                    SELECT customer_id FROM customer_identities AS known
                    WHERE known.organization_id = wanted.organization_id AND known.kind = wanted.kind
                      AND known.value = wanted.value
                    OFFSET 0) AS identity),
               {FOUND_KEYS},
               {FOUND_SUBSCRIPTIONS},
               {FOUND_CHANGES}
    """,
    decode_row_of_json,
)

CUSTOMERS = Rowset("changed_customers", organization_id=int, id=int, locale=str, first_name=str, created_at_ms=int)
NEW_IDENTITIES = Rowset(
    "new_identities", organization_id=int, kind=str, value=str, customer_id=int, shown=str, created_at_ms=int
)
PLACED = Rowset(
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
SENT = Rowset(
    "sent",
    organization_id=int,
    customer_id=int,
    business_id=int,
    behind=int,
    id=int,
    body=str,
    created_at_ms=int,
)
BLOCKED = Rowset("blocked", organization_id=int, id=int, customer_id=int, business_id=int, body=str, created_at_ms=int)
NEW_DUPLICATES = Rowset("new_duplicates", organization_id=int, customer_id=int, other_customer_id=int, found_at_ms=int)

WRITE = PostgresStatement(
    (CUSTOMERS, NEW_IDENTITIES, NEW_DUPLICATES, BLOCKED, PLACED, SENT, *SIDE_EFFECT_ROWSETS),
    f"""
        SELECT store_messages_v1(
            changed_customers => %(changed_customers)s,
            new_identities => %(new_identities)s,
            new_duplicates => %(new_duplicates)s,
            blocked => %(blocked)s,
            placed => %(placed)s,
            new_messages => %(sent)s,
            {SIDE_EFFECTS})
    """,
    decode_value_of_json,
)
