"""Messages of blocked customers are hidden, and the customers are not told."""

import time
from typing import Any

import httpx2

from harness.shop import Shop

_UNSEEN = "SELECT * FROM blocked_messages WHERE customer_id = :id ORDER BY id"
_OF_CUSTOMER = "SELECT count(*) FROM {} WHERE customer_id = :id"


def _block(shop: Shop, customer_id: int, *, action: str = "block") -> None:
    answer = shop.post({}, path=f"/api/customers/{customer_id}/{action}")
    assert (answer.status_code, answer.json()) == (200, {"result": "ok"}), answer.text


def _unseen(shop: Shop, customer_id: int) -> list[str]:
    return [row["body"] for row in shop.database.rows(_UNSEEN, id=customer_id)]


def _widget(shop: Shop, user: dict[str, str], key: str | None = None, **changes: Any) -> httpx2.Response:
    headers = {"Idempotency-Key": key} if key else None
    return shop.post(shop.body(user=user, **changes), headers=headers)


def test_a_blocked_customer_gets_the_usual_response_and_their_messages_are_hidden(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    thread_id = shop.send(user=user)
    carol = shop.customer_of(thread_id)
    shop.post({"customerThreadId": thread_id, "status": "resolved"}, path="/api/update-thread-status")
    _block(shop, carol)
    before = shop.thread(thread_id)
    events = shop.database.value(_OF_CUSTOMER.format("events"), id=carol)
    heard, unheard = _widget(shop, {"email": shop.somebody()}), _widget(shop, user, message="Hear me")
    assert unheard.status_code == heard.status_code == 200
    assert unheard.json() == {"result": "ok", "customerThreadId": thread_id}
    assert unheard.headers.keys() == heard.headers.keys()
    assert shop.thread(thread_id) == before
    assert len(shop.messages(thread_id)) == 1
    assert shop.database.value(_OF_CUSTOMER.format("events"), id=carol) == events
    assert _unseen(shop, carol) == ["Hear me"]


def test_a_blocked_customers_first_message_to_another_business_opens_no_visible_conversation(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    carol = shop.customer_of(shop.send(user=user))
    _block(shop, carol)
    paris = [shop.send(user=user, businessId=shop.world.paris, message=f"message {n}") for n in range(2)]
    assert len(set(paris)) == 1
    assert shop.thread(paris[0])["last_sequence"] == 0
    headers = {"token": shop.world.token}
    listed = shop.server.client.get("/api/threads", params={"customerId": carol}, headers=headers).json()["threads"]
    assert paris[0] not in [thread["customerThreadId"] for thread in listed]
    details = "/api/get-customer-thread-details"
    answer = shop.server.client.get(details, params={"customerThreadId": paris[0]}, headers=headers)
    assert answer.status_code == 404
    _block(shop, carol, action="unblock")
    assert shop.send(user=user, businessId=shop.world.paris, message="at last") == paris[0]
    assert [message["body"] for message in shop.messages(paris[0])] == ["at last"]
    assert shop.thread(paris[0])["status"] == "waiting"


def test_unblocking_does_not_reveal_earlier_messages(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    thread_id = shop.send(user=user, message="before")
    carol = shop.customer_of(thread_id)
    _block(shop, carol)
    shop.send(user=user, message="while blocked")
    _block(shop, carol, action="unblock")
    shop.send(user=user, message="after")
    assert [message["body"] for message in shop.messages(thread_id)] == ["before", "after"]
    assert [message["sequence"] for message in shop.messages(thread_id)] == [1, 2]
    assert _unseen(shop, carol) == ["while blocked"]


def test_a_blocked_customers_repeated_request_is_stored_once(shop: Shop) -> None:
    user, key = {"email": shop.somebody()}, shop.somebody()
    thread_id = shop.send(user=user)
    carol = shop.customer_of(thread_id)
    _block(shop, carol)
    first, second = _widget(shop, user, key), _widget(shop, user, key)
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert _widget(shop, user, key, message="another").status_code == 422
    assert len(_unseen(shop, carol)) == 1


def test_a_request_from_before_the_block_is_replayed_and_not_stored_again(shop: Shop) -> None:
    user, key = {"email": shop.somebody()}, shop.somebody()
    first = _widget(shop, user, key)
    carol = shop.customer_of(first.json()["customerThreadId"])
    _block(shop, carol)
    assert _widget(shop, user, key).json() == first.json()
    assert _unseen(shop, carol) == []


def test_an_address_added_by_a_blocked_customer_is_blocked_too(shop: Shop) -> None:
    email, number = shop.somebody(), shop.some_number()
    thread_id = shop.send(user={"email": email})
    carol = shop.customer_of(thread_id)
    _block(shop, carol)
    assert shop.send(user={"email": email, "phoneNumber": number}) == thread_id
    assert shop.send(user={"phoneNumber": number}) == thread_id
    assert len(_unseen(shop, carol)) == 2
    assert len(shop.messages(thread_id)) == 1


def test_webhooks_receive_nothing_from_a_blocked_customer(shop: Shop) -> None:
    created = shop.post(
        {"url": "https://example.com/webhook", "subscribedEvents": ["messages"], "enabled": True}, path="/api/webhooks/"
    )
    webhook = int(created.json()["id"])
    user = {"email": shop.somebody()}
    thread_id = shop.send(user=user)
    _block(shop, shop.customer_of(thread_id))
    shop.send(user=user)
    shop.send(user=user, businessId=shop.world.paris)
    made = "SELECT count(*) FROM deliveries WHERE webhook_id = :id"
    assert shop.database.value(made, id=webhook) == 1
    assert shop.post({}, path=f"/api/webhooks/{webhook}/delete").status_code == 200


def test_blocking_and_unblocking_create_one_event_and_one_note(shop: Shop) -> None:
    carol = shop.customer_of(shop.send())
    for action in ("block", "block", "unblock", "unblock"):
        _block(shop, carol, action=action)
    events = shop.database.rows("SELECT type FROM events WHERE customer_id = :id ORDER BY position", id=carol)
    assert [event["type"] for event in events] == ["message", "customer-blocked", "customer-unblocked"]
    noted = "SELECT action, actor FROM audit_entries WHERE subject = :subject ORDER BY id"
    entries = shop.database.rows(noted, subject=f"customer {carol}")
    assert [entry["action"] for entry in entries] == ["customer.block", "customer.unblock"]
    assert {entry["actor"] for entry in entries} == {f"token {shop.world.token_id}"}


def test_listed_customers_show_when_they_were_blocked(shop: Shop) -> None:
    email = shop.somebody()
    _block(shop, shop.customer_of(shop.send(user={"email": email})))
    headers = {"token": shop.world.token}
    (entry,) = shop.server.client.get("/api/customers", params={"email": email}, headers=headers).json()["customers"]
    assert abs(entry["blockedAt"] - time.time() * 1000) < 60_000


def test_the_command_line_blocks_and_unblocks(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    thread_id = shop.send(user=user)
    carol = shop.customer_of(thread_id)
    cli = shop.server.installation.cli
    assert cli("customers", "block", carol) == {"id": str(carol), "blocked": True}
    shop.send(user=user)
    assert len(shop.messages(thread_id)) == 1
    assert cli("customers", "unblock", carol) == {"id": str(carol), "blocked": False}
    shop.send(user=user)
    assert len(shop.messages(thread_id)) == 2
    noted = "SELECT actor FROM audit_entries WHERE subject = :subject"
    assert {row["actor"] for row in shop.database.rows(noted, subject=f"customer {carol}")} == {"command line"}
