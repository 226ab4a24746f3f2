"""``Idempotency-Key``: one key has one effect."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from harness.shop import Shop, faults_of

REPLAYED = "idempotent-replayed"
DAY_MS = 24 * 3_600 * 1_000


def _send(shop: Shop, body: object, key: str, token: str = "") -> httpx2.Response:
    return shop.post(body, token=token, headers={"Idempotency-Key": key})


def test_the_same_key_and_body_get_the_same_response_and_write_nothing(shop: Shop) -> None:
    key, body = str(uuid.uuid4()), shop.body()
    first = _send(shop, body, key)
    assert first.status_code == 200
    assert REPLAYED not in first.headers
    # Replies of other tests, and what becomes of them, are events at any time.
    told = "SELECT count(*) FROM events WHERE actor_type IS NULL"  # of customers
    events, messages = shop.database.value(told), shop.count("messages WHERE from_customer")
    for _ in range(3):
        again = _send(shop, body, key)
        assert again.status_code == 200
        assert again.headers[REPLAYED] == "true"
        assert again.content == first.content
    assert (shop.database.value(told), shop.count("messages WHERE from_customer")) == (events, messages)


def test_a_replay_does_not_reopen_a_thread_resolved_since(shop: Shop) -> None:
    key, body = str(uuid.uuid4()), shop.body()
    thread_id = _send(shop, body, key).json()["customerThreadId"]
    shop.database.change("UPDATE threads SET status = 'resolved' WHERE id = :id", id=int(thread_id))
    assert _send(shop, body, key).headers[REPLAYED] == "true"
    assert shop.thread(thread_id)["status"] == "resolved"


def test_the_parsed_content_is_compared_and_not_the_bytes(shop: Shop) -> None:
    key, body = str(uuid.uuid4()), shop.body(message="héllo")
    _send(shop, body, key)
    spellings = [
        json.dumps(dict(reversed(body.items()))),
        json.dumps(body, indent=3),
        json.dumps(body, ensure_ascii=False),
        json.dumps(body).replace('"message": ', '"message": "overwritten", "message": '),
    ]
    for spelling in spellings:
        again = _send(shop, spelling.encode(), key)
        assert again.status_code == 200, spelling
        assert again.headers[REPLAYED] == "true"


@pytest.mark.parametrize("field", ["message", "businessId", "email", "phoneNumber", "locale"])
def test_the_same_key_with_another_body_is_a_422(shop: Shop, field: str) -> None:
    key, body = str(uuid.uuid4()), shop.body()
    thread_id = _send(shop, body, key).json()["customerThreadId"]
    before = shop.count("messages WHERE from_customer")
    if field in body:
        other = body | {field: {"message": "another", "businessId": shop.world.paris}[field]}
    else:
        value = {"email": shop.somebody(), "phoneNumber": shop.some_number(), "locale": "fr"}[field]
        other = body | {"user": body["user"] | {field: value}}
    for _ in range(2):
        answer = _send(shop, other, key)
        assert answer.status_code == 422
        assert answer.json()["type"] == "/problems/idempotency-key-reused"
        assert answer.json()["developerMessage"] == "Idempotency-Key was already used with a different body"
        assert REPLAYED not in answer.headers
    assert shop.count("messages WHERE from_customer") == before
    assert _send(shop, body, key).json()["customerThreadId"] == thread_id


def test_another_key_sends_another_message(shop: Shop) -> None:
    body = shop.body()
    threads = {_send(shop, body, str(uuid.uuid4())).json()["customerThreadId"] for _ in range(3)}
    assert len(threads) == 1
    assert len(shop.messages(threads.pop())) == 3


def test_keys_differ_by_case(shop: Shop) -> None:
    key, body = f"key-{uuid.uuid4()}", shop.body()
    thread_id = _send(shop, body, key).json()["customerThreadId"]
    assert REPLAYED not in _send(shop, body, key.upper()).headers
    assert len(shop.messages(thread_id)) == 2


def test_without_a_key_the_same_body_sends_two_messages(shop: Shop) -> None:
    body = shop.body()
    thread_id = shop.post(body).json()["customerThreadId"]
    assert REPLAYED not in shop.post(body).headers
    assert len(shop.messages(thread_id)) == 2


def test_concurrent_requests_with_one_key_send_one_message_and_get_one_response(shop: Shop) -> None:
    for _ in range(5):
        key, body = str(uuid.uuid4()), shop.body()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _, key=key, body=body: _send(shop, body, key), range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert [answer.headers.get(REPLAYED) for answer in answers].count(None) == 1
        assert len(shop.messages(answers[0].json()["customerThreadId"])) == 1


def test_of_concurrent_requests_with_different_bodies_one_wins_and_the_others_are_422(shop: Shop) -> None:
    key = str(uuid.uuid4())
    user = {"email": shop.somebody()}
    bodies = [shop.body(user=user, message=f"message {number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: _send(shop, body, key), bodies))
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 7
    (won,) = [answer for answer in answers if answer.status_code == 200]
    (message,) = shop.messages(won.json()["customerThreadId"])
    assert message["body"] == bodies[answers.index(won)]["message"]


def test_an_error_is_not_stored_and_can_be_corrected_with_the_same_key(shop: Shop) -> None:
    key, body = str(uuid.uuid4()), shop.body()
    assert _send(shop, b"not json", key).status_code == 400
    assert _send(shop, body | {"message": ""}, key).status_code == 400
    assert _send(shop, body | {"businessId": shop.world.london}, key).status_code == 403
    assert _send(shop, body, key, token=shop.world.reading_token).status_code == 403
    corrected = _send(shop, body, key)
    assert corrected.status_code == 200
    assert REPLAYED not in corrected.headers


def test_a_422_does_not_replace_the_first_body_of_the_key(shop: Shop) -> None:
    key, body = str(uuid.uuid4()), shop.body()
    _send(shop, body, key)
    assert _send(shop, body | {"message": "another"}, key).status_code == 422
    assert _send(shop, body, key).status_code == 200


def test_a_key_belongs_to_its_token(shop: Shop) -> None:
    key, body = str(uuid.uuid4()), shop.body()
    first = _send(shop, body, key)
    second = _send(shop, body, key, token=shop.world.second_token)
    third = _send(shop, body | {"businessId": shop.world.london}, key, token=shop.world.globex_token)
    assert [answer.status_code for answer in (first, second, third)] == [200, 200, 200]
    assert REPLAYED not in second.headers
    assert REPLAYED not in third.headers
    assert len(shop.messages(first.json()["customerThreadId"])) == 2


@pytest.mark.parametrize(("age_ms", "replayed"), [(DAY_MS - 60_000, "true"), (DAY_MS + 1, None)])
def test_a_key_is_stored_for_24_hours(shop: Shop, age_ms: int, replayed: str | None) -> None:
    key, body = str(uuid.uuid4()), shop.body()
    _send(shop, body, key)
    assert shop.database.change(
        "UPDATE idempotency_keys SET created_at_ms = created_at_ms - :age WHERE key = :key", age=age_ms, key=key
    )
    again = _send(shop, body, key)
    assert again.status_code == 200
    assert again.headers.get(REPLAYED) == replayed
    if replayed is None:
        assert _send(shop, body, key).headers[REPLAYED] == "true"


@pytest.mark.parametrize("key", ["x", "!", "~", "x" * 255, "a:/?#[]@!$&'()*+,;=%\"\\"])
def test_up_to_255_visible_ascii_characters_are_a_valid_key(shop: Shop, key: str) -> None:
    body, token = shop.body(), shop.spare_token()["token"]  # a token with whose keys no other test meddles
    first, second = _send(shop, body, key, token), _send(shop, body, key, token)
    assert (first.status_code, second.status_code) == (200, 200)
    assert REPLAYED not in first.headers
    assert second.headers[REPLAYED] == "true"


def test_a_key_of_256_characters_is_too_long(shop: Shop) -> None:
    answer = _send(shop, shop.body(), "x" * 256)
    assert faults_of(answer) == {("header", "idempotency-key", "too_long")}
    assert answer.json()["errors"][0]["maxLength"] == 255


def test_an_empty_key_is_refused(shop: Shop) -> None:
    assert faults_of(_send(shop, shop.body(), "")) == {("header", "idempotency-key", "invalid_format")}


@pytest.mark.parametrize("key", ["two words", "tab\tbed", "caf\xe9"])
def test_other_characters_in_a_key_are_refused(shop: Shop, key: str) -> None:
    answer = shop.post_raw(
        json.dumps(shop.body()).encode(),
        ("token", shop.world.token),
        ("Content-Type", "application/json"),
        ("Idempotency-Key", key),
    )
    assert answer.status == 400
    assert [(fault["name"], fault["code"]) for fault in answer.json()["errors"]] == [
        ("idempotency-key", "invalid_character")
    ]
