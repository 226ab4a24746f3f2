"""Statements with a plan that PostgreSQL keeps: they find each row by a key, however few rows the tables have."""

from sqlalchemy import Connection

_SETTINGS = (
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; "
    "SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_generic_plan"
)


def find_by_key(tx: Connection) -> None:
    """Let the statements that follow in this transaction find rows by keys, with a plan for all values.

    To plan a statement with many joins takes PostgreSQL milliseconds. But a plan that it keeps, and made while a table
    was small, would read the whole table forever. SQLite joins by key anyway.
    """
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql(_SETTINGS)
