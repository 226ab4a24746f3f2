"""``kill -9`` of a restore at every step leaves a complete database."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from harness.installation import Database, Installation
from harness.shop import Shop
from harness.world import World

KILLED_BEFORE_CHANGE = """
import os, signal, sys

left = int(sys.argv.pop(1))

def count(event, arguments):
    global left
    if event in ("os.link", "os.remove", "os.rename") and any("shopbell.db" in str(each) for each in arguments):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

from shopbell.cli import main
sys.addaudithook(count)
sys.argv[0] = "shopbell"
main()
"""


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_killed_restore_leaves_the_old_or_the_restored_database(
    installation: Installation, people: World, tmp_path: Path
) -> None:
    backup = tmp_path / "shop.backup"
    installation.cli("backup", backup)
    with installation.serving() as server:
        Shop(server, people).send()
        server.kill()
    source = Path(make_url(installation.database.url).database or "").parent
    assert (source / "shopbell.db-wal").stat().st_size > 0, "the message is still in the log"
    seen = []
    for step in range(20):
        folder = tmp_path / f"step-{step}"
        shutil.copytree(source, folder)
        database = Database(f"sqlite:///{folder / 'shopbell.db'}")
        there = Installation(database, tmp_path, installation.settings)
        command = [sys.executable, "-c", KILLED_BEFORE_CHANGE, str(step), "restore", str(backup)]
        done = subprocess.run(command, cwd=tmp_path, env=there.environment, capture_output=True, check=False)
        assert (folder / "shopbell.db").exists(), f"killed before change {step}, it left no database"
        seen.append(database.value("SELECT count(*) FROM messages"))
        kept = there.cli("restore", backup)["kept"]
        assert Database(f"sqlite:///{kept}").value("SELECT count(*) FROM messages") == seen[-1]
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert set(seen) == {0, 1}, "killed before and after the change"
    assert seen == sorted(seen, reverse=True)
    assert len(seen) >= 3


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_restore_does_not_wait_for_programs_that_have_the_database_open(
    installation: Installation, tmp_path: Path
) -> None:
    backup = tmp_path / "shop.backup"
    installation.cli("backup", backup)
    with installation.database.connection() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM organizations")
        done = installation.run("restore", backup)
    assert (done.returncode, "another program has" in done.stderr) == (1, True), done.stderr
    assert installation.cli("restore", backup)["restored"] is True
