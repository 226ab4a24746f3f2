"""What an organization uploads and never sends fills no disk."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from harness.installation import Installation
from harness.shop import Shop
from harness.world import World

UPLOAD = "/api/attachments"
SEND = "/api/send-message-to-customer-thread"
QUOTA_BYTES = 100_000


@pytest.fixture
def shop(installation: Installation, people: World, tmp_path: Path) -> Iterator[Shop]:
    """A server on which little may wait."""
    settings = {"attachments_url": (tmp_path / "files").as_uri(), "attachment_quota_bytes": QUOTA_BYTES}
    with installation.serving(run_worker=False, **settings) as server:
        yield Shop(server, people)


def upload(shop: Shop, length_bytes: int, token: str = "") -> httpx2.Response:
    """Upload a text of so many bytes."""
    headers = {"token": token or shop.world.token}
    return shop.server.client.post(UPLOAD, files={"file": ("a.txt", b"a" * length_bytes)}, headers=headers)


def files_in(folder: Path) -> list[Path]:
    """The files that a store holds, those that are still arriving among them."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_uploads_that_no_message_carries_have_a_quota(shop: Shop, tmp_path: Path) -> None:
    thread_id = shop.send()
    first = upload(shop, 40_000)
    assert (first.status_code, upload(shop, 60_000).status_code) == (200, 200)
    refused = upload(shop, 1)
    assert refused.status_code == 409
    assert f"{QUOTA_BYTES} bytes together" in refused.json()["detail"]
    assert len(files_in(tmp_path / "files")) == 2
    assert upload(shop, 1, shop.world.globex_token).status_code == 200
    body = {"customerThreadId": thread_id, "text": "Here it is.", "attachmentId": first.json()["attachmentId"]}
    assert shop.post(body, path=SEND).status_code == 200
    assert upload(shop, 40_001).status_code == 409
    assert upload(shop, 40_000).status_code == 200


def test_uploads_of_yesterday_leave_room(shop: Shop) -> None:
    assert upload(shop, QUOTA_BYTES).status_code == 200
    hour_ms = 3_600_000
    age = "UPDATE attachments SET created_at_ms = created_at_ms - :age_ms"
    shop.database.change(age, age_ms=23 * hour_ms)
    assert upload(shop, QUOTA_BYTES).status_code == 409
    shop.database.change(age, age_ms=2 * hour_ms)
    assert upload(shop, QUOTA_BYTES).status_code == 200


def test_uploads_at_once_have_no_more_together(shop: Shop) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: upload(shop, QUOTA_BYTES // 2).status_code, range(16)))
    assert sorted(answers) == [200] * 2 + [409] * 14
