"""Conversations are snoozed by the API, and the worker process shows them again."""

from collections.abc import Callable

import pytest

from harness.employees import hire
from harness.inbox import actors_of, call, employee, events_of, refusal
from harness.shop import Shop, faults_of
from harness.waiting import wait_until
from shopbell.runtime.clock import now_ms

SNOOZE, UNSNOOZE = "/api/inbox/snooze", "/api/inbox/unsnooze"
HOUR_MS = 3_600_000


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server with a worker process."""
    return shops(engine, visitor_rate_per_min=100_000)


def is_snoozed(shop: Shop, thread_id: str) -> bool:
    """Whether a conversation is hidden."""
    return bool(shop.database.rows("SELECT 1 AS one FROM snoozes WHERE thread_id = :id", id=int(thread_id)))


def test_a_snooze_names_the_employee_and_ends_by_hand(shop: Shop) -> None:
    thread_id, alice = shop.send(), hire(shop)
    until_ms = now_ms() + HOUR_MS
    body = {"customerThreadId": thread_id, "until": until_ms}
    for _ in range(2):
        assert alice.browser.call(SNOOZE, body).json() == {"result": "ok"}
    assert is_snoozed(shop, thread_id)
    for _ in range(2):
        assert alice.browser.call(UNSNOOZE, {"customerThreadId": thread_id}).json() == {"result": "ok"}
    assert not is_snoozed(shop, thread_id)
    assert events_of(shop, thread_id, "snooze") == [
        {"until": until_ms, "keep": False},
        {"until": None, "endedBy": "hand"},
    ]
    assert actors_of(shop, thread_id, "snooze") == [("employee", alice.id)] * 2


def test_the_worker_process_ends_a_snooze_at_its_time(shop: Shop) -> None:
    thread_id = shop.send()
    call(shop, "/api/send-message-to-customer-thread", customerThreadId=thread_id, text="Did it help?")
    call(shop, SNOOZE, customerThreadId=thread_id, until=now_ms() + HOUR_MS)
    early = "UPDATE snoozes SET until_ms = :now_ms WHERE thread_id = :id"
    assert shop.database.change(early, now_ms=now_ms(), id=int(thread_id))
    wait_until(lambda: not is_snoozed(shop, thread_id), lambda: "it is still snoozed")
    assert shop.thread(thread_id)["status"] == "waiting"
    assert events_of(shop, thread_id, "snooze", "status")[1:] == [
        {"status": "waiting", "before": "replied"},
        {"until": None, "endedBy": "time"},
    ]
    assert actors_of(shop, thread_id, "snooze", "status")[1:] == [("system", None)] * 2


def test_the_worker_process_ends_a_snooze_when_the_customer_writes(shop: Shop) -> None:
    email, other = shop.somebody(), shop.somebody()
    thread_id, kept = shop.send(user={"email": email}), shop.send(user={"email": other})
    call(shop, SNOOZE, customerThreadId=thread_id, until=now_ms() + HOUR_MS)
    call(shop, SNOOZE, customerThreadId=kept, until=now_ms() + HOUR_MS, keep=True)
    shop.send(user={"email": other})
    shop.send(user={"email": email})
    wait_until(lambda: not is_snoozed(shop, thread_id), lambda: "it is still snoozed")
    assert events_of(shop, thread_id, "snooze")[-1]["endedBy"] == "message"
    assert is_snoozed(shop, kept)


def test_a_snooze_that_nothing_would_end_is_refused(shop: Shop) -> None:
    thread_id, alice = shop.send(), employee(shop)
    past = {"customerThreadId": thread_id, "until": now_ms() - 1}
    assert faults_of(shop.post(past, path=SNOOZE)) == {("body", "#/until", "invalid_value")}
    wrong = {"customerThreadId": thread_id, "until": "tomorrow", "keep": "yes"}
    assert faults_of(shop.post(wrong, path=SNOOZE)) == {("body", "#/until", "type"), ("body", "#/keep", "type")}
    call(shop, "/api/update-thread-status", customerThreadId=thread_id, status="resolved")
    body = {"customerThreadId": thread_id, "until": now_ms() + HOUR_MS, "employeeUserId": alice}
    assert refusal(shop.post(body, path=SNOOZE)) == (
        409,
        "The conversation is resolved. Change its status, then snooze it.",
    )
    assert not is_snoozed(shop, thread_id)
