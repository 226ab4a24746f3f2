"""Concurrent first messages create one customer, thread and message."""

import json
import uuid
from collections import Counter
from collections.abc import Iterator

import pytest

from harness.installation import Installation, Server
from harness.load import send_all
from harness.raw import RawAnswer, post
from harness.shop import WIDGET
from harness.world import World

CUSTOMERS, TWINS = 200, 8
KEYS, REPEATS = 1_000, 5


@pytest.fixture(params=["sqlite", "postgresql", "postgresql with 2 workers"])
def variant(request: pytest.FixtureRequest) -> str:
    """An engine, and how many workers."""
    name: str = request.param
    return name


@pytest.fixture
def engine(variant: str) -> str:
    """The engine of the variant."""
    return variant.partition(" ")[0]


@pytest.fixture
def server(variant: str, installation: Installation) -> Iterator[Server]:
    """A running server, with one worker or two."""
    arguments = ["--workers", "2"] if "workers" in variant else []
    with installation.serving(*arguments) as server:
        yield server


def _request(people: World, user: dict[str, str], message: str, key: str | None = None) -> bytes:
    body = json.dumps({"businessId": people.boston, "message": message, "user": user}).encode()
    headers = [("token", people.token), ("Content-Type", "application/json")]
    return post(WIDGET, body, headers + ([("Idempotency-Key", key)] if key else []))


def _user(number: int) -> dict[str, str]:
    """A customer who sends an e-mail address, a phone number, or both."""
    email = {"email": f"carol{number}@example.com"}
    phone = {"phoneNumber": f"+1617{2_000_000 + number}"}
    return (email, phone, email | phone)[number % 3]


def test_eight_concurrent_first_messages_create_one_customer_and_one_thread(server: Server, people: World) -> None:
    requests = [
        _request(people, _user(customer), f"message {twin} of {customer}")
        for customer in range(CUSTOMERS)
        for twin in range(TWINS)
    ]
    answers = send_all(server.port, requests)
    assert Counter(answer.status for answer in answers) == {200: CUSTOMERS * TWINS}
    threads = [answer.json()["customerThreadId"] for answer in answers]
    for customer in range(CUSTOMERS):
        assert len(set(threads[customer * TWINS : (customer + 1) * TWINS])) == 1
    assert len(set(threads)) == CUSTOMERS

    database = server.installation.database
    assert database.value("SELECT count(*) FROM customers") == CUSTOMERS
    assert database.value("SELECT count(*) FROM threads") == CUSTOMERS
    assert database.value("SELECT count(*) FROM possible_duplicates") == 0
    messages = database.rows("SELECT * FROM messages ORDER BY thread_id, sequence")
    assert len(messages) == CUSTOMERS * TWINS
    assert [message["sequence"] for message in messages] == list(range(1, TWINS + 1)) * CUSTOMERS
    sent = {(thread, f"message {n % TWINS} of {n // TWINS}") for n, thread in enumerate(threads)}
    assert {(str(message["thread_id"]), message["body"]) for message in messages} == sent
    assert {row["last_sequence"] for row in database.rows("SELECT last_sequence FROM threads")} == {TWINS}
    events = Counter(row["message_id"] for row in database.rows("SELECT message_id FROM events WHERE type = 'message'"))
    assert events == {message["id"]: 1 for message in messages}


def test_concurrent_requests_with_one_key_have_one_effect_and_one_response(server: Server, people: World) -> None:
    keys = [str(uuid.uuid4()) for _ in range(KEYS)]
    requests = [
        _request(people, _user(number % CUSTOMERS), f"message {number}", key)
        for number, key in enumerate(keys)
        for _ in range(REPEATS)
    ]
    answers = send_all(server.port, requests)
    assert Counter(answer.status for answer in answers) == {200: KEYS * REPEATS}
    for number in range(KEYS):
        of_one_key = answers[number * REPEATS : (number + 1) * REPEATS]
        assert len({answer.body for answer in of_one_key}) == 1
        assert Counter(answer.header("idempotent-replayed") for answer in of_one_key) == {None: 1, "true": REPEATS - 1}
    _one_message_per_key(server, [answers[number * REPEATS] for number in range(KEYS)])

    changed = [_request(people, _user(number % CUSTOMERS), f"changed {number}", key) for number, key in enumerate(keys)]
    assert Counter(answer.status for answer in send_all(server.port, changed)) == {422: KEYS}
    _one_message_per_key(server, [answers[number * REPEATS] for number in range(KEYS)])


def _one_message_per_key(server: Server, first_answers: list[RawAnswer]) -> None:
    database = server.installation.database
    rows = database.rows("SELECT thread_id, body FROM messages")
    assert len(rows) == KEYS
    assert {(str(row["thread_id"]), row["body"]) for row in rows} == {
        (answer.json()["customerThreadId"], f"message {number}") for number, answer in enumerate(first_answers)
    }
    assert database.value("SELECT count(*) FROM events WHERE type = 'message'") == KEYS
    assert database.value("SELECT count(*) FROM idempotency_keys") == KEYS


def test_of_two_concurrent_bodies_with_one_key_one_is_accepted(server: Server, people: World) -> None:
    keys = [str(uuid.uuid4()) for _ in range(200)]
    requests = [
        _request(people, _user(number), f"body {body} of {number}", key)
        for number, key in enumerate(keys)
        for body in range(4)
    ]
    answers = send_all(server.port, requests)
    for number in range(len(keys)):
        assert sorted(answer.status for answer in answers[number * 4 : number * 4 + 4]) == [200, 422, 422, 422]
    assert server.installation.database.value("SELECT count(*) FROM messages") == len(keys)


def test_concurrent_email_and_number_belong_to_one_customer_each(server: Server, people: World) -> None:
    """Whatever the order in which they arrive, no identity has two customers and no message is lost."""
    requests = []
    for number in range(100):
        email, phone = {"email": f"dave{number}@example.com"}, {"phoneNumber": f"+1617{3_000_000 + number}"}
        requests += [_request(people, user, "hello") for user in (email, phone, email | phone, phone | email)]
    answers = send_all(server.port, requests)
    assert Counter(answer.status for answer in answers) == {200: 400}
    database = server.installation.database
    assert database.value("SELECT count(*) FROM customer_identities") == 200
    assert database.value("SELECT count(*) FROM messages") == 400
    without_identity = "SELECT count(*) FROM customers WHERE id NOT IN (SELECT customer_id FROM customer_identities)"
    assert database.value(without_identity) == 0
    customers = database.value("SELECT count(*) FROM customers")
    flagged = database.value("SELECT count(*) FROM possible_duplicates")
    assert customers == 100 + flagged
