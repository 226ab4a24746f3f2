"""The programs, commands, payloads and figures of docs/webhooks.md."""

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from harness import ROOT
from shopbell.settings.settings import Settings
from shopbell.webhooks.payloads import EventFields, body_of

PAGE = (ROOT / "docs" / "webhooks.md").read_text()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
UNITS_S = {"s": 1, "min": 60, "h": 3_600}


def blocks(language: str) -> list[str]:
    """The page's blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def payloads() -> dict[str, dict[str, Any]]:
    """The bodies that the page shows, by their type."""
    shown = [json.loads(block) for block in blocks("json")]
    return {body["eventType"]: body for body in shown}


def signed(body: bytes, *, secret: str = SECRET, age_s: int = 0) -> dict[str, str]:
    """The headers of a delivery."""
    at = datetime.fromtimestamp(int(time.time()) - age_s, UTC)
    signature = Webhook(secret).sign("evt_1", at, body.decode())
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": f"v1,bm9uZQ== {signature}",
    }


def test_every_code_block_is_tested() -> None:
    languages = re.findall(r"^```(\w*)\n.*?^```", PAGE, re.DOTALL | re.MULTILINE)
    assert sorted(set(languages)) == ["console", "json", "python"]
    assert (len(blocks("python")), set(payloads())) == (3, {"message", "transfer", "webhook-test"})


@pytest.mark.parametrize("number", [0, 1])
def test_the_documented_receivers_accept_only_signed_requests(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    program: dict[str, Any] = {}
    exec(blocks("python")[number], program)
    receive = program["receive"]
    body = json.dumps(payloads()["message"]).encode()
    assert receive(body, signed(body), SECRET) == 200
    assert "Hello" in capsys.readouterr().out
    assert receive(body.replace(b"Hello", b"Hallo"), signed(body), SECRET) == 401
    assert receive(body, signed(body, secret="whsec_" + "A" * 32), SECRET) == 401
    assert receive(body, signed(body, age_s=310), SECRET) == 401
    assert capsys.readouterr().out == ""


def test_the_six_documented_lines_verify_a_signature() -> None:
    code = blocks("python")[2]
    assert len(code.partition("-> bool:\n")[2].strip().splitlines()) == 6
    program: dict[str, Any] = {}
    exec(code, program)
    is_signed = program["is_signed"]
    body = json.dumps(payloads()["transfer"]).encode()
    assert is_signed(body, signed(body), SECRET)
    assert not is_signed(body + b" ", signed(body), SECRET)
    assert not is_signed(body, signed(body, secret="whsec_" + "A" * 32), SECRET)
    assert not is_signed(body, signed(body, age_s=310), SECRET)
    assert not is_signed(body, signed(body) | {"webhook-id": "evt_2"}, SECRET)


@pytest.mark.parametrize("kind", ["message", "transfer", "webhook-test"])
def test_the_documented_payloads_match_what_is_sent(kind: str) -> None:
    shown = payloads()[kind]
    data = shown["data"]
    actor = data.get("actor", {"type": "customer"})
    by_customer = actor["type"] == "customer"  # events do not store the customer as actor
    told = EventFields(
        organization_id=data.get("organizationId", 12344),
        event_type=kind,
        created_at_ms=shown["timestamp"],
        business_id=data.get("businessId", data.get("toBusinessId")),
        customer_id=int(data.get("customerId", 0)),
        thread_id=data.get("customerThreadId"),
        thread_sequence=data.get("threadSequence"),
        details=json.dumps({name: data.get(name) for name in ("fromBusinessId", "toBusinessId", "employeeUserId")}),
        message_id=data.get("messageId"),
        from_customer=data.get("fromCustomer"),
        internal=data.get("invisible"),
        text=data.get("messageBody"),
        sent_at_ms=data.get("messageTimestamp"),
        actor_type=None if by_customer else actor["type"],
        actor_id=None if by_customer else actor["id"],
    )
    assert json.loads(body_of(told, "envelope")) == shown
    assert json.loads(body_of(told, "flat")) == data


def test_the_documented_figures_match_the_settings() -> None:
    settings = Settings()
    rows = re.findall(r"^\| (\d+) \| (\d+) (\w+) \|$", PAGE, re.MULTILINE)
    assert [int(number) for number, *_ in rows] == list(range(1, len(settings.delivery_schedule_s) + 1))
    assert [int(pause) * UNITS_S[unit] for _, pause, unit in rows] == list(settings.delivery_schedule_s)
    said = " ".join(PAGE.split())
    for sentence in (
        f"Respond with 2xx within {settings.delivery_timeout_s:g} seconds",
        f"randomly up to {settings.delivery_jitter:.0%}".replace("%", " %") + " shorter or longer",
        f"{settings.webhook_failure_days:g} days without a success",
        f"at least {settings.webhook_failure_attempts} failures",
        f"are held for {settings.delivery_log_days} days",
        f"newest first, for {settings.delivery_log_days} days",
    ):
        assert sentence in said
    assert (settings.deliveries_per_webhook, settings.delivery_order_wait_s) == (8, 3_600)  # "eight", "an hour"
