"""Backups are consistent, verified and overwrite nothing."""

import hashlib
import json
import random
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url

from harness.databases import add_postgres_programs
from harness.failing_receivers import Receivers, wait_for
from harness.installation import SECRET_KEY, Database, Installation
from harness.shop import Shop
from harness.waiting import wait_until
from harness.world import World
from shopbell.db.schema.core import metadata
from shopbell.errors import CommandError
from shopbell.operations.backups import tar

if TYPE_CHECKING:
    from harness.databases import Databases


OTHER_KEY = "another-key-for-tests-" + "fedcba9876543210" * 4
FLIPS = 120
HELD_BACK = "deliveries_held_back"
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


def refused(installation: Installation, *arguments: object) -> str:
    """Run a command that must fail in one line, and return that line."""
    done = installation.run(*arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("shopbell: ")
    return line


def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, but for the note that a restore leaves: that nothing is delivered until told to."""
    found = {table: sorted(database.rows(f"SELECT * FROM {table}"), key=str) for table in metadata.tables}
    return found | {"installation": [fact for fact in found["installation"] if fact["name"] != HELD_BACK]}


def sqlite_file(installation: Installation) -> Path:
    """The database's file."""
    return Path(make_url(installation.database.url).database or "")


def test_a_restore_returns_what_was_backed_up(installation: Installation, people: World, file: Path) -> None:
    installation.cli("webhooks", "create", "--organization", people.acme, "https://receiver.example/hook")
    with installation.serving(run_worker=False) as server:
        thread_id = Shop(server, people).send()
    before = everything(installation.database)
    assert len(before["deliveries"]) == len(before["delivery_queues"]) == 1
    made = installation.cli("backup", file)
    assert made["bytes"] == file.stat().st_size
    assert made["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    installation.cli("organization", "create", "Made after the backup")
    with installation.serving(run_worker=False) as server:
        Shop(server, people).send()
    assert everything(installation.database) != before
    restored = installation.cli("restore", file)
    assert restored["warnings"] == []
    assert everything(installation.database) == before
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        assert [each["body"] for each in shop.messages(thread_id)] == ["Hello, I need help with my order."]
        # Ids go on after those of the backup.
        assert int(shop.send()) > int(thread_id)


def test_a_restored_server_sends_nothing_until_it_is_released(
    installation: Installation, people: World, file: Path, tmp_path: Path
) -> None:
    receivers = Receivers(tmp_path)
    try:
        receiver = receivers.add()
        settings = {"outbound_allow": "127.0.0.0/8", "poll_interval_s": 0.2, "delivery_schedule_s": "0"}
        installation.settings = dict(installation.settings) | {"SHOPBELL_OUTBOUND_ALLOW": "127.0.0.0/8"}
        installation.cli("webhooks", "create", "--organization", people.acme, receiver.url)
        with installation.serving(run_worker=False) as server:
            Shop(server, people).send()
        installation.cli("backup", file)
        assert installation.cli("restore", file)["deliveriesHeldBack"] is True
        assert "shopbell webhooks resume" in installation.run("doctor").stdout
        with installation.serving(**settings) as server:
            wait_for(lambda: "held back: no webhook" in server.log, PATIENCE_S, "the worker has not looked")
            Shop(server, people).send()
            assert receiver.requests == []
            assert installation.cli("webhooks", "resume")["resumed"] is True
            wait_for(lambda: len(receiver.requests) == 2, PATIENCE_S, "it does not deliver again")
            assert server.log.count("held back: no webhook") == 1
        attempted_at_ms = installation.database.value("SELECT min(at_ms) FROM delivery_attempts")
        resumed = "SELECT at_ms FROM audit_entries WHERE action = 'webhook.resume'"
        assert attempted_at_ms >= installation.database.value(resumed)
        assert installation.cli("webhooks", "resume")["resumed"] is False
        assert "shopbell webhooks resume" not in installation.run("doctor").stdout
    finally:
        receivers.close()


@pytest.fixture
def own_shop_with_programs(installation: Installation, people: World) -> Iterator[Shop]:
    """A running server on the installation of this file."""
    with installation.serving() as server:
        yield Shop(server, people)


def test_a_restore_is_refused_while_a_server_runs(own_shop_with_programs: Shop, file: Path) -> None:
    installation = own_shop_with_programs.server.installation
    installation.cli("backup", file)
    thread_id = own_shop_with_programs.send()
    assert "a server is running on this database" in refused(installation, "restore", file)
    assert own_shop_with_programs.count("threads") == 1
    assert own_shop_with_programs.send() != thread_id


def test_a_backup_is_readable_by_its_owner_only_and_overwrites_nothing(installation: Installation, file: Path) -> None:
    installation.cli("backup", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = file.read_bytes()
    assert "already exists" in refused(installation, "backup", file)
    assert file.read_bytes() == content
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".shopbell")] == []


def test_a_backup_is_a_tar_with_a_manifest(installation: Installation, file: Path, engine: str) -> None:
    installation.cli("backup", file)
    with tarfile.open(file) as opened:
        names = opened.getnames()
        content = opened.extractfile("manifest.json")
        assert content is not None
        manifest = json.load(content)
        database = opened.extractfile(names[2])
        assert database is not None
        digest = hashlib.sha256(database.read()).hexdigest()
    assert names[:2] == ["manifest.json", "manifest.sha256"]
    assert (manifest["format"], manifest["engine"], manifest["revision"]) == (1, engine, "0001")
    (member,) = manifest["members"]
    assert (member["name"], member["sha256"]) == (names[2], digest)


def test_every_flipped_bit_is_detected(installation: Installation, file: Path, tmp_path: Path) -> None:
    installation.cli("backup", file)
    whole = file.read_bytes()
    chosen = random.Random(20)
    positions = [*range(0, 1536, 13), *range(len(whole) - 1024, len(whole), 17)]
    positions += [chosen.randrange(len(whole)) for _ in range(FLIPS)]
    damaged = tmp_path / "damaged"
    for number, position in enumerate(positions):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << chosen.randrange(8)
        damaged.write_bytes(flipped)
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(CommandError, match=r"not a complete Shopbell backup|newer"):
            tar.extract(damaged, folder)
    (tmp_path / "control").mkdir()
    tar.extract(file, tmp_path / "control")


@pytest.mark.parametrize("damage", ["flipped", "cut", "longer", "empty"])
def test_a_damaged_backup_changes_nothing(installation: Installation, file: Path, damage: str) -> None:
    installation.cli("backup", file)
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    file.write_bytes({"cut": content[:-1024], "longer": content + b"\0", "empty": b""}.get(damage, content))
    before = everything(installation.database)
    names = sorted(path.name for path in file.parent.iterdir())
    assert "not a complete Shopbell backup" in refused(installation, "restore", file)
    assert everything(installation.database) == before
    assert sorted(path.name for path in file.parent.iterdir()) == names


@pytest.mark.parametrize("name", ["../escaped.txt", "/tmp/escaped.txt", "..", "", "UPPER.case"])
def test_a_member_with_a_path_is_refused(tmp_path: Path, name: str) -> None:
    part = tmp_path / "part.bin"
    part.write_bytes(b"content")
    size_bytes, digest = 7, hashlib.sha256(b"content").hexdigest()
    manifest = tar.Manifest("1", "sqlite", "3", "0001", 0, (tar.Member(name, size_bytes, digest),))
    tar.write(tmp_path / "hostile", manifest, [part])
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(CommandError, match="not a complete Shopbell backup"):
        tar.extract(tmp_path / "hostile", folder)
    assert list(folder.iterdir()) == []


def test_a_restore_keeps_the_previous_database(installation: Installation, file: Path) -> None:
    installation.cli("backup", file)
    installation.cli("organization", "create", "Only in what is kept")
    before = everything(installation.database)
    kept = Path(installation.cli("restore", file)["kept"])
    assert everything(installation.database) != before
    if installation.database.is_sqlite:
        assert everything(Database(f"sqlite:///{kept}")) == before
    else:
        installation.cli("restore", kept)
        assert everything(installation.database) == before


def test_the_secret_key_is_in_a_backup_only_on_request(installation: Installation, tmp_path: Path) -> None:
    installation.cli("backup", tmp_path / "without")
    installation.cli("backup", tmp_path / "with", "--with-secret-key")
    assert SECRET_KEY.encode() not in (tmp_path / "without").read_bytes()
    assert SECRET_KEY.encode() in (tmp_path / "with").read_bytes()


def test_a_restore_under_another_secret_key_warns_about_tokens(installation: Installation, file: Path) -> None:
    installation.cli("backup", file)
    installation.settings = dict(installation.settings) | {"SHOPBELL_SECRET_KEY": OTHER_KEY}
    (warning,) = installation.cli("restore", file)["warnings"]
    assert "no API token works" in warning
    done = installation.run("restore", file)
    assert "no API token works" in done.stderr


def test_a_backup_of_the_other_engine_is_refused(
    installation: Installation, engine: str, databases: "Databases", tmp_path: Path, file: Path
) -> None:
    installation.cli("backup", file)
    other = databases.copy("sqlite" if engine == "postgresql" else "postgresql", "migrated")
    assert f"the backup is for {engine}" in refused(Installation(other, tmp_path), "restore", file)
    databases.drop(other)


def test_a_backup_of_a_newer_version_is_refused(installation: Installation, file: Path, tmp_path: Path) -> None:
    installation.database.change("UPDATE alembic_version SET version_num = '9999'")
    installation.cli("backup", file)
    installation.database.change("UPDATE alembic_version SET version_num = '0006'")
    before = everything(installation.database)
    assert "newer" in refused(installation, "restore", file)
    assert everything(installation.database) == before


def test_a_missing_file_is_reported_in_one_line(installation: Installation, file: Path) -> None:
    assert "there is no file" in refused(installation, "restore", file)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_restore_with_the_secret_key_keeps_tokens_valid_elsewhere(
    installation: Installation, people: World, file: Path, tmp_path: Path
) -> None:
    # Here the key is in a file next to the database, as without a setting.
    (sqlite_file(installation).with_name("secret.key")).write_text(SECRET_KEY + "\n")
    installation.settings = dict(installation.settings) | {"SHOPBELL_SECRET_KEY": ""}
    installation.cli("backup", file, "--with-secret-key")
    elsewhere = Installation(Database(f"sqlite:///{tmp_path}/elsewhere/shop.db"), tmp_path, installation.settings)
    assert elsewhere.cli("restore", file) == {
        "restored": True,
        "kept": None,
        "deliveriesHeldBack": True,
        "warnings": [],
    }
    key_file = tmp_path / "elsewhere" / "secret.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    with elsewhere.serving() as server:
        Shop(server, people).send()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_damaged_database_is_not_backed_up(installation: Installation, file: Path) -> None:
    path = sqlite_file(installation)
    content = bytearray(path.read_bytes())
    # The root page of a table that is read for nothing else.
    page = installation.database.value("SELECT rootpage FROM sqlite_schema WHERE name = 'messages'")
    content[(page - 1) * 4096 : page * 4096] = b"\xaa" * 4096
    path.write_bytes(content)
    assert "the database is damaged" in refused(installation, "backup", file)
    assert not file.exists()


@pytest.mark.parametrize("engine", ["postgresql"])
def test_missing_programs_are_reported(installation: Installation, file: Path) -> None:
    installation.settings = dict(installation.settings) | {"PATH": "/nonexistent"}
    line = refused(installation, "backup", file)
    assert "pg_dump is not in PATH" in line
    assert not file.exists()


@pytest.mark.parametrize("engine", ["postgresql"])
def test_programs_older_than_the_server_are_refused(installation: Installation, file: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    (old / "pg_dump").chmod(0o755)
    installation.settings = dict(installation.settings) | {"PATH": f"{old}:/usr/bin:/bin"}
    assert "pg_dump has version 9" in refused(installation, "backup", file)


@pytest.mark.parametrize("engine", ["postgresql"])
def test_a_server_locks_its_database_again_after_reconnecting(own_shop_with_programs: Shop, file: Path) -> None:
    shop, installation = own_shop_with_programs, own_shop_with_programs.server.installation
    installation.cli("backup", file)

    def holders() -> set[int]:
        rows = shop.database.rows(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return {row["pid"] for row in rows}

    wait_until(lambda: len(holders()) == 2, lambda: f"server and worker do not both hold a lock: {holders()}")
    before = holders()
    for pid in before:
        shop.database.rows("SELECT pg_terminate_backend(:pid)", pid=pid)
    wait_until(lambda: len(holders() - before) == 2, lambda: "the locks were not taken again")
    assert "a server is running on this database" in refused(installation, "restore", file)
