"""Only installation commands create a database."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.databases import Databases
from harness.installation import Installation
from shopbell.cli import app, registry
from shopbell.errors import CommandError

BEGIN = {"init", "serve", "demo", "worker", "migrate", "restore", "organization create", "organization import"}
WITHOUT_DATABASE = {"webhooks listen", "doctor", "mail test"}
VALUES = {"origin": "https://shop.example", "url": "https://shop.example", "email": "alice@example.com"}
"""What commands require that may not be a number, by the parameter's name."""

MORE = {
    "backup": ["backup.tar"],
    "business update": ["--name", "Acme Boston"],
    "customers erase": ["--yes"],
    "employee invite": ["--owner"],
    "employee update": ["--name", "Alice"],
    "organization update": ["--name", "Acme"],
    "webhooks replay": ["12345"],
}
"""What commands require beside, to get as far as the database."""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its whole name."""
    for name in registry.COMMANDS:
        yield name, registry.load(name)
    for group in registry.GROUPS:
        for name, command in registry.load(group).commands.items():
            yield f"{group} {name}", command


ALL = dict(commands())


def arguments(command: Any) -> list[str]:
    """A value for everything that the command requires."""
    given: list[str] = []
    for parameter in command.params:
        if parameter.required:
            given += [*parameter.opts[:1]] if parameter.param_type_name == "option" else []
            given.append(VALUES.get(parameter.name, "12345"))
    return given


def test_the_commands_that_may_create_a_database_exist() -> None:
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
    assert str(done.exception).startswith(f"database {tmp_path / 'data' / 'shopbell.db'} does not exist;")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_is_reported_and_stays_empty(databases: Databases, tmp_path: Path) -> None:
    database = databases.empty()
    done = Installation(database, tmp_path).run("threads", "list")
    assert done.returncode == 1
    assert done.stderr.startswith("shopbell: database '")
    assert "postgres:" not in done.stderr
    assert database.value("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'") == 0
    databases.drop(database)
