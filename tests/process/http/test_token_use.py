"""The last use of a token is stored at shutdown."""

import time

from harness.shop import Shop


def test_the_last_use_of_a_token_is_stored_at_shutdown(own_shop: Shop) -> None:
    before_ms = int(time.time() * 1_000)
    own_shop.send()
    assert own_shop.server.terminate() == 0  # written lazily, at the latest when the server ends
    last_used_at_ms = own_shop.database.value(
        "SELECT last_used_at_ms FROM api_tokens WHERE id = :id", id=int(own_shop.world.token_id)
    )
    assert last_used_at_ms is not None
    assert before_ms - 1_000 <= last_used_at_ms <= int(time.time() * 1_000)
