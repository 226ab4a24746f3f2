"""Messages through the client are stored; errors raise exceptions."""

import asyncio
import pickle
from typing import Any

import httpx2
import pytest

from harness.shop import Shop
from shopbell_client import (
    AsyncShopbell,
    BusinessNotInOrganization,
    FieldError,
    Forbidden,
    IdempotencyKeyReused,
    NotFound,
    ProblemError,
    RateLimited,
    Shopbell,
    Unauthorized,
    ValidationFailed,
)


def test_a_message_is_stored_with_the_customers_details(shop: Shop) -> None:
    email, phone = shop.somebody(), shop.some_number()
    with Shopbell(shop.server.url, shop.world.token) as client:
        sent = client.send_message_to_business(
            shop.world.boston, "¿Está abierto? 👋", email=email, phone_number=phone, locale="es-MX", name="Carol Jones"
        )
    assert not sent.replayed
    assert [message["body"] for message in shop.messages(sent.thread_id)] == ["¿Está abierto? 👋"]
    assert shop.identities(shop.customer_of(sent.thread_id)) == {"email": [email], "phone": [phone]}
    name = "SELECT first_name FROM customers WHERE id = :id"
    assert shop.database.value(name, id=shop.customer_of(sent.thread_id)) == "Carol Jones"


def test_ids_can_be_numbers_and_the_base_url_can_end_with_a_slash(shop: Shop) -> None:
    with Shopbell(shop.server.url + "/", shop.world.token) as client:
        sent = client.send_message_to_business(int(shop.world.boston), "Hello", email=shop.somebody())
    assert len(shop.messages(sent.thread_id)) == 1


def test_one_asynchronous_client_sends_many_messages_concurrently(shop: Shop) -> None:
    async def run() -> list[str]:
        async with AsyncShopbell(shop.server.url, shop.world.second_token) as client:
            sending = [
                client.send_message_to_business(shop.world.boston, f"Hello {number}", email=shop.somebody())
                for number in range(20)
            ]
            return [sent.thread_id for sent in await asyncio.gather(*sending)]

    threads = asyncio.run(run())
    assert [shop.messages(thread)[0]["body"] for thread in threads] == [f"Hello {number}" for number in range(20)]


def refused(shop: Shop, kind: type[ProblemError], *, token: str = "", **changes: Any) -> ProblemError:
    """Return the exception for a message that is valid except for ``changes``."""
    message = {"business_id": shop.world.boston, "message": "Hello", "email": shop.somebody()} | changes
    with Shopbell(shop.server.url, token or shop.world.token) as client, pytest.raises(kind) as raised:
        client.send_message_to_business(**message)
    assert type(raised.value) is kind
    return raised.value


def test_validation_errors_list_every_invalid_field(shop: Shop) -> None:
    error = refused(shop, ValidationFailed, message=" ", email="carol", phone_number="1")
    assert (error.status, error.type, error.title) == (400, "/problems/validation-error", "Request is not valid")
    assert error.errors[0] == FieldError("body", "#/message", "blank", "must not be blank")
    assert [each.name for each in error.errors] == ["#/message", "#/user/email", "#/user/phoneNumber"]
    assert str(error).startswith("400 validation-error: Field 'message' must not be blank. ")
    assert error.request_id is not None
    assert str(error).endswith(f"(request {error.request_id})")
    assert "carol" not in f"{error} {error!r}"


def test_text_with_a_lone_surrogate_is_refused_by_the_server(shop: Shop) -> None:
    assert [each.code for each in refused(shop, ValidationFailed, message="\ud800").errors] == ["malformed_json"]


def test_an_invalid_token_is_unauthorized(shop: Shop) -> None:
    error = refused(shop, Unauthorized, token=shop.world.revoked_token)
    assert shop.world.revoked_token not in f"{error} {error!r} {vars(error)}"


def test_a_token_without_the_scope_is_forbidden(shop: Shop) -> None:
    assert "widget:send" in refused(shop, Forbidden, token=shop.world.reading_token).developer_message


def test_another_organizations_business_has_its_own_exception(shop: Shop) -> None:
    error = refused(shop, BusinessNotInOrganization, business_id=shop.world.london)
    assert error.developer_message == "Business does not belong to this organization"
    assert isinstance(error, Forbidden)


def test_an_idempotency_key_cannot_be_reused_for_another_message(shop: Shop) -> None:
    key, email = f"key-of-{shop.somebody()}", shop.somebody()
    shop.send(key=key, user={"email": email})
    assert refused(shop, IdempotencyKeyReused, idempotency_key=key, message="Another").status == 422


def test_an_exceeded_rate_limit_raises_with_the_time_to_wait(slow_shop: Shop) -> None:
    token, email = slow_shop.spare_token()["token"], slow_shop.somebody()
    with Shopbell(slow_shop.server.url, token, attempts=1) as client, pytest.raises(RateLimited) as raised:  # noqa: PT012
        for _ in range(200):  # the limit is ten at once, plus one per second, and the machine may be slow
            client.send_message_to_business(slow_shop.world.boston, "Hello", email=email)
    assert raised.value.retry_after_s == 1


def test_the_client_waits_until_the_rate_limit_allows_a_request(slow_shop: Shop) -> None:
    token = slow_shop.spare_token()["token"]
    for _ in range(10):
        slow_shop.send(token=token)
    with Shopbell(slow_shop.server.url, token) as client:
        assert client.send_message_to_business(slow_shop.world.boston, "Hello", email=slow_shop.somebody()).thread_id


def test_exceptions_can_be_pickled(shop: Shop) -> None:
    error = refused(shop, ValidationFailed, message=" ")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.errors) == (ValidationFailed, str(error), error.errors)


def test_a_base_url_with_a_wrong_path_is_not_found(shop: Shop) -> None:
    with Shopbell(f"{shop.server.url}/nowhere", shop.world.token) as client, pytest.raises(NotFound):
        client.send_message_to_business(shop.world.boston, "Hello", email=shop.somebody())


def test_the_callers_http_client_is_used_and_not_closed(shop: Shop) -> None:
    with httpx2.Client(headers={"X-Request-Id": "0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6f"}, trust_env=False) as http:
        with (
            Shopbell(shop.server.url, shop.world.token, http=http) as client,
            pytest.raises(ValidationFailed) as raised,
        ):
            client.send_message_to_business(shop.world.boston, " ", email=shop.somebody())
        assert raised.value.request_id == "0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6f"
        assert not http.is_closed


def test_a_proxy_from_the_environment_does_not_receive_the_token(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Shopbell(shop.server.url, shop.world.token) as client:
        assert client.send_message_to_business(shop.world.boston, "Hello", email=shop.somebody()).thread_id
