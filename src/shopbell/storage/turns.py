"""Who does a job that one process at a time should do: a lock that ends with its transaction."""

import zlib

from sqlalchemy import Connection, text


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
