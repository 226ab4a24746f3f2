"""Which error a request with several errors gets."""

from harness.shop import HELLO, Shop, faults_of


def test_the_token_is_checked_before_the_body_and_the_business(shop: Shop) -> None:
    body = {"businessId": shop.world.london, "message": 5}
    assert shop.post(body, token=shop.world.revoked_token).status_code == 401


def test_all_errors_in_headers_and_body_are_listed_at_once(shop: Shop) -> None:
    body = {
        "businessId": True,
        "message": " ",
        "user": {"email": "nobody", "phoneNumber": "x", "locale": "!"},
    }
    answer = shop.post(body, headers={"Content-Type": "text/plain", "Idempotency-Key": "two words"})
    assert faults_of(answer) == {
        ("header", "content-type", "unsupported_media_type"),
        ("header", "idempotency-key", "invalid_character"),
        ("body", "#/businessId", "type"),
        ("body", "#/message", "blank"),
        ("body", "#/user/email", "invalid_email"),
        ("body", "#/user/phoneNumber", "invalid_phone_number"),
        ("body", "#/user/locale", "invalid_locale"),
    }
    assert answer.json()["detail"] == "7 problems were found."
    assert len(answer.json()["errors"]) == 7


def test_all_missing_fields_are_listed_at_once(shop: Shop) -> None:
    assert faults_of(shop.post({})) == {
        ("body", "#/businessId", "required"),
        ("body", "#/message", "required"),
        ("body", "#/user", "required"),
    }


def test_the_documented_example_of_three_errors_gets_the_documented_response(shop: Shop) -> None:
    body = {"businessId": shop.world.boston, "message": " ", "user": {}}
    answer = shop.post(body, headers={"Content-Type": "text/plain"})
    problem = answer.json()
    assert problem.pop("instance") == f"urn:uuid:{answer.headers['x-request-id']}"
    assert problem == {
        "type": "/problems/validation-error",
        "title": "Request is not valid",
        "status": 400,
        "detail": "3 problems were found.",
        "developerMessage": "Header 'content-type' must be application/json. Field 'message' must not be blank. "
        "Field 'user' must contain 'email' or 'phoneNumber'.",
        "errors": [
            {
                "in": "header",
                "name": "content-type",
                "code": "unsupported_media_type",
                "detail": "must be application/json",
            },
            {"in": "body", "pointer": "#/message", "code": "blank", "detail": "must not be blank"},
            {
                "in": "body",
                "pointer": "#/user",
                "code": "contact_required",
                "detail": "must contain email or phoneNumber",
            },
        ],
    }


def test_a_single_error_is_reported_in_the_singular(shop: Shop) -> None:
    assert shop.post(shop.body(message="")).json()["detail"] == "1 problem was found."


def test_field_errors_come_before_the_business(shop: Shop) -> None:
    for business in (shop.world.london, "1", shop.world.closed):
        answer = shop.post(shop.body(businessId=business, message=""))
        assert faults_of(answer) == {("body", "#/message", "blank")}


def test_the_business_comes_before_the_idempotency_key(shop: Shop) -> None:
    key = shop.somebody()
    shop.send(key=key)
    answer = shop.post(shop.body(businessId=shop.world.london), headers={"Idempotency-Key": key})
    assert answer.status_code == 403


def test_the_size_of_a_body_is_checked_before_its_fields(shop: Shop) -> None:
    answer = shop.post(b"x" * 262_145, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 413


def test_a_wrong_content_type_is_a_400_and_the_body_is_still_validated(shop: Shop) -> None:
    types = ("text/plain", "application/x-www-form-urlencoded", "application/xml", "application/jsonp", "json", "")
    for media_type in types:
        right = shop.post(shop.body(), headers={"Content-Type": media_type})
        assert faults_of(right) == {("header", "content-type", "unsupported_media_type")}, media_type
        wrong = shop.post(shop.body(message=""), headers={"Content-Type": media_type})
        assert len(faults_of(wrong)) == 2, media_type


def test_a_missing_content_type_is_a_400(shop: Shop) -> None:
    answer = shop.post_raw(b"{}", ("token", shop.world.token))
    assert answer.status == 400
    assert answer.json()["errors"][0]["code"] == "unsupported_media_type"


def test_utf_8_can_be_declared_in_any_spelling(shop: Shop) -> None:
    for media_type in (
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "Application/JSON",
    ):
        assert shop.post(shop.body(), headers={"Content-Type": media_type}).status_code == 200, media_type


def test_json_in_another_character_set_is_refused(shop: Shop) -> None:
    answer = shop.post(shop.body(), headers={"Content-Type": "application/json; charset=latin-1"})
    assert faults_of(answer) == {("header", "content-type", "unsupported_media_type")}


def test_a_compressed_body_is_refused_and_not_read(shop: Shop) -> None:
    for encoding in ("gzip", "br", "zstd", "deflate"):
        answer = shop.post(shop.body(message=""), headers={"Content-Encoding": encoding})
        assert faults_of(answer) == {("header", "content-encoding", "unsupported_content_encoding")}, encoding


def test_a_body_with_identity_encoding_is_read(shop: Shop) -> None:
    assert shop.post(shop.body(), headers={"Content-Encoding": "identity"}).status_code == 200


def test_a_valid_request_is_stored_as_sent(shop: Shop) -> None:
    thread_id = shop.send()
    assert [row["body"] for row in shop.messages(thread_id)] == [HELLO]
