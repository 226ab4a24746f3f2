"""What cannot be sent, because nothing is set that would send it, is said to have failed."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.installation import SECRET_KEY, Installation
from harness.post import Post
from harness.shop import Shop
from harness.smtp import SmtpServer
from harness.world import World
from shopbell.customer_links import CustomerLinks
from shopbell.keys import Keys

SEND = "/api/send-message-to-customer-thread"


def _deliveries(shop: Shop, thread_id: str) -> list[tuple[str, str, str, str | None]]:
    """The deliveries of a conversation's messages as the API shows them: channel, audience, state and reason."""
    answer = shop.server.client.get(f"/api/threads/{thread_id}/messages", headers={"token": shop.world.token})
    return [
        (each["channel"], each["audience"], each["state"], each["reason"])
        for message in answer.json()["messages"]
        for each in message["deliveries"]
    ]


def test_without_a_mail_server_and_a_provider_nothing_is_said_to_be_sent(
    installation: Installation, people: World
) -> None:
    with installation.serving(poll_interval_s=0.2) as server:
        shop = Shop(server, people)
        post = Post(shop, SmtpServer(), installation.folder / "data" / "outbox")
        post.business(email="boston@acme.example")
        mailed, texted = (
            shop.send(user=user) for user in ({"email": shop.somebody()}, {"phoneNumber": shop.some_number()})
        )
        post.decided()
        for thread_id in (mailed, texted):
            post.reply(thread_id, "Your bicycle is ready.")
        post.decided()
        told = ("EMAIL", "store", "failed", "no_mail_server")
        waits = ("WEB", "customer", "queued", None)
        assert _deliveries(shop, mailed) == [told, ("EMAIL", "customer", "failed", "no_mail_server"), waits]
        assert _deliveries(shop, texted) == [told, ("SMS", "customer", "failed", "no_sms_provider"), waits]
        assert not post.folder.exists()
        assert "no mail is sent: set SHOPBELL_SMTP_URL" in server.log
        assert "no text is sent: set SHOPBELL_SMS_PROVIDER" in server.log


def test_a_business_without_an_address_is_not_said_to_be_told(installation: Installation, people: World) -> None:
    shown = installation.run("business", "create", "--organization", people.acme, "Rome").stdout
    assert "no: it has no e-mail address" in shown
    business_id = shown.split()[1]
    with installation.serving(poll_interval_s=0.2, sms_provider="none") as server:
        shop = Shop(server, people)
        post = Post(shop, SmtpServer(), installation.folder / "none")
        thread_id = shop.send(businessId=business_id)
        post.decided()
        assert _deliveries(shop, thread_id) == [("EMAIL", "store", "failed", "no_address")]
        assert "no text is sent" not in server.log  # as somebody chose


@pytest.mark.parametrize(
    ("user", "channel", "missing", "reason"),
    [
        ("email", "EMAIL", {"smtp_url": ""}, "no_mail_server"),
        ("phoneNumber", "SMS", {"sms_provider": "none"}, "no_sms_provider"),
    ],
)
def test_what_waits_when_its_provider_is_taken_away_fails(
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
    installation.database.change("UPDATE dispatches SET state = 'waiting', attempts = 0, due_at_ms = 1")
    installation.database.change("UPDATE message_deliveries SET state = 'queued' WHERE channel <> 'WEB'")
    with installation.serving(**(sending | missing), smtp_starttls="never") as server:
        Post(Shop(server, world), post.mails, post.folder).wait_for_delivery(message_id, channel, "failed")
        assert post.deliveries(message_id)[channel, "customer"] == ("failed", reason)


def test_without_a_mail_server_the_conversation_page_promises_no_mails(
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
