"""Shopbell is installed from ``dist/`` alone, as documented and without a network, up to a first reply."""

import json
import shutil
import time
from pathlib import Path

import pytest
from debian import System, base, unpack

from harness import ROOT
from harness.page_blocks import blocks

DIST = ROOT / "dist"
FIRST_REPLY = Path(__file__).with_name("first_reply.py")
PAGE = ROOT / "docs" / "install.md"


@pytest.fixture
def bookworm(tmp_path: Path) -> System:
    """A new Debian 12, with the artefacts in the folder of the user root."""
    system = unpack(base("bookworm", "curl", "pipx", "python3-venv"), tmp_path)
    shutil.copytree(DIST, system.root / "root", dirs_exist_ok=True)
    shutil.copy(FIRST_REPLY, system.root / "srv")
    return system


def documented(heading: str) -> str:
    """The commands below a heading of the page about installing."""
    _, _, rest = PAGE.read_text().partition(f"## {heading}\n")
    return "".join(block.text for block in blocks(rest.partition("\n## ")[0]) if block.language == "sh")


def reply_after(install: str, shopbell: str, system: System, capsys: pytest.CaptureFixture[str]) -> None:
    """Install and answer the first customer, and print how long it took."""
    began_s = time.monotonic()
    system.shell(f"cd /root\n{install}")
    installed_s = round(time.monotonic() - began_s, 1)
    printed = system.shell(f"mkdir /srv/shop\ncd /srv/shop\npython3 /srv/first_reply.py {shopbell}")
    took_s = {"installed": installed_s, **json.loads(printed.splitlines()[-1])}
    with capsys.disabled():
        print(f"\n{shopbell}: seconds for the installation, then seconds since its end: {took_s}")


def test_a_first_reply_after_an_installation_with_pip(bookworm: System, capsys: pytest.CaptureFixture[str]) -> None:
    reply_after(documented("With pip"), "/opt/shopbell/bin/shopbell", bookworm, capsys)


def test_pip_installs_all_extras(bookworm: System) -> None:
    install = documented("With pip").replace("requirements.txt", "requirements-all.txt")
    bookworm.shell(f"cd /root\n{install}")
    bookworm.run("/opt/shopbell/bin/python", "-c", "import nats, obstore, opentelemetry.sdk, psycopg")


def test_a_first_reply_after_an_installation_with_pipx(bookworm: System, capsys: pytest.CaptureFixture[str]) -> None:
    reply_after(documented("With pipx"), "/root/.local/bin/shopbell", bookworm, capsys)
