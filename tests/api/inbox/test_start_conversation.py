"""Employees write to customers first."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from harness.employees import hire
from harness.inbox import call, catch_up, employee, get, listed, refusal
from harness.shop import Shop, faults_of
from shopbell.accounts.roles import Roles

START = "/api/inbox/start-conversation"


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server without a worker process."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


def start(shop: Shop, *, key: str = "", **fields: Any) -> httpx2.Response:
    """Start a conversation of Acme's first business."""
    body = {"businessId": shop.world.boston, "text": "Your order is ready."} | fields
    headers = {"token": shop.world.token} | ({"idempotency-key": key} if key else {})
    return shop.server.client.post(START, json=body, headers=headers)


def started(shop: Shop, **fields: Any) -> dict[str, str]:
    """Start a conversation; returns its id and that of the message."""
    answer = start(shop, **fields)
    assert answer.status_code == 200, answer.text
    ids: dict[str, str] = answer.json()
    return ids


def test_a_conversation_with_a_new_customer_has_their_name_and_the_message(shop: Shop) -> None:
    email = shop.somebody()
    thread_id = started(shop, emailAddress=f" {email.upper()} ", firstName="Carol", lastName="Jones")[
        "customerThreadId"
    ]
    (message,) = shop.messages(thread_id)
    assert (message["body"], bool(message["from_customer"]), message["channel"]) == (
        "Your order is ready.",
        False,
        "EMAIL",
    )
    catch_up(shop)
    opened = get(shop, f"/api/inbox/threads/{thread_id}")
    assert (opened["customer"]["displayName"], opened["thread"]["status"]) == ("Carol Jones", "replied")
    assert opened["customer"]["emailAddress"] == email.upper()


def test_the_answer_of_the_customer_comes_into_the_conversation(shop: Shop) -> None:
    email = shop.somebody()
    thread_id = started(shop, emailAddress=email)["customerThreadId"]
    assert shop.send(user={"email": email}) == thread_id


def test_a_known_customer_keeps_the_conversation_and_the_name(shop: Shop) -> None:
    email = shop.somebody()
    thread_id = shop.send(user={"email": email})
    customer_id = str(shop.customer_of(thread_id))
    call(shop, f"/api/customers/{customer_id}/profile/update", firstName="Carol")
    assert started(shop, emailAddress=email, firstName="Dave")["customerThreadId"] == thread_id
    assert started(shop, customerId=customer_id)["customerThreadId"] == thread_id
    assert get(shop, f"/api/customers/{customer_id}/profile")["firstName"] == "Carol"
    assert len(shop.messages(thread_id)) == 3


def test_a_phone_number_is_written_to_by_sms(shop: Shop) -> None:
    number = shop.some_number()
    thread_id = started(shop, phoneNumber=number)["customerThreadId"]
    (message,) = shop.messages(thread_id)
    assert (message["channel"], shop.thread(thread_id)["channel"]) == ("SMS", "SMS")


def test_a_repeated_request_sends_one_message(shop: Shop) -> None:
    email, key = shop.somebody(), shop.somebody()
    first = start(shop, key=key, emailAddress=email)
    again = start(shop, key=key, emailAddress=email)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert len(shop.messages(first.json()["customerThreadId"])) == 1


@pytest.mark.parametrize("is_known", [True, False])
def test_a_repeated_request_names_the_conversation_of_its_message_after_a_transfer(shop: Shop, is_known: bool) -> None:
    email, key = shop.somebody(), shop.somebody()
    if is_known:
        customer = {"customerId": str(shop.customer_of(shop.send(user={"email": email})))}
    else:
        customer = {"emailAddress": email}
    first = start(shop, key=key, **customer).json()
    call(
        shop,
        "/api/transfer-customer-thread",
        customerThreadId=first["customerThreadId"],
        businessId=shop.world.paris,
    )
    before = shop.count("threads")
    again = start(shop, key=key, **customer)
    assert (again.json(), again.headers["idempotent-replayed"]) == (first, "true")
    assert shop.count("threads") == before
    assert start(shop, key=key, **customer, text="Another text").status_code == 422
    assert shop.count("threads") == before
    another = started(shop, **customer)  # the business has no conversation with this customer any more
    assert another["customerThreadId"] != first["customerThreadId"]
    assert [message["id"] for message in shop.messages(another["customerThreadId"])] == [int(another["messageId"])]


def test_a_request_whose_message_was_deleted_starts_nothing_when_it_is_repeated(shop: Shop) -> None:
    email, key = shop.somebody(), shop.somebody()
    first = start(shop, key=key, emailAddress=email).json()
    shop.database.change("DELETE FROM messages WHERE id = :id", id=int(first["messageId"]))  # as retention does
    before = shop.count("threads"), shop.count("customers")
    assert start(shop, key=key, emailAddress=email).status_code == 404
    assert (shop.count("threads"), shop.count("customers")) == before


def test_a_request_can_be_repeated_after_its_employee_has_left(shop: Shop) -> None:
    key, body = shop.somebody(), {"emailAddress": shop.somebody(), "employeeUserId": employee(shop)}
    first = start(shop, key=key, **body)
    call(shop, f"/api/employees/{body['employeeUserId']}/deactivate")
    assert start(shop, key=key, **body).json() == first.json()
    assert start(shop, **body).status_code == 404


def test_an_employee_is_the_author(shop: Shop) -> None:
    alice = hire(shop)
    body = {"businessId": shop.world.boston, "text": "Hello", "emailAddress": shop.somebody()}
    answer = alice.browser.call(START, body)
    assert answer.status_code == 200, answer.text
    thread_id = answer.json()["customerThreadId"]
    assert shop.messages(thread_id)[0]["employee_id"] == alice.id
    catch_up(shop)
    (entry,) = listed(shop, alice, customerThreadId=thread_id)
    assert entry["lastAuthor"] == "employee"
    named = started(shop, emailAddress=shop.somebody(), employeeUserId=employee(shop, "Bob"))
    assert shop.messages(named["customerThreadId"])[0]["employee_id"] is not None


def test_an_address_that_is_not_valid_is_refused(shop: Shop) -> None:
    assert faults_of(start(shop, emailAddress="carol@")) == {("body", "#/emailAddress", "invalid_email")}
    assert faults_of(start(shop, phoneNumber="12")) == {("body", "#/phoneNumber", "invalid_phone_number")}
    both = {"emailAddress": shop.somebody(), "phoneNumber": shop.some_number()}
    assert ("body", "#", "exactly_one_required") in faults_of(start(shop, **both))
    assert ("body", "#", "exactly_one_required") in faults_of(start(shop))


def test_a_closed_business_or_an_erased_customer_is_refused(shop: Shop) -> None:
    answer = start(shop, businessId=shop.world.closed, emailAddress=shop.somebody())
    assert refusal(answer) == (409, "The business is closed: choose another one.")
    customer_id = str(shop.customer_of(shop.send()))
    call(shop, f"/api/customers/{customer_id}/erase")
    assert start(shop, customerId=customer_id).status_code == 409


def test_an_employee_of_one_business_starts_conversations_of_this_one_only(shop: Shop) -> None:
    alice = hire(shop, roles=Roles(businesses={int(shop.world.boston): "member"}))
    body = {"text": "Hello", "emailAddress": shop.somebody()}
    assert alice.browser.call(START, body | {"businessId": shop.world.boston}).status_code == 200
    assert alice.browser.call(START, body | {"businessId": shop.world.paris}).status_code == 404


def test_the_opened_conversation_tells_what_is_not_confirmed_and_who_is_blocked(shop: Shop) -> None:
    thread_id = shop.send()
    customer_id = str(shop.customer_of(thread_id))
    call(shop, f"/api/customers/{customer_id}/block")
    catch_up(shop)
    customer = get(shop, f"/api/inbox/threads/{thread_id}")["customer"]
    assert customer["blockedAt"] >= customer["createdAt"]
    assert (customer["unverifiedEmailAddress"], customer["unverifiedPhoneNumber"]) == (None, None)
