"""Webhook requests are verified and parsed. The `standardwebhooks` library signs the requests of these tests."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from shopbell_client import (
    Actor,
    BadSignature,
    MessageEvent,
    OtherEvent,
    TransferEvent,
    UnexpectedResponse,
    verify_webhook,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
MESSAGE = {
    "fromCustomer": True,
    "invisible": False,
    "customerThreadId": 123456,
    "businessId": 1001,
    "organizationId": 200,
    "customerId": "cust_001",
    "customerType": "prospect",
    "messageId": 555001,
    "messageBody": "Héllo 👋",
    "messageTimestamp": 1700000000000,
    "messageAttachmentUUID": None,
    "messageAttachmentName": None,
    "messageAttachmentContentType": None,
    "messageAttachmentContentLength": None,
    "employeeUserId": None,
    "messageExternalId": None,
    "threadSequence": 3,
    "muteBot": True,
    "actor": {"type": "customer", "id": 7},
}
TRANSFER = {
    "customerThreadId": 123456,
    "organizationId": 200,
    "customerId": "cust_001",
    "fromBusinessId": 1001,
    "toBusinessId": 1002,
    "employeeUserId": 77,
}


def signed(payload: object, *, secret: str = SECRET, age_s: float = 0) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a webhook request, as the server sends them."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload, ensure_ascii=False).encode()
    sent_at = datetime.fromtimestamp(int(time.time() - age_s), UTC)
    signature = Webhook(secret).sign("evt_1", sent_at, body.decode())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": signature,
    }
    return body, headers


def envelope(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return a payload of the default version."""
    return {"eventType": event_type, "timestamp": 1700000000000, "data": data}


@pytest.mark.parametrize("payload", [envelope("message", MESSAGE), MESSAGE], ids=["envelope", "flat"])
def test_a_message_is_parsed_from_both_payload_versions(payload: dict[str, Any]) -> None:
    event = verify_webhook(*signed(payload), SECRET)
    assert isinstance(event, MessageEvent)
    assert (event.id, event.thread_id, event.business_id, event.message_id) == ("evt_1", "123456", "1001", "555001")
    assert (event.text, event.timestamp_ms, event.thread_sequence) == ("Héllo 👋", 1700000000000, 3)
    assert event.mute_bot
    assert event.actor == Actor(type="customer", id="7")
    assert (event.from_customer, event.invisible, event.attachment_uuid) == (True, False, None)


def test_the_text_of_a_message_is_not_in_its_repr() -> None:
    assert "llo" not in repr(verify_webhook(*signed(MESSAGE), SECRET))


@pytest.mark.parametrize("payload", [envelope("transfer", TRANSFER), TRANSFER], ids=["envelope", "flat"])
def test_a_transfer_is_parsed_from_both_payload_versions(payload: dict[str, Any]) -> None:
    event = verify_webhook(*signed(payload), SECRET)
    assert event == TransferEvent(
        id="evt_1",
        thread_id="123456",
        organization_id="200",
        customer_id="cust_001",
        from_business_id="1001",
        to_business_id="1002",
        employee_user_id="77",
    )


def test_an_unknown_event_type_is_returned_unparsed() -> None:
    event = verify_webhook(*signed(envelope("survey", {"score": 8})), SECRET)
    assert event == OtherEvent("evt_1", "survey", {"score": 8})


def test_an_unknown_field_is_ignored() -> None:
    event = verify_webhook(*signed(envelope("message", MESSAGE | {"mood": "fine"})), SECRET)
    assert isinstance(event, MessageEvent)


def test_either_of_two_secrets_is_accepted() -> None:
    for secret in (SECRET, OTHER):
        assert verify_webhook(*signed(MESSAGE, secret=secret), [SECRET, OTHER]).id == "evt_1"


def test_one_valid_signature_among_several_is_enough() -> None:
    body, headers = signed(MESSAGE)
    headers["webhook-signature"] = f"v1,AAAA v1a,whatever v1,no?base64 v1 {headers['webhook-signature']}"
    assert verify_webhook(body, headers, SECRET).id == "evt_1"


def test_header_names_are_case_insensitive() -> None:
    body, headers = signed(MESSAGE)
    assert verify_webhook(body, {name.title(): value for name, value in headers.items()}, SECRET).id == "evt_1"


def test_another_secret_is_refused() -> None:
    with pytest.raises(BadSignature):
        verify_webhook(*signed(MESSAGE, secret=OTHER), SECRET)


def test_a_changed_body_is_refused() -> None:
    body, headers = signed(MESSAGE)
    with pytest.raises(BadSignature):
        verify_webhook(body.replace(b"123456", b"123457"), headers, SECRET)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("webhook-id", "evt_2"),
        ("webhook-id", ""),
        ("webhook-timestamp", "1"),
        ("webhook-timestamp", ""),
        ("webhook-timestamp", "soon"),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", "9" * 5_000),
        ("webhook-timestamp", "nan"),
        ("webhook-signature", ""),
        ("webhook-signature", "v1"),
        ("webhook-signature", "v1,é"),
        ("webhook-signature", "v1,,"),
        ("webhook-signature", " "),
    ],
)
def test_a_changed_header_is_refused(header: str, value: str) -> None:
    body, headers = signed(MESSAGE)
    with pytest.raises(BadSignature):
        verify_webhook(body, headers | {header: value}, SECRET)


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_refused(header: str) -> None:
    body, headers = signed(MESSAGE)
    del headers[header]
    with pytest.raises(BadSignature):
        verify_webhook(body, headers, SECRET)


@pytest.mark.parametrize("age_s", [400, -400])
def test_an_old_or_future_request_is_refused(age_s: float) -> None:
    request = signed(MESSAGE, age_s=age_s)
    with pytest.raises(BadSignature):
        verify_webhook(*request, SECRET)
    assert verify_webhook(*request, SECRET, tolerance_s=600).id == "evt_1"


def test_a_body_that_is_not_utf8_is_refused() -> None:
    _, headers = signed(MESSAGE)
    with pytest.raises(BadSignature):
        verify_webhook(b"\xff\xfe", headers, SECRET)


@pytest.mark.parametrize(
    "payload", [b"[" * 5_000, b"no JSON", b"", envelope("message", MESSAGE | {"messageBody": 1.5})]
)
def test_a_signed_request_with_an_invalid_event_is_an_unexpected_response(payload: object) -> None:
    with pytest.raises(UnexpectedResponse):
        verify_webhook(*signed(payload), SECRET)


@pytest.mark.parametrize("secrets", ["", [], [SECRET, ""], "whsec_", "whsec_a", "whsec_é"])
def test_an_invalid_secret_is_refused_and_not_quoted(secrets: Any) -> None:
    with pytest.raises(ValueError, match="webhook") as refused:
        verify_webhook(*signed(MESSAGE), secrets)
    assert "whsec_a" not in str(refused.value)
