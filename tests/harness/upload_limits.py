"""Small upload limits, and uploads that reach them."""

from pathlib import Path
from typing import Any

import httpx2

from harness.shop import Shop

UPLOAD = "/api/attachments"
QUOTA_BYTES = 1_000_000
PER_ADDRESS_BYTES = 300_000
PER_SESSION_BYTES = 200_000
DAY_MS = 86_400_000


def upload_limits(folder: Path) -> dict[str, Any]:
    """Settings of a server with these limits, behind a proxy."""
    return {
        "run_worker": False,
        "trusted_proxies": "127.0.0.1",
        "attachments_url": (folder / "files").as_uri(),
        "attachment_quota_bytes": QUOTA_BYTES,
        "attachment_quota_per_address_bytes": PER_ADDRESS_BYTES,
        "attachment_quota_per_session_bytes": PER_SESSION_BYTES,
    }


def upload(shop: Shop, length_bytes: int, token: str = "") -> httpx2.Response:
    """Upload a text of so many bytes for an organization."""
    headers = {"token": token or shop.world.token}
    return shop.server.client.post(UPLOAD, files={"file": ("a.txt", b"a" * length_bytes)}, headers=headers)


def is_refused(answer: httpx2.Response, kind: str, max_bytes: int) -> None:
    """Check for a 429 that names the limit, its bytes and its end."""
    assert answer.status_code == 429, answer.text
    told, headers = answer.json(), answer.headers
    assert told["type"] == "/problems/quota-exceeded"
    assert told["developerMessage"] == f"Rate limit 'uploads of {kind}' exceeded"
    assert told["maxBytes"] == max_bytes
    assert f"{max_bytes} bytes a day" in told["detail"]
    wait_s = int(headers["retry-after"])
    assert 1 <= wait_s <= DAY_MS // 1_000
    assert f'"uploads of {kind}";q={max_bytes};qu="content-bytes";w=86400' in headers["ratelimit-policy"]
    assert f'"uploads of {kind}";r=0;t={wait_s}' in headers["ratelimit"]
