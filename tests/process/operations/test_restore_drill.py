"""The restore drill: back up a busy server, lose everything, and go on from the backup."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url

from harness.databases import add_postgres_programs
from harness.installation import Database, Installation
from harness.shop import Shop
from harness.waiting import wait_until
from harness.world import World

if TYPE_CHECKING:
    from harness.databases import Databases

WRITERS = 3


@pytest.fixture
def installation(installation: Installation, engine: str, databases: "Databases") -> Installation:
    """The installation, with attachments in a folder."""
    if engine == "postgresql":
        add_postgres_programs(installation, databases)
    files = f"file://{installation.folder / 'files'}"
    installation.settings = dict(installation.settings) | {"SHOPBELL_ATTACHMENTS_URL": files}
    return installation


@pytest.fixture
def empty(installation: Installation, engine: str, databases: "Databases", tmp_path: Path) -> Iterator[Installation]:
    """An installation without a database, with the secret key of the first one."""
    folder = tmp_path / "new machine"
    folder.mkdir()
    name = f"drill_{databases.worker}_{tmp_path.name}".lower()[:60]
    if engine == "postgresql":
        databases.postgres().command(f'CREATE DATABASE "{name}"')
        database = Database(databases.postgres().url(name))
    else:
        database = Database(f"sqlite:///{folder / 'data' / 'shopbell.db'}")
    files = {"SHOPBELL_ATTACHMENTS_URL": f"file://{folder / 'files'}"}
    yield Installation(database, folder, dict(installation.settings) | files)
    if engine == "postgresql":
        databases.drop(database)


class Writer:
    """Sends messages with attachments until it is stopped, and remembers those that the server acknowledged."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._stop = threading.Event()
        self.acknowledged: list[tuple[str, str, bytes]] = []  # conversation, attachment and its content
        self.refused = 0
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        while not self._stop.is_set():
            content = self._shop.somebody().encode()
            headers = {"token": self._shop.world.token}
            files = {"file": ("receipt.txt", content)}
            upload = self._shop.server.client.post("/api/attachments", files=files, headers=headers)
            if upload.status_code != 200:
                self.refused += 1
                continue
            attachment_id = upload.json()["attachmentId"]
            thread_id = self._shop.send()
            body = {"customerThreadId": thread_id, "text": "Your receipt", "attachmentId": attachment_id}
            sent = self._shop.post(body, path="/api/send-message-to-customer-thread")
            if sent.status_code == 200:
                self.acknowledged.append((thread_id, attachment_id, content))
            else:
                self.refused += 1

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def lose(installation: Installation) -> None:
    """Delete the files of a database and its attachments, as a disk does that fails."""
    shutil.rmtree(installation.folder / "files")
    if installation.database.is_sqlite:
        path = Path(make_url(installation.database.url).database or "")
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).unlink()


def test_all_that_was_acknowledged_before_a_backup_is_restored_on_another_machine(
    installation: Installation, empty: Installation, people: World, tmp_path: Path
) -> None:
    backups = tmp_path / "backups"
    backups.mkdir()
    with installation.serving(run_worker=False) as server:
        writers = [Writer(Shop(server, people)) for _ in range(WRITERS)]
        try:
            wait_until(lambda: all(each.acknowledged for each in writers), lambda: "nothing is acknowledged")
            before = [one for writer in writers for one in [*writer.acknowledged]]
            made = installation.cli("backup", "--to", backups, "--keep", "7d4w")
            during = [len(writer.acknowledged) for writer in writers]
            wait_until(
                lambda: all(len(each.acknowledged) > count for each, count in zip(writers, during, strict=True)),
                lambda: "the server does not go on after the backup",
            )
        finally:
            for writer in writers:
                writer.stop()
    assert [writer.refused for writer in writers] == [0] * WRITERS
    assert made["warnings"] == []
    lose(installation)

    assert empty.cli("restore", made["file"])["warnings"] == []
    assert empty.cli("webhooks", "resume", "--skip-mails")["resumed"] is True
    with empty.serving(run_worker=False) as server:
        shop, headers = Shop(server, people), {"token": people.token}
        for thread_id, attachment_id, content in before:
            texts = [row["body"] for row in shop.messages(thread_id)]
            assert texts == ["Hello, I need help with my order.", "Your receipt"]
            link = server.client.get(f"/api/attachments/{attachment_id}", headers=headers).json()["link"]
            assert server.client.get(link).content == content
        assert shop.database.value("SELECT count(*) FROM messages") == made["messages"]
        # Not one message more: new ids follow those of the backup.
        assert int(shop.send()) > max(int(thread_id) for thread_id, _, _ in before)
        assert shop.post(shop.body(), token="sb_live_unknown").status_code == 401
