"""Fill a database before a measurement.

Each customer has one thread, with as many messages as the others of their group. A few statements over generated series
write it, so that ten million messages take a minute. Customers write in turn: message number `i` (from 0) comes from
customer number `i % customers`; ids follow the same order.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.deliveries import post
from bench.load import FIRST_CUSTOMER
from bench.servers import Postgres, Server, Shop
from shopbell.db.sqlite import connect

BODY = "Hello, I need help with my order."
SENDERS = 16
NOW_MS = 1_700_000_000_000
SERIES_OF_SQLITE = (
    "(WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < {last}) SELECT i FROM s) AS s"
)
SERIES_OF_POSTGRESQL = "generate_series(0, {last}) AS s(i)"

Groups = Sequence[tuple[int, int]]
"""Groups of customers, in the order of their first messages: how many they are, and how many messages each has."""


def _statements(shop: Shop, series: str, first_id: int, groups: Groups) -> Iterator[str]:
    """The same statements for both engines.

    Ids: for each group its customers, then its threads, then its messages.
    """
    o, b = shop.organization_id, shop.business_id
    first_customer = FIRST_CUSTOMER
    for customers, messages_each in groups:
        messages = customers * messages_each
        each_customer, each_message = series.format(last=customers - 1), series.format(last=messages - 1)
        email = f"'c' || ({first_customer} + i) || '@example.com'"
        customer, thread = f"{first_id} + i", f"{first_id + customers} + i"
        customer_of_message = f"{first_id} + i % {customers}"
        thread_of_message = f"{first_id + customers} + i % {customers}"
        message = f"{first_id + 2 * customers} + i"
        last = f"(SELECT last_position FROM feeds WHERE organization_id = {o})"
        yield from (
            "INSERT INTO customers (organization_id, id, locale, created_at_ms)"
            f" SELECT {o}, {customer}, 'en', {NOW_MS} FROM {each_customer} ORDER BY i",
            "INSERT INTO customer_identities (organization_id, kind, value, customer_id, shown, created_at_ms)"
            f" SELECT {o}, 'email', {email}, {customer}, {email}, {NOW_MS} FROM {each_customer} ORDER BY i",
            "INSERT INTO threads (organization_id, id, customer_id, business_id, channel, status, last_sequence,"
            " created_at_ms, updated_at_ms, last_customer_message_at_ms, last_email)"
            f" SELECT {o}, {thread}, {customer}, {b}, 'WEB', 'waiting', {messages_each}, {NOW_MS}, {NOW_MS}, {NOW_MS},"
            f" {email} FROM {each_customer} ORDER BY i",
            "INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, body, created_at_ms)"
            f" SELECT {o}, {thread_of_message}, i / {customers} + 1, {message}, true, '{BODY}', {NOW_MS} + i"
            f" FROM {each_message} ORDER BY i",
            "INSERT INTO events (organization_id, position, type, business_id, customer_id, thread_id,"
            " thread_sequence, message_id, created_at_ms)"
            f" SELECT {o}, {last} + i + 1, 'message', {b}, {customer_of_message}, {thread_of_message},"
            f" i / {customers} + 1, {message}, {NOW_MS} + i FROM {each_message} ORDER BY i",
            f"UPDATE feeds SET last_position = last_position + {messages} WHERE organization_id = {o}",
        )
        first_id += 2 * customers + messages
        first_customer += customers
    # Otherwise the worker of the measured server would decide the notifications of all these messages.
    yield (
        "INSERT INTO notification_cursors (organization_id, position)"
        f" SELECT organization_id, last_position FROM feeds WHERE organization_id = {o}"
        " ON CONFLICT (organization_id) DO UPDATE SET position = excluded.position"
    )


def _ids(groups: Groups) -> int:
    return sum(customers * (2 + messages_each) for customers, messages_each in groups)


def fill_sqlite(path: Path, shop: Shop, groups: Groups) -> int:
    """Fill an SQLite file that contains only ``shop``; return the first thread's id."""
    tx = connect(path)
    for pragma in ("synchronous = OFF", "foreign_keys = OFF", "cache_size = -1000000"):
        tx.execute(f"PRAGMA {pragma}")
    tx.execute("BEGIN IMMEDIATE")
    (first_id,) = tx.execute("SELECT next_id FROM ids").fetchone()
    for statement in _statements(shop, SERIES_OF_SQLITE, first_id, groups):
        tx.execute(statement)
    tx.execute("UPDATE ids SET next_id = ?", (first_id + _ids(groups),))
    tx.execute("COMMIT")
    tx.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    tx.close()
    return int(first_id) + groups[0][0]


def fill_postgres(postgres: Postgres, database: str, shop: Shop, groups: Groups) -> int:
    """Fill a PostgreSQL database that contains only ``shop``; return the first thread's id."""
    first_id = int(postgres.sql(database, "SELECT nextval('ids')"))
    sql = ";\n".join(_statements(shop, SERIES_OF_POSTGRESQL, first_id, groups))
    # Without the checks of foreign keys, which take most of the time.
    postgres.sql(database, f"SET session_replication_role = replica;\nBEGIN;\n{sql};\nCOMMIT;")
    postgres.sql(database, f"SELECT setval('ids', {first_id + _ids(groups)})")
    postgres.sql(database, "VACUUM ANALYZE")
    postgres.sql(database, "CHECKPOINT")
    return first_id + groups[0][0]


def fill_by_sending(database_url: str, source: Path, shop: Shop, groups: Groups) -> None:
    """Fill a database through the server of another version; all customers write once, in turn."""
    server = Server.of_shopbell(database_url, source=source, delivers=False)

    def send(number: int) -> None:
        body = {"businessId": shop.business_id, "message": BODY, "user": {"email": f"c{number}@example.com"}}
        post(server, shop, "/api/widget/send-message-to-business", body)

    try:
        with ThreadPoolExecutor(SENDERS) as senders:
            all_customers = range(FIRST_CUSTOMER, FIRST_CUSTOMER + sum(customers for customers, _ in groups))
            deque(senders.map(send, all_customers), maxlen=0)
    finally:
        server.stop()


def count_in_sqlite(path: Path) -> int:
    """How many messages an SQLite file holds."""
    connection = connect(path)
    (count,) = connection.execute("SELECT count(*) FROM messages").fetchone()
    connection.close()
    return int(count)


def count_in_postgres(postgres: Postgres, database: str) -> int:
    """How many messages a PostgreSQL database holds."""
    return int(postgres.sql(database, "SELECT count(*) FROM messages"))
