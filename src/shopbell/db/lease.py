"""Let one process of the installation do a job at a time."""

from dataclasses import dataclass

from sqlalchemy import Connection, update

from shopbell.db.installation import lock_fact, replace_fact
from shopbell.db.schema.core import installation


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do a job, which one process has at a time and must extend.

    Owners are random names of processes, without spaces. If the clocks of two machines differ, both may have it for a
    while.

    Args:
        name: of the fact that stores it: its owner, and its end in Unix ms.
        for_ms: how long it lasts after it was taken or extended.
    """

    name: str
    for_ms: int

    def take(self, tx: Connection, owner: str, *, now_ms: int) -> bool:
        """Take or extend the lease; return whether this owner has it now."""
        holder, _, until_ms = lock_fact(tx, self.name, "0").rpartition(" ")
        # A lease that ends later was taken before the clock was set back.
        if holder != owner and now_ms < int(until_ms) <= now_ms + 2 * self.for_ms:
            return False
        replace_fact(tx, self.name, f"{owner} {now_ms + self.for_ms}")
        return True

    def release(self, tx: Connection, owner: str, *, until_ms: int = 0) -> None:
        """Let any process take the lease, unless another owner has it.

        Args:
            until_ms: the time in Unix ms from which it can be taken, at most twice ``for_ms`` from now.
        """
        c = installation.c
        is_ours = (c.name == self.name) & c.value.startswith(f"{owner} ", autoescape=True)
        tx.execute(update(installation).where(is_ours).values(value=str(until_ms)))
