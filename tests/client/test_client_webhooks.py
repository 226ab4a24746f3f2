"""Whether a webhook's call is believed, and what it says. The signatures are made by the library of the scheme."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from shopbell.client import (
    BadSignature,
    MessageEvent,
    OtherEvent,
    TransferEvent,
    UnexpectedAnswer,
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
}
TRANSFER = {
    "customerThreadId": 123456,
    "organizationId": 200,
    "customerId": "cust_001",
    "fromBusinessId": 1001,
    "toBusinessId": 1002,
    "employeeUserId": 77,
}


def called(said: object, *, secret: str = SECRET, age_s: float = 0) -> tuple[bytes, dict[str, str]]:
    """A call's body and headers as the server sends them."""
    body = said if isinstance(said, bytes) else json.dumps(said, ensure_ascii=False).encode()
    sent_at = datetime.fromtimestamp(int(time.time() - age_s), UTC)
    signature = Webhook(secret).sign("evt_1", sent_at, body.decode())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": signature,
    }
    return body, headers


def envelope(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """The default form of the payload."""
    return {"eventType": kind, "timestamp": 1700000000000, "data": data}


@pytest.mark.parametrize("said", [envelope("message", MESSAGE), MESSAGE], ids=["envelope", "flat"])
def test_a_message_is_read_from_both_payload_versions(said: dict[str, Any]) -> None:
    event = verify_webhook(*called(said), SECRET)
    assert isinstance(event, MessageEvent)
    assert (event.id, event.thread_id, event.business_id, event.message_id) == ("evt_1", "123456", "1001", "555001")
    assert (event.text, event.timestamp_ms, event.thread_sequence) == ("Héllo 👋", 1700000000000, 3)
    assert event.mute_bot
    assert (event.from_customer, event.invisible, event.attachment_uuid) == (True, False, None)


def test_the_text_of_a_message_is_not_in_its_repr() -> None:
    assert "llo" not in repr(verify_webhook(*called(MESSAGE), SECRET))


@pytest.mark.parametrize("said", [envelope("transfer", TRANSFER), TRANSFER], ids=["envelope", "flat"])
def test_a_transfer_is_read_from_both_payload_versions(said: dict[str, Any]) -> None:
    event = verify_webhook(*called(said), SECRET)
    assert event == TransferEvent(
        id="evt_1",
        thread_id="123456",
        organization_id="200",
        customer_id="cust_001",
        from_business_id="1001",
        to_business_id="1002",
        employee_user_id="77",
    )


def test_an_event_of_a_later_version_is_given_as_it_is() -> None:
    event = verify_webhook(*called(envelope("survey", {"score": 8})), SECRET)
    assert event == OtherEvent("evt_1", "survey", {"score": 8})


def test_a_new_field_does_not_disturb_a_receiver() -> None:
    event = verify_webhook(*called(envelope("message", MESSAGE | {"mood": "fine"})), SECRET)
    assert isinstance(event, MessageEvent)


def test_while_a_secret_is_changed_both_are_believed() -> None:
    for secret in (SECRET, OTHER):
        assert verify_webhook(*called(MESSAGE, secret=secret), [SECRET, OTHER]).id == "evt_1"


def test_one_right_signature_among_several_is_enough() -> None:
    body, headers = called(MESSAGE)
    headers["webhook-signature"] = f"v1,AAAA v1a,whatever v1,no?base64 v1 {headers['webhook-signature']}"
    assert verify_webhook(body, headers, SECRET).id == "evt_1"


def test_headers_are_found_in_any_case() -> None:
    body, headers = called(MESSAGE)
    assert verify_webhook(body, {name.title(): value for name, value in headers.items()}, SECRET).id == "evt_1"


def test_another_secret_is_not_believed() -> None:
    with pytest.raises(BadSignature):
        verify_webhook(*called(MESSAGE, secret=OTHER), SECRET)


def test_a_changed_body_is_not_believed() -> None:
    body, headers = called(MESSAGE)
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
def test_a_changed_header_is_not_believed(header: str, value: str) -> None:
    body, headers = called(MESSAGE)
    with pytest.raises(BadSignature):
        verify_webhook(body, headers | {header: value}, SECRET)


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_not_believed(header: str) -> None:
    body, headers = called(MESSAGE)
    del headers[header]
    with pytest.raises(BadSignature):
        verify_webhook(body, headers, SECRET)


@pytest.mark.parametrize("age_s", [400, -400])
def test_a_call_of_long_ago_or_of_the_future_is_not_believed(age_s: float) -> None:
    call = called(MESSAGE, age_s=age_s)
    with pytest.raises(BadSignature):
        verify_webhook(*call, SECRET)
    assert verify_webhook(*call, SECRET, tolerance_s=600).id == "evt_1"


def test_bytes_that_are_no_text_are_not_believed() -> None:
    _, headers = called(MESSAGE)
    with pytest.raises(BadSignature):
        verify_webhook(b"\xff\xfe", headers, SECRET)


@pytest.mark.parametrize("said", [b"[" * 5_000, b"no JSON", b"", envelope("message", MESSAGE | {"messageBody": 1.5})])
def test_what_is_signed_but_cannot_be_read_says_so(said: object) -> None:
    with pytest.raises(UnexpectedAnswer):
        verify_webhook(*called(said), SECRET)


@pytest.mark.parametrize("secrets", ["", [], [SECRET, ""], "whsec_", "whsec_a", "whsec_é"])
def test_a_secret_that_is_none_is_refused_and_not_quoted(secrets: Any) -> None:
    with pytest.raises(ValueError, match="webhook") as refused:
        verify_webhook(*called(MESSAGE), secrets)
    assert "whsec_a" not in str(refused.value)
