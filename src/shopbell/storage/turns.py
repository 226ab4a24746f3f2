"""Who goes first: locks beside all rows, which end with their transactions."""

import zlib

from sqlalchemy import Connection, text

RIGHT_OF_WAY = 7_467_263
"""The lock of a batch of messages that has lost a race (``postgres.py``)."""


def take_turn(tx: Connection, job: str) -> bool:
    """Take the turn for a job until the transaction ends, if no other process has it.

    Args:
        tx: the transaction.
        job: what is done; other jobs have other turns.

    Returns:
        Whether it was free. On SQLite a transaction that writes is alone in any case.
    """
    if tx.dialect.name == "sqlite":
        return True
    taken: bool = tx.execute(
        text("SELECT pg_try_advisory_xact_lock(:space, :job)"),
        {"space": 7_467_262, "job": zlib.crc32(job.encode()) >> 1},
    ).scalar_one()
    return taken


def give_way(tx: Connection) -> None:
    """Let a batch of messages that has lost a race be written first, and keep the next one waiting until the end.

    Whoever changes who a customer is, or whether he is heard, begins with it: a batch that looked its customers up
    before is written again, and would lose again and again to one change after the other. It comes before the lock of
    any row, so that nobody waits in a circle. On SQLite a transaction that writes is alone in any case.

    Args:
        tx: the transaction.
    """
    if tx.dialect.name != "sqlite":
        tx.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": RIGHT_OF_WAY})
