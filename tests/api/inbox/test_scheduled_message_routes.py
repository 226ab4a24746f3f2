"""``/api/scheduled-messages`` of a server whose worker sends what is due."""

import pytest

from harness.employees import hire
from harness.inbox import get, upload
from harness.scheduling import ROUTE, TEXT, schedule, scheduled, texts
from harness.shop import Shop
from harness.streams import following
from harness.waiting import wait_until
from shopbell.accounts.roles import Roles
from shopbell.runtime.clock import now_ms


def test_the_worker_sends_a_scheduled_message(shop: Shop) -> None:
    thread_id = shop.send()
    id_ = scheduled(shop, thread_id, delayMs=30_000)
    assert texts(shop, thread_id) == []
    due = "UPDATE scheduled_messages SET send_at_ms = :now_ms WHERE id = :id"
    assert shop.database.change(due, now_ms=now_ms(), id=int(id_))
    wait_until(lambda: texts(shop, thread_id), lambda: shop.server.log)
    assert texts(shop, thread_id) == [TEXT]


def test_the_stream_reports_each_change_of_a_scheduled_message(shop: Shop) -> None:
    thread_id = shop.send()
    with following(shop) as stream:
        stream.until_ready()
        kept, cancelled = scheduled(shop, thread_id), scheduled(shop, thread_id, delayMs=30_000)
        shop.post({}, path=f"{ROUTE}/{cancelled}/cancel")
        shop.post({"delayMs": 0}, path=f"{ROUTE}/{kept}/update")
        told = []
        while ("sent", kept) not in told:
            data = stream.next("scheduled")["data"]
            if data["customerThreadId"] == thread_id:
                told.append((data["state"], data["scheduledMessageId"]))
        last = data
    assert told == [
        ("scheduled", kept),
        ("scheduled", cancelled),
        ("cancelled", cancelled),
        ("scheduled", kept),
        ("sent", kept),
    ]
    assert last["messageId"] == str(shop.messages(thread_id)[-1]["id"])
    assert last["businessId"] == shop.world.boston
    assert TEXT not in str(last)


def test_an_employee_schedules_in_their_own_name_only(shop: Shop) -> None:
    alice, bob = hire(shop), hire(shop)
    body = {"customerThreadId": shop.send(), "text": TEXT, "delayMs": 30_000}
    for named in ({}, {"employeeUserId": str(alice.id)}):
        id_ = alice.browser.call(ROUTE, body | named).json()["scheduledMessageId"]
        assert bob.browser.call(f"{ROUTE}/{id_}/cancel").json()["employeeUserId"] == str(alice.id)
    assert alice.browser.call(ROUTE, body | {"employeeUserId": str(bob.id)}).status_code == 403


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # its shared server stores files
def test_colleagues_in_the_business_see_the_file_of_a_scheduled_message(shop: Shop) -> None:
    world, file_id = shop.world, upload(shop)
    of_boston, of_paris = (
        hire(shop, roles=Roles(businesses={int(business): "member"})).browser
        for business in (world.boston, world.paris)
    )
    path = f"/api/attachments/{file_id}"
    assert of_boston.get(path).status_code == 404
    scheduled(shop, shop.send(), delayMs=30_000, attachmentId=file_id)
    assert of_boston.get(path).status_code == 200
    assert of_paris.get(path).status_code == 404


def test_a_scheduled_message_of_another_organization_does_not_exist(shop: Shop) -> None:
    globex = shop.send(token=shop.world.globex_token, businessId=shop.world.london)
    id_ = scheduled(shop, globex, token=shop.world.globex_token)
    assert schedule(shop, globex).status_code == 404
    for action in ("cancel", "update"):
        assert shop.post({}, path=f"{ROUTE}/{id_}/{action}").status_code == 404
    listed = shop.server.client.get(ROUTE, headers={"token": shop.world.token}).json()["scheduledMessages"]
    assert id_ not in {each["scheduledMessageId"] for each in listed}


def test_scheduled_messages_are_listed_by_state(shop: Shop) -> None:
    thread_id = shop.send()
    kept, cancelled = scheduled(shop, thread_id), scheduled(shop, thread_id)
    shop.post({}, path=f"{ROUTE}/{cancelled}/cancel")
    for state, id_ in (("scheduled", kept), ("cancelled", cancelled)):
        found = get(shop, ROUTE, customerThreadId=thread_id, state=state)["scheduledMessages"]
        assert [each["scheduledMessageId"] for each in found] == [id_]
    wrong = shop.server.client.get(ROUTE, params={"state": "lost"}, headers={"token": shop.world.token})
    assert wrong.status_code == 400


def test_an_open_conversation_shows_what_is_to_be_sent(shop: Shop) -> None:
    thread_id = shop.send()
    id_ = scheduled(shop, thread_id, delayMs=30_000)

    def shown() -> list[str]:
        opened = shop.server.client.get(f"/api/inbox/threads/{thread_id}", headers={"token": shop.world.token})
        return [each["scheduledMessageId"] for each in opened.json()["scheduledMessages"]]

    assert shown() == [id_]
    shop.post({}, path=f"{ROUTE}/{id_}/cancel")
    assert shown() == []
