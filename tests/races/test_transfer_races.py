"""Conversations transferred or reassigned while people write in them."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest

import httpx2
import pytest
from sqlalchemy import text

from harness.installation import Database, Installation, Server
from harness.load import send_all
from harness.raw import RawAnswer, post
from harness.shop import WIDGET
from harness.world import World

SEND = "/api/send-message-to-customer-thread"
THREADS, ROUNDS = 12, 12
CONNECTIONS = 24


@pytest.fixture
def server(engine: str, installation: Installation) -> Iterator[Server]:
    """A running server, on PostgreSQL with two processes; no rate binds."""
    arguments = ["--workers", "2"] if engine == "postgresql" else []
    with installation.serving(*arguments, rate_limit_per_s=100_000, rate_limit_burst=100_000) as server:
        yield server


def _request(people: World, path: str, body: dict[str, object]) -> bytes:
    headers = [("token", people.token), ("Content-Type", "application/json")]
    return post(path, json.dumps(body).encode(), headers)


def _customer(people: World, number: int, business_id: str, text: str) -> bytes:
    user = {"email": f"carol{number}@example.com"}
    return _request(people, WIDGET, {"businessId": business_id, "message": text, "user": user})


def _all_at_once(server: Server, *kinds: Sequence[bytes]) -> list[RawAnswer]:
    """Send requests of each kind in turns; the answers come in the order of the kinds."""
    numbered = list(enumerate(request for kind in kinds for request in kind))
    places = iter(numbered)
    rows = [[next(places) for _ in kind] for kind in kinds]
    mixed = [place for column in zip_longest(*rows) for place in column if place is not None]
    answers = send_all(server.port, [request for _, request in mixed], connections=CONNECTIONS)
    by_number = {number: answer for (number, _), answer in zip(mixed, answers, strict=True)}
    return [by_number[number] for number, _ in numbered]


def _begin(server: Server, people: World) -> list[str]:
    requests = [_customer(people, number, people.boston, f"first of {number}") for number in range(THREADS)]
    return [answer.json()["customerThreadId"] for answer in send_all(server.port, requests)]


def _is_dense(database: Database) -> None:
    """Every conversation counts its messages from 1 without gaps, and has an event for each, in their order."""
    for thread in database.rows("SELECT * FROM threads"):
        messages = database.rows("SELECT * FROM messages WHERE thread_id = :id ORDER BY sequence", id=thread["id"])
        assert [message["sequence"] for message in messages] == list(range(1, thread["last_sequence"] + 1))
        query = "SELECT * FROM events WHERE thread_id = :id AND type = 'message' ORDER BY position"
        events = database.rows(query, id=thread["id"])
        assert [event["message_id"] for event in events] == [message["id"] for message in messages]
        assert [event["thread_sequence"] for event in events] == [message["sequence"] for message in messages]


def test_transfers_lose_no_concurrent_messages(server: Server, people: World) -> None:
    threads = _begin(server, people)
    rounds = [(round_, number) for round_ in range(ROUNDS) for number in range(THREADS)]
    replies = [
        _request(people, SEND, {"customerThreadId": threads[number], "text": f"reply {round_} of {number}"})
        for round_, number in rounds
    ]
    sends = [
        _customer(people, number, (people.boston, people.paris)[round_ % 2], f"message {round_} of {number}")
        for round_, number in rounds
    ]
    transfers = [
        _request(
            people,
            "/api/transfer-customer-thread",
            {
                "customerThreadId": threads[number],
                "businessId": (people.paris, people.nowhere, people.boston)[round_ % 3],
            },
        )
        for round_, number in rounds
    ]
    answers = _all_at_once(server, replies, sends, transfers)
    count = len(rounds)
    assert Counter(answer.status for answer in answers[: 2 * count]) == {200: 2 * count}
    done = [answer for answer in answers[2 * count :] if answer.status == 200]
    assert {answer.status for answer in answers[2 * count :]} <= {200, 409}
    assert len(done) >= THREADS  # customers write to two of the three: the third is free once for each

    database = server.installation.database
    _is_dense(database)
    assert database.value("SELECT count(*) FROM messages") == THREADS + 2 * count
    assert database.value("SELECT count(*) FROM events WHERE type = 'transfer'") == len(done)
    said = {(row["thread_id"], row["body"]) for row in database.rows("SELECT thread_id, body FROM messages")}
    for (round_, number), answer in zip(rounds, answers[count : 2 * count], strict=True):
        assert (int(answer.json()["customerThreadId"]), f"message {round_} of {number}") in said
    for round_, number in rounds:
        assert (int(threads[number]), f"reply {round_} of {number}") in said
    assert database.value("SELECT count(*) FROM customers") == THREADS


def test_failed_replies_leave_no_gap_in_the_feed(server: Server, people: World) -> None:
    threads = _begin(server, people)
    database = server.installation.database
    kinds = []
    for token in (people.token, people.second_token):
        requests = []
        for thread_id in threads * ROUNDS:
            first = "SELECT id FROM messages WHERE thread_id = :id AND sequence = 1"
            seen = database.value(first, id=int(thread_id))
            body = {"customerThreadId": thread_id, "text": "First!", "lastSeenMessageId": str(seen)}
            headers = [("token", token), ("Content-Type", "application/json")]
            requests.append(post(SEND, json.dumps(body).encode(), headers))
        kinds.append(requests)
    statuses = Counter(answer.status for answer in _all_at_once(server, *kinds))
    assert statuses == {200: THREADS * ROUNDS, 409: THREADS * ROUNDS}  # of each conversation one author's only
    _is_dense(database)
    of_acme = "FROM {} WHERE organization_id = :id"
    acme = int(people.acme)
    last = database.value(f"SELECT last_position {of_acme.format('feeds')}", id=acme)
    rows = database.rows(f"SELECT position {of_acme.format('events')} ORDER BY position", id=acme)
    # The worker records further events.
    assert [row["position"] for row in rows][:last] == list(range(1, last + 1))


def test_each_transfer_starts_where_the_previous_one_ended(server: Server, people: World) -> None:
    threads = _begin(server, people)[:3]
    businesses = (people.paris, people.nowhere, people.boston)
    transfers = [
        _request(people, "/api/transfer-customer-thread", {"customerThreadId": thread_id, "businessId": business_id})
        for _ in range(ROUNDS)
        for thread_id in threads
        for business_id in businesses
    ]
    answers = _all_at_once(server, transfers)
    assert {answer.status for answer in answers} <= {200, 409}
    database = server.installation.database
    for thread_id in threads:
        query = "SELECT details FROM events WHERE thread_id = :id AND type = 'transfer' ORDER BY position"
        at = int(people.boston)
        details = [json.loads(row["details"]) for row in database.rows(query, id=int(thread_id))]
        for one in details:
            assert one["fromBusinessId"] == at
            at = one["toBusinessId"]
        assert database.value("SELECT business_id FROM threads WHERE id = :id", id=int(thread_id)) == at
        assert len(details) > 1


def test_a_deactivated_employee_keeps_no_conversation(server: Server, people: World) -> None:
    threads = _begin(server, people)
    made = [_request(people, "/api/employees", {"name": f"employee {number}"}) for number in range(6)]
    employees = [answer.json()["id"] for answer in send_all(server.port, made)]
    assign = [
        _request(people, "/api/assign-customer-thread", {"customerThreadId": thread_id, "employeeUserId": employee_id})
        for _ in range(4)
        for thread_id in threads
        for employee_id in employees
    ]
    leave = [_request(people, f"/api/employees/{employee_id}/deactivate", {}) for employee_id in employees]
    replies = [_request(people, SEND, {"customerThreadId": id_, "text": "hello"}) for id_ in threads * 4]
    answers = _all_at_once(server, assign, replies, leave * 2)
    assert {answer.status for answer in answers[: len(assign)]} <= {200, 404}
    assert {answer.status for answer in answers[len(assign) :]} == {200}
    database = server.installation.database
    assert database.value("SELECT count(*) FROM assignments") == 0
    _is_dense(database)
    for thread_id in threads:
        query = "SELECT details FROM events WHERE thread_id = :id AND type = 'assignment' ORDER BY position"
        now = None
        for row in database.rows(query, id=int(thread_id)):
            details = json.loads(row["details"])
            assert details["formerEmployeeUserId"] == now
            now = details["employeeUserId"]
        assert now is None


def test_a_concurrently_claimed_address_or_content_id_is_used_once(server: Server, people: World) -> None:
    employees = [
        _request(people, "/api/employees", {"name": "Alice", "email": f"alice{number}@example.com"})
        for number in range(10)
        for _ in range(4)
    ]
    templates = [
        _request(people, "/api/templates", {"title": "x", "text": "x", "contentSid": f"HX{number}"})
        for number in range(10)
        for _ in range(4)
    ]
    answers = _all_at_once(server, employees, templates)
    assert Counter(answer.status for answer in answers) == {200: 20, 409: 60}


def _answer_after(server: Server, people: World, path: str, body: dict[str, object], sql: str, **values: object) -> int:
    """The status of a request that meets an open transaction, which commits once the request waits for it."""
    database = server.installation.database
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    def send() -> httpx2.Response:
        return server.client.post(path, json=body, headers={"token": people.token})

    with ThreadPoolExecutor(1) as thread:
        with database.connection() as connection:
            connection.execute(text(sql), values)
            answer = thread.submit(send)
            deadline_s = time.monotonic() + 60
            while not database.value(waiting) and not answer.done():
                assert time.monotonic() < deadline_s
                time.sleep(0.01)
        return answer.result().status_code


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_concurrent_message_to_the_target_business_prevents_a_transfer(server: Server, people: World) -> None:
    thread_id = _begin(server, people)[0]
    write = (
        "INSERT INTO threads (organization_id, id, customer_id, business_id, channel, status, last_sequence, "
        "created_at_ms, updated_at_ms) SELECT organization_id, 1, customer_id, :paris, channel, status, 1, 1, 1 "
        "FROM threads WHERE id = :id"
    )
    path, body = "/api/transfer-customer-thread", {"customerThreadId": thread_id, "businessId": people.paris}
    status = _answer_after(server, people, path, body, write, paris=int(people.paris), id=int(thread_id))
    assert status == 409


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_concurrently_deactivated_employee_is_assigned_nothing(server: Server, people: World) -> None:
    thread_id = _begin(server, people)[0]
    (made,) = send_all(server.port, [_request(people, "/api/employees", {"name": "Alice"})])
    employee_id = made.json()["id"]
    leave = "UPDATE employees SET deactivated_at_ms = 1 WHERE id = :id"
    path, body = "/api/assign-customer-thread", {"customerThreadId": thread_id, "employeeUserId": employee_id}
    assert _answer_after(server, people, path, body, leave, id=int(employee_id)) == 404
    assert server.installation.database.value("SELECT count(*) FROM assignments") == 0
