"""Send the last statements of a transaction together with its commit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


@contextmanager
def last_writes(tx: Connection) -> Iterator[None]:
    """Send the statements of the block and the commit in one round trip.

    So the transaction holds its locks only while PostgreSQL works, and not while this process waits for the CPU. On
    SQLite, the statements run one by one, and the commit follows as usual.

    Args:
        tx: the transaction; nothing may follow in it. The statements of the block return no rows.
    """
    if tx.dialect.name == "sqlite":
        yield
        return
    from psycopg import Error  # an extra

    connection: Any = tx.connection.driver_connection
    try:
        with connection.pipeline():
            yield
            connection.commit()
    except Error as error:
        raise DBAPIError(None, None, error) from error
