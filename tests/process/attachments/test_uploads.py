"""Large, slow and interrupted uploads use no memory and leave no files."""

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx2
import pytest

from harness.installation import Installation, Server
from harness.raw_connection import MIB, Wire, is_refusal, peak_bytes, request
from harness.s3 import S3
from harness.shop import Shop
from harness.world import World

UPLOAD = "/api/attachments"
BODY_TIMEOUT_S = 1.5
SLACK_S = 15
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
END = b"\r\n--b--\r\n"
LARGE_BYTES = 48 * MIB
KILLS = 3

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


@pytest.fixture
def shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A server that is soon out of patience, and takes large files."""
    with installation.serving(body_timeout_s=BODY_TIMEOUT_S, attachment_limit_bytes=LARGE_BYTES) as server:
        yield Shop(server, people)


def head_of(shop: Shop, *headers: str, path: str = UPLOAD, token: str = "") -> bytes:
    """The head of an upload, with Acme's token or another."""
    given = f"token: {token or shop.world.token}"
    return request(b"", *headers, given, "Content-Type: multipart/form-data; boundary=b", path=path)


def until(done: Callable[[], bool]) -> None:
    """Wait for what happens without the test."""
    deadline_s = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def files_of(server: Server) -> list[Path]:
    """The files that the store of a server on SQLite holds, those that are still arriving among them."""
    return [path for path in attachments_of(server).rglob("*") if path.is_file()]


def attachments_of(server: Server) -> Path:
    """The folder of the store of a server on SQLite."""
    return Path(server.installation.database.url.removeprefix("sqlite:///")).with_name("attachments")


def open_files(pid: int) -> Iterator[str]:
    """What a process has open, by name."""
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(file.readlink())


def upload(shop: Shop, content: bytes = b"hello") -> httpx2.Response:
    """Upload a small file."""
    return shop.server.client.post(UPLOAD, files={"file": ("a", content)}, headers={"token": shop.world.token})


def test_an_upload_can_take_long_while_data_arrives(shop: Shop) -> None:
    with Wire(shop.server.port) as wire:
        pieces = 20
        length = len(HEAD) + pieces * 8_192 + len(END)
        wire.send(head_of(shop, f"Content-Length: {length}"), HEAD)
        began_s = time.monotonic()
        for _ in range(pieces):
            wire.send(b"a" * 8_192)
            time.sleep(0.2)
        assert time.monotonic() - began_s > 2 * BODY_TIMEOUT_S + 0.5
        answer = wire.send(END).answer()
        assert answer.status == 200, answer
        assert answer.json()["lengthBytes"] == pieces * 8_192


def test_an_upload_that_is_too_slow_ends_at_the_deadline_and_leaves_nothing(shop: Shop) -> None:
    with Wire(shop.server.port) as wire:
        wire.send(head_of(shop, "Content-Length: 1000000"), HEAD)
        after_s = wire.drip(b"a" * 100, every_s=0.1, at_most_s=60)
        assert wire.open_for_s >= BODY_TIMEOUT_S - 0.2
        assert after_s <= BODY_TIMEOUT_S + SLACK_S
        assert is_refusal(wire.answer(), 408, "request-timeout")
    assert shop.count("attachments") == 0
    until(lambda: files_of(shop.server) == [])


def test_an_upload_that_stops_midway_times_out(shop: Shop) -> None:
    with Wire(shop.server.port) as wire:
        wire.send(head_of(shop, "Content-Length: 1000000"), HEAD + b"a" * 200_000)
        assert is_refusal(wire.answer(), 408, "request-timeout")


def test_other_requests_get_no_more_time(shop: Shop) -> None:
    quick = b" " * 8_192
    for path, token, status in ((UPLOAD, "sb_live_stranger", 401), ("/api/update-thread-status", "", 408)):
        with Wire(shop.server.port) as wire:
            wire.send(head_of(shop, "Content-Length: 250000", path=path, token=token))
            wire.drip(quick, every_s=0.1, at_most_s=BODY_TIMEOUT_S + SLACK_S)
            assert wire.answer().status == status, path


def test_a_large_file_is_never_held_in_memory(shop: Shop) -> None:
    assert upload(shop).status_code == 200
    peak_bytes(shop.server.pid, reset=True)
    before = peak_bytes(shop.server.pid)
    content = b"a" * LARGE_BYTES
    described = upload(shop, content)
    assert described.status_code == 200
    headers = {"token": shop.world.token}
    link = shop.server.client.get(f"{UPLOAD}/{described.json()['attachmentId']}", headers=headers).json()["link"]
    assert shop.server.client.get(link).content == content
    assert peak_bytes(shop.server.pid) - before < LARGE_BYTES / 4


def test_a_disconnected_upload_leaves_nothing(shop: Shop) -> None:
    for part in (HEAD[:20], HEAD, HEAD + b"a" * 700_000):
        with Wire(shop.server.port) as wire:
            wire.send(head_of(shop, "Content-Length: 1000000"), part)
            until(lambda: len(files_of(shop.server)) == 1)
            wire.reset()
        until(lambda: files_of(shop.server) == [])
    assert shop.count("attachments") == 0
    assert "bug" not in shop.server.log


def test_a_disconnected_download_affects_no_other_client(shop: Shop) -> None:
    described = upload(shop, b"a" * 20 * MIB).json()
    headers = {"token": shop.world.token}
    link = shop.server.client.get(f"{UPLOAD}/{described['attachmentId']}", headers=headers).json()["link"]
    for _ in range(10):
        with Wire(shop.server.port) as wire:
            wire.send(request(b"", method="GET", path=link.removeprefix(shop.server.url)))
            wire.drip(b"", every_s=0.1, at_most_s=10)
            wire.reset()
    until(lambda: not any("attachments" in name for name in open_files(shop.server.pid)))
    assert "bug" not in shop.server.log


def test_after_kill_9_every_acknowledged_file_is_complete(shop: Shop) -> None:
    answered: dict[str, bytes] = {}
    for kill in range(KILLS):
        contents = [f"{kill} {place} ".encode() * 20_000 for place in range(40)]
        with ThreadPoolExecutor(4) as pool, suppress(httpx2.TransportError):
            answers = zip(contents, pool.map(partial(upload, shop), contents), strict=True)
            for count, (content, answer) in enumerate(answers, start=1):
                answered[answer.json()["attachmentId"]] = content
                if count == 8:  # the others are under way
                    shop.server.kill()
        assert not shop.server.is_running()
        shop.server.start()
    assert len(answered) >= 8 * KILLS
    folder = attachments_of(shop.server) / shop.world.acme
    for attachment_id, content in answered.items():
        described = shop.server.client.get(f"{UPLOAD}/{attachment_id}", headers={"token": shop.world.token}).json()
        assert (folder / described["uuid"]).read_bytes() == content
    rows = shop.database.rows("SELECT uuid, sha256, absent_since_ms FROM attachments")
    for row in rows:
        path = folder / row["uuid"]
        if row["absent_since_ms"] is None or path.exists():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
    assert {path.name for path in folder.iterdir()} <= {row["uuid"] for row in rows}


def test_a_failing_store_is_503_and_keeps_no_file(installation: Installation, people: World, tmp_path: Path) -> None:
    service = S3(tmp_path)
    service.start()
    with installation.serving(**service.settings) as server:
        shop = Shop(server, people)
        described = upload(shop).json()
        path = f"{UPLOAD}/{described['attachmentId']}"
        link = server.client.get(path, headers={"token": people.token}).json()["link"]
        assert server.client.get(link).content == b"hello"
        service.stop()
        failed = upload(shop)
        assert failed.status_code == 503
        assert int(failed.headers["retry-after"]) >= 1
        assert server.client.get(link).status_code == 503
        assert shop.database.value("SELECT count(*) FROM attachments WHERE absent_since_ms IS NULL") == 1
        assert "the-secret-key" not in server.log
        service.start()
        assert server.client.get(link).status_code == 404  # the service has forgotten all
        again = upload(shop).json()
        link = server.client.get(f"{UPLOAD}/{again['attachmentId']}", headers={"token": people.token}).json()["link"]
        assert server.client.get(link).content == b"hello"
        service.stop()


def test_a_server_does_not_start_with_an_invalid_store_url(installation: Installation, engine: str) -> None:
    installation.settings = dict(installation.settings) | {"SHOPBELL_ATTACHMENTS_URL": "data/files"}
    done = installation.run("serve", "--port", 0)
    assert done.returncode == 1
    assert "SHOPBELL_ATTACHMENTS_URL: must look like" in done.stderr
