"""What is stored before a measurement begins: customers, each with a thread and an equal share of the messages.

Written by a few statements over generated series, so that a million messages take seconds. Message number `i` (from 0)
comes from customer number `i % customers`, as if all wrote in turn; ids follow the same order.
"""

from pathlib import Path

from bench.load import FIRST_CUSTOMER
from bench.servers import Postgres, Shop
from shopbell.storage.sqlite import connect

BODY = "Hello, I need help with my order."
NOW_MS = 1_700_000_000_000
SERIES_OF_SQLITE = (
    "(WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < {last}) SELECT i FROM s) AS s"
)
SERIES_OF_POSTGRESQL = "generate_series(0, {last}) AS s(i)"


def _statements(shop: Shop, series: str, first_id: int, customers: int, messages: int) -> list[str]:
    """The same statements for both engines; ids: customers, then threads, then messages."""
    o, b = shop.organization_id, shop.business_id
    per_customer = messages // customers
    email = f"'c' || ({FIRST_CUSTOMER} + i) || '@example.com'"
    each_customer, each_message = series.format(last=customers - 1), series.format(last=messages - 1)
    customer, thread = f"{first_id} + i", f"{first_id + customers} + i"
    customer_of_message, thread_of_message = (
        f"{first_id} + i % {customers}",
        f"{first_id + customers} + i % {customers}",
    )
    message = f"{first_id + 2 * customers} + i"
    last = f"(SELECT last_position FROM feeds WHERE organization_id = {o})"
    return [
        "INSERT INTO customers (organization_id, id, locale, created_at_ms)"
        f" SELECT {o}, {customer}, 'en', {NOW_MS} FROM {each_customer} ORDER BY i",
        "INSERT INTO customer_identities (organization_id, kind, value, customer_id, shown, created_at_ms)"
        f" SELECT {o}, 'email', {email}, {customer}, {email}, {NOW_MS} FROM {each_customer} ORDER BY i",
        "INSERT INTO threads"
        " (organization_id, id, customer_id, business_id, channel, status, last_sequence, created_at_ms, updated_at_ms)"
        f" SELECT {o}, {thread}, {customer}, {b}, 'WEB', 'waiting', {per_customer}, {NOW_MS}, {NOW_MS}"
        f" FROM {each_customer} ORDER BY i",
        "INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, body, created_at_ms)"
        f" SELECT {o}, {thread_of_message}, i / {customers} + 1, {message}, true, '{BODY}', {NOW_MS} + i"
        f" FROM {each_message} ORDER BY {{order_of_messages}}",
        "INSERT INTO events (organization_id, position, type, business_id, customer_id, thread_id, thread_sequence,"
        " message_id, created_at_ms)"
        f" SELECT {o}, {last} + i + 1, 'message', {b}, {customer_of_message}, {thread_of_message}, i / {customers} + 1,"
        f" {message}, {NOW_MS} + i FROM {each_message} ORDER BY i",
        f"UPDATE feeds SET last_position = last_position + {messages} WHERE organization_id = {o}",
    ]


def fill_sqlite(path: Path, shop: Shop, *, customers: int, messages: int) -> int:
    """Fill an SQLite file in which nothing but ``shop`` is; gives the first thread's id."""
    tx = connect(path)
    tx.execute("BEGIN IMMEDIATE")
    (first_id,) = tx.execute("SELECT next_id FROM ids").fetchone()
    for statement in _statements(shop, SERIES_OF_SQLITE, first_id, customers, messages):
        # In the order of the key, as the table itself is: SQLite would otherwise look for each row's place.
        tx.execute(statement.format(order_of_messages=f"i % {customers}, i"))
    tx.execute("UPDATE ids SET next_id = ?", (first_id + 2 * customers + messages,))
    tx.execute("COMMIT")
    tx.execute("VACUUM")
    tx.execute("ANALYZE")
    tx.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    tx.close()
    return int(first_id) + customers


def fill_postgres(postgres: Postgres, database: str, shop: Shop, *, customers: int, messages: int) -> int:
    """Fill a PostgreSQL database in which nothing but ``shop`` is; gives the first thread's id, as above."""
    first_id = int(postgres.sql(database, "SELECT nextval('ids')"))
    statements = _statements(shop, SERIES_OF_POSTGRESQL, first_id, customers, messages)
    sql = ";\n".join(statement.format(order_of_messages="i") for statement in statements)
    postgres.sql(database, f"BEGIN;\n{sql};\nCOMMIT;")
    postgres.sql(database, f"SELECT setval('ids', {first_id + 2 * customers + messages})")
    postgres.sql(database, "VACUUM ANALYZE")
    postgres.sql(database, "CHECKPOINT")
    return first_id + customers


def count_in_sqlite(path: Path) -> int:
    """How many messages an SQLite file holds."""
    connection = connect(path)
    (count,) = connection.execute("SELECT count(*) FROM messages").fetchone()
    connection.close()
    return int(count)


def count_in_postgres(postgres: Postgres, database: str) -> int:
    """How many messages a PostgreSQL database holds."""
    return int(postgres.sql(database, "SELECT count(*) FROM messages"))
