"""A restore of PostgreSQL replaces the data and pauses deliveries in one transaction, or does nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.databases import add_postgres_programs
from harness.installation import Database, Installation
from shopbell.db.schema.core import metadata

if TYPE_CHECKING:
    from harness.databases import Databases

REFUSE_THE_PAUSE = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no pause'; END $$",
    "CREATE TRIGGER refuse BEFORE INSERT ON installation FOR EACH ROW "
    "WHEN (NEW.name = 'deliveries_held_back') EXECUTE FUNCTION refuse()",
)

pytestmark = pytest.mark.parametrize("engine", ["postgresql"])


@pytest.fixture
def installation(installation: Installation, databases: "Databases") -> Installation:
    """The installation, with PostgreSQL's programs in its PATH."""
    add_postgres_programs(installation, databases)
    return installation


def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables."""
    return {table: sorted(database.rows(f"SELECT * FROM {table}"), key=str) for table in metadata.tables}


def back_up(installation: Installation, folder: Path) -> Path:
    """A backup, after which the data changes."""
    file = folder / "shop.backup"
    installation.cli("backup", file)
    installation.cli("organization", "create", "Made after the backup")
    return file


def replace_program(installation: Installation, folder: Path, name: str, script: str) -> None:
    """Put a shell script before one of PostgreSQL's programs; it calls the real one as ``real``."""
    path = str(installation.settings["PATH"])
    (folder / "bin").mkdir()
    program = folder / "bin" / name
    program.write_text(f'#!/bin/sh\nreal() {{ PATH="{path}" {name} "$@"; }}\n{script}\n')
    program.chmod(0o755)
    installation.settings = dict(installation.settings) | {"PATH": f"{folder}/bin:{path}"}


def restore_fails(installation: Installation, file: Path) -> str:
    """Run a restore that must fail with one line and change nothing, and return the line."""
    before = everything(installation.database)
    done = installation.run("restore", file)
    assert done.returncode == 1, done.stdout + done.stderr
    assert everything(installation.database) == before
    (line,) = done.stderr.splitlines()
    return line


def test_a_restore_that_cannot_pause_deliveries_changes_nothing(installation: Installation, tmp_path: Path) -> None:
    for statement in REFUSE_THE_PAUSE:
        installation.database.change(statement)
    line = restore_fails(installation, back_up(installation, tmp_path))
    assert line == "shopbell: PostgreSQL refuses the backup: no pause"


def test_a_restore_whose_dump_ends_early_changes_nothing(installation: Installation, tmp_path: Path) -> None:
    file = back_up(installation, tmp_path)
    early = 'case "$1" in --version) real "$@"; exit;; esac\nreal "$@" | head -c 20000\n'
    replace_program(installation, tmp_path, "pg_restore", f"{early}echo 'pg_restore: error: torn' >&2; exit 1")
    assert restore_fails(installation, file) == "shopbell: pg_restore: error: torn"


def test_a_dump_runs_no_programs_on_this_machine(installation: Installation, tmp_path: Path) -> None:
    file = back_up(installation, tmp_path)
    program = (
        f'case "$1" in --version) real "$@"; exit;; esac\nprintf "%s\\n" "\\\\! touch {tmp_path}/touched"; real "$@"'
    )
    replace_program(installation, tmp_path, "pg_restore", program)
    assert "PostgreSQL refuses the backup: syntax error" in restore_fails(installation, file)
    assert not (tmp_path / "touched").exists()


def test_a_restore_without_pg_restore_is_refused(installation: Installation, tmp_path: Path) -> None:
    file = back_up(installation, tmp_path)
    replace_program(installation, tmp_path, "pg_restore", "exit 1")
    assert "pg_restore is not in PATH; install PostgreSQL's client programs" in restore_fails(installation, file)


def test_rows_with_every_character_come_back(installation: Installation, tmp_path: Path) -> None:
    name = "Tab\t back\\slash 'quote' \\. \\N line\nCOPY public.threads (id) FROM stdin;\n\\.\n %s :name ü🙂"
    installation.database.change("UPDATE organizations SET name = :name", name=name)
    before = everything(installation.database)
    installation.cli("restore", back_up(installation, tmp_path))
    after = everything(installation.database)
    assert after["organizations"] == before["organizations"]
    assert len(after["installation"]) == len(before["installation"]) + 1
