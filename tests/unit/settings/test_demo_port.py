"""``make run`` checks its port before it installs and builds anything."""

import re
import socket
import subprocess
from pathlib import Path

import pytest

from harness import ROOT
from shopbell.operations import demo_port
from shopbell.settings import settings


def make(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run make in the checkout."""
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_make_run_reports_a_port_in_use_and_proposes_a_free_one() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        failed = make("run", f"SHOPBELL_PORT={port}")
    assert failed.returncode != 0
    assert f"Port {port} is in use" in failed.stderr
    proposed = re.search(r"make run SHOPBELL_PORT=(\d+)\n", failed.stderr)
    assert proposed
    assert not demo_port.is_in_use("127.0.0.1", int(proposed[1]))


def test_make_run_checks_the_port_first() -> None:
    commands = make("--dry-run", "--always-make", "run").stdout
    assert commands.index("demo_port.py") < commands.index("Installing Shopbell") < commands.index("Building the inbox")


@pytest.mark.parametrize(
    ("file", "variables"),
    [
        ("", {}),
        ("", {"SHOPBELL_PORT": "9000"}),
        ("", {"SHOPBELL_PORT": "", "SHOPBELL_HOST": "::1"}),
        ('host = "127.0.0.2"\nport = 9000', {}),
        ("port = 9000", {"SHOPBELL_PORT": "9001"}),
    ],
)
def test_the_port_that_is_checked_is_the_one_of_the_settings(
    file: str, variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SHOPBELL_HOST", "SHOPBELL_PORT", "SHOPBELL_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if file:
        (tmp_path / "shopbell.toml").write_text(file)
    loaded = settings.load()
    assert demo_port.chosen() == (loaded.host, loaded.port)


def test_an_address_of_another_machine_is_not_called_in_use() -> None:
    assert not demo_port.is_in_use("192.0.2.1", 8080)


@pytest.mark.parametrize("port", ["many", "99999999"])
def test_an_invalid_port_is_left_to_the_server(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPBELL_PORT", port)
    demo_port.main()
