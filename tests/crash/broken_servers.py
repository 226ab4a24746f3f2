"""``shopbell`` with one protection taken out: the controls of these tests, which must catch each of them.

    python broken_servers.py CHANGES serve …

``CHANGES`` names functions of this file, separated by commas.
"""

import asyncio
import os
import re
import sys
from pathlib import Path

from shopbell.cli import main
from shopbell.messages import Outcome, Send, Sent
from shopbell.storage import postgres, sqlite
from shopbell.storage.group_commit import GroupCommit

PROGRAM = Path(__file__)
JOURNAL_VARIABLE = "RECORD_DISK_IN"


def program(*changes: str) -> tuple[str, ...]:
    """What runs the server with these changes."""
    return (str(PROGRAM), ",".join(changes))


def answers_before_the_commit() -> None:
    """Answer as soon as a message waits in memory."""

    submit = GroupCommit.submit
    under_way: set[asyncio.Task[Outcome]] = set()

    async def submit_and_forget(self: GroupCommit[Send, Outcome], item: Send) -> Outcome:
        task = asyncio.create_task(submit(self, item))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        return Sent(0)

    GroupCommit.submit = submit_and_forget  # type: ignore[method-assign, assignment]


def syncs_the_log_now_and_then() -> None:
    """SQLite's ``synchronous = NORMAL``, which many recommend for the write-ahead log."""
    weaker = tuple(pragma.replace("= FULL", "= NORMAL") for pragma in sqlite.PRAGMAS)
    assert weaker != sqlite.PRAGMAS
    sqlite.PRAGMAS = weaker  # type: ignore[assignment]


def commits_in_the_background() -> None:
    """PostgreSQL's ``synchronous_commit = off``."""
    weaker = postgres._HOT.replace("synchronous_commit=on", "synchronous_commit=off")
    assert weaker != postgres._HOT
    postgres._HOT = weaker


def records_the_disk() -> None:
    """No protection less: note what SQLite writes and syncs; fold the log in often, so that power fails then, too."""
    from recorded_disk import record

    sooner = tuple(re.sub(r"(wal_autocheckpoint) = \d+", r"\1 = 500", pragma) for pragma in sqlite.PRAGMAS)
    assert sooner != sqlite.PRAGMAS
    sqlite.PRAGMAS = sooner  # type: ignore[assignment]
    record(Path(os.environ[JOURNAL_VARIABLE]))


if __name__ == "__main__":
    for change in sys.argv.pop(1).split(","):
        globals()[change]()
    main()
