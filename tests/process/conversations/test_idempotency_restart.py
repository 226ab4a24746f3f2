"""Idempotency keys survive a restart."""

import uuid

import httpx2

from harness.shop import Shop

REPLAYED = "idempotent-replayed"


def _send(shop: Shop, body: object, key: str, token: str = "") -> httpx2.Response:
    return shop.post(body, token=token, headers={"Idempotency-Key": key})


def test_a_key_survives_a_restart(own_shop: Shop) -> None:
    key, body = str(uuid.uuid4()), own_shop.body()
    first = _send(own_shop, body, key)
    own_shop.server.kill()
    own_shop.server.start()
    again = _send(own_shop, body, key)
    assert again.headers[REPLAYED] == "true"
    assert again.content == first.content
