"""A server deletes old data on its own."""

from harness.changed import changed
from harness.installation import Installation
from harness.retention import age, keep
from harness.shop import Shop
from harness.waiting import wait_until
from harness.world import World

SWEEPS_AT_ONCE = "import shopbell.workers.webhook_worker as w; w.SWEEP_EVERY_S = 0.2\n"


def test_a_server_deletes_old_data_automatically(installation: Installation, people: World) -> None:
    installation.server_program = changed(SWEEPS_AT_ONCE)
    with installation.serving() as server:
        shop = Shop(server, people)
        thread_id = shop.send()
        age(shop, "messages", days=10)
        keep(shop, keepMessagesDays=9)
        wait_until(lambda: not shop.messages(thread_id), lambda: "nothing was deleted")
        assert shop.send()
