"""The client against the real server: what it sends arrives, and what the server says is what it raises."""

import asyncio
import pickle
from typing import Any

import httpx2
import pytest

from harness.shop import Shop
from shopbell.client import (
    AsyncShopbell,
    BusinessNotInOrganization,
    Fault,
    Forbidden,
    IdempotencyKeyReused,
    NotFound,
    ProblemError,
    RateLimited,
    Shopbell,
    Unauthorized,
    ValidationFailed,
)


def test_a_message_arrives_with_all_that_is_known_of_its_customer(shop: Shop) -> None:
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


def test_an_id_may_be_a_number_and_an_address_may_end_with_a_slash(shop: Shop) -> None:
    with Shopbell(shop.server.url + "/", shop.world.token) as client:
        sent = client.send_message_to_business(int(shop.world.boston), "Hello", email=shop.somebody())
    assert len(shop.messages(sent.thread_id)) == 1


def test_many_messages_at_once_from_one_asynchronous_client(shop: Shop) -> None:
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
    """What is raised when somebody sends a message that is right but for what is changed."""
    message = {"business_id": shop.world.boston, "message": "Hello", "email": shop.somebody()} | changes
    with Shopbell(shop.server.url, token or shop.world.token) as client, pytest.raises(kind) as raised:
        client.send_message_to_business(**message)
    assert type(raised.value) is kind
    return raised.value


def test_a_message_that_is_not_valid_is_refused_with_every_fault(shop: Shop) -> None:
    error = refused(shop, ValidationFailed, message=" ", email="carol", phone_number="1")
    assert (error.status, error.type, error.title) == (400, "/problems/validation-error", "Request is not valid")
    assert error.errors[0] == Fault("body", "#/message", "blank", "must not be blank")
    assert [fault.name for fault in error.errors] == ["#/message", "#/user/email", "#/user/phoneNumber"]
    assert str(error).startswith("400 validation-error: Field 'message' must not be blank. ")
    assert error.request_id is not None
    assert str(error).endswith(f"(request {error.request_id})")
    assert "carol" not in f"{error} {error!r}"


def test_what_is_no_text_is_refused_by_the_server(shop: Shop) -> None:
    assert [fault.code for fault in refused(shop, ValidationFailed, message="\ud800").errors] == ["malformed_json"]


def test_a_token_that_is_not_valid_is_unauthorized(shop: Shop) -> None:
    error = refused(shop, Unauthorized, token=shop.world.revoked_token)
    assert shop.world.revoked_token not in f"{error} {error!r} {vars(error)}"


def test_a_token_without_the_scope_is_forbidden(shop: Shop) -> None:
    assert "widget:send" in refused(shop, Forbidden, token=shop.world.reading_token).developer_message


def test_a_business_of_others_is_told_from_a_missing_scope(shop: Shop) -> None:
    error = refused(shop, BusinessNotInOrganization, business_id=shop.world.london)
    assert error.developer_message == "Business does not belong to this organization"
    assert isinstance(error, Forbidden)


def test_a_key_that_was_used_for_something_else_is_an_error(shop: Shop) -> None:
    key, email = f"key-of-{shop.somebody()}", shop.somebody()
    shop.send(key=key, user={"email": email})
    assert refused(shop, IdempotencyKeyReused, idempotency_key=key, message="Another").status == 422


def test_a_rate_that_stays_exceeded_is_told_with_the_time_to_wait(slow_shop: Shop) -> None:
    token, email = slow_shop.spare_token()["token"], slow_shop.somebody()
    with Shopbell(slow_shop.server.url, token, attempts=1) as client, pytest.raises(RateLimited) as raised:  # noqa: PT012
        for _ in range(200):  # ten at once, and one for each second that a busy machine needs for them
            client.send_message_to_business(slow_shop.world.boston, "Hello", email=email)
    assert raised.value.retry_after_s == 1


def test_with_time_a_rate_is_waited_out(slow_shop: Shop) -> None:
    token = slow_shop.spare_token()["token"]
    for _ in range(10):
        slow_shop.send(token=token)
    with Shopbell(slow_shop.server.url, token) as client:
        assert client.send_message_to_business(slow_shop.world.boston, "Hello", email=slow_shop.somebody()).thread_id


def test_an_error_can_be_sent_to_another_process(shop: Shop) -> None:
    error = refused(shop, ValidationFailed, message=" ")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.errors) == (ValidationFailed, str(error), error.errors)


def test_a_path_of_another_kind_is_not_found(shop: Shop) -> None:
    with Shopbell(f"{shop.server.url}/nowhere", shop.world.token) as client, pytest.raises(NotFound):
        client.send_message_to_business(shop.world.boston, "Hello", email=shop.somebody())


def test_a_carrier_of_the_callers_own_is_used_and_left_open(shop: Shop) -> None:
    with httpx2.Client(headers={"X-Request-Id": "0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6f"}, trust_env=False) as http:
        with (
            Shopbell(shop.server.url, shop.world.token, http=http) as client,
            pytest.raises(ValidationFailed) as raised,
        ):
            client.send_message_to_business(shop.world.boston, " ", email=shop.somebody())
        assert raised.value.request_id == "0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6f"
        assert not http.is_closed


def test_a_proxy_that_the_environment_names_does_not_get_the_token(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Shopbell(shop.server.url, shop.world.token) as client:
        assert client.send_message_to_business(shop.world.boston, "Hello", email=shop.somebody()).thread_id


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1:8080", "ftp://127.0.0.1", "http://", "http://a:b@127.0.0.1", "http://127.0.0.1/?a=b"]
)
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        Shopbell(address, "token")


@pytest.mark.parametrize("token", ["", "sb_live_a b", "sb_live_a\r\nX: y", "sb_live_é"])
def test_a_token_that_is_none_is_refused_at_once_and_not_quoted(token: str) -> None:
    with pytest.raises(ValueError, match="token") as refusal:
        Shopbell("http://127.0.0.1:8080", token)
    assert not token or token not in str(refusal.value)


def test_the_token_is_not_in_the_clients_repr() -> None:
    with Shopbell("http://127.0.0.1:8080", "sb_live_secret") as client:
        assert repr(client) == "<Shopbell http://127.0.0.1:8080>"
