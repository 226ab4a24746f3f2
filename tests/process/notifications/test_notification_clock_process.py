"""A server with its clock set back notifies customers on time."""

import time
from typing import Any

import pytest

from harness.installation import Installation
from harness.set_clock import set_clock_from_file

HOUR_MS = 3_600_000
THREAD, FIRST = 5_000_000, 5_000_001


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_server_with_its_clock_set_back_emails_on_time(installation: Installation, open_post: Any) -> None:
    set_clock_from_file(installation)
    with open_post(mail_batch_s=5, poll_interval_s=0.5) as post:
        thread_id = post.shop.send()
        message_id = post.reply(thread_id, "Yes, it is.")
        post.wait_for_delivery(message_id, "EMAIL", "queued")
        (installation.folder / "clock").write_text(str(-24 * HOUR_MS))
        post.wait_for_delivery(message_id, "EMAIL", "sent")
        post.wait_for_delivery(post.reply(thread_id, "Come by."), "EMAIL", "sent")
        post.wait_for_log("the clock was set back")
        earlier_ms = time.time_ns() // 1_000_000 - 23 * HOUR_MS
        last_ms = post.shop.database.rows("SELECT created_at_ms FROM outbound_messages ORDER BY id DESC")[0][
            "created_at_ms"
        ]
        assert last_ms < earlier_ms, "the clock was not set back"
