"""Requests of SMS providers need a valid, recent signature."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from harness import TESTS
from harness.hooks_app import BROKEN
from harness.installation import SECRET_KEY
from harness.processes import wait_for_end
from harness.twilio import NUMBER, SID, TOKEN, FakeTwilio, fake_twilio, signature
from harness.waiting import TIMEOUT_S
from shopbell.sms.signatures import sign

PUBLIC = "https://chat.example.org/shop"
INBOUND = "/hooks/twilio/inbound"
STATUS = "/hooks/twilio/status"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CAROL = "+16175550100"
FORM = {"MessageSid": "SM1", "From": CAROL, "To": NUMBER, "Body": "Où est mon vélo ? 100 % & more", "NumMedia": "0"}
FORM_TYPE = "application/x-www-form-urlencoded"


@dataclass
class Hooks:
    """A server with the routes for providers."""

    base: str
    log_file: Path

    def told(self) -> list[dict[str, Any]]:
        """All that was handed on."""
        told: list[dict[str, Any]] = httpx2.get(self.base + "/told", timeout=TIMEOUT_S).json()
        return told


def _serve(folder: Path, **settings: object) -> Iterator[Hooks]:
    port_file, log_file = folder / "port", folder / "log"
    own = {"SHOPBELL_DATABASE_URL": f"sqlite:///{folder}/none.db", "SHOPBELL_SECRET_KEY": SECRET_KEY}
    path = os.pathsep.join((str(TESTS), os.environ.get("PYTHONPATH", "")))
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.hooks_app", str(port_file), json.dumps({"port": 0, **settings})],
            cwd=folder,
            env=os.environ | own | {"PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    deadline_s = time.monotonic() + 30
    while not port_file.exists():
        assert process.poll() is None, log_file.read_text()
        assert time.monotonic() < deadline_s, log_file.read_text()
        time.sleep(0.02)
    yield Hooks(f"http://127.0.0.1:{port_file.read_text()}", log_file)
    process.send_signal(signal.SIGTERM)
    assert wait_for_end(process, TIMEOUT_S, log_file.read_text) == 0


@pytest.fixture(scope="module")
def at_twilio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hooks]:
    """A server whose texts go by Twilio."""
    yield from _serve(
        tmp_path_factory.mktemp("twilio"),
        sms_provider="twilio",
        twilio_account_sid=SID,
        twilio_auth_token=TOKEN,
        sms_from=NUMBER,
        public_url=PUBLIC,
        body_limit_bytes=20_000,
    )


@pytest.fixture(scope="module")
def at_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hooks]:
    """A server whose texts go by a service of the operator's own."""
    yield from _serve(
        tmp_path_factory.mktemp("service"),
        sms_provider="http",
        sms_http_url="http://127.0.0.1:9/",
        sms_http_secret=SECRET,
    )


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    """A Twilio server with the account's token."""
    with fake_twilio() as fake:
        yield fake


def _is_refused(answer: httpx2.Response) -> bool:
    return (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")


def test_an_sms_signed_by_twilio_is_stored_and_gets_an_empty_response(at_twilio: Hooks, twilio: FakeTwilio) -> None:
    media = {"NumMedia": "1", "MediaUrl0": "https://api.twilio.com/m", "MediaContentType0": "image/png"}
    answer = twilio.post(PUBLIC + INBOUND, FORM | media | {"MessageSid": "SM-media"}, at_twilio.base)
    assert (answer.status_code, answer.text) == (200, "<Response/>")
    assert answer.headers["content-type"].startswith("text/xml")
    (told,) = [told for told in at_twilio.told() if told["provider_id"] == "SM-media"]
    assert told == {
        "provider_id": "SM-media",
        "channel": "SMS",
        "sender": CAROL,
        "recipient": NUMBER,
        "text": FORM["Body"],
        "sender_name": None,
        "asked": None,
        "is_answered": False,
        "media": [["https://api.twilio.com/m", "image/png"]],
    }


def test_a_stop_word_is_recognised(at_twilio: Hooks, twilio: FakeTwilio) -> None:
    twilio.post(PUBLIC + INBOUND, FORM | {"MessageSid": "SM-stop", "Body": "Arrêt !"}, at_twilio.base)
    (told,) = [told for told in at_twilio.told() if told["provider_id"] == "SM-stop"]
    assert (told["asked"], told["is_answered"]) == (["stop", "fr"], False)


def test_a_status_report_is_matched_by_our_id(at_twilio: Hooks, twilio: FakeTwilio) -> None:
    url = f"{PUBLIC}{STATUS}?reference=12344-7"
    fields = {"MessageSid": "SM9", "MessageStatus": "undelivered", "ErrorCode": "30007", "To": CAROL}
    assert twilio.post(url, fields, at_twilio.base).status_code == 204
    assert twilio.post(url, fields | {"MessageStatus": "delivered"}, at_twilio.base).status_code == 204
    reports = [told for told in at_twilio.told() if told.get("reference") == "12344-7"]
    assert reports == [
        {"status": "failed", "reference": "12344-7", "provider_id": "SM9", "reason": "blocked"},
        {"status": "delivered", "reference": "12344-7", "provider_id": "SM9", "reason": None},
    ]


def test_an_unknown_status_is_not_an_error(at_twilio: Hooks, twilio: FakeTwilio) -> None:
    before = len(at_twilio.told())
    answer = twilio.post(PUBLIC + STATUS, {"MessageSid": "SM9", "MessageStatus": "received"}, at_twilio.base)
    assert (answer.status_code, len(at_twilio.told())) == (204, before)


def test_requests_with_invalid_signatures_are_refused(at_twilio: Hooks, twilio: FakeTwilio) -> None:
    before = at_twilio.told()
    for path in (INBOUND, STATUS):
        for url, token in (
            (PUBLIC + path, "another-token"),
            ("https://evil.example" + path, TOKEN),
            (PUBLIC.replace("https", "http") + path, TOKEN),
            (at_twilio.base + path, TOKEN),
        ):
            assert _is_refused(twilio.post(url, FORM, at_twilio.base, token=token)), url
    assert at_twilio.told() == before


def test_a_request_changed_after_signing_is_refused(at_twilio: Hooks) -> None:
    before = at_twilio.told()
    url = f"{PUBLIC}{STATUS}?reference=12344-7"
    right = signature(TOKEN, url, {"MessageSid": "SM9", "MessageStatus": "sent"})
    content = b"MessageSid=SM9&MessageStatus=sent"
    for place, body, headers in (
        (STATUS + "?reference=12344-8", content, {"X-Twilio-Signature": right}),
        (STATUS, content, {"X-Twilio-Signature": right}),
        (STATUS + "?reference=12344-7", content.replace(b"sent", b"read"), {"X-Twilio-Signature": right}),
        (STATUS + "?reference=12344-7", content + b"&MessageStatus=read", {"X-Twilio-Signature": right}),
        (STATUS + "?reference=12344-7", content, {}),
        (STATUS + "?reference=12344-7", content, {"X-Twilio-Signature": ""}),
        (STATUS + "?reference=12344-7", b"\xff\xfe", {"X-Twilio-Signature": right}),
        (STATUS + "?reference=12344-7", b"&".join([b"a=1"] * 300), {"X-Twilio-Signature": right}),
        (STATUS + "?reference=12344-7", b"", {"X-Twilio-Signature": right}),
    ):
        headers = {"Content-Type": FORM_TYPE, **headers}
        answer = httpx2.post(at_twilio.base + place, content=body, headers=headers, timeout=TIMEOUT_S)
        assert _is_refused(answer), place
    for content_type in ("application/json", "multipart/form-data; boundary=x", ""):
        headers = {"Content-Type": content_type, "X-Twilio-Signature": right}
        url = at_twilio.base + STATUS + "?reference=12344-7"
        answer = httpx2.post(url, content=content, headers=headers, timeout=TIMEOUT_S)
        assert _is_refused(answer), content_type
    assert at_twilio.told() == before


def test_a_body_over_the_limit_is_not_read(at_twilio: Hooks, twilio: FakeTwilio) -> None:
    answer = twilio.post(PUBLIC + INBOUND, FORM | {"Body": "x" * 30_000}, at_twilio.base)
    assert answer.status_code == 413


def test_after_a_storage_failure_twilio_is_told_to_retry(at_twilio: Hooks, twilio: FakeTwilio) -> None:
    answer = twilio.post(PUBLIC + INBOUND, FORM | {"Body": BROKEN}, at_twilio.base)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/temporarily-unavailable")


def post_signed(
    hooks: Hooks, path: str, document: object, *, secret: str = SECRET, off_s: int = 0, **headers: str
) -> httpx2.Response:
    """Post a body as the service does."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    signed = sign(secret, "msg-1", int(time.time()) + off_s, body) if b"\xff" not in body else {}
    all_headers = {"Content-Type": "application/json", **signed, **headers}
    return httpx2.post(hooks.base + path, content=body, headers=all_headers, timeout=TIMEOUT_S)


def test_an_operators_service_delivers_texts_and_status_reports(at_service: Hooks) -> None:
    media = [{"url": "https://sms.example/m", "contentType": "image/png"}]
    text = {"id": "in-1", "from": CAROL, "to": "12345", "text": "baja", "channel": "WHATSAPP", "senderName": " Carol "}
    answer = post_signed(at_service, "/hooks/texts/inbound", text | {"media": media, "unknown": 1})
    assert (answer.status_code, answer.json()) == (200, {"result": "ok"})
    status = {"id": "12344-7", "providerId": "m-1", "status": "failed", "reason": "unreachable"}
    assert post_signed(at_service, "/hooks/texts/status", status).status_code == 200
    assert post_signed(at_service, "/hooks/texts/status", {"providerId": "m-2", "status": "read"}).status_code == 200
    other = {"id": "12344-8", "status": "failed", "reason": "canary of theirs"}
    assert post_signed(at_service, "/hooks/texts/status", other).status_code == 200
    assert at_service.told() == [
        {
            "provider_id": "in-1",
            "channel": "WHATSAPP",
            "sender": CAROL,
            "recipient": "12345",
            "text": "baja",
            "sender_name": "Carol",
            "asked": ["stop", "es"],
            "is_answered": False,
            "media": [["https://sms.example/m", "image/png"]],
        },
        {"status": "failed", "reference": "12344-7", "provider_id": "m-1", "reason": "unreachable"},
        {"status": "read", "reference": None, "provider_id": "m-2", "reason": None},
        {"status": "failed", "reference": "12344-8", "provider_id": None, "reason": "rejected"},
    ]


def test_errors_are_explained_only_to_signed_requests(at_service: Hooks) -> None:
    before = at_service.told()
    right = {"id": "in-2", "from": CAROL, "to": NUMBER, "text": "Hello"}
    for path in ("/hooks/texts/inbound", "/hooks/texts/status"):
        for document in (right, {}, b"no JSON", b"\xff"):
            assert _is_refused(post_signed(at_service, path, document, secret="whsec_" + "A" * 32))
            assert _is_refused(post_signed(at_service, path, document, off_s=-400))
            assert _is_refused(post_signed(at_service, path, document, off_s=400))
            assert _is_refused(post_signed(at_service, path, document, **{"webhook-id": "msg-2"}))
            assert _is_refused(httpx2.post(at_service.base + path, json=right, timeout=TIMEOUT_S))
    assert at_service.told() == before


@pytest.mark.parametrize(
    ("path", "changes", "place", "code"),
    [
        ("inbound", {"text": None, "id": ""}, "#/text", "blank"),
        ("inbound", {"text": " ", "media": [], "to": None}, "#/text", "blank"),
        ("status", {"id": None, "status": "gone"}, "#/id", "required"),
        ("inbound", {"id": ""}, "#/id", "blank"),
        ("inbound", {"id": None}, "#/id", "required"),
        ("inbound", {"id": "x" * 201}, "#/id", "too_long"),
        ("inbound", {"from": "Acme"}, "#/from", "invalid_phone_number"),
        ("inbound", {"to": "+1617555010²"}, "#/to", "invalid_phone_number"),
        ("inbound", {"to": None}, "#/to", "required"),
        ("inbound", {"text": "  "}, "#/text", "blank"),
        ("inbound", {"text": "a\0"}, "#/text", "invalid_character"),
        ("inbound", {"text": "x" * 10_001}, "#/text", "too_long"),
        ("inbound", {"channel": "FAX"}, "#/channel", "invalid_value"),
        ("inbound", {"media": [{"url": "http://a.example", "contentType": "a/b"}]}, "#/media/0/url", "invalid_format"),
        ("inbound", {"media": [{}] * 11}, "#/media", "too_long"),
        ("status", {"status": "gone"}, "#/status", "invalid_value"),
        ("status", {"id": None}, "#/id", "required"),
    ],
)
def test_each_error_in_a_signed_body_has_a_pointer_and_a_code(
    at_service: Hooks, path: str, changes: dict[str, Any], place: str, code: str
) -> None:
    right = {"id": "in-3", "from": CAROL, "to": NUMBER, "text": "Hello", "status": "sent"}
    answer = post_signed(at_service, f"/hooks/texts/{path}", right | changes)
    assert answer.status_code == 400
    assert (place, code) in [(fault.get("pointer"), fault["code"]) for fault in answer.json()["errors"]]
    assert CAROL not in answer.text


def test_null_means_an_absent_field(at_service: Hooks) -> None:
    said = {"id": "in-4", "from": CAROL, "to": NUMBER, "text": "Hello", "channel": None, "senderName": None}
    assert post_signed(at_service, "/hooks/texts/inbound", said).status_code == 200
    media = [{"url": "https://sms.example/m", "contentType": "image/png"}]
    shown = {"id": "in-5", "from": CAROL, "to": NUMBER, "text": None, "media": media}
    assert post_signed(at_service, "/hooks/texts/inbound", shown).status_code == 200
    assert [(told["channel"], told["text"]) for told in at_service.told()[-2:]] == [("SMS", "Hello"), ("SMS", "")]


def test_a_signed_body_that_is_not_json_is_an_error(at_service: Hooks) -> None:
    answer = post_signed(at_service, "/hooks/texts/inbound", b"{")
    assert answer.json()["errors"][0]["code"] == "malformed_json"
    right = {"id": "in-3", "from": CAROL, "to": NUMBER, "text": "Hello"}
    answer = post_signed(at_service, "/hooks/texts/inbound", right, **{"Content-Type": "text/plain"})
    assert answer.json()["errors"][0]["code"] == "unsupported_media_type"


def test_after_a_storage_failure_the_service_is_told_to_retry(at_service: Hooks) -> None:
    text = {"id": "in-4", "from": CAROL, "to": NUMBER, "text": BROKEN}
    assert post_signed(at_service, "/hooks/texts/inbound", text).status_code == 503


def test_only_the_configured_provider_has_a_route(at_twilio: Hooks, at_service: Hooks, twilio: FakeTwilio) -> None:
    text = {"id": "in-5", "from": CAROL, "to": NUMBER, "text": "Hello"}
    assert post_signed(at_twilio, "/hooks/texts/inbound", text).status_code == 404
    assert twilio.post(PUBLIC + INBOUND, FORM, at_service.base).status_code == 404
    assert httpx2.get(at_twilio.base + INBOUND, timeout=TIMEOUT_S).status_code in (404, 405)


def test_logs_contain_no_number_text_or_token(at_twilio: Hooks, at_service: Hooks, twilio: FakeTwilio) -> None:
    twilio.post(PUBLIC + INBOUND, FORM, at_twilio.base)
    twilio.post(PUBLIC + INBOUND, FORM, at_twilio.base, token="another-token")
    post_signed(
        at_service, "/hooks/texts/inbound", {"id": "in-6", "from": CAROL, "to": NUMBER, "text": "Hello, it is me"}
    )
    for hooks in (at_twilio, at_service):
        log = hooks.log_file.read_text()
        assert not [part for part in (CAROL, CAROL[1:], "vélo", "it is me", TOKEN, SECRET) if part in log]
