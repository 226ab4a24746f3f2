"""Daily upload limits per session, address, all customers and organization."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest

from harness.installation import SECRET_KEY, Installation
from harness.raw_connection import MIB, Wire, request
from harness.set_clock import avoid_midnight
from harness.shop import Shop
from harness.upload_limits import (
    DAY_MS,
    PER_ADDRESS_BYTES,
    PER_SESSION_BYTES,
    QUOTA_BYTES,
    UPLOAD,
    is_refused,
    upload,
    upload_limits,
)
from harness.visitors import Browser, Site, acmes_site
from harness.waiting import wait_until
from harness.world import World
from shopbell.attachments import upload_quota
from shopbell.customers.magic_links import CustomerLinks
from shopbell.security.keys import Keys

CUSTOMERS_UPLOAD = "/api/customer/attachments"
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
END = b"\r\n--b--\r\n"


@pytest.fixture
def settings(tmp_path: Path, installation: Installation) -> dict[str, Any]:
    """Small limits, which midnight must not reset during a test."""
    avoid_midnight(installation)
    return upload_limits(tmp_path)


@pytest.fixture
def shop(installation: Installation, people: World, settings: Mapping[str, Any]) -> Iterator[Shop]:
    """A server with these limits."""
    with installation.serving(**settings) as server:
        yield Shop(server, people)


@pytest.fixture
def site(shop: Shop) -> Site:
    """Acme's website."""
    return acmes_site(shop)


def send_file(browser: Browser, length_bytes: int, address: str = "198.51.100.1", port: int = 0) -> httpx2.Response:
    """Upload a text of so many bytes as a customer at an address; by another process where told."""
    url = f"http://127.0.0.1:{port or browser.shop.server.port}{CUSTOMERS_UPLOAD}"
    headers = browser.headers | {"x-forwarded-for": address}
    return browser.shop.server.client.post(url, files={"file": ("a.txt", b"a" * length_bytes)}, headers=headers)


def carry(browser: Browser, uploaded: httpx2.Response) -> None:
    """Let a message carry a file."""
    assert uploaded.status_code == 200, uploaded.text
    browser.say("Look.", attachmentId=uploaded.json()["attachmentId"])


def used(shop: Shop) -> dict[str, int]:
    """How many bytes are counted today, by kind."""
    rows = shop.database.rows("SELECT kind, sum(used_bytes) AS n FROM upload_usage GROUP BY kind")
    return {"organization": 0} | {row["kind"]: int(row["n"]) for row in rows}


def stored_bytes(settings: Mapping[str, Any]) -> int:
    """How many bytes the store holds."""
    folder = Path(settings["attachments_url"].removeprefix("file://"))
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_visitor_who_sends_only_files_reaches_the_limit(site: Site, settings: Mapping[str, Any]) -> None:
    visitor = site.visitor()
    for _ in range(2):
        carry(visitor, send_file(visitor, 80_000))
    is_refused(send_file(visitor, 80_000), "session", PER_SESSION_BYTES)
    carry(visitor, send_file(visitor, 40_000))
    is_refused(send_file(visitor, 1), "session", PER_SESSION_BYTES)
    assert stored_bytes(settings) == PER_SESSION_BYTES


def test_control_without_limits_the_same_visitor_continues(
    installation: Installation, people: World, settings: Mapping[str, Any]
) -> None:
    unlimited = {name: 10**12 for name in settings if "quota" in name}
    with installation.serving(**(settings | unlimited)) as server:
        visitor = acmes_site(Shop(server, people)).visitor()
        for _ in range(4):
            carry(visitor, send_file(visitor, 80_000))
    assert stored_bytes(settings) > PER_SESSION_BYTES


def test_sessions_of_one_address_share_its_limit(site: Site) -> None:
    one, two, three = (site.visitor() for _ in range(3))
    carry(one, send_file(one, 200_000))
    carry(two, send_file(two, 100_000))
    is_refused(send_file(three, 1), "address", PER_ADDRESS_BYTES)
    is_refused(send_file(three, 1, "198.51.100.1"), "address", PER_ADDRESS_BYTES)
    assert send_file(three, 1, "198.51.100.2").status_code == 200
    rows = str(site.shop.database.rows("SELECT * FROM upload_usage"))
    assert "198.51.100" not in rows


def test_customers_cannot_use_the_half_reserved_for_employees(site: Site) -> None:
    shop = site.shop
    for number in range(5):
        assert send_file(site.visitor(), 100_000, f"198.51.100.{number}").status_code == 200
    is_refused(send_file(site.visitor(), 1, "198.51.100.9"), "customers", QUOTA_BYTES // 2)
    assert upload(shop, QUOTA_BYTES // 2).status_code == 200
    is_refused(upload(shop, 1), "organization", QUOTA_BYTES)
    assert upload(shop, QUOTA_BYTES, shop.world.globex_token).status_code == 200


def test_yesterdays_files_do_not_count(site: Site) -> None:
    shop, visitor = site.shop, site.visitor()
    assert send_file(visitor, PER_SESSION_BYTES).status_code == 200
    is_refused(send_file(visitor, 1), "session", PER_SESSION_BYTES)
    shop.database.change("UPDATE upload_usage SET day = day - 1")
    assert send_file(visitor, PER_SESSION_BYTES - 1).status_code == 200


def test_a_discarded_file_does_not_count(site: Site, settings: Mapping[str, Any]) -> None:
    shop, visitor = site.shop, site.visitor()
    wrong = shop.server.client.post(
        CUSTOMERS_UPLOAD, files={"file": ("a", b"MZ\x90\0" + b"\0" * 100_000)}, headers=visitor.headers
    )
    assert wrong.status_code == 400
    for end in (b"", b"\r\n--b\r\n\r\n"):  # broken off, and with a second part
        with Wire(shop.server.port) as wire:
            length = len(HEAD) + 700_000 + len(END)
            wire.send(_head(shop, f"Content-Length: {length}"), HEAD + b"a" * 600_000)
            wait_until(lambda: used(shop)["organization"] > 0, lambda: str(used(shop)))
            wire.send(end) if end else wire.reset()
            wait_until(lambda: used(shop)["organization"] == 0, lambda: str(used(shop)))
    assert upload(shop, 70_000).status_code == 200
    assert used(shop)["organization"] == 70_000 == stored_bytes(settings)


def _head(shop: Shop, *headers: str, path: str = UPLOAD) -> bytes:
    token = f"token: {shop.world.token}"
    return request(b"", *headers, token, "Content-Type: multipart/form-data; boundary=b", path=path)


def test_a_file_with_too_large_a_length_is_refused_before_it_arrives(shop: Shop) -> None:
    with Wire(shop.server.port) as wire:
        wire.send(_head(shop, f"Content-Length: {2 * MIB}"), HEAD + b"a" * 300_000)
        assert wire.answer().status == 429
    assert used(shop) == {"organization": 0}


def test_a_file_without_a_length_is_refused_while_it_arrives(shop: Shop) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield HEAD
        while True:
            sent += 50_000
            yield b"a" * 50_000

    headers = {"token": shop.world.token, "Content-Type": "multipart/form-data; boundary=b"}
    answer = shop.server.client.post(UPLOAD, content=endless(), headers=headers)
    is_refused(answer, "organization", QUOTA_BYTES)
    assert used(shop) == {"organization": 0}
    # What was granted beyond the length of a file that is kept goes back as well.
    kept = shop.server.client.post(UPLOAD, content=iter([HEAD, b"a" * 600_000, END]), headers=headers)
    assert kept.status_code == 200
    assert used(shop) == {"organization": 600_000}


def test_parallel_uploads_to_two_processes_never_exceed_the_limit(
    site: Site, installation: Installation, settings: Mapping[str, Any]
) -> None:
    visitors = [site.visitor() for _ in range(4)]
    with installation.serving(**settings) as other:
        ports = (site.shop.server.port, other.port)

        def one(number: int) -> int:
            length = 40_000 + number
            return send_file(visitors[number % 4], length, "198.51.100.1", ports[number % 2]).status_code

        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(one, range(16)))
    assert set(told) == {200, 429}
    assert told.count(200) == PER_ADDRESS_BYTES // 40_016
    assert stored_bytes(settings) <= PER_ADDRESS_BYTES
    assert used(site.shop)["address"] == stored_bytes(settings)


@contextmanager
def page_of(shop: Shop) -> Iterator[Callable[..., httpx2.Response]]:
    """Sends the form of a conversation's page: how long a file, and a text."""
    thread_id = shop.send()
    thread, (email,) = shop.thread(thread_id), shop.identities(shop.customer_of(thread_id))["email"]
    with shop.database.connection() as tx:
        at = (thread["organization_id"], int(thread_id), "EMAIL", email)
        token = CustomerLinks(Keys((SECRET_KEY.encode(),))).make(tx, *at, now_ms=thread["created_at_ms"])
    page = {"sec-fetch-site": "same-origin"}
    with httpx2.Client(base_url=shop.server.url, trust_env=False, timeout=60, headers=page) as carol:
        assert carol.post(f"/t/{token}").status_code == 303

        def send(length_bytes: int, text: str = "") -> httpx2.Response:
            name = "a.txt" if length_bytes else ""
            parts = {"text": (None, text), "file": (name, b"a" * length_bytes, "text/plain")}
            return carol.post(f"/c/{thread_id}/messages", files=parts)

        yield send


def test_the_conversation_page_says_that_a_file_has_to_wait(shop: Shop) -> None:
    with page_of(shop) as send:
        assert send(PER_SESSION_BYTES).status_code == 303
        refused = send(1)
        assert refused.status_code == 429
        assert refused.headers["content-type"].startswith("text/html")
        assert "This file cannot be sent today. Please try again tomorrow." in unescape(refused.text)
        assert send(0, "Then in words.").status_code == 303


def test_a_long_text_sent_with_a_file_does_not_count(
    installation: Installation, people: World, settings: Mapping[str, Any]
) -> None:
    limit_bytes = 100_000
    with (
        installation.serving(**settings, attachment_limit_bytes=limit_bytes) as server,
        page_of(Shop(server, people)) as send,
    ):
        assert send(limit_bytes, "\N{BELL}" * 10_000).status_code == 303
        assert send(limit_bytes + 1, "\N{BELL}" * 10_000).status_code == 413
        assert send(PER_SESSION_BYTES - limit_bytes, "\N{BELL}" * 10_000).status_code == 303


def test_counters_of_past_days_are_deleted(shop: Shop, installation: Installation) -> None:
    assert upload(shop, 1).status_code == 200
    today = shop.database.value("SELECT day FROM upload_usage")
    insert = "INSERT INTO upload_usage VALUES (:o, :d, 'session', :s, 1)"
    for age in (1, 2, 3, 30):
        shop.database.change(insert, o=int(shop.world.acme), d=today - age, s=str(uuid.uuid4()))
    with shop.database.connection() as tx:
        assert upload_quota.forget_old(tx, today * DAY_MS, limit=1)
        assert not upload_quota.forget_old(tx, today * DAY_MS, limit=10)
    days = shop.database.rows("SELECT day FROM upload_usage ORDER BY day")
    assert [row["day"] - today for row in days] == [-2, -1, 0]
