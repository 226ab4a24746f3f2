"""The pages for operators show existing commands, options and settings."""

import re
import shlex
from functools import cache

import pytest
from typer.testing import CliRunner

from harness import ROOT
from shopbell.cli import app
from shopbell.operations import retention
from shopbell.operations.backups import record
from shopbell.operations.doctor import backups
from shopbell.operations.organization_import import BESIDE_A_SERVER_LINES
from shopbell.settings.settings import PREFIX, Settings
from shopbell.workers import webhook_worker

PAGE = "".join((ROOT / "docs" / f"{name}.md").read_text() for name in ("operations", "backups", "upgrade"))
COMMANDS = sorted(set(re.findall(r"^(?:SHOPBELL_\S+ )?(shopbell .+)$", PAGE, re.MULTILINE)))


@cache
def _help(*names: str) -> str:
    shown = CliRunner().invoke(app, [*names, "--help"], terminal_width=200)
    assert shown.exit_code == 0, names
    return shown.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_on_the_pages_exists(command: str) -> None:
    words = shlex.split(command)[1:]
    names = words[: 2 if words[0] in ("organization", "token", "webhooks") else 1]
    options = {word for word in words if word.startswith("--")}
    assert {option for option in options if option not in _help(*names)} == set()


def test_the_pages_show_commands() -> None:
    assert len(COMMANDS) > 12


def test_every_setting_on_the_pages_exists() -> None:
    named = set(re.findall(rf"{PREFIX}([A-Z0-9_]+)", PAGE))
    assert len(named) > 10
    assert {name for name in named if name.lower() not in Settings.model_fields} == set()


def test_the_numbers_on_the_pages_match_the_code() -> None:
    assert f"at most {retention.BATCH_ROWS} rows" in PAGE
    assert webhook_worker.SWEEP_EVERY_S == 600
    assert "Every ten minutes" in PAGE
    assert f"`SHOPBELL_BACKUP_AT`, by default at {Settings().backup_at} UTC" in PAGE
    assert f"older than {backups.DAILY_MAX_MS // 3_600_000}\nhours" in PAGE
    assert record.RETRY_MS == 600_000
    assert "tries again\nafter ten minutes" in PAGE
    assert f"more than {BESIDE_A_SERVER_LINES:,} lines" in PAGE
