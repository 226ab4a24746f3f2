"""The last use of a token is written after a while."""

import time

from harness.shop import Shop


def test_the_last_use_of_a_token_is_stored_after_a_while(own_shop: Shop) -> None:
    def last_used() -> object:
        tokens = own_shop.server.installation.cli("token", "list")
        return next(each["lastUsedAt"] for each in tokens if each["id"] == own_shop.world.token_id)

    assert last_used() is None
    before_ms = time.time_ns() // 1_000_000
    own_shop.send()
    assert own_shop.server.terminate() == 0
    noted = last_used()
    assert isinstance(noted, int)
    assert noted >= before_ms
