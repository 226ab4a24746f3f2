"""Uploading attachments, reading their metadata and downloading them."""

import hashlib
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx2
import pytest

from harness.installation import SECRET_KEY
from harness.shop import Shop, faults_of
from shopbell.attachments.signed_urls import AttachmentLinks
from shopbell.security.keys import Keys

UPLOAD = "/api/attachments"
SEND = "/api/send-message-to-customer-thread"
LIMIT_BYTES = 300_000
PNG = b"\x89PNG\r\n\x1a\n" + random.Random(2).randbytes(100_000)
TEXT = b"One red bicycle, 300 dollars.\n"


@pytest.fixture(scope="session")
def file_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers of these tests keep files."""
    return tmp_path_factory.mktemp("files & more")


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop], file_folder: Path) -> Shop:
    """A shared server that keeps attachments."""
    folder = file_folder / engine
    return shops(
        engine,
        attachments_url=folder.as_uri(),
        attachment_limit_bytes=LIMIT_BYTES,
        attachment_types="image/*, text/*, application/pdf, application/xml",
        public_url="https://chat.example.com/",
    )


def upload(
    shop: Shop, content: bytes = TEXT, name: str = "receipt.txt", declared: str = "text/plain", token: str = ""
) -> httpx2.Response:
    """Upload a file as HTML forms and curl do."""
    files = {"file": (name, content, declared)}
    return shop.server.client.post(UPLOAD, files=files, headers={"token": token or shop.world.token})


def uploaded(shop: Shop, *arguments: Any, **more: Any) -> dict[str, Any]:
    """Upload a file, which must be answered 200."""
    answer = upload(shop, *arguments, **more)
    assert answer.status_code == 200, answer.text
    described: dict[str, Any] = answer.json()
    return described


def post(
    shop: Shop, body: bytes, content_type: str = "multipart/form-data; boundary=b", **more: str
) -> httpx2.Response:
    """Send a body that is made by hand."""
    headers = {"token": shop.world.token, "Content-Type": content_type, **more}
    return shop.server.client.post(UPLOAD, content=body, headers=headers)


def link_of(shop: Shop, attachment_id: str, token: str = "") -> str:
    """A fresh link to a file: its path and query."""
    answer = shop.server.client.get(f"{UPLOAD}/{attachment_id}", headers={"token": token or shop.world.token})
    assert answer.status_code == 200, answer.text
    link: str = answer.json()["link"]
    assert link.startswith("https://chat.example.com/attachments/")
    return link.removeprefix("https://chat.example.com")


def files_in(folder: Path) -> set[str]:
    """The files that a store holds, those that are still arriving among them."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_an_uploaded_file_is_returned_byte_for_byte(shop: Shop, file_folder: Path, engine: str) -> None:
    described = uploaded(shop, PNG, "photo.png", "image/png")
    sha256 = hashlib.sha256(PNG).hexdigest()
    expected = {"name": "photo.png", "contentType": "image/png", "lengthBytes": len(PNG), "sha256": sha256}
    assert described == expected | {"attachmentId": described["attachmentId"], "uuid": described["uuid"]}
    assert (file_folder / engine / shop.world.acme / described["uuid"]).read_bytes() == PNG
    answer = shop.server.client.get(link_of(shop, described["attachmentId"]))
    assert answer.status_code == 200
    assert answer.content == PNG


def test_the_metadata_of_a_file_can_be_read(shop: Shop) -> None:
    described = uploaded(shop)
    before_ms = time.time_ns() // 1_000_000
    answer = shop.server.client.get(f"{UPLOAD}/{described['attachmentId']}/", headers={"token": shop.world.token})
    known = answer.json()
    assert known | described == known
    assert abs(known["linkExpiresAt"] - before_ms - 3_600_000) < 60_000
    assert abs(known["createdAt"] - before_ms) < 60_000
    assert known["link"].startswith(f"https://chat.example.com/attachments/{described['uuid']}/receipt.txt?expires=")


def test_type_and_name_are_taken_from_the_content_and_not_from_the_sender(shop: Shop) -> None:
    described = uploaded(shop, PNG, "../../\u202etxt.exe", "text/html")
    assert (described["contentType"], described["name"]) == ("image/png", "txt.exe")
    for name, kept in ((b"", "file"), (b"a%22%0A.txt", 'a".txt'), (b"\xff%41.txt", "\ufffd%41.txt")):
        answer = post(shop, PART.replace(b"a.txt", name) + b"--b--\r\n")
        assert answer.json()["name"] == kept


@pytest.mark.parametrize(
    "content", [b"MZ\x90\0\x03\0\0\0", b"\x1f\x8b\x08\0" * 20, b"\0" * 100_000], ids=["program", "gzip", "zeros"]
)
def test_a_forbidden_type_is_refused_under_any_name(shop: Shop, content: bytes) -> None:
    answer = upload(shop, content, "photo.png", "image/png")
    assert faults_of(answer) == {("body", "#/file", "unsupported_media_type")}
    assert answer.json()["errors"][0]["allowed"] == ["image/*", "text/*", "application/pdf", "application/xml"]


def test_an_empty_file_is_refused(shop: Shop) -> None:
    assert faults_of(upload(shop, b"")) == {("body", "#/file", "blank")}


def test_a_file_of_the_maximum_size_is_accepted_and_one_byte_more_is_413(
    shop: Shop, file_folder: Path, engine: str
) -> None:
    assert uploaded(shop, b"a" * LIMIT_BYTES)["lengthBytes"] == LIMIT_BYTES
    before = files_in(file_folder / engine)
    for size in (LIMIT_BYTES + 1, LIMIT_BYTES + 100_000):  # the first is found out at its end, the second at once
        answer = upload(shop, b"a" * size)
        assert answer.status_code == 413
        assert answer.json()["maxBytes"] == LIMIT_BYTES
    assert files_in(file_folder / engine) == before


def test_a_body_without_a_length_has_the_same_limit(shop: Shop) -> None:
    def endless(blocks: int) -> Any:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(blocks):
            yield b"a" * 50_000
        yield b"\r\n--b--\r\n"

    headers = {"token": shop.world.token, "Content-Type": "multipart/form-data; boundary=b"}
    assert shop.server.client.post(UPLOAD, content=endless(6), headers=headers).status_code == 200
    assert shop.server.client.post(UPLOAD, content=endless(7), headers=headers).status_code == 413


PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello\r\n'
IMPROPER = {
    "no end": PART,
    "half an end": PART + b"--b-",
    "another boundary": PART.replace(b"--b\r", b"--c\r") + b"--c--\r\n",
    "nothing": b"",
    "no multipart": b'{"file": "hello"}',
    "no name of a file": PART.replace(b'; filename="a.txt"', b"") + b"--b--\r\n",
    "another name": PART.replace(b'"file"', b'"other"') + b"--b--\r\n",
    "two files": PART + PART + b"--b--\r\n",
    "a field before": PART.replace(b'; filename="a.txt"', b"").replace(b'"file"', b'"x"') + PART + b"--b--\r\n",
    "no headers": b"--b\r\n\r\nhello\r\n--b--\r\n",
    "an encoding": PART.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n") + b"--b--\r\n",
    "a long header": PART.replace(b"\r\n\r\n", b"\r\nX: " + b"y" * 5_000 + b"\r\n\r\n") + b"--b--\r\n",
    "many headers": PART.replace(b"\r\n\r\n", b"\r\nX: y" * 9 + b"\r\n\r\n") + b"--b--\r\n",
}


@pytest.mark.parametrize("body", IMPROPER.values(), ids=IMPROPER)
def test_a_body_with_more_or_less_than_one_file_is_refused(
    shop: Shop, file_folder: Path, engine: str, body: bytes
) -> None:
    before = shop.count("attachments"), files_in(file_folder / engine)
    assert faults_of(post(shop, body)) == {("body", "#", "invalid_format")}
    assert (shop.count("attachments"), files_in(file_folder / engine)) == before


def test_a_form_without_parts_is_missing_the_file(shop: Shop) -> None:
    assert faults_of(post(shop, b"--b--\r\n")) == {("body", "#/file", "required")}


def test_data_around_the_file_part_is_ignored(shop: Shop) -> None:
    answer = post(shop, b"\r\n" + PART + b"--b--\r\nand more after the end")
    assert answer.status_code == 200, answer.text
    assert answer.json()["lengthBytes"] == len(b"hello")


FORM = "multipart/form-data"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "multipart/mixed; boundary=b", FORM, f"{FORM}; boundary=", f"{FORM}; boundary={'b' * 71}"],
)
def test_another_content_type_is_a_header_error(shop: Shop, content_type: str) -> None:
    assert faults_of(post(shop, PART, content_type)) == {("header", "content-type", "unsupported_media_type")}


def test_a_compressed_body_is_refused(shop: Shop) -> None:
    answer = post(shop, PART, **{"Content-Encoding": "gzip"})
    assert faults_of(answer) == {("header", "content-encoding", "unsupported_content_encoding")}


def test_an_upload_needs_the_write_scope(shop: Shop) -> None:
    assert upload(shop, token="sb_live_stranger").status_code == 401
    assert upload(shop, token=shop.world.reading_token).status_code == 403
    described = uploaded(shop)
    assert link_of(shop, described["attachmentId"], shop.world.reading_token)


def test_a_download_needs_only_its_link_and_forbids_scripts(shop: Shop) -> None:
    described = uploaded(shop, TEXT, 'Grüße "你好".txt')
    answer = shop.server.client.get(link_of(shop, described["attachmentId"]))
    assert answer.headers["content-type"] == "text/plain"
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith("attachment; filename*=UTF-8''")
    assert unquote(disposition.partition("''")[2]) == described["name"] == 'Grüße "你好".txt'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["cache-control"] == "private"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-length"] == str(len(TEXT))
    assert uuid_of(answer.headers["x-request-id"])


def uuid_of(text: str) -> bool:
    """Whether a text has the form of a UUID."""
    return [len(part) for part in text.split("-")] == [8, 4, 4, 4, 12]


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (PNG, "inline"),
        (b"GIF89a" + bytes(50), "inline"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "attachment"),
        (b"<!doctype html><script>alert(1)</script>", "attachment"),
        (b"<?xml version='1.0'?><x/>", "attachment"),
        (b"%PDF-1.7\n%\xe2\xe3", "attachment"),
        (TEXT, "attachment"),
    ],
)
def test_only_images_that_cannot_contain_scripts_are_displayed_inline(shop: Shop, content: bytes, how: str) -> None:
    described = uploaded(shop, content, "photo.png", "image/png")
    answer = shop.server.client.get(link_of(shop, described["attachmentId"]))
    assert answer.headers["content-disposition"].partition(";")[0] == how
    assert answer.headers["content-type"] == described["contentType"]
    assert answer.content == content


def test_a_head_request_for_a_download_returns_the_same_headers(shop: Shop) -> None:
    link = link_of(shop, uploaded(shop)["attachmentId"])
    head, whole = shop.server.client.head(link), shop.server.client.get(link)
    own = ("date", "x-request-id")
    assert [pair for pair in head.headers.multi_items() if pair[0] not in own] == [
        pair for pair in whole.headers.multi_items() if pair[0] not in own
    ]
    assert head.content == b""


def test_all_invalid_links_return_the_same_404(shop: Shop) -> None:
    described, other = uploaded(shop), uploaded(shop, name="other.txt")
    link, foreign = link_of(shop, described["attachmentId"]), link_of(shop, other["attachmentId"])
    path, _, query = link.partition("?")
    expires, _, signature = query.removeprefix("expires=").partition("&signature=")
    links = AttachmentLinks(Keys((SECRET_KEY.encode(),)), 3_600)
    now_ms = time.time_ns() // 1_000_000

    def made(*, uuid: str = described["uuid"], at_ms: int = now_ms) -> str:
        return links.link("", uuid, "receipt.txt", now_ms=at_ms).url

    assert shop.server.client.get(made()).status_code == 200  # what the test makes itself is good but for what is wrong
    wrong = [
        path,
        f"{path}?expires={expires}",
        f"{path}?expires={expires}&signature=",
        f"{path}?expires={expires}&signature={signature[:-1]}",
        f"{path}?expires={expires}&signature={signature}x",
        f"{path}?expires={expires}&signature=%C3%A9%ED%A0%80",
        f"{path}?expires={int(expires) + 1}&signature={signature}",
        f"{path}?expires=%20{expires}&signature={signature}",
        f"{path}?expires=٣&signature={signature}",
        f"{path}?expires={'9' * 5_000}&signature={signature}",
        f"{path.rpartition('/')[0]}/invoice.txt?{query}",
        f"{path}?{foreign.partition('?')[2]}",
        made(at_ms=now_ms - 3_601_000),
        made(uuid="00000000-0000-4000-8000-000000000000"),
        "/attachments/x/y?expires=1&signature=z",
    ]
    told = set()
    for address in wrong:
        answer = shop.server.client.get(address)
        assert answer.status_code == 404, address
        told.add(answer.text.replace(answer.headers["x-request-id"], ""))
    assert len(told) == 1


def test_signatures_are_not_logged(shop: Shop) -> None:
    link = link_of(shop, uploaded(shop, name="divorce papers.txt")["attachmentId"])
    assert shop.server.client.get(link).status_code == 200
    signature = urlsplit(link).query.partition("signature=")[2]
    assert signature not in shop.server.log
    assert "divorce" not in shop.server.log


def test_globexs_uploads_do_not_exist_for_acme(shop: Shop) -> None:
    globex = uploaded(shop, token=shop.world.globex_token)["attachmentId"]
    thread_id = shop.send()
    headers = {"token": shop.world.token}
    for attachment_id in (globex, "1", "x"):
        assert shop.server.client.get(f"{UPLOAD}/{attachment_id}", headers=headers).status_code == 404
    for attachment_id in (globex, "1"):
        body = {"customerThreadId": thread_id, "text": "Here it is.", "attachmentId": attachment_id}
        assert shop.post(body, path=SEND).status_code == 404
    assert len(shop.messages(thread_id)) == 1


def test_a_message_can_have_a_file_with_or_without_text(shop: Shop) -> None:
    thread_id = shop.send()
    attachment_id = uploaded(shop)["attachmentId"]
    for more in ({"text": "Here it is."}, {}):
        body = {"customerThreadId": thread_id, "attachmentId": attachment_id, **more}
        assert shop.post(body, path=SEND).status_code == 200
    _, with_text, alone = shop.messages(thread_id)
    assert (with_text["body"], str(with_text["attachment_id"])) == ("Here it is.", attachment_id)
    assert (alone["body"], str(alone["attachment_id"])) == ("", attachment_id)
    neither = {"customerThreadId": thread_id}
    assert faults_of(shop.post(neither, path=SEND)) == {("body", "#", "exactly_one_required")}


def test_a_file_missing_from_the_store_is_404_and_logged(shop: Shop, file_folder: Path, engine: str) -> None:
    described = uploaded(shop)
    (file_folder / engine / shop.world.acme / described["uuid"]).unlink()
    assert shop.server.client.get(link_of(shop, described["attachmentId"])).status_code == 404
    assert "file missing in the attachment store" in shop.server.log


def test_postgresql_requires_a_setting_for_the_attachment_store(shops: Callable[..., Shop]) -> None:
    shop = shops("postgresql")
    answer = upload(shop)
    assert answer.status_code == 409
    assert "SHOPBELL_ATTACHMENTS_URL" in answer.json()["developerMessage"]
    assert shop.server.client.get(f"{UPLOAD}/1", headers={"token": shop.world.token}).status_code == 404
