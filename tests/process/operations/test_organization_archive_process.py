"""Progress and memory of organization export and import."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from harness.archives import Filled, filled_installations
from harness.databases import Databases
from harness.installation import Installation
from harness.world import World

FILL = (
    "INSERT INTO customers (organization_id, id, created_at_ms) SELECT :acme, 100000 + 100 * i, 1 FROM step",
    "INSERT INTO threads (organization_id, id, customer_id, business_id, channel, status, last_sequence, "
    "created_at_ms, updated_at_ms) SELECT :acme, 100001 + 100 * i, 100000 + 100 * i, :boston, 'WEB', 'waiting', 90, "
    "1, 1 FROM step",
    "INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, internal, body, created_at_ms) "
    "SELECT :acme, 100001 + 100 * a.i, b.i + 1, 100002 + 100 * a.i + b.i, true, false, 'Hello ' || b.i, 1 "
    "FROM step AS a, step AS b WHERE b.i < 90",
)


@pytest.fixture(scope="module")
def filled(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Filled]]:
    """The filled installations of this module."""
    yield from filled_installations(databases, tmp_path_factory)


@pytest.fixture
def source(filled: Callable[[str], Filled], engine: str) -> Filled:
    """The filled installation of this engine."""
    return filled(engine)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_progress_is_shown_only_in_terminals(source: Filled, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "shopbell", "organization", "export", source.people.acme, str(tmp_path / "f")]
    environment = source.installation.environment | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=theirs, cwd=tmp_path) as exporting:
        os.close(theirs)
        shown = _all_of(ours)
        assert exporting.stdout is not None
        said = exporting.stdout.read().decode()
    assert exporting.returncode == 0
    assert "messages" in shown
    assert "rows of organization" in said
    quiet = source.installation.run("organization", "export", source.people.acme, tmp_path / "g")
    assert quiet.stderr == ""


def _all_of(terminal: int) -> str:
    """The output on a terminal until it closes; it keeps a few thousand bytes."""
    shown = b""
    try:
        while piece := os.read(terminal, 65_536):
            shown += piece
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(terminal)
    return shown.decode()


def _peak_bytes(installation: Installation, *arguments: object) -> int:
    """The most memory that a command took, which must succeed."""
    command = [sys.executable, "-m", "shopbell", *map(str, arguments)]
    process = subprocess.Popen(
        command, env=installation.environment, cwd=installation.folder, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_maxrss * 1024


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_large_organization_needs_no_more_memory_and_does_not_block_the_writer(
    installation: Installation, people: World, tmp_path: Path
) -> None:
    small = _peak_bytes(installation, "organization", "export", people.acme, tmp_path / "small.jsonl")
    with installation.database.connection() as connection:
        for statement in FILL:
            numbers = "WITH RECURSIVE step(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM step WHERE i < 999) "
            connection.execute(text(numbers + statement), {"acme": int(people.acme), "boston": int(people.boston)})
        connection.execute(text("UPDATE ids SET next_id = 1000000"))
    file = tmp_path / "large.jsonl"
    assert _peak_bytes(installation, "organization", "export", people.acme, file) < small + 48_000_000
    with installation.serving(run_worker=False):
        done = installation.run("organization", "import", file)
        assert (done.returncode, "a server is running on this database" in done.stderr) == (1, True), done.stderr
        assert len(installation.cli("organization", "list")) == 2
        assert installation.cli("organization", "import", tmp_path / "small.jsonl")
    assert _peak_bytes(installation, "organization", "import", file) < small + 48_000_000
    assert installation.database.value("SELECT count(*) FROM messages") == 2 * 90_000
