"""The log of a server without a mail server or an SMS provider."""

from harness.installation import Installation
from harness.sent_messages import Post
from harness.shop import Shop
from harness.smtp import SmtpServer
from harness.world import World


def _deliveries(shop: Shop, thread_id: str) -> list[tuple[str, str, str, str | None]]:
    """The deliveries of a conversation's messages as the API shows them: channel, audience, state and reason."""
    answer = shop.server.client.get(f"/api/threads/{thread_id}/messages", headers={"token": shop.world.token})
    return [
        (each["channel"], each["audience"], each["state"], each["reason"])
        for message in answer.json()["messages"]
        for each in message["deliveries"]
    ]


def test_without_a_mail_server_and_a_provider_the_log_promises_nothing(
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
        assert "no email is sent: set SHOPBELL_SMTP_URL" in server.log
        assert "no text is sent: set SHOPBELL_SMS_PROVIDER" in server.log


def test_a_business_without_an_address_is_not_reported_as_notified(installation: Installation, people: World) -> None:
    shown = installation.run("business", "create", "--organization", people.acme, "Rome").stdout
    assert "no: it has no email address" in shown
    business_id = shown.split()[1]
    with installation.serving(poll_interval_s=0.2, sms_provider="none") as server:
        shop = Shop(server, people)
        post = Post(shop, SmtpServer(), installation.folder / "none")
        thread_id = shop.send(businessId=business_id)
        post.decided()
        assert _deliveries(shop, thread_id) == [("EMAIL", "store", "failed", "no_address")]
        assert "no text is sent" not in server.log  # as the operator chose
