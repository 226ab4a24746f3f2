"""Each employee has their own read marks and mentions."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.employees import Hired, deactivate, hire, problem
from harness.inbox import entry, listed
from harness.shop import Shop
from harness.streams import following, post, reply

READ, UNREAD = "/api/inbox/read", "/api/inbox/unread"
SEND = "/api/send-message-to-customer-thread"


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server whose feeds only the tests consume."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


@pytest.fixture
def alice(shop: Shop) -> Hired:
    """An employee who is signed in."""
    return hire(shop)


@pytest.fixture
def erin(shop: Shop) -> Hired:
    """Another employee."""
    return hire(shop, name="Erin Evans")


def call(employee: Hired, path: str, **body: object) -> None:
    """Send a request as an employee; it must succeed."""
    answer = employee.browser.call(path, body)
    assert answer.status_code == 200, answer.text


def note(shop: Shop, author: Hired, thread_id: str, *mentioned: Hired) -> dict[str, Any]:
    """A note that mentions employees."""
    ids = [str(each.id) for each in mentioned]
    body = {"customerThreadId": thread_id, "text": "@Erin please look", "internal": True, "mentionedUserIds": ids}
    answer = author.browser.call(SEND, body)
    assert answer.status_code == 200, answer.text
    sent: dict[str, Any] = answer.json()
    return sent


def test_a_conversation_is_unread_by_each_employee_until_they_read_it(shop: Shop, alice: Hired, erin: Hired) -> None:
    email = shop.somebody()
    thread_id = shop.send(user={"email": email})
    assert entry(shop, thread_id, alice)["unread"]
    call(alice, READ, customerThreadId=thread_id, sequence=1)
    assert [entry(shop, thread_id, each)["unread"] for each in (alice, erin)] == [False, True]
    assert alice.browser.get(f"/api/inbox/threads/{thread_id}").json()["readSequence"] == 1
    shop.send(user={"email": email})
    assert entry(shop, thread_id, alice)["unread"]


def test_a_read_mark_never_moves_back_or_beyond_the_last_message(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send()
    for sequence in (9, 0):
        call(alice, READ, customerThreadId=thread_id, sequence=sequence)
        assert alice.browser.get(f"/api/inbox/threads/{thread_id}").json()["readSequence"] == 1


def test_messages_of_colleagues_and_own_replies_do_not_make_a_conversation_unread(shop: Shop, alice: Hired) -> None:
    thread_id, other = shop.send(), shop.send()
    call(alice, READ, customerThreadId=thread_id, sequence=1)
    reply(shop, thread_id)
    reply(shop, other, employeeUserId=str(alice.id))
    assert not entry(shop, thread_id, alice)["unread"]
    assert not entry(shop, other, alice)["unread"]


def test_a_conversation_that_is_marked_as_unread_stays_so_until_it_is_read(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send()
    reply(shop, thread_id, employeeUserId=str(alice.id))
    for _ in range(2):
        call(alice, UNREAD, customerThreadId=thread_id)
        for shown in (
            entry(shop, thread_id, alice),
            alice.browser.get(f"/api/inbox/threads/{thread_id}").json()["thread"],
        ):
            assert shown["unread"]
    call(alice, READ, customerThreadId=thread_id, sequence=2)
    assert not entry(shop, thread_id, alice)["unread"]


def test_a_mention_is_listed_until_it_is_read(shop: Shop, alice: Hired, erin: Hired) -> None:
    thread_id = shop.send()
    note(shop, alice, thread_id, erin, alice)
    assert entry(shop, thread_id, erin)["mentioned"]
    assert [each["customerThreadId"] for each in listed(shop, erin, view="mentions")] == [thread_id]
    assert erin.browser.get("/api/inbox/counts").json()["views"]["mentions"] == 1
    assert listed(shop, alice, view="mentions") == []  # an employee who mentions themselves needs no reminder
    call(erin, READ, customerThreadId=thread_id, sequence=1)
    assert entry(shop, thread_id, erin)["mentioned"]
    call(erin, READ, customerThreadId=thread_id, sequence=2)
    assert not entry(shop, thread_id, erin)["mentioned"]
    assert listed(shop, erin, view="mentions") == []


def test_a_mention_is_an_event(shop: Shop, alice: Hired, erin: Hired) -> None:
    thread_id = shop.send()
    sent = note(shop, alice, thread_id, erin, alice)
    events = alice.browser.get("/api/events?types=mention&limit=200").json()["events"]
    (event,) = [each for each in events if each["customerThreadId"] == thread_id]
    assert (event["messageId"], event["threadSequence"]) == (sent["messageId"], 2)
    assert event["data"] == {"mentionedUserIds": [str(erin.id)]}


def test_a_repeated_note_mentions_once(shop: Shop, erin: Hired) -> None:
    thread_id, key = shop.send(), {"Idempotency-Key": shop.somebody()}
    body = {"customerThreadId": thread_id, "text": "Look", "internal": True, "mentionedUserIds": [str(erin.id)]}
    for _ in range(2):
        assert shop.post(body, path=SEND, headers=key).status_code == 200
    mentions = "SELECT * FROM mentions WHERE thread_id = :id"
    events = "SELECT * FROM events WHERE type = 'mention' AND thread_id = :id"
    assert [len(shop.database.rows(query, id=int(thread_id))) for query in (mentions, events)] == [1, 1]


def test_a_note_that_was_stored_before_a_crash_mentions_when_it_is_repeated(shop: Shop, erin: Hired) -> None:
    thread_id, key = shop.send(), {"Idempotency-Key": shop.somebody()}
    body = {"customerThreadId": thread_id, "text": "Look", "internal": True, "mentionedUserIds": [str(erin.id)]}
    assert shop.post(body, path=SEND, headers=key).status_code == 200
    shop.database.change("DELETE FROM mentions WHERE thread_id = :id", id=int(thread_id))
    again = shop.post(body, path=SEND, headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert entry(shop, thread_id, erin)["mentioned"]


def test_a_note_that_was_read_before_its_mention_was_stored_is_no_unread_mention(shop: Shop, erin: Hired) -> None:
    thread_id, key = shop.send(), {"Idempotency-Key": shop.somebody()}
    body = {"customerThreadId": thread_id, "text": "Look", "internal": True, "mentionedUserIds": [str(erin.id)]}
    assert shop.post(body, path=SEND, headers=key).status_code == 200
    shop.database.change("DELETE FROM mentions WHERE thread_id = :id", id=int(thread_id))
    call(erin, READ, customerThreadId=thread_id, sequence=2)
    assert shop.post(body, path=SEND, headers=key).status_code == 200
    assert not entry(shop, thread_id, erin)["mentioned"]


@pytest.mark.parametrize("internal", [None, False])
def test_a_message_to_the_customer_mentions_no_one(shop: Shop, erin: Hired, internal: bool | None) -> None:
    body = {"customerThreadId": shop.send(), "text": "Hello", "mentionedUserIds": [str(erin.id)]}
    refused = shop.post(body if internal is None else body | {"internal": internal}, path=SEND)
    assert problem(refused) == (400, "/problems/validation-error")


def test_only_active_employees_of_the_organization_are_mentioned(shop: Shop, erin: Hired) -> None:
    bob = hire(shop, organization_id=shop.world.globex)
    deactivate(shop, erin.id)
    thread_id = shop.send()
    for other in (bob, erin):
        body = {"customerThreadId": thread_id, "text": "Look", "internal": True, "mentionedUserIds": [str(other.id)]}
        refused = shop.post(body, path=SEND)
        assert problem(refused) == (404, "/problems/not-found")
    assert len(shop.messages(thread_id)) == 1


def test_a_token_reads_in_the_name_of_an_employee(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send()
    refused = shop.post({"customerThreadId": thread_id, "sequence": 1}, path=READ)
    assert problem(refused) == (400, "/problems/validation-error")
    post(shop, READ, customerThreadId=thread_id, sequence=1, employeeUserId=str(alice.id))
    assert not entry(shop, thread_id, alice)["unread"]


def test_no_employee_reads_in_the_name_of_another(shop: Shop, alice: Hired, erin: Hired) -> None:
    body = {"customerThreadId": shop.send(), "sequence": 1, "employeeUserId": str(erin.id)}
    assert alice.browser.call(READ, body).status_code == 403


def test_other_devices_learn_what_an_employee_has_read(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send()
    with following(shop) as stream:
        stream.until_ready()
        call(alice, READ, customerThreadId=thread_id, sequence=1)
        heard = stream.next("inbox")["data"]
        while heard.get("employeeUserId") != str(alice.id):
            heard = stream.next("inbox")["data"]
    assert heard["customerThreadIds"] == [thread_id]
