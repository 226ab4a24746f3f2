"""``POST /api/transfer-customer-thread`` moves a conversation to a business."""

import json
from typing import Any

import httpx2

from harness.shop import Shop, faults_of

TRANSFER = "/api/transfer-customer-thread"


def _transfer(shop: Shop, thread_id: str | int, business_id: str | int, **fields: Any) -> httpx2.Response:
    return shop.post({"customerThreadId": thread_id, "businessId": business_id, **fields}, path=TRANSFER)


def _events(shop: Shop, thread_id: str) -> list[dict[str, Any]]:
    query = "SELECT * FROM events WHERE thread_id = :id AND type = 'transfer' ORDER BY position"
    return shop.database.rows(query, id=int(thread_id))


def _employee(shop: Shop) -> str:
    answer = shop.post({"name": "Alice"}, path="/api/employees")
    assert answer.status_code == 200, answer.text
    employee_id: str = answer.json()["id"]
    return employee_id


def _merge(shop: Shop, kept: int, merged: int) -> str:
    answer = shop.post({"otherCustomerId": merged}, path=f"/api/customers/{kept}/merge")
    assert answer.status_code == 200, answer.text
    merge_id: str = answer.json()["mergeId"]
    return merge_id


def test_a_conversation_is_transferred_with_all_its_messages(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    thread_id = shop.send(user=user)
    before = shop.thread(thread_id)
    answer = _transfer(shop, int(thread_id), int(shop.world.paris))
    assert (answer.status_code, answer.json()) == (200, {"result": "ok"})
    after = shop.thread(thread_id)
    assert str(after["business_id"]) == shop.world.paris
    assert after["updated_at_ms"] >= before["updated_at_ms"]
    same = {"business_id": None, "updated_at_ms": None}
    assert after | same == before | same
    assert len(shop.messages(thread_id)) == 1
    assert shop.send(user=user, businessId=shop.world.paris) == thread_id
    assert [row["sequence"] for row in shop.messages(thread_id)] == [1, 2]


def test_a_later_message_to_the_former_business_starts_a_conversation_there(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    thread_id = shop.send(user=user)
    assert _transfer(shop, thread_id, shop.world.paris).status_code == 200
    new = shop.send(user=user)
    assert new != thread_id
    assert str(shop.thread(new)["business_id"]) == shop.world.boston
    assert shop.customer_of(new) == shop.customer_of(thread_id)


def test_the_event_names_both_businesses_and_the_actor(shop: Shop) -> None:
    thread_id, employee_id = shop.send(), _employee(shop)
    assert _transfer(shop, thread_id, shop.world.paris, employeeUserId=employee_id).status_code == 200
    assert _transfer(shop, thread_id, shop.world.boston).status_code == 200
    boston, paris = int(shop.world.boston), int(shop.world.paris)
    events = _events(shop, thread_id)
    assert [json.loads(event["details"]) for event in events] == [
        {"fromBusinessId": boston, "toBusinessId": paris, "employeeUserId": int(employee_id)},
        {"fromBusinessId": paris, "toBusinessId": boston, "employeeUserId": None},
    ]
    assert [event["business_id"] for event in events] == [paris, boston]
    assert [event["thread_sequence"] for event in events] == [1, 1]


def test_a_transfer_keeps_status_and_assignee(shop: Shop) -> None:
    thread_id, employee_id = shop.send(), _employee(shop)
    shop.post({"customerThreadId": thread_id, "employeeUserId": employee_id}, path="/api/assign-customer-thread")
    shop.post({"customerThreadId": thread_id, "status": "resolved"}, path="/api/update-thread-status")
    assert _transfer(shop, thread_id, shop.world.paris).status_code == 200
    path = "/api/get-customer-thread-details"
    query = {"customerThreadId": thread_id}
    details = shop.server.client.get(path, params=query, headers={"token": shop.world.token}).json()
    told = (details["businessId"], details["status"], details["assigneeUserId"])
    assert told == (shop.world.paris, "resolved", employee_id)


def test_unknown_conversations_and_businesses_are_refused(shop: Shop) -> None:
    thread_id = shop.send()
    globex = shop.send(token=shop.world.globex_token, businessId=shop.world.london)
    made = shop.post({"name": "Bob"}, path="/api/employees", token=shop.world.globex_token)
    bob = made.json()["id"]
    answers = [
        _transfer(shop, globex, shop.world.paris),
        _transfer(shop, "1", shop.world.paris),
        _transfer(shop, thread_id, shop.world.london),
        _transfer(shop, thread_id, "1"),
        _transfer(shop, thread_id, shop.world.paris, employeeUserId=bob),
        _transfer(shop, thread_id, shop.world.paris, employeeUserId="1"),
    ]
    assert {(answer.status_code, answer.json()["developerMessage"]) for answer in answers} == {
        (404, "Resource not found")
    }
    assert _events(shop, thread_id) == []
    assert _events(shop, globex) == []
    missing = shop.post({}, path=TRANSFER)
    assert faults_of(missing) == {("body", "#/customerThreadId", "required"), ("body", "#/businessId", "required")}


def test_an_impossible_transfer_is_a_conflict_and_changes_nothing(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    boston, paris = shop.send(user=user), shop.send(user=user, businessId=shop.world.paris)
    same = _transfer(shop, boston, shop.world.boston)
    closed = _transfer(shop, boston, shop.world.closed)
    taken = _transfer(shop, boston, shop.world.paris)
    for answer, word in ((same, "already"), (closed, "closed"), (taken, "GET /api/threads")):
        assert answer.status_code == 409
        assert answer.json()["type"] == "/problems/conflict"
        assert word in answer.json()["developerMessage"]
    assert str(shop.thread(boston)["business_id"]) == shop.world.boston
    assert _events(shop, boston) == _events(shop, paris) == []


def test_a_conversation_opened_while_blocked_does_not_prevent_a_transfer(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    thread_id = shop.send(user=user)
    customer_id = shop.customer_of(thread_id)
    shop.database.change("UPDATE customers SET blocked_at_ms = 1 WHERE id = :id", id=customer_id)
    unseen = shop.send(user=user, businessId=shop.world.paris)
    assert unseen != thread_id
    assert _transfer(shop, thread_id, shop.world.paris).status_code == 200
    assert str(shop.thread(thread_id)["business_id"]) == shop.world.paris
    shop.database.change("UPDATE customers SET blocked_at_ms = NULL WHERE id = :id", id=customer_id)
    assert shop.send(user=user, businessId=shop.world.paris) == thread_id


def test_another_conversation_of_the_customer_prevents_a_transfer_under_each_merged_id(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    kept, merged = shop.send(user=user), shop.send()
    shop.send(user=user, businessId=shop.world.paris)
    _merge(shop, shop.customer_of(kept), shop.customer_of(merged))
    assert _transfer(shop, merged, shop.world.paris).status_code == 409


def test_a_merged_customers_conversation_transfers_to_the_kept_customer_who_continues_it(shop: Shop) -> None:
    user, other_user = {"email": shop.somebody()}, {"email": shop.somebody()}
    kept, merged = shop.send(user=user), shop.send(user=other_user)
    kept_id, merged_id = shop.customer_of(kept), shop.customer_of(merged)
    merge_id = _merge(shop, kept_id, merged_id)
    assert shop.customer_of(merged) == merged_id  # both have one with Boston
    assert _transfer(shop, merged, shop.world.paris).status_code == 200
    assert shop.customer_of(merged) == kept_id
    for either in (user, other_user):
        assert shop.send(user=either, businessId=shop.world.paris) == merged
    assert shop.post({}, path=f"/api/customers/merges/{merge_id}/undo").status_code == 200
    assert shop.customer_of(merged) == merged_id
    assert shop.send(user=other_user, businessId=shop.world.paris) == merged


def test_undoing_merges_returns_a_transferred_conversation_step_by_step(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    last = shop.customer_of(shop.send(user=user))
    shop.send(user=user, businessId=shop.world.paris)
    middle = shop.customer_of(shop.send())
    thread_id = shop.send(businessId=shop.world.paris)
    first = shop.customer_of(thread_id)
    merges = [_merge(shop, middle, first), _merge(shop, last, middle)]
    assert shop.customer_of(thread_id) == middle  # it moved with the one merge, and stayed with the other
    assert _transfer(shop, thread_id, shop.world.nowhere).status_code == 200
    owners = [shop.customer_of(thread_id)]
    for merge_id in reversed(merges):
        assert shop.post({}, path=f"/api/customers/merges/{merge_id}/undo").status_code == 200
        owners.append(shop.customer_of(thread_id))
    assert owners == [last, middle, first]
