"""In a folder without a database no command creates one, but for those that begin an installation."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from conftest import Databases
from harness.installation import Installation
from shopbell.cli import app
from shopbell.errors import CommandError

BEGIN = {"serve", "demo", "worker", "migrate", "restore", "organization create", "organization import"}
WITHOUT_DATABASE = {"webhooks listen", "doctor", "mail test"}
VALUES = {"origin": "https://shop.example", "url": "https://shop.example"}
"""What commands require that may not be a number, by the parameter's name."""

MORE = {
    "customers erase": ["--yes"],
    "employee update": ["--name", "Alice"],
    "organization update": ["--name", "Acme"],
    "webhooks replay": ["12345"],
}
"""What commands require beside, to get as far as the database."""


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command by its whole name."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


ALL = dict(commands(typer.main.get_command(app)))


def arguments(command: Any) -> list[str]:
    """A value for everything that the command requires."""
    given: list[str] = []
    for parameter in command.params:
        if parameter.required:
            given += [*parameter.opts[:1]] if parameter.param_type_name == "option" else []
            given.append(VALUES.get(parameter.name, "12345"))
    return given


def test_every_command_that_may_begin_an_installation_exists() -> None:
    assert set(ALL) >= BEGIN | WITHOUT_DATABASE


@pytest.mark.parametrize("name", sorted(set(ALL) - BEGIN - WITHOUT_DATABASE))
def test_a_command_in_the_wrong_folder_says_where_it_looked_and_creates_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in [each for each in os.environ if each.startswith("SHOPBELL_")]:
        monkeypatch.delenv(variable)
    done = CliRunner().invoke(app, [*name.split(), *arguments(ALL[name]), *MORE.get(name, [])])
    assert isinstance(done.exception, CommandError), (done.output, done.exception)
    assert str(done.exception).startswith(f"there is no database {tmp_path / 'data' / 'shopbell.db'};")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_is_named_and_stays_empty(databases: Databases, tmp_path: Path) -> None:
    database = databases.empty()
    done = Installation(database, tmp_path).run("threads", "list")
    assert done.returncode == 1
    assert done.stderr.startswith("shopbell: there is nothing in the database '")
    assert "postgres:" not in done.stderr
    assert database.value("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'") == 0
    databases.drop(database)
