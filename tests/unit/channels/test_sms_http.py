"""SMS through the operator's HTTP service, or into a folder."""

import asyncio
import json
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from harness import ROOT
from harness.ports import free_port
from harness.receivers import Behaviour, Receiver, answering, hang, reset
from shopbell.channels.sms.folder import KEPT
from shopbell.channels.sms.providers import open_texts
from shopbell.errors import SettingsError
from shopbell.notifications.outcomes import Outcome, Refused, Sent, TryLater, Unknown
from shopbell.settings.settings import load
from shopbell.sms.error_codes import KNOWN, TEMPORARY
from shopbell.sms.outgoing import OutgoingText
from shopbell_client.signatures import verify_webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CAROL = "+16175550100"
HELLO = "Où est mon vélo ? 🚲"
BEARER = "Bearer canary-header"


def text(**changes: Any) -> OutgoingText:
    """A text to Carol."""
    given: dict[str, Any] = {"reference": "12344-7", "channel": "SMS", "to": CAROL, "text": HELLO} | changes
    return OutgoingText(**given)


def answer(status: int, body: bytes = b"", *headers: bytes) -> Behaviour:
    """Answer so."""
    head = b"HTTP/1.1 %d Whatever\r\nContent-Length: %d\r\n" % (status, len(body))
    return answering(head + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body)


def send(behaviour: Behaviour, item: OutgoingText | None = None, **settings: Any) -> tuple[Outcome, list[bytes]]:
    """What comes of a text, and what the service received."""

    async def run() -> tuple[Outcome, list[bytes]]:
        receiver = Receiver(behaviour)
        async with receiver.listening():
            given = _settings(f"http://127.0.0.1:{receiver.port}/texts?tenant=1") | settings
            channel = open_texts(load(**given))
            assert channel is not None
            try:
                outcome = await channel.send(item or text())
            finally:
                await channel.close()
        return outcome, receiver.requests

    return asyncio.run(run())


def _settings(url: str) -> dict[str, Any]:
    return {
        "sms_provider": "http",
        "sms_http_url": url,
        "sms_http_secret": SECRET,
        "sms_from": "+15005550006",
        "whatsapp_from": "+15005550007",
        "delivery_timeout_s": 5,
    }


def _read(request: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}, body


def test_an_sms_is_one_post_with_the_operators_headers_and_our_signature() -> None:
    outcome, (request,) = send(answer(200), sms_http_headers=json.dumps({"Authorization": BEARER}))
    assert outcome == Sent(None)
    first, headers, body = _read(request)
    assert first == "POST /texts?tenant=1 HTTP/1.1"
    assert headers["authorization"] == BEARER
    assert headers["webhook-id"] == "12344-7"
    assert json.loads(body) == {
        "id": "12344-7",
        "channel": "SMS",
        "to": CAROL,
        "from": "+15005550006",
        "text": HELLO,
    }
    verify_webhook(body, headers, SECRET)


def test_whatsapp_templates_and_files_are_sent_with_the_text() -> None:
    item = text(
        channel="WHATSAPP", content_sid="HX1", content_variables={"1": "Carol"}, media_urls=["https://a.example/b"]
    )
    _, (request,) = send(answer(202), item)
    assert json.loads(_read(request)[2]) == {
        "id": "12344-7",
        "channel": "WHATSAPP",
        "to": CAROL,
        "from": "+15005550007",
        "text": HELLO,
        "contentSid": "HX1",
        "contentVariables": {"1": "Carol"},
        "mediaUrls": ["https://a.example/b"],
    }


def test_a_business_sends_from_its_own_number_or_the_service_chooses_one() -> None:
    _, (own,) = send(answer(200), text(sender="+15005550999"))
    _, (none,) = send(answer(200), sms_from=None)
    assert json.loads(_read(own)[2])["from"] == "+15005550999"
    assert json.loads(_read(none)[2])["from"] is None


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (answer(200, b'{"id": "m-1"}'), Sent("m-1")),
        (answer(204), Sent(None)),
        (answer(200, b"[" * 10_000), Sent(None)),
        (answer(200, b'{"id": 7}'), Sent(None)),
        (answer(200, json.dumps({"id": "a\0"}).encode()), Sent(None)),
        (answer(302, b"", b"Location: http://127.0.0.1:1/"), TryLater("unexpected_answer", 300)),
        (answer(400), Refused("rejected")),
        (answer(422, b'{"reason": "opted_out"}'), Refused("opted_out")),
        (answer(422, b'{"reason": "canary"}'), Refused("rejected")),
        (answer(422, b'{"reason": ["opted_out"]}'), Refused("rejected")),
        (answer(403, b'{"reason": "account_inactive"}'), TryLater("account_inactive", 300)),
        (answer(401), TryLater("credentials_refused", 300)),
        (answer(429, b"", b"Retry-After: 9"), TryLater("busy", 9)),
        (answer(503), TryLater("busy", None)),
        (answer(500), Unknown("http_500")),
        (answer(502, b"Bad Gateway"), Unknown("http_502")),
        (answering(b"220 mail.example ESMTP\r\n"), Unknown("protocol_error")),
        (reset, Unknown("connection_lost")),
    ],
)
def test_each_status_code_means_what_the_documentation_says(behaviour: Behaviour, outcome: Outcome) -> None:
    came, requests = send(behaviour)
    assert came == outcome
    assert len(requests) == 1


def test_a_timeout_leaves_the_outcome_unknown() -> None:
    assert send(hang, delivery_timeout_s=1.5)[0] == Unknown("timeout")


@pytest.mark.parametrize("behaviour", [answer(500), reset])
def test_an_sms_of_unknown_outcome_is_retried_only_if_the_service_deduplicates(behaviour: Behaviour) -> None:
    assert isinstance(send(behaviour)[0], Unknown)
    assert isinstance(send(behaviour, sms_http_deduplicates=True)[0], TryLater)


def test_an_unreachable_service_is_retried_later() -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    assert send(answer(200), sms_http_url=url)[0] == TryLater("connect_refused")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "x"},
        {"Content-Type": "text/plain"},
        {"webhook-id": "x"},
        {"A B": "canary"},
        {"A": "canary\r\nB: 1"},
        {"A": ""},
    ],
)
def test_a_forbidden_header_is_reported_at_startup(headers: dict[str, str]) -> None:
    given = _settings("http://127.0.0.1:9/") | {"sms_http_headers": json.dumps(headers)}
    with pytest.raises(SettingsError) as caught:
        open_texts(load(**given))
    assert str(caught.value).startswith("SHOPBELL_SMS_HTTP_HEADERS: each must ")
    assert "canary" not in str(caught.value)


def test_logs_contain_no_number_text_or_header() -> None:
    with structlog.testing.capture_logs() as logged:
        for behaviour in (answer(401, b"canary"), answer(500, b"canary"), answer(302)):
            send(behaviour, sms_http_headers=json.dumps({"Authorization": BEARER}))
    assert len(logged) == 2
    assert not [part for part in (CAROL, HELLO, "canary", SECRET) if part in repr(logged)]


def test_the_documented_reasons_are_complete() -> None:
    page = (ROOT / "docs" / "sms.md").read_text()
    assert [reason for reason in sorted(KNOWN) if f"`{reason}`" not in page] == []
    assert TEMPORARY < KNOWN


def _into_folder(folder: Path, count: int, item: Callable[[int], OutgoingText]) -> list[Outcome]:
    async def run() -> list[Outcome]:
        channel = open_texts(load(sms_provider="folder", mail_outbox=folder, sms_from="Acme"))
        assert channel is not None
        outcomes = [await channel.send(item(number)) for number in range(count)]
        await channel.close()
        return outcomes

    return asyncio.run(run())


def test_in_development_an_sms_is_a_file_readable_by_its_owner_only(tmp_path: Path) -> None:
    (outcome,) = _into_folder(tmp_path / "data" / "outbox", 1, lambda _: text())
    (file,) = (tmp_path / "data" / "outbox").iterdir()
    assert isinstance(outcome, Sent)
    assert file.name == f"{outcome.provider_id}.txt.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    said = json.loads(file.read_text())
    assert abs(said.pop("at") - time.time() * 1_000) < 60_000
    assert said == {"id": "12344-7", "channel": "SMS", "to": CAROL, "from": "Acme", "text": HELLO}


def test_the_folder_keeps_the_newest_texts_and_all_other_files(tmp_path: Path) -> None:
    for number in range(KEPT):
        (tmp_path / f"16000000{number:05d}-1-{number}.txt.json").write_text("{}")
    (tmp_path / "0000.eml").write_text("a mail")
    _into_folder(tmp_path, 2, lambda number: text(reference=f"12344-{number}"))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[0] == "0000.eml"
    assert len(names) == KEPT + 1
    assert names[1] == "1600000000002-1-2.txt.json"
    assert names[-1].endswith("-12344-1.txt.json")


def test_without_a_provider_there_is_no_channel() -> None:
    assert open_texts(load()) is None
