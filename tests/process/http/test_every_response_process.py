"""Logs and metrics of a process contain no private data."""

import json
import uuid

import pytest

from harness import raw
from harness.installation import Installation
from harness.shop import Shop
from harness.world import World

CANARY = "c4n4ry"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_logs_contain_no_private_data(installation: Installation, people: World, log_format: str) -> None:
    email, number = f"{CANARY}@example.com", "+16175559876"
    with installation.serving(log_level="debug", log_format=log_format) as server:
        shop = Shop(server, people)
        user = {"email": email, "phoneNumber": number}
        own = str(uuid.uuid4())
        answers = [
            shop.post(shop.body(message=f"text {CANARY}", user=user), headers={"X-Request-Id": own}),
            shop.post(shop.body(message=f"text {CANARY}", user=user), headers={"Idempotency-Key": "k3y" * 9}),
            shop.post(shop.body(message=f"{CANARY}\0", user=user)),
            shop.post(shop.body(message=f"text {CANARY}", user=user | {"email": f"{CANARY}@"})),
            shop.post(shop.body(businessId="1", message=f"text {CANARY}", user=user)),
            shop.post(f'{{"message": "{CANARY}'.encode()),
            shop.post(shop.body(user=user), token=people.revoked_token),
            shop.post(shop.body(user=user), token=f"sb_live_{CANARY}"),
            shop.server.client.get(f"/{CANARY}?token={people.token}&email={email}"),
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 400, 400, 403, 400, 401, 401, 404]
        raw.exchange(server.port, f"GET /{CANARY} HTTP/1.1\r\n{CANARY}\r\n\r\n".encode())
        assert server.terminate() == 0
        log = server.log
    assert own in log
    private = (CANARY, people.token, people.revoked_token, number.removeprefix("+"), "k3y" * 9)
    assert [text for text in private if text in log] == []
    if log_format == "json":
        for line in log.splitlines():
            json.loads(line)
