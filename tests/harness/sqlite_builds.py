"""The two supported builds of SQLite, and a second program."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.installation import Installation

_WITHOUT_PYSQLITE3 = Path(__file__).parent / "without_pysqlite3"
BUILDS = ("pysqlite3", "sqlite3")
ACTS = ("select", "backup", "vacuum into", "checkpoint")

_OTHER_PROGRAM = """
import os, sqlite3, sys, tempfile
for act in sys.argv[2:]:
    connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "copy.db")
        if act == "select":
            connection.execute("SELECT count(*) FROM messages").fetchone()
        elif act == "backup":
            target = sqlite3.connect(copy)
            connection.backup(target)
            target.close()
        elif act == "vacuum into":
            connection.execute("VACUUM INTO ?", (copy,))
        elif act == "checkpoint":
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            sys.exit(f"{act}?")
    connection.close()
"""


def with_build(installation: Installation, build: str) -> Installation:
    """The same installation, whose processes use one build of SQLite.

    Args:
        installation: whose.
        build: ``pysqlite3``, or ``sqlite3``, which the interpreter brings: then importing ``pysqlite3`` fails.
    """
    if build == "pysqlite3":
        return installation
    return replace(installation, settings={**installation.settings, "PYTHONPATH": str(_WITHOUT_PYSQLITE3)})


def use_from_outside(database: Path, acts: Sequence[str] = ACTS) -> None:
    """Let another process use a database with the interpreter's own ``sqlite3``, each act by a connection of its own.

    Args:
        database: the file.
        acts: some of ``ACTS``, in the order in which they are done.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-c", _OTHER_PROGRAM, str(database), *acts], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
