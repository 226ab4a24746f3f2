"""Advisory locks that end with the transaction, and their order."""

import zlib

from sqlalchemy import Connection, text

PRIORITY_LOCK = 7_467_263
"""The lock of a batch of messages that lost a race (``postgres.py``)."""


def try_job_lock(tx: Connection, job: str) -> bool:
    """Lock a job until the transaction ends, unless another process holds its lock.

    Args:
        job: the name of the job; each job has its own lock.

    Returns:
        Whether this transaction holds the lock. Always true on SQLite, where only one transaction writes at a time.
    """
    if tx.dialect.name == "sqlite":
        return True
    taken: bool = tx.execute(text("SELECT pg_try_advisory_xact_lock(:space, :job)"), _job_key(job)).scalar_one()
    return taken


def lock_job(tx: Connection, job: str) -> None:
    """Lock a job until the transaction ends; wait for another process that holds its lock."""
    if tx.dialect.name != "sqlite":
        tx.execute(text("SELECT pg_advisory_xact_lock(:space, :job)"), _job_key(job))


def _job_key(job: str) -> dict[str, int]:
    return {"space": 7_467_262, "job": zlib.crc32(job.encode()) >> 1}


def lock_customers_shared(tx: Connection) -> None:
    """Give priority to a batch of messages that lost a race.

    The call waits for such a batch. Later ones wait until this transaction ends. Every transaction that merges, blocks
    or erases customers starts with this call: each such change invalidates the customers that a batch has looked up, so
    a batch could otherwise lose to one change after another. Every transaction that locks several threads also starts
    with this call: a batch locks them in another order, and if two transactions wait for each other, one of them fails.
    To avoid deadlocks, take this lock before any row lock. SQLite needs no lock, because only one transaction writes at
    a time.
    """
    if tx.dialect.name != "sqlite":
        tx.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": PRIORITY_LOCK})
