"""A second program that opens the SQLite file causes no loss."""

import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from broken_servers import OPENED, program
from sqlalchemy import make_url

from harness import preloaded
from harness.installation import COMMAND_TIMEOUT_S, Installation, ServerProcess
from harness.record import Load, Record, examine
from harness.sqlite_builds import ACTS, BUILDS, use_from_outside, with_build
from harness.world import World

KILLS = int(os.environ.get("SHOPBELL_CRASH_KILLS", "20"))
KILLS_OF_A_CONTROL = 3
MESSAGES = 20

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
each_build = pytest.mark.parametrize("build", BUILDS)


def _path(installation: Installation) -> Path:
    return Path(make_url(installation.database.url).database or "")


def _record(people: World) -> Record:
    return Record(people.token, (people.boston, people.paris))


def _kill_beside_another_program(installation: Installation, record: Record, kills: int) -> None:
    """Again and again: start, load, let another program use the file, load, kill."""
    server = ServerProcess(installation)
    try:
        for _ in range(kills):
            server.start()
            with Load(server.port, record, connections=4) as load:
                load.wait_for(200, MESSAGES)
                use_from_outside(_path(installation), random.sample(ACTS, len(ACTS)))
                load.wait_for(200, MESSAGES)
                server.kill()
    finally:
        server.stop()


@each_build
def test_no_acknowledged_message_is_lost_when_another_program_opens_the_file(
    installation: Installation, people: World, build: str
) -> None:
    record = _record(people)
    _kill_beside_another_program(with_build(installation, build), record, KILLS)
    assert set(record.statuses()) <= {200, 503}  # 503 where the other program holds the write lock for long
    examine(record, installation.database.rows).check()
    assert installation.database.value("PRAGMA integrity_check") == "ok"


@each_build
def test_control_a_descriptor_closed_on_the_file_is_detected(
    installation: Installation, people: World, build: str
) -> None:
    record = _record(people)
    broken = replace(
        with_build(installation, build),
        server_program=program("opens_the_database_beside_sqlite", "does_not_watch_its_files"),
    )
    _kill_beside_another_program(broken, record, KILLS_OF_A_CONTROL)
    stored = {row["body"] for row in installation.database.rows("SELECT body FROM messages")}
    assert [sending for sending in record.acknowledged if sending.body not in stored], "nothing was lost"


def _what_is_said(
    installation: Installation, people: World, *changes: str, commands: Sequence[Sequence[str]] = ()
) -> str:
    """Serve, send messages, read, and run some commands with these changes; returns all that these processes print."""
    reporting = program("reports_opens_of_the_database", *changes)
    record, said = _record(people), ""
    with replace(installation, server_program=reporting).serving() as server:
        with Load(server.port, record, connections=4) as load:
            load.wait_for(200, MESSAGES)
        assert server.client.get("/api/businesses", headers={"token": people.token}).status_code == 200
        for arguments in commands:
            done = preloaded.run(
                reporting,
                list(arguments),
                cwd=installation.folder,
                env=installation.environment,
                timeout_s=COMMAND_TIMEOUT_S,
            )
            assert done.returncode == 0 or arguments == ("doctor",), done.stderr  # no mail server is set
            said += done.stderr
    return said + server.log


def test_only_sqlite_opens_the_database(installation: Installation, people: World) -> None:
    commands = (
        ("backup", "shopbell.tar"),
        ("doctor",),
        ("business", "create", "--organization", people.acme, "Rome"),
        ("organization", "export", people.acme, "acme.jsonl"),
        ("organization", "import", "acme.jsonl"),
    )
    assert OPENED not in _what_is_said(installation, people, commands=commands)


def test_control_another_open_of_the_database_is_detected(installation: Installation, people: World) -> None:
    assert OPENED in _what_is_said(installation, people, "opens_the_database_beside_sqlite")


@each_build
def test_shopbell_commands_keep_a_servers_write_ahead_log(
    installation: Installation, people: World, build: str, tmp_path: Path
) -> None:
    """The commands use the interpreter's SQLite, as where there is no wheel, whichever build the server uses."""
    log = _path(installation).with_name("shopbell.db-wal")
    record = _record(people)
    commands = with_build(installation, "sqlite3")
    with (commands if build == "sqlite3" else installation).serving() as server:
        with Load(server.port, record, connections=4) as load:
            load.wait_for(200, MESSAGES)
        before = log.stat()
        assert "by sqlite3" in commands.run("doctor").stdout
        commands.cli("threads", "list")
        commands.cli("backup", tmp_path / "shopbell.tar")
        assert log.stat().st_ino == before.st_ino
        assert log.stat().st_size >= before.st_size > 0
        server.kill()
    examine(record, installation.database.rows).check()
