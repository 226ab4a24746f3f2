"""The shape of the request body: JSON, ids, absent and unknown fields."""

import json

import pytest

from harness.shop import HELLO, Shop, codes, faults_of

BIGGEST_ID = 2**53 - 1


def test_an_id_can_be_a_string_or_an_integer(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    as_string = shop.send(user=user, businessId=shop.world.boston)
    as_integer = shop.send(user=user, businessId=int(shop.world.boston))
    assert as_string == as_integer


def test_an_integer_can_be_written_as_a_float(shop: Shop) -> None:
    for spelling in ("12345.0", "1.2345e4", "12345.00"):
        assert shop.world.boston == "12345"
        body = f'{{"businessId": {spelling}, "message": "hello", "user": {{"email": "{shop.somebody()}"}}}}'
        assert shop.post(body.encode()).status_code == 200, spelling


def test_the_returned_id_is_a_decimal_string_that_javascript_can_read(shop: Shop) -> None:
    thread_id = shop.send()
    assert thread_id == str(int(thread_id))
    assert 0 < int(thread_id) <= BIGGEST_ID


def test_ids_are_unique_across_objects(shop: Shop) -> None:
    shop.send()
    ids = [
        row["id"]
        for table in ("organizations", "businesses", "api_tokens", "customers", "threads", "messages")
        for row in shop.database.rows(f"SELECT id FROM {table}")
    ]
    assert len(ids) == len(set(ids))
    assert all(0 < id_ <= BIGGEST_ID for id_ in ids)


@pytest.mark.parametrize("wrong", [True, False, 12345.5, [], {}, ["12345"]])
def test_an_id_of_another_type_is_refused(shop: Shop, wrong: object) -> None:
    (fault,) = shop.refused(businessId=wrong)
    assert (fault["pointer"], fault["code"]) == ("#/businessId", "type")
    assert "expected" in fault


@pytest.mark.parametrize(
    "wrong", ["", " ", "abc", "12 345", " 12345", "12345\n", "-1", "+1", "1.0", "1e3", "0x10", "１２３"]
)
def test_an_id_that_is_not_a_decimal_number_is_refused(shop: Shop, wrong: str) -> None:
    assert codes(shop.refused(businessId=wrong)) == [("#/businessId", "invalid_format")]


@pytest.mark.parametrize("huge", [2**53, 2**63, 2**64, 10**30, 10**400])
def test_an_id_out_of_range_is_never_a_server_error(shop: Shop, huge: int) -> None:
    statuses = {shop.post(shop.body(businessId=id_)).status_code for id_ in (huge, str(huge), -huge)}
    assert statuses <= {400, 403}


def test_a_business_is_required(shop: Shop) -> None:
    body = shop.body()
    del body["businessId"]
    assert faults_of(shop.post(body)) == {("body", "#/businessId", "required")}


def test_a_message_is_required(shop: Shop) -> None:
    body = shop.body()
    del body["message"]
    assert faults_of(shop.post(body)) == {("body", "#/message", "required")}


def test_a_user_is_required(shop: Shop) -> None:
    body = shop.body()
    del body["user"]
    assert faults_of(shop.post(body)) == {("body", "#/user", "required")}


@pytest.mark.parametrize("field", ["businessId", "message", "user"])
def test_null_is_invalid_for_a_required_field(shop: Shop, field: str) -> None:
    ((pointer, code),) = codes(shop.refused(**{field: None}))
    assert pointer == f"#/{field}"
    assert code in ("required", "type")


@pytest.mark.parametrize("wrong", ["carol@example.com", 5, True, [], [{"email": "carol@example.com"}]])
def test_a_user_that_is_not_an_object_is_refused(shop: Shop, wrong: object) -> None:
    (fault,) = shop.refused(user=wrong)
    assert (fault["pointer"], fault["code"], fault["expected"]) == ("#/user", "type", "object")


@pytest.mark.parametrize("field", ["email", "phoneNumber", "locale"])
@pytest.mark.parametrize("wrong", [5, True, 1.5, [], {}])
def test_a_user_field_that_is_not_a_string_is_refused(shop: Shop, field: str, wrong: object) -> None:
    (fault,) = shop.refused(user={"email": shop.somebody()} | {field: wrong})
    assert (fault["pointer"], fault["code"], fault["expected"]) == (f"#/user/{field}", "type", "string")


@pytest.mark.parametrize("user", [{}, {"locale": "en"}, {"email": None}, {"email": None, "phoneNumber": None}])
def test_a_user_without_email_and_phone_number_is_refused(shop: Shop, user: object) -> None:
    assert codes(shop.refused(user=user)) == [("#/user", "contact_required")]


@pytest.mark.parametrize("field", ["email", "phoneNumber"])
def test_an_invalid_contact_is_named_and_not_reported_as_missing(shop: Shop, field: str) -> None:
    assert [pointer for pointer, _ in codes(shop.refused(user={field: "?"}))] == [f"#/user/{field}"]


def test_null_for_an_optional_field_means_absent(shop: Shop) -> None:
    email = shop.somebody()
    thread_id = shop.send(user={"email": email, "phoneNumber": None, "locale": None})
    assert shop.identities(shop.customer_of(thread_id)) == {"email": [email], "phone": []}
    number = shop.some_number()
    thread_id = shop.send(user={"email": None, "phoneNumber": number})
    assert shop.identities(shop.customer_of(thread_id)) == {"email": [], "phone": [number]}


def test_unknown_fields_are_ignored(shop: Shop) -> None:
    user = {"email": shop.somebody(), "name": 5, "nested": {"deep": [None]}}
    thread_id = shop.send(user=user, colour="red", internal=True, fromCustomer=False, customerThreadId="1")
    (message,) = shop.messages(thread_id)
    assert message["body"] == HELLO
    assert message["from_customer"]
    assert not message["internal"]


def test_the_last_of_duplicate_keys_wins(shop: Shop) -> None:
    body = (
        f'{{"message": 5, "businessId": "{shop.world.boston}", "message": "the last", '
        f'"user": {{"email": "wrong", "email": "{shop.somebody()}"}}}}'
    )
    answer = shop.post(body.encode())
    assert answer.status_code == 200
    (message,) = shop.messages(answer.json()["customerThreadId"])
    assert message["body"] == "the last"


def test_escapes_and_white_space_in_json_change_nothing(shop: Shop) -> None:
    email = shop.somebody()
    body = (
        f'\r\n\t {{ "mess\\u0061ge":"h\\u00e9\\/\\ud83d\\ude00" , '
        f'"businessId" : {shop.world.boston}, "user":{{"email":"{email}"}} }} \n'
    )
    answer = shop.post(body.encode())
    assert answer.status_code == 200
    (message,) = shop.messages(answer.json()["customerThreadId"])
    assert message["body"] == "hé/😀"


MALFORMED = {
    "empty": b"",
    "white space": b"  \n",
    "text": b"hello",
    "cut short": b'{"businessId": "12345"',
    "more after the end": b"{} {}",
    "a trailing comma": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "a comment": b'{"a": 1} // more',
    "not UTF-8": b'{"message": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "an overlong encoding": b'{"message": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"message": "\xed\xa0\x80"}',
    "NaN": b'{"businessId": NaN}',
    "Infinity": b'{"businessId": Infinity}',
    "minus Infinity": b'{"businessId": -Infinity}',
    "a number too large": b'{"x": 1e999}',
    "an integer of 5,000 digits": b'{"x": ' + b"9" * 5_000 + b"}",
    "nested 17 deep": b'{"x": ' + b"[" * 16 + b"]" * 16 + b"}",
    "nested 100,000 deep": b"[" * 100_000,
    "a raw control character": b'{"message": "a\nb"}',
    "an array": b"[]",
    "a string": b'"hello"',
    "a number": b"5",
    "null": b"null",
    "true": b"true",
    "a lone high surrogate": b'{"message": "\\ud83d"}',
    "a lone low surrogate": b'{"message": "\\ude00"}',
    "surrogates in the wrong order": b'{"message": "\\ude00\\ud83d"}',
    "a lone surrogate in a field that is not read": b'{"x": "\\ud83d"}',
    "a lone surrogate in a key": b'{"\\ud83d": 1}',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_body_that_is_not_a_json_object_is_malformed(shop: Shop, name: str) -> None:
    before = shop.count("messages WHERE from_customer")
    answer = shop.post(MALFORMED[name])
    assert answer.status_code == 400
    (fault,) = answer.json()["errors"]
    assert (fault["in"], fault["pointer"], fault["code"]) == ("body", "#", "malformed_json")
    assert fault["line"] >= 1
    assert fault["column"] >= 1
    assert shop.count("messages WHERE from_customer") == before


def test_malformed_json_is_reported_with_its_position(shop: Shop) -> None:
    (fault,) = shop.post(b'{\n  "businessId": "1",\n  "message": oops\n}').json()["errors"]
    assert (fault["line"], fault["column"]) == (3, 14)


def test_sixteen_levels_of_nesting_are_accepted(shop: Shop) -> None:
    nested: object = []
    for _ in range(14):
        nested = [nested]
    assert json.dumps(shop.body(x=nested)).count("[") == 15
    shop.send(x=nested)
