"""Messages on an unconfigured channel fail."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.installation import SECRET_KEY, Installation
from harness.sent_messages import Post
from harness.shop import Shop
from harness.world import World
from shopbell.customers.magic_links import CustomerLinks
from shopbell.security.keys import Keys


@pytest.mark.parametrize(
    ("user", "channel", "missing", "reason"),
    [
        ("email", "EMAIL", {"smtp_url": ""}, "no_mail_server"),
        ("phoneNumber", "SMS", {"sms_provider": "none"}, "no_sms_provider"),
    ],
)
def test_waiting_messages_fail_when_their_provider_is_removed(
    open_post: Any, user: str, channel: str, missing: dict[str, str], reason: str
) -> None:
    someone: dict[str, Callable[[Shop], str]] = {"email": Shop.somebody, "phoneNumber": Shop.some_number}
    with open_post(run_worker=False) as post:
        post.business(invites_customers=False, tells_store=False)
        thread_id = post.shop.send(user={user: someone[user](post.shop)})
        message_id = post.reply(thread_id, "Your bicycle is ready.")
        installation, world = post.shop.server.installation, post.shop.world
    sending = {"smtp_url": post.mails.url, "mail_from": "shop@acme.example", "sms_provider": "folder"}
    with installation.serving(**sending, smtp_starttls="never", mail_batch_s=3_600, sms_cooldown_s=3_600) as server:
        decided = Post(Shop(server, world), post.mails, post.folder)
        decided.decided()
    installation.database.change("UPDATE outbound_messages SET state = 'waiting', attempts = 0, due_at_ms = 1")
    installation.database.change("UPDATE message_deliveries SET state = 'queued' WHERE channel <> 'WEB'")
    with installation.serving(**(sending | missing), smtp_starttls="never") as server:
        Post(Shop(server, world), post.mails, post.folder).wait_for_delivery(message_id, channel, "failed")
        assert post.deliveries(message_id)[channel, "customer"] == ("failed", reason)


def test_without_a_mail_server_the_conversation_page_offers_no_emails(
    installation: Installation, people: World
) -> None:
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        email = shop.somebody()
        thread_id = shop.send(user={"email": email})
        with shop.database.writing() as tx:
            links = CustomerLinks(Keys((SECRET_KEY.encode(),)))
            now_ms = time.time_ns() // 1_000_000
            token = links.make(tx, int(people.acme), int(thread_id), "EMAIL", email, now_ms=now_ms)
        opened = server.client.post(f"/t/{token}", headers={"Sec-Fetch-Site": "same-origin"})
        assert opened.status_code == 303
        page = server.client.get(f"/c/{thread_id}")
    assert page.status_code == 200
    assert 'name="notifications"' not in page.text
