"""Every documented request and answer of the conversations API, between the client and a server that only records."""

import asyncio
import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest
from relay import Fault, Relay, relay

from shopbell.client import AsyncShopbell, Shopbell, UnexpectedAnswer
from shopbell.client.customers import LastSurveys, SurveyAnswer
from shopbell.client.threads import Thread, WhatsAppTemplate
from shopbell.client.webhooks import HeaderName, Webhook

PROFILE = {
    "id": "cust/1",
    "type": "prospect",
    "editable": True,
    "pictureHref": None,
    "displayName": "Carol",
    "emailAddress": "carol@example.com",
    "phoneNumber": None,
    "firstName": "Carol",
    "lastName": None,
    "company": "Acme",
    "channel": "SMS",
    "customerData": [{"name": "COMPANY", "value": "Acme"}],
    "lastSurveys": {"nps": {"createdAt": 123456789, "text": "8"}, "preferredChannel": None},
}
WEBHOOK = {
    "id": "7",
    "url": "https://example.com/webhook",
    "enabled": True,
    "subscribedEvents": ["messages", "transfers"],
    "payloadVersion": "flat",
    "extraHeaders": [{"name": "Authorization", "set": True}],
    "disabledReason": None,
    "failingSince": None,
    "createdAt": 1,
}
READ_WEBHOOK = Webhook(
    id="7",
    url="https://example.com/webhook",
    enabled=True,
    subscribed_events=("messages", "transfers"),
    payload_version="flat",
    extra_headers=(HeaderName("Authorization", True),),
    disabled_reason=None,
    failing_since_ms=None,
    created_at_ms=1,
)
THREAD = {
    "customerThreadId": "12",
    "businessId": "13",
    "customerId": "14",
    "customerChannel": "WEB",
    "status": "replied",
    "isMessagingWindowOpen": True,
    "assigneeUserId": None,
    "createdAt": 1,
    "updatedAt": 2,
    "lastSequence": 3,
    "lastCustomerMessageAt": None,
}
OK = {"result": "ok"}


def ask(said: object, question: Callable[[Shopbell], Any]) -> tuple[Any, Relay, Any]:
    """Put a question to a server that says one thing; returns what the client makes of it, and what it had sent."""
    with relay() as server, Shopbell(server.url, "token") as shop:
        server.faults = [Fault(200, body=json.dumps(said).encode())]
        read = question(shop)
    (request,) = server.requests
    return read, server, json.loads(request[":body"]) if request[":body"] else None


def path_of(server: Relay) -> str:
    """Method and address of the only request."""
    (request,) = server.requests
    return f"{request[':method']} {request[':path']}"


def test_a_template_is_sent() -> None:
    read, server, body = ask({**OK, "messageId": "12"}, lambda shop: shop.send_message(9999, content_sid="HX1"))
    assert read == "12"
    assert path_of(server) == "POST /api/send-message-to-customer-thread"
    assert body == {"customerThreadId": 9999, "contentSid": "HX1", "internal": False}


def test_a_status_is_sent() -> None:
    _, server, body = ask(OK, lambda shop: shop.update_thread_status("12345", "waiting"))
    assert path_of(server) == "POST /api/update-thread-status"
    assert body == {"customerThreadId": "12345", "status": "waiting"}


def test_the_details_of_a_conversation_are_read() -> None:
    said = THREAD | {"customerChannel": "WHATSAPP", "isMessagingWindowOpen": False, "more": 1}
    read, server, _ = ask(said, lambda shop: shop.thread_details(12))
    assert path_of(server) == "GET /api/get-customer-thread-details?customerThreadId=12"
    assert (read.id, read.customer_channel, read.status, read.is_messaging_window_open) == (
        "12",
        "WHATSAPP",
        "replied",
        False,
    )


def test_templates_are_read() -> None:
    said = {"templates": [{"title": "Open", "text": "We are open.", "contentSid": "HX1"}]}
    read, server, _ = ask(said, lambda shop: shop.whatsapp_templates("12"))
    assert path_of(server) == "GET /api/get-whatsapp-templates?customerThreadId=12"
    assert read == (WhatsAppTemplate("Open", "We are open.", "HX1"),)


def test_a_profile_is_read_and_its_repr_names_nobody() -> None:
    read, server, _ = ask(PROFILE, lambda shop: shop.customer_profile("cust/1"))
    assert path_of(server) == "GET /api/customers/cust%2F1/profile"
    assert (read.display_name, read.email_address, read.phone_number) == ("Carol", "carol@example.com", None)
    assert read.last_surveys == LastSurveys(SurveyAnswer(created_at_ms=123456789, text="8"), None)
    assert [(fact.name, fact.value) for fact in read.customer_data] == [("COMPANY", "Acme")]
    assert not [word for word in ("Carol", "carol", "Acme") if word in repr(read)]


def test_only_what_is_given_of_a_profile_changes() -> None:
    _, server, body = ask(OK, lambda shop: shop.update_customer_profile("12", company=""))
    assert path_of(server) == "POST /api/customers/12/profile/update"
    assert body == {"company": ""}


def test_a_webhook_is_made_and_its_secret_is_in_no_repr() -> None:
    said = {**WEBHOOK, "secret": "whsec_secret"}
    headers = {"Authorization": "Bearer secret"}
    read, server, body = ask(
        said,
        lambda shop: shop.create_webhook(
            "https://example.com/webhook", ["messages"], extra_headers=headers, payload_version="flat"
        ),
    )
    assert path_of(server) == "POST /api/webhooks"
    assert body == {
        "url": "https://example.com/webhook",
        "subscribedEvents": ["messages"],
        "extraHeaders": [{"name": "Authorization", "value": "Bearer secret"}],
        "payloadVersion": "flat",
    }
    assert (read.id, read.secret) == ("7", "whsec_secret")
    assert "whsec" not in repr(read)


def test_webhooks_are_read() -> None:
    read, server, _ = ask({"webhooks": [WEBHOOK]}, lambda shop: shop.webhooks())
    assert path_of(server) == "GET /api/webhooks"
    assert read == (READ_WEBHOOK,)
    read, server, _ = ask(WEBHOOK, lambda shop: shop.webhook(7))
    assert path_of(server) == "GET /api/webhooks/7"
    assert read == READ_WEBHOOK


def test_a_webhook_is_changed_and_deleted() -> None:
    _, server, body = ask(OK, lambda shop: shop.update_webhook("7", enabled=False, extra_headers={}))
    assert path_of(server) == "POST /api/webhooks/7/update"
    assert body == {"enabled": False, "extraHeaders": []}
    _, server, body = ask(OK, lambda shop: shop.delete_webhook("7"))
    assert path_of(server) == "POST /api/webhooks/7/delete"
    assert body == {}


@pytest.mark.parametrize(
    "wrong", [{"isMessagingWindowOpen": None}, {"isMessagingWindowOpen": 1}, {"customerChannel": True}]
)
def test_an_answer_of_another_shape_is_told_by_its_place_and_not_quoted(wrong: dict[str, object]) -> None:
    with pytest.raises(UnexpectedAnswer, match=r"at #/(customerChannel|isMessagingWindowOpen)"):
        ask(THREAD | wrong, lambda shop: shop.thread_details(12))


def test_the_asynchronous_client_says_the_same() -> None:
    async def ask_for_it(url: str) -> tuple[Webhook, ...]:
        async with AsyncShopbell(url, "token") as shop:
            return await shop.webhooks()

    with relay() as server:
        server.faults = [Fault(200, body=json.dumps({"webhooks": [WEBHOOK]}).encode())]
        assert asyncio.run(ask_for_it(server.url)) == (READ_WEBHOOK,)


def test_help_on_a_method_tells_what_it_returns() -> None:
    with Shopbell("http://127.0.0.1:8080", "token") as shop:
        signature = inspect.signature(shop.thread_details)
        assert signature.return_annotation is Thread
        assert list(signature.parameters) == ["thread_id"]
        assert (shop.thread_details.__doc__ or "").startswith("How a conversation stands.")
