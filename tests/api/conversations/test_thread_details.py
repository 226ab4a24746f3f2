"""Conversation details, the list of conversations and their messages."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from harness.shop import HELLO, Shop, faults_of

SEND = "/api/send-message-to-customer-thread"
DETAILS = "/api/get-customer-thread-details"
DAY_MS = 24 * 60 * 60 * 1000


def _get(shop: Shop, path: str, token: str = "", **query: Any) -> httpx2.Response:
    return shop.server.client.get(path, params=query, headers={"token": token or shop.world.token})


def _details(shop: Shop, thread_id: str) -> dict[str, Any]:
    answer = _get(shop, DETAILS, customerThreadId=thread_id)
    assert answer.status_code == 200, answer.text
    details: dict[str, Any] = answer.json()
    return details


def _listed(shop: Shop, **query: Any) -> list[dict[str, Any]]:
    answer = _get(shop, "/api/threads", **query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["nextCursor"] is None
    threads: list[dict[str, Any]] = answer.json()["threads"]
    return threads


def _ids(shop: Shop, **query: Any) -> list[str]:
    return [thread["customerThreadId"] for thread in _listed(shop, **query)]


def _pages(shop: Shop, path: str, what: str, **query: Any) -> list[list[dict[str, Any]]]:
    pages, cursor = [], None
    while True:
        answer = _get(shop, path, **query, **({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        pages.append(answer.json()[what])
        cursor = answer.json()["nextCursor"]
        if cursor is None:
            return pages


def _merge(shop: Shop, merged_id: int, kept_id: int) -> None:
    answer = shop.post({"otherCustomerId": merged_id}, path=f"/api/customers/{kept_id}/merge")
    assert answer.status_code == 200, answer.text


def test_the_details_are_those_of_the_contract_and_our_own_fields(shop: Shop) -> None:
    before_ms = time.time_ns() // 1_000_000
    thread_id = shop.send()
    details = _details(shop, thread_id)
    created_at = details.pop("createdAt")
    assert before_ms <= created_at <= time.time_ns() // 1_000_000
    assert details == {
        "customerChannel": "WEB",
        "status": "waiting",
        "isMessagingWindowOpen": True,
        "customerThreadId": thread_id,
        "businessId": shop.world.boston,
        "customerId": str(shop.customer_of(thread_id)),
        "assigneeUserId": None,
        "updatedAt": created_at,
        "lastSequence": 1,
        "lastCustomerMessageAt": created_at,
    }


def test_the_details_change_with_each_action(shop: Shop) -> None:
    thread_id = shop.send()
    first = _details(shop, thread_id)
    assert shop.post({"customerThreadId": thread_id, "text": "Hello"}, path=SEND).status_code == 200
    second = _details(shop, thread_id)
    assert (second["status"], second["lastSequence"]) == ("replied", 2)
    assert second["updatedAt"] >= first["updatedAt"]
    assert second["lastCustomerMessageAt"] == first["lastCustomerMessageAt"]


@pytest.mark.parametrize(("age_ms", "is_open"), [(DAY_MS - 60_000, True), (DAY_MS, False)])
def test_the_window_of_whatsapp_is_open_for_a_day(shop: Shop, age_ms: int, is_open: bool) -> None:
    user = {"email": shop.somebody()}
    thread_id = shop.send(user=user)
    shop.move_to_whatsapp(thread_id, age_ms=age_ms)
    for details in (_details(shop, thread_id), *_listed(shop, customerId=shop.customer_of(thread_id))):
        assert details["customerChannel"] == "WHATSAPP"
        assert details["isMessagingWindowOpen"] is is_open
    # What comes by another way changes nothing where the conversation stays on WhatsApp.
    shop.send(user=user)
    assert _details(shop, thread_id)["isMessagingWindowOpen"]  # on the web
    shop.database.change("UPDATE threads SET channel = 'WHATSAPP' WHERE id = :id", id=int(thread_id))
    assert _details(shop, thread_id)["isMessagingWindowOpen"] is is_open


def test_another_organizations_conversation_is_not_found(shop: Shop) -> None:
    globex = shop.send(token=shop.world.globex_token, businessId=shop.world.london)
    for id_ in (globex, "1", str(2**53 - 1)):
        for answer in (
            _get(shop, DETAILS, customerThreadId=id_),
            _get(shop, f"/api/threads/{id_}/messages"),
            _get(shop, "/api/get-whatsapp-templates", customerThreadId=id_),
        ):
            assert answer.status_code == 404
            assert answer.json()["developerMessage"] == "Resource not found"
    assert _get(shop, "/api/threads/carol/messages").status_code == 404
    assert faults_of(_get(shop, DETAILS)) == {("query", "customerThreadId", "required")}
    assert faults_of(_get(shop, DETAILS, customerThreadId="carol")) == {("query", "customerThreadId", "invalid_format")}


def test_a_merged_customers_conversation_belongs_to_the_kept_customer(shop: Shop) -> None:
    first, second, third, other = shop.send(), shop.send(), shop.send(), shop.send()
    kept, merged, merged_before = (shop.customer_of(thread_id) for thread_id in (first, second, third))
    _merge(shop, merged_before, merged)
    _merge(shop, merged, kept)
    for thread_id in (first, second, third):
        assert _details(shop, thread_id)["customerId"] == str(kept)
    for customer_id in (kept, merged, merged_before):
        assert _ids(shop, customerId=customer_id) == [third, second, first]
    assert _ids(shop, customerId=shop.customer_of(other)) == [other]


def test_conversations_are_listed_newest_first_with_any_filter(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    boston = shop.send(user=user)
    paris = shop.send(user=user, businessId=shop.world.paris)
    customer_id = shop.customer_of(boston)
    other = shop.send()
    assert _ids(shop, customerId=customer_id) == [paris, boston]
    assert _listed(shop, customerId=customer_id, businessId=shop.world.boston) == [_details(shop, boston)]
    shop.post({"customerThreadId": paris, "status": "resolved"}, path="/api/update-thread-status")
    assert _ids(shop, customerId=customer_id, status="resolved") == [paris]
    assert _ids(shop, customerId=customer_id, status="waiting") == [boston]
    shop.database.change("UPDATE threads SET channel = 'SMS' WHERE id = :id", id=int(boston))
    assert _ids(shop, customerId=customer_id, channel="SMS") == [boston]
    assert _ids(shop, customerId=customer_id, channel="EMAIL") == []
    newest_ms = _details(shop, other)["updatedAt"]
    shop.database.change("UPDATE threads SET updated_at_ms = :at WHERE id = :id", at=newest_ms + 50, id=int(paris))
    shop.database.change("UPDATE threads SET updated_at_ms = :at WHERE id = :id", at=newest_ms + 49, id=int(boston))
    assert _ids(shop, customerId=customer_id, updatedSince=newest_ms + 50) == [paris]
    assert _ids(shop, customerId=customer_id, updatedSince=newest_ms + 49) == [paris, boston]


def test_a_filter_by_an_unknown_id_finds_nothing(shop: Shop) -> None:
    globex = shop.send(token=shop.world.globex_token, businessId=shop.world.london)
    assert _listed(shop, businessId=shop.world.london) == []
    assert _listed(shop, customerId=shop.customer_of(globex)) == []
    assert _listed(shop, assigneeUserId=1) == []
    wrong = _get(shop, "/api/threads", status="done", channel="web", updatedSince=-1, limit=0, cursor="x")
    assert faults_of(wrong) == {
        ("query", "status", "invalid_value"),
        ("query", "channel", "invalid_value"),
        ("query", "updatedSince", "invalid_value"),
        ("query", "limit", "invalid_value"),
    }
    assert faults_of(_get(shop, "/api/threads", cursor="x")) == {("query", "cursor", "invalid_format")}


def test_pages_of_conversations_stay_stable_while_new_ones_start(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    businesses = (shop.world.boston, shop.world.paris, shop.world.nowhere)
    begun = [shop.send(user=user, businessId=business) for business in businesses]
    customer_id = shop.customer_of(begun[0])
    first = _get(shop, "/api/threads", customerId=customer_id, limit=2).json()
    assert [thread["customerThreadId"] for thread in first["threads"]] == [begun[2], begun[1]]
    later = shop.send(businessId=shop.world.paris)
    _merge(shop, shop.customer_of(later), customer_id)
    second = _get(shop, "/api/threads", customerId=customer_id, limit=2, cursor=first["nextCursor"]).json()
    assert [thread["customerThreadId"] for thread in second["threads"]] == [begun[0]]
    assert second["nextCursor"] is None
    assert _ids(shop, customerId=customer_id) == [later, *reversed(begun)]


def test_conversations_opened_by_a_blocked_customer_are_hidden(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    customer_id = shop.customer_of(shop.send(user=user))
    shop.database.change("UPDATE customers SET blocked_at_ms = 1 WHERE id = :id", id=customer_id)
    unseen = shop.send(user=user, businessId=shop.world.paris)
    assert unseen not in _ids(shop, customerId=customer_id)
    assert _get(shop, DETAILS, customerThreadId=unseen).status_code == 404
    assert _get(shop, f"/api/threads/{unseen}/messages").status_code == 404


def test_messages_are_listed_in_order_with_all_details(shop: Shop) -> None:
    thread_id = shop.send()
    note = shop.post({"customerThreadId": thread_id, "text": "Who knows?", "internal": True}, path=SEND)
    answer = _get(shop, f"/api/threads/{thread_id}/messages").json()
    created = [row["created_at_ms"] for row in shop.messages(thread_id)]
    common = {"employeeUserId": None, "contentSid": None, "externalId": None, "attachment": None}
    common |= {"channel": None, "deliveries": [], "mail": None}
    first = {"sequence": 1, "text": HELLO, "fromCustomer": True, "internal": False}
    second = {"sequence": 2, "text": "Who knows?", "fromCustomer": False, "internal": True}
    assert answer == {
        "messages": [
            {"id": str(shop.messages(thread_id)[0]["id"]), **first, "createdAt": created[0], **common},
            {"id": note.json()["messageId"], **second, "createdAt": created[1], **common},
        ],
        "lastSequence": 2,
        "nextCursor": None,
    }


def test_listing_messages_resumes_from_a_cursor(shop: Shop) -> None:
    thread_id = shop.send()
    for number in range(2, 8):
        shop.post({"customerThreadId": thread_id, "text": f"message {number}"}, path=SEND)
    path = f"/api/threads/{thread_id}/messages"
    pages = _pages(shop, path, "messages", limit=3)
    assert [[message["sequence"] for message in page] for page in pages] == [[1, 2, 3], [4, 5, 6], [7]]
    pages = _pages(shop, path, "messages", limit=3, afterSequence=4)
    assert [[message["sequence"] for message in page] for page in pages] == [[5, 6, 7]]
    assert _pages(shop, path, "messages", afterSequence=7) == [[]]
    wrong = _get(shop, path, afterSequence="x", limit=201)
    assert faults_of(wrong) == {("query", "afterSequence", "invalid_format"), ("query", "limit", "invalid_value")}


def test_a_message_shows_its_file_and_a_link_to_it(engine: str, shops: Callable[..., Shop], tmp_path: Path) -> None:
    shop = shops(engine, attachments_url=tmp_path.as_uri())
    thread_id = shop.send()
    file = {"file": ("notes.txt", b"Size 42", "text/plain")}
    answer = shop.server.client.post("/api/attachments", files=file, headers={"token": shop.world.token})
    assert answer.status_code == 200, answer.text
    uploaded = answer.json()
    body = {"customerThreadId": thread_id, "text": "See this", "attachmentId": uploaded["attachmentId"]}
    assert shop.post(body, path=SEND).status_code == 200
    path = f"/api/threads/{thread_id}/messages"
    without, message = _get(shop, path).json()["messages"]
    assert without["attachment"] is None
    assert message["attachment"] | uploaded == message["attachment"]
    assert shop.server.client.get(message["attachment"]["link"]).content == b"Size 42"
    shop.database.change("UPDATE messages SET external_id = 'SM1' WHERE id = :id", id=int(message["id"]))
    assert _get(shop, path).json()["messages"][1]["externalId"] == "SM1"
