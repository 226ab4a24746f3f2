"""What docs/webhooks.md says to receivers is so: its programs, its commands, its payloads and its figures."""

import json
import re
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from conftest import Databases
from harness.installation import Installation
from harness.ports import free_port
from shopbell.payloads import Told, body_of
from shopbell.settings import Settings

PAGE = (Path(__file__).parents[1] / "docs" / "webhooks.md").read_text()
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


def test_no_block_of_code_is_without_its_test() -> None:
    languages = re.findall(r"^```(\w*)\n.*?^```", PAGE, re.DOTALL | re.MULTILINE)
    assert sorted(set(languages)) == ["console", "json", "python"]
    assert (len(blocks("python")), set(payloads())) == (3, {"message", "transfer", "webhook-test"})


@pytest.mark.parametrize("number", [0, 1])
def test_the_receivers_believe_only_what_is_signed(number: int, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_the_six_lines_verify_by_hand() -> None:
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
def test_the_payloads_are_what_is_sent(kind: str) -> None:
    shown = payloads()[kind]
    data = shown["data"]
    told = Told(
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
    )
    assert json.loads(body_of(told, "envelope")) == shown
    assert json.loads(body_of(told, "flat")) == data


def test_the_figures_are_those_of_the_settings() -> None:
    settings = Settings()
    rows = re.findall(r"^\| (\d+) \| (\d+) (\w+) \|$", PAGE, re.MULTILINE)
    assert [int(number) for number, *_ in rows] == list(range(1, len(settings.delivery_schedule_s) + 1))
    assert [int(pause) * UNITS_S[unit] for _, pause, unit in rows] == list(settings.delivery_schedule_s)
    said = " ".join(PAGE.split())
    for sentence in (
        f"Answer 2xx within {settings.delivery_timeout_s:g} seconds",
        f"up to {settings.delivery_jitter:.0%}".replace("%", " %") + " shorter or longer",
        f"without any success for {settings.webhook_failure_days:g} days",
        f"at least {settings.webhook_failure_attempts} failures",
        f"are held for {settings.delivery_log_days} days",
        f"the newest first, for {settings.delivery_log_days} days",
    ):
        assert sentence in said
    assert (settings.deliveries_per_webhook, settings.delivery_order_wait_s) == (8, 3_600)  # "eight", "an hour"


def session() -> list[tuple[str, str]]:
    """The commands that the page shows, with what they print."""
    parts = [part for block in blocks("console") for part in re.split(r"^\$ ", block, flags=re.MULTILINE)]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts) if command]


def normal(output: str) -> list[str]:
    """An output without what differs from run to run."""
    output = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "T" * 20, output)
    output = re.sub(r"\d\d:\d\d:\d\d ", "T ", output)
    output = re.sub(r"whsec_\S+", "whsec_…", output)
    output = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:9000", output)
    output = re.sub(r"(?<!\d)\d{13}(?!\d)", "0" * 13, output)
    return [line.rstrip() for line in output.rstrip().splitlines()]


def test_the_page_shows_what_the_command_line_really_prints(databases: Databases, tmp_path: Path) -> None:
    port = str(free_port())
    installation = Installation(databases.copy("sqlite", "migrated"), tmp_path)
    installation.settings = dict(installation.settings) | {"SHOPBELL_OUTBOUND_ALLOW": f"127.0.0.1:{port}"}
    installation.cli("organization", "create", "Acme")
    installation.cli("business", "create", "--organization", "12344", "Acme Boston")
    installation.cli("token", "create", "--organization", "12344")
    secret, heard = "", ""
    with installation.serving(poll_interval_s=0.2):
        for command, shown in session():
            words = [word.replace("9000", port).replace(SECRET, secret) for word in shlex.split(command)[1:]]
            if words[:2] == ["webhooks", "listen"]:
                listener = subprocess.Popen(
                    [sys.executable, "-m", "shopbell", *words],
                    cwd=tmp_path,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                assert listener.stderr is not None
                listener.stderr.readline()  # it listens now
                heard = shown
                continue
            if words[:2] == ["webhooks", "deliveries"]:
                _wait_until_delivered(installation)
            done = installation.run(*words)
            assert done.returncode == 0, done.stderr
            assert normal(done.stdout) == normal(shown), command
            secret = secret or re.findall(r"whsec_\S+", done.stdout)[0]
    assert listener.stdout is not None
    # It answers before it prints: the delivery may be over, and nothing be said of it yet.
    said = "".join(takewhile(lambda line: line != "\n", iter(listener.stdout.readline, "")))
    listener.terminate()
    listener.communicate(timeout=60)
    assert normal(said) == normal(heard)


def _wait_until_delivered(installation: Installation) -> None:
    deadline_s = time.monotonic() + 60
    while installation.database.value("SELECT count(*) FROM deliveries WHERE state = 'waiting'"):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
