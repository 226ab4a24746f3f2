"""A power cut loses no acknowledged message."""

import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from broken_servers import JOURNAL_VARIABLE, program
from recorded_disk import SUFFIXES, SYNC, kinds, rebuild, redo_last
from sqlalchemy import make_url

from harness.installation import Database, Installation, ServerProcess
from harness.postgres import Postgres
from harness.record import Findings, Load, Record, examine, small_world
from harness.world import World

CUTS = 20
MESSAGES = 3_000
CRASHES = 3


class RecordedShop:
    """A server on SQLite whose disk is recorded, loaded and then killed; and its files as of any moment."""

    def __init__(self, installation: Installation, people: World, folder: Path, *changes: str) -> None:
        self.path = Path(make_url(installation.database.url).database or "")
        self._folder = folder
        self._before = self.files(self.path)
        journal = folder / "journal"
        self.record = Record(
            people.token,
            (people.boston, people.paris),
            position=lambda: journal.stat().st_size if journal.exists() else 0,
        )
        recorded = replace(
            installation,
            server_program=program(*changes, "records_the_disk"),
            # Without the worker's own writes: the kill must not come between one of them and its note in the journal
            # while the messages' writer makes another.
            settings={**installation.settings, JOURNAL_VARIABLE: str(journal), "SHOPBELL_RUN_WORKER": "false"},
        )
        server = ServerProcess(recorded)
        try:
            server.start()
            with Load(server.port, self.record) as load:
                load.wait_for(200, MESSAGES)
                server.kill()
        finally:
            server.stop()
        self.journal = journal.read_bytes()
        self.checkpoints = sum(kind == SYNC and suffix == "" for kind, suffix in kinds(self.journal))

    @staticmethod
    def files(path: Path) -> dict[str, bytes]:
        """The bytes of a database's files, by suffix."""
        places = {suffix: path.with_name(path.name + suffix) for suffix in SUFFIXES}
        return {suffix: place.read_bytes() for suffix, place in places.items() if place.exists()}

    def cut(self, chooser: random.Random) -> Findings:
        """Cut the power at a random moment and look at what is there when it is back."""
        first = min(sending.acknowledged_at for sending in self.record.acknowledged)
        until = chooser.randrange(first, len(self.journal) + 1)
        share = chooser.choice((0.0, 0.5, 0.9))
        after = rebuild(self._before, self.journal, until=until, survives=lambda: chooser.random() < share)
        folder = self._folder / "after"
        folder.mkdir()
        for suffix, content in after.items():
            (folder / f"shopbell.db{suffix}").write_bytes(content)
        database = Database(f"sqlite:///{folder / 'shopbell.db'}")
        assert database.value("PRAGMA integrity_check") == "ok"
        findings = examine(self.record, database.rows, at=until)
        shutil.rmtree(folder)
        return findings

    def everything_survives(self) -> dict[str, bytes]:
        """The files when nothing was cut: they must be those that are there."""
        return rebuild(self._before, self.journal, until=len(self.journal), survives=lambda: True)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_power_cut_loses_no_acknowledged_message_on_sqlite(
    installation: Installation, people: World, tmp_path: Path
) -> None:
    shop = RecordedShop(installation, people, tmp_path)
    assert shop.checkpoints, "the log was never written back into the database"
    complete = shop.everything_survives() == redo_last(shop.files(shop.path), shop.journal)
    assert complete, "the recording is not complete"  # without the bytes, which are megabytes
    chooser = random.Random()
    acknowledged = 0
    for _ in range(CUTS):
        findings = shop.cut(chooser)
        findings.check()
        acknowledged += findings.acknowledged
    assert acknowledged >= CUTS * MESSAGES / 10, f"only {acknowledged} messages were acknowledged before {CUTS} cuts"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_control_an_occasionally_synced_log_is_detected_on_sqlite(
    installation: Installation, people: World, tmp_path: Path
) -> None:
    shop = RecordedShop(installation, people, tmp_path, "syncs_the_log_now_and_then")
    chooser = random.Random()
    found = [shop.cut(chooser) for _ in range(CUTS)]
    lost = sum(len(findings.lost) for findings in found)
    assert lost, f"synchronous = NORMAL lost nothing of {sum(findings.acknowledged for findings in found)}"


def _crash_postgres(server: Postgres, folder: Path, *changes: str) -> Findings:
    database = Database(server.url())
    # Nothing writes the log but commits, so that what no commit waited for is in memory alone.
    for setting in ("wal_writer_delay = '10s'", "wal_writer_flush_after = '1GB'"):
        _alter_system(server, setting)
    server.stop()
    server.start()
    installation = Installation(database, folder)
    if changes:
        installation = replace(installation, server_program=program(*changes))
    record = small_world(installation)
    with installation.serving() as shopbell, Load(shopbell.port, record) as load:
        for _ in range(CRASHES):
            load.wait_for(200, 50)
            time.sleep(random.uniform(0, 0.5))
            server.stop(signal.SIGQUIT)
            server.start()
        load.wait_for(200)
    assert set(record.statuses()) <= {200, 503}
    return examine(record, database.rows)


def _alter_system(server: Postgres, setting: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET {setting}")


def test_a_crash_of_postgresql_loses_no_acknowledged_message(own_postgres: Postgres, tmp_path: Path) -> None:
    _crash_postgres(own_postgres, tmp_path).check()


def test_control_asynchronous_commit_on_postgresql_is_detected(own_postgres: Postgres, tmp_path: Path) -> None:
    findings = _crash_postgres(own_postgres, tmp_path, "commits_in_the_background")
    assert findings.lost, f"synchronous_commit = off lost nothing of {findings.acknowledged} in {CRASHES} crashes"
