"""Files in use stay, old drafts go, and limits hold, on both engines."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.inbox import call, employee, refusal, upload
from harness.installation import SECRET_KEY, Installation
from harness.shop import Shop
from harness.world import World
from shopbell.attachments.attachments import UNUSED_MS
from shopbell.attachments.cleanup import Sweep
from shopbell.attachments.disk_store import DiskStore
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.inbox import saved_replies, tags
from shopbell.operations import retention
from shopbell.runtime.clock import now_ms
from shopbell.settings.settings import Settings

DAY_MS = 24 * 60 * 60 * 1_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the files are."""
    return tmp_path / "files"


@pytest.fixture
def shop(installation: Installation, people: World, folder: Path) -> Iterator[Shop]:
    """A server that keeps files, without a worker process."""
    with installation.serving(run_worker=False, attachments_url=folder.as_uri()) as server:
        yield Shop(server, people)


@pytest.fixture
def database(installation: Installation, shop: Shop) -> Iterator[Database]:
    """The same database, opened in this process."""
    opened = open_database(Settings(database_url=installation.database.url, secret_key=SECRET_KEY))
    yield opened
    asyncio.run(opened.close())


def test_files_of_drafts_and_saved_replies_are_kept_until_these_are_gone(
    shop: Shop, database: Database, folder: Path
) -> None:
    drafted, saved, unused = (upload(shop) for _ in range(3))
    shop.database.change("UPDATE attachments SET created_at_ms = created_at_ms - :age", age=UNUSED_MS + 1)
    draft = {"customerThreadId": shop.send(), "mode": "note", "text": "x", "attachmentIds": [drafted]}
    draft_id = call(shop, "/api/inbox/drafts", **draft)["draftId"]
    reply = {"shortcut": "list", "title": "List", "text": "x", "attachmentIds": [saved]}
    reply_id = call(shop, "/api/saved-replies", **reply)["savedReplyId"]

    def kept() -> list[str]:
        sweep = Sweep(database, DiskStore(folder))
        asyncio.run(sweep.run())
        rows = shop.database.rows("SELECT id FROM attachments WHERE absent_since_ms IS NULL ORDER BY id")
        return [str(row["id"]) for row in rows]

    assert kept() == [drafted, saved]
    call(shop, f"/api/inbox/drafts/{draft_id}/delete")
    assert kept() == [saved]
    call(shop, f"/api/saved-replies/{reply_id}/delete")
    assert kept() == []
    assert unused not in kept()


def test_retention_deletes_drafts_that_were_not_changed(shop: Shop, database: Database) -> None:
    thread_id, alice, file = shop.send(), employee(shop), upload(shop)
    of = {"customerThreadId": thread_id, "text": "Dear Carol", "attachmentIds": [file]}
    call(shop, "/api/inbox/drafts", mode="reply", **of)
    call(shop, "/api/inbox/drafts", mode="reply", employeeUserId=alice, **of)
    shop.database.change("UPDATE drafts SET updated_at_ms = updated_at_ms - :age", age=31 * DAY_MS)
    call(shop, "/api/inbox/drafts", mode="note", employeeUserId=alice, **of)
    asyncio.run(retention.sweep(database, now_ms=now_ms()))
    assert shop.count("drafts") == 3
    call(shop, "/api/organization/update", keepMessagesDays=30)
    asyncio.run(retention.sweep(database, now_ms=now_ms()))
    assert [row["mode"] for row in shop.database.rows("SELECT mode FROM drafts")] == ["note"]
    assert shop.count("draft_attachments") == 1


def test_a_tag_of_many_conversations_is_deleted_in_small_transactions(
    shop: Shop, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme, threads = int(shop.world.acme), [shop.send() for _ in range(5)]
    gone, kept = (int(call(shop, "/api/tags", name=name)["tagId"]) for name in ("gone", "kept"))
    for thread_id in threads:
        call(shop, "/api/tags/set-on-thread", customerThreadId=thread_id, addTagIds=[gone, kept])
    monkeypatch.setattr(tags, "DELETED_AT_ONCE", 2)
    done = [database.write_now(tags.remove, acme, gone, actor="a test", now_ms=1) for _ in range(3)]
    assert done == [False, False, True]
    assert [tag.id for tag in database.read_now(tags.find_all, acme)] == [kept]
    assert shop.database.value("SELECT count(*) FROM thread_tags") == len(threads)


def test_an_organization_has_a_limited_number_of_tags_and_saved_replies(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags, "TAGS_MAX", 1)
    monkeypatch.setattr(tags, "THREAD_TAGS_MAX", 0)
    monkeypatch.setattr(saved_replies, "SAVED_REPLIES_MAX", 1)
    first = call(shop, "/api/tags", name="one")["tagId"]
    expected = (409, "An organization can have at most 1 tags. Delete one first.")
    assert refusal(shop.post({"name": "two"}, path="/api/tags")) == expected
    full = {"customerThreadId": shop.send(), "addTagIds": [first]}
    expected = (409, "A conversation can have at most 0 tags. Remove one first.")
    assert refusal(shop.post(full, path="/api/tags/set-on-thread")) == expected
    reply = {"title": "x", "text": "x"}
    call(shop, "/api/saved-replies", shortcut="one", **reply)
    expected = (409, "An organization can have at most 1 saved replies. Delete one first.")
    assert refusal(shop.post(reply | {"shortcut": "two"}, path="/api/saved-replies")) == expected
    call(shop, "/api/tags", shop.world.globex_token, name="one")


def test_an_employee_and_an_organization_have_a_limited_number_of_views(shop: Shop, database: Database) -> None:
    acme, alice = int(shop.world.acme), employee(shop)
    columns = "organization_id, id, employee_id, name, query, shared, created_at_ms, updated_at_ms"
    view = {"name": "x", "query": "view=open"}

    def fill(count: int, values: str, **names: int) -> None:
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
        query = f"INSERT INTO saved_views ({columns}) {numbers} SELECT :o, {values}, 1, 1 FROM n"
        shop.database.change(query, o=acme, **names)

    fill(100, "6000 + i, :e, 'x', 'x', false", e=int(alice))
    mine = shop.post(view | {"employeeUserId": alice}, path="/api/saved-views")
    assert refusal(mine) == (409, "An employee can have at most 100 views. Delete one first.")
    fill(200, "7000 + i, NULL, 'x', 'x', true")
    ours = (409, "An organization can have at most 200 shared views. Delete one first.")
    assert refusal(shop.post(view | {"shared": True}, path="/api/saved-views")) == ours
    body = {"shared": True, "employeeUserId": alice}
    assert refusal(shop.post(body, path="/api/saved-views/6001/update")) == ours
