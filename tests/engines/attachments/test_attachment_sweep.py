"""Attachments without a message are deleted with their files."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.installation import SECRET_KEY, Installation
from harness.shop import Shop
from harness.world import World
from shopbell.attachments.attachments import UNUSED_MS, Use
from shopbell.attachments.cleanup import ABSENT_MS, PAGE, Sweep, Verdict, judge
from shopbell.attachments.disk_store import DiskStore
from shopbell.db.connect import open_database
from shopbell.settings.settings import Settings

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000


def use(*, age_ms: int, absent_ms: int | None = None, is_used: bool = False) -> Use:
    """An attachment of that age, absent for that long."""
    since_ms = None if absent_ms is None else NOW_MS - absent_ms
    return Use(1, 2, "uuid", NOW_MS - age_ms, since_ms, is_used)


@pytest.mark.parametrize(
    ("which", "verdict"),
    [
        (use(age_ms=0), Verdict.STAY),
        (use(age_ms=UNUSED_MS), Verdict.STAY),
        (use(age_ms=UNUSED_MS + 1), Verdict.HIDE),
        (use(age_ms=100 * UNUSED_MS, is_used=True), Verdict.STAY),
        (use(age_ms=0, absent_ms=0), Verdict.STAY),  # is arriving
        (use(age_ms=ABSENT_MS + 1, absent_ms=ABSENT_MS + 1), Verdict.DELETE),  # never arrived
        (use(age_ms=2 * UNUSED_MS, absent_ms=ABSENT_MS), Verdict.STAY),
        (use(age_ms=2 * UNUSED_MS, absent_ms=ABSENT_MS + 1), Verdict.DELETE),
        (use(age_ms=2 * UNUSED_MS, absent_ms=1, is_used=True), Verdict.SHOW),
        (use(age_ms=2 * UNUSED_MS, absent_ms=10 * ABSENT_MS, is_used=True), Verdict.SHOW),
    ],
)
def test_an_attachment_is_deleted_or_kept_as_expected(which: Use, verdict: Verdict) -> None:
    assert judge(which, now_ms=NOW_MS) is verdict


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the files are."""
    return tmp_path / "files"


@pytest.fixture
def shop(installation: Installation, people: World, folder: Path) -> Iterator[Shop]:
    """A server that keeps files there."""
    with installation.serving(attachments_url=folder.as_uri()) as server:
        yield Shop(server, people)


def upload(shop: Shop, *, age_ms: int) -> str:
    """Upload a file as if that long ago."""
    headers = {"token": shop.world.token}
    answer = shop.server.client.post("/api/attachments", files={"file": ("a.txt", b"hello")}, headers=headers)
    attachment_id: str = answer.json()["attachmentId"]
    shop.database.change(
        "UPDATE attachments SET created_at_ms = created_at_ms - :age WHERE id = :id", age=age_ms, id=int(attachment_id)
    )
    return attachment_id


def carry(shop: Shop, attachment_id: str) -> str:
    """Let a message carry a file; returns the thread's id."""
    thread_id = shop.send()
    body = {"customerThreadId": thread_id, "attachmentId": attachment_id}
    assert shop.post(body, path="/api/send-message-to-customer-thread").status_code == 200
    return thread_id


def sweep(shop: Shop, folder: Path, *, rounds: int = 1, page: int = PAGE) -> None:
    """Go round as a server does, at once."""
    url = shop.database.url
    database = open_database(Settings.model_validate({"database_url": url, "secret_key": SECRET_KEY}))
    store = DiskStore(folder)

    async def go() -> None:
        going = Sweep(database, store, page)
        for _ in range(rounds):
            await going.run()

    try:
        asyncio.run(go())
    finally:
        store.close()
        database.engine.dispose()


def there(shop: Shop, attachment_id: str) -> bool:
    """Whether the organization can see a file."""
    path, headers = f"/api/attachments/{attachment_id}", {"token": shop.world.token}
    return shop.server.client.get(path, headers=headers).status_code == 200


def let_time_pass(shop: Shop) -> None:
    """Let what is absent have been so for long."""
    shop.database.change("UPDATE attachments SET absent_since_ms = absent_since_ms - :by", by=ABSENT_MS + HOUR_MS)


def test_a_file_is_deleted_only_when_no_message_has_it(shop: Shop, folder: Path) -> None:
    young = upload(shop, age_ms=UNUSED_MS - HOUR_MS)
    carried = upload(shop, age_ms=UNUSED_MS + HOUR_MS)
    forgotten = upload(shop, age_ms=UNUSED_MS + HOUR_MS)
    carry(shop, carried)
    sweep(shop, folder)
    assert [there(shop, each) for each in (young, carried, forgotten)] == [True, True, False]
    assert len(list((folder / shop.world.acme).iterdir())) == 3  # its bytes have a while yet
    sweep(shop, folder)
    assert shop.count("attachments") == 3
    let_time_pass(shop)
    sweep(shop, folder)
    assert shop.count("attachments") == 2
    left = {row["uuid"] for row in shop.database.rows("SELECT uuid FROM attachments")}
    assert {path.name for path in (folder / shop.world.acme).iterdir()} == left
    sweep(shop, folder)
    assert [there(shop, each) for each in (young, carried, forgotten)] == [True, True, False]


def test_a_file_is_restored_when_a_message_was_being_written(shop: Shop, folder: Path) -> None:
    attachment_id = upload(shop, age_ms=0)
    carry(shop, attachment_id)
    # As if the message had been stored right after the sweep that saw none.
    shop.database.change(
        "UPDATE attachments SET created_at_ms = created_at_ms - :age, absent_since_ms = :now",
        age=2 * UNUSED_MS,
        now=time.time_ns() // 1_000_000,
    )
    assert not there(shop, attachment_id)
    sweep(shop, folder)
    assert there(shop, attachment_id)


def test_a_file_of_a_deleted_message_is_deleted(shop: Shop, folder: Path) -> None:
    attachment_id = upload(shop, age_ms=30 * UNUSED_MS)
    thread_id = carry(shop, attachment_id)
    sweep(shop, folder)
    assert there(shop, attachment_id)
    shop.database.change("UPDATE messages SET attachment_id = NULL WHERE thread_id = :id", id=int(thread_id))
    sweep(shop, folder)
    assert not there(shop, attachment_id)


def test_an_upload_interrupted_by_a_crash_is_cleaned_up(shop: Shop, folder: Path) -> None:
    attachment_id = upload(shop, age_ms=0)
    now_ms = time.time_ns() // 1_000_000
    shop.database.change("UPDATE attachments SET absent_since_ms = :now", now=now_ms)  # it never got any further
    sweep(shop, folder)
    assert shop.count("attachments") == 1
    let_time_pass(shop)
    sweep(shop, folder)
    assert shop.count("attachments") == 0
    assert list((folder / shop.world.acme).iterdir()) == []
    assert not there(shop, attachment_id)


def test_every_file_is_checked_at_any_count(shop: Shop, folder: Path) -> None:
    for age_ms in (0, 2 * UNUSED_MS, 0, 2 * UNUSED_MS, 2 * UNUSED_MS):
        upload(shop, age_ms=age_ms)
    absent = "SELECT count(*) FROM attachments WHERE absent_since_ms IS NOT NULL"
    seen = []
    for rounds in (1, 2, 3):
        sweep(shop, folder, rounds=rounds, page=2)
        seen.append(shop.database.value(absent))
    assert seen == [1, 2, 3]
