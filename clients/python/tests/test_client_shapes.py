"""What the client sends to each endpoint, and how it parses the response."""

import asyncio
import inspect
import json

import pytest

from relay import Fault, ask, path_of, relay
from shopbell_client import AsyncShopbell, Shopbell, UnexpectedResponse
from shopbell_client.customers import LastSurveys, SurveyAnswer
from shopbell_client.threads import Thread, WhatsAppTemplate
from shopbell_client.webhooks import HeaderName, Webhook

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
PARSED_WEBHOOK = Webhook(
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


def test_a_template_is_sent() -> None:
    result, server, body = ask({**OK, "messageId": "12"}, lambda shop: shop.send_message(9999, content_sid="HX1"))
    assert result == "12"
    assert path_of(server) == "POST /api/send-message-to-customer-thread"
    assert body == {"customerThreadId": 9999, "contentSid": "HX1", "internal": False}


def test_a_status_is_set() -> None:
    _, server, body = ask(OK, lambda shop: shop.update_thread_status("12345", "waiting"))
    assert path_of(server) == "POST /api/update-thread-status"
    assert body == {"customerThreadId": "12345", "status": "waiting"}


def test_a_conversation_is_parsed() -> None:
    response = THREAD | {"customerChannel": "WHATSAPP", "isMessagingWindowOpen": False, "more": 1}
    result, server, _ = ask(response, lambda shop: shop.thread_details(12))
    assert path_of(server) == "GET /api/get-customer-thread-details?customerThreadId=12"
    assert (result.id, result.customer_channel, result.status, result.is_messaging_window_open) == (
        "12",
        "WHATSAPP",
        "replied",
        False,
    )


def test_templates_are_parsed() -> None:
    response = {"templates": [{"title": "Open", "text": "We are open.", "contentSid": "HX1"}]}
    result, server, _ = ask(response, lambda shop: shop.whatsapp_templates("12"))
    assert path_of(server) == "GET /api/get-whatsapp-templates?customerThreadId=12"
    assert result == (WhatsAppTemplate("Open", "We are open.", "HX1"),)


def test_a_profile_is_parsed_and_its_repr_has_no_personal_data() -> None:
    result, server, _ = ask(PROFILE, lambda shop: shop.customer_profile("cust/1"))
    assert path_of(server) == "GET /api/customers/cust%2F1/profile"
    assert (result.display_name, result.email_address, result.phone_number) == ("Carol", "carol@example.com", None)
    assert result.last_surveys == LastSurveys(SurveyAnswer(created_at_ms=123456789, text="8"), None)
    assert [(each.name, each.value) for each in result.customer_data] == [("COMPANY", "Acme")]
    assert not [word for word in ("Carol", "carol", "Acme") if word in repr(result)]


def test_only_the_given_fields_of_a_profile_change() -> None:
    _, server, body = ask(OK, lambda shop: shop.update_customer_profile("12", company=""))
    assert path_of(server) == "POST /api/customers/12/profile/update"
    assert body == {"company": ""}


def test_a_webhook_is_created_and_its_secret_is_not_in_the_repr() -> None:
    response = {**WEBHOOK, "secret": "whsec_secret"}
    headers = {"Authorization": "Bearer secret"}
    result, server, body = ask(
        response,
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
    assert (result.id, result.secret) == ("7", "whsec_secret")
    assert "whsec" not in repr(result)


def test_webhooks_are_parsed() -> None:
    result, server, _ = ask({"webhooks": [WEBHOOK]}, lambda shop: shop.webhooks())
    assert path_of(server) == "GET /api/webhooks"
    assert result == (PARSED_WEBHOOK,)
    result, server, _ = ask(WEBHOOK, lambda shop: shop.webhook(7))
    assert path_of(server) == "GET /api/webhooks/7"
    assert result == PARSED_WEBHOOK


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
def test_an_unexpected_value_is_reported_by_its_pointer_and_not_quoted(wrong: dict[str, object]) -> None:
    with pytest.raises(UnexpectedResponse, match=r"at #/(customerChannel|isMessagingWindowOpen)"):
        ask(THREAD | wrong, lambda shop: shop.thread_details(12))


def test_the_asynchronous_client_parses_the_same_response() -> None:
    async def list_webhooks(url: str) -> tuple[Webhook, ...]:
        async with AsyncShopbell(url, "token") as shop:
            return await shop.webhooks()

    with relay() as server:
        server.faults = [Fault(200, body=json.dumps({"webhooks": [WEBHOOK]}).encode())]
        assert asyncio.run(list_webhooks(server.url)) == (PARSED_WEBHOOK,)


def test_help_shows_the_signature_and_return_type_of_a_method() -> None:
    with Shopbell("http://127.0.0.1:8080", "token") as shop:
        signature = inspect.signature(shop.thread_details)
        assert signature.return_annotation is Thread
        assert list(signature.parameters) == ["thread_id"]
        assert (shop.thread_details.__doc__ or "").startswith("Get a conversation.")
