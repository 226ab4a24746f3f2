"""Messages to customers are pushed to the organization's push URL."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from harness.failing_receivers import Receiver, Receivers, wait_for
from harness.installation import Installation
from harness.shop import Shop, faults_of
from harness.world import World

SETTINGS = {
    "outbound_allow": "127.0.0.0/8",
    "delivery_schedule_s": "0,0.2,0.2,0.2,0.2",
    "poll_interval_s": 0.5,
    "public_url": "https://chat.example.org",
}

PNG = b"\x89PNG\r\n\x1a\n" + b"bell" * 100


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    """Receivers on loopback."""
    receivers = Receivers(tmp_path)
    yield receivers
    receivers.close()


@pytest.fixture
def shop(installation: Installation, people: World, tmp_path: Path) -> Iterator[Shop]:
    """A server that delivers and keeps files, for one test alone."""
    with installation.serving(**SETTINGS, attachments_url=f"file://{tmp_path / 'files'}") as server:
        yield Shop(server, people)


def update(shop: Shop, token: str = "", **fields: Any) -> Any:
    """Change the organization."""
    return shop.post(fields, token=token, path="/api/organization/update")


def push_to(shop: Shop, receiver: Receiver) -> str:
    """Let messages be pushed to a receiver, and give the id of the webhook."""
    answer = update(shop, pushUrl=receiver.url)
    assert answer.status_code == 200, answer.text
    assert answer.json()["pushUrl"] == receiver.url
    return hooks(shop)[0]["id"]


def hooks(shop: Shop) -> list[dict[str, Any]]:
    """The organization's webhooks."""
    found: list[dict[str, Any]] = shop.server.client.get("/api/webhooks", headers={"token": shop.world.token}).json()[
        "webhooks"
    ]
    return found


def reply(shop: Shop, thread_id: str, **fields: Any) -> None:
    """Answer a customer."""
    body = {"customerThreadId": thread_id, "text": "It is on its way."} | fields
    answer = shop.post(body, path="/api/send-message-to-customer-thread")
    assert answer.status_code == 200, answer.text


def settled(shop: Shop, count: int) -> None:
    """Wait until so many deliveries are delivered or skipped."""
    query = "SELECT count(*) FROM deliveries WHERE state IN ('delivered', 'skipped')"
    wait_for(lambda: shop.database.value(query) == count, 60, shop.server.log)


def test_a_message_to_a_customer_is_pushed_as_documented(shop: Shop, receivers: Receivers) -> None:
    receiver = receivers.add()
    push_to(shop, receiver)
    thread_id = shop.send()
    reply(shop, thread_id)
    settled(shop, 2)
    (request,) = receiver.requests
    assert request.headers["ipns-version"] == "1"
    assert request.headers["content-type"] == "application/json"
    push = json.loads(request.body)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", push.pop("date"))
    assert push == {
        "type": "message",
        "unreadMessagesCount": 1,
        "customer": {"id": str(shop.customer_of(thread_id))},
        "message": {"from": {"organization": {"name": "Acme"}}, "text": "It is on its way."},
    }


def test_a_push_names_the_employee_and_shows_the_picture(shop: Shop, receivers: Receivers) -> None:
    receiver, headers = receivers.add(), {"token": shop.world.token}
    push_to(shop, receiver)
    thread_id = shop.send()
    alice = shop.post({"name": "Alice Archer"}, path="/api/employees").json()["id"]
    for name, content in (("photo.png", PNG), ("notes.txt", b"1 bell")):
        sent = shop.server.client.post("/api/attachments", files={"file": (name, content)}, headers=headers)
        reply(shop, thread_id, text=None, attachmentId=sent.json()["attachmentId"], employeeUserId=alice)
    settled(shop, 3)
    photo, notes = (json.loads(request.body)["message"] for request in receiver.requests)
    assert photo["from"]["user"] == notes["from"]["user"] == {"firstName": "Alice"}
    link = photo["attachment"].pop("thumbnails")["_50x50"]
    assert link.startswith("https://chat.example.org/attachments/")
    shown = shop.server.client.get(link.removeprefix("https://chat.example.org"))
    assert shown.content == PNG
    assert photo["attachment"] == {"name": "photo.png", "contentType": "image/png"}
    assert notes["attachment"] == {"name": "notes.txt", "contentType": "text/plain"}
    assert "text" not in photo


def test_messages_from_customers_and_notes_are_not_pushed(shop: Shop, receivers: Receivers) -> None:
    receiver = receivers.add()
    push_to(shop, receiver)
    thread_id = shop.send()
    reply(shop, thread_id, text="A note", internal=True)
    reply(shop, thread_id)
    settled(shop, 3)
    assert [json.loads(request.body)["message"]["text"] for request in receiver.requests] == ["It is on its way."]
    assert shop.database.value("SELECT count(*) FROM deliveries WHERE state = 'skipped'") == 2


def test_a_push_is_signed_like_other_deliveries(shop: Shop, receivers: Receivers) -> None:
    receiver = receivers.add()
    hook = push_to(shop, receiver)
    secret = shop.post({}, path=f"/api/webhooks/{hook}/rotate-secret").json()["secret"]
    reply(shop, shop.send())
    settled(shop, 2)
    (request,) = receiver.requests
    Webhook(secret).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.body + b" ", request.headers)


def test_a_test_of_the_push_url_is_a_get_health_check(shop: Shop, receivers: Receivers) -> None:
    receiver = receivers.add()
    hook = push_to(shop, receiver)
    assert shop.post({}, path=f"/api/webhooks/{hook}/test").status_code == 200
    settled(shop, 1)
    (request,) = receiver.requests
    assert (request.method, request.body) == ("GET", b"")
    assert request.headers["ipns-version"] == "1"


def test_the_push_url_uses_one_webhook(shop: Shop, receivers: Receivers) -> None:
    first, second = receivers.add(), receivers.add()
    hook = push_to(shop, first)
    assert push_to(shop, second) == hook
    (shown,) = hooks(shop)
    assert (shown["url"], shown["payloadVersion"], shown["subscribedEvents"]) == (second.url, "ipns", ["messages"])
    for change in ({"payloadVersion": "flat"}, {"subscribedEvents": ["transfers"]}):
        assert shop.post(change, path=f"/api/webhooks/{hook}/update").status_code == 409
    assert update(shop, name="Acme").json()["pushUrl"] == second.url
    assert update(shop, pushUrl="").json()["pushUrl"] is None
    assert hooks(shop) == []


def test_a_push_url_must_be_public(shop: Shop) -> None:
    answer = update(shop, pushUrl="http://10.0.0.1/push")
    assert faults_of(answer) == {("body", "#/pushUrl", "invalid_format")}
    assert hooks(shop) == []


def test_setting_a_push_url_needs_the_webhooks_scope(shop: Shop, receivers: Receivers) -> None:
    receiver = receivers.add()
    token = shop.world.scoped["organization:manage"]
    assert update(shop, token, pushUrl=receiver.url).status_code == 403
    assert hooks(shop) == []
    push_to(shop, receiver)
    assert update(shop, token, name="Acme").json()["pushUrl"] is None


def test_globexs_messages_are_not_pushed_to_acme(shop: Shop, receivers: Receivers) -> None:
    receiver = receivers.add()
    push_to(shop, receiver)
    world = shop.world
    thread_id = shop.send(token=world.globex_token, businessId=world.london)
    body = {"customerThreadId": thread_id, "text": "Secret"}
    assert shop.post(body, token=world.globex_token, path="/api/send-message-to-customer-thread").status_code == 200
    reply(shop, shop.send())
    settled(shop, 2)
    assert [json.loads(request.body)["message"]["text"] for request in receiver.requests] == ["It is on its way."]


def test_the_command_line_sets_and_removes_the_push_url(shop: Shop) -> None:
    cli = shop.server.installation.cli
    url = "https://app.example.com/push"
    assert cli("organization", "update", shop.world.acme, "--push-url", url)["pushUrl"] == url
    assert cli("organization", "update", shop.world.acme, "--push-url", "none")["pushUrl"] is None
