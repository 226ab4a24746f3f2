"""Backups during writes and after a kill."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.databases import add_postgres_programs
from harness.installation import Installation
from harness.shop import Shop
from harness.waiting import wait_until_left
from harness.world import World
from shopbell.operations.backups import tar

if TYPE_CHECKING:
    from conftest import Databases


PATIENCE_S = 60


@pytest.fixture
def installation(installation: Installation, engine: str, databases: "Databases") -> Installation:
    """The installation, with PostgreSQL's programs in its PATH where it needs them."""
    if engine == "postgresql":
        add_postgres_programs(installation, databases)
    return installation


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the backup goes."""
    return tmp_path / "shop.backup"


def test_a_backup_during_writes_is_consistent(own_shop_with_programs: Shop, file: Path) -> None:
    shop, installation = own_shop_with_programs, own_shop_with_programs.server.installation
    email, answered, stop = shop.somebody(), [], threading.Event()

    def write() -> None:
        while not stop.is_set():
            answered.append(shop.send(user={"email": email}))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not answered:
            time.sleep(0.01)
        during, deadline_s = 0, time.monotonic() + PATIENCE_S
        while not during:  # on a slow disk a whole backup may be quicker than one message
            assert time.monotonic() < deadline_s, "the server stood still during each backup"
            file.unlink(missing_ok=True)
            before = len(answered)
            installation.cli("backup", file)
            during = len(answered) - before
    finally:
        stop.set()
        writer.join()
    assert shop.server.terminate() == 0
    restored = installation.cli("restore", file)
    assert restored["warnings"] == []
    sequences = [row["sequence"] for row in shop.messages(answered[0])]
    assert sequences == list(range(1, len(sequences) + 1))
    assert before <= len(sequences) <= len(answered)
    assert shop.thread(answered[0])["last_sequence"] == len(sequences)
    assert shop.database.value("SELECT count(*) FROM events WHERE type = 'message'") == len(sequences)


@pytest.fixture
def own_shop_with_programs(installation: Installation, people: World) -> Iterator[Shop]:
    """A running server on the installation of this file."""
    with installation.serving() as server:
        yield Shop(server, people)


def test_a_killed_server_does_not_block_a_restore(own_shop_with_programs: Shop, file: Path) -> None:
    installation = own_shop_with_programs.server.installation
    installation.cli("backup", file)
    own_shop_with_programs.server.kill()
    wait_until_left(installation.database)
    assert installation.cli("restore", file)["restored"] is True


def test_a_killed_backup_leaves_no_partial_file(installation: Installation, file: Path) -> None:
    command = subprocess.Popen(
        [sys.executable, "-m", "shopbell", "backup", str(file)],
        cwd=installation.folder,
        env=installation.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with suppress(FileNotFoundError):  # the folder went while it was looked into: the command was quicker
        while command.poll() is None and not list(file.parent.glob(".shopbell-*/*")):
            time.sleep(0.001)
    command.send_signal(signal.SIGKILL)
    command.wait()
    if file.exists():  # it was quicker than the signal: then it is whole
        folder = file.parent / "whole"
        folder.mkdir()
        tar.extract(file, folder)
