"""``shopbell`` with one protection removed, for controls.

    python broken_servers.py CHANGES serve …

``CHANGES`` names functions of this file, separated by commas.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any

from shopbell.cli import main
from shopbell.conversations.messages import Outcome, Send, Sent
from shopbell.db import postgres, sqlite
from shopbell.db.group_commit import Done, Entry, GroupCommit
from shopbell.db.sqlite_files import OpenFiles

PROGRAM = Path(__file__)
JOURNAL_VARIABLE = "RECORD_DISK_IN"
OPENED = "opened beside SQLite:"


def program(*changes: str) -> tuple[str, ...]:
    """What runs the server with these changes."""
    return (str(PROGRAM), ",".join(changes))


def answers_before_the_commit() -> None:
    """Answer as soon as a message waits in memory."""

    submit = GroupCommit.submit

    def answer_and_submit(self: GroupCommit[Send, Outcome], item: Send, done: Done[Outcome]) -> Entry[Send, Outcome]:
        done(Sent(0))
        return submit(self, item, lambda _: None)

    GroupCommit.submit = answer_and_submit  # type: ignore[method-assign, assignment]


def syncs_the_log_now_and_then() -> None:
    """SQLite's ``synchronous = NORMAL``, which many recommend for the write-ahead log."""
    weaker = tuple(pragma.replace("= FULL", "= NORMAL") for pragma in sqlite.PRAGMAS)
    assert weaker != sqlite.PRAGMAS
    sqlite.PRAGMAS = weaker  # type: ignore[assignment]


def commits_in_the_background() -> None:
    """PostgreSQL's ``synchronous_commit = off``."""
    weaker = postgres._HOT | {"synchronous_commit": "off"}
    assert weaker != postgres._HOT
    postgres._HOT = weaker


def opens_the_database_beside_sqlite() -> None:
    """Open and close the file before each connection, by which the process loses SQLite's locks."""
    connect = sqlite._open

    def open_and_connect(path: Path, *arguments: Any) -> object:
        os.close(os.open(path, os.O_RDWR))
        return connect(path, *arguments)

    sqlite._open = open_and_connect


def does_not_watch_its_files() -> None:
    """Answer 200 whatever became of the database's files."""
    OpenFiles.check = lambda self: None  # type: ignore[method-assign]


def reports_opens_of_the_database() -> None:
    """No protection less: print a line for each file of the database that anything but SQLite opens."""

    def report(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith(("shopbell.db", "-wal", "-shm")):
            os.write(2, f"{OPENED} {arguments[0]}\n".encode())

    sys.addaudithook(report)


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
