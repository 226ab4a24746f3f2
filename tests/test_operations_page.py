"""``docs/operations.md`` shows commands, options and settings that there are."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shopbell import retention, worker
from shopbell.cli import app
from shopbell.organization_import import BESIDE_A_SERVER_LINES
from shopbell.settings import PREFIX, Settings

PAGE = (Path(__file__).parents[1] / "docs" / "operations.md").read_text()
COMMANDS = sorted(set(re.findall(r"^(?:SHOPBELL_\S+ )?(shopbell .+)$", PAGE, re.MULTILINE)))


@cache
def _help(*names: str) -> str:
    shown = CliRunner().invoke(app, [*names, "--help"], terminal_width=200)
    assert shown.exit_code == 0, names
    return shown.output


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_is_one(command: str) -> None:
    words = shlex.split(command)[1:]
    names = words[: 2 if words[0] in ("organization", "token", "webhooks") else 1]
    options = {word for word in words if word.startswith("--")}
    assert {option for option in options if option not in _help(*names)} == set()


def test_the_page_shows_commands() -> None:
    assert len(COMMANDS) > 12


def test_every_setting_of_the_page_is_one() -> None:
    named = set(re.findall(rf"{PREFIX}([A-Z0-9_]+)", PAGE))
    assert len(named) > 10
    assert {name for name in named if name.lower() not in Settings.model_fields} == set()


def test_the_numbers_of_the_page_are_those_of_the_program() -> None:
    assert f"at most {retention.BATCH_ROWS} rows" in PAGE
    assert worker.SWEEP_EVERY_S == 600
    assert "Every ten minutes" in PAGE
    assert f"more than {BESIDE_A_SERVER_LINES:,} lines" in PAGE
