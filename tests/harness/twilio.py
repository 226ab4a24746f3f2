"""A Twilio server for tests that refuses and signs as documented.

It has its own code for signatures, from the documentation, so that the tests do not use the server's code.
"""

import base64
import hashlib
import hmac
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal, cast
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

from harness.http_threads import serving
from harness.waiting import TIMEOUT_S

SID = "AC" + "0123456789abcdef" * 2
TOKEN = "canary-twilio-token"
NUMBER = "+15005550006"
WHATSAPP = "+15005550007"
SERVICE = "MG" + "fedcba9876543210" * 2

Scripted = Literal["hang", "drop", "reset-unread", "html-500", "503", "429", "redirect", "garbage", "suspended"]


@dataclass(frozen=True)
class Received:
    """One form that came, with what names its sender."""

    path: str
    headers: dict[str, str]
    form: dict[str, list[str]]

    def __getitem__(self, name: str) -> str:
        (value,) = self.form[name]
        return value


@dataclass
class FakeTwilio:
    """What it has taken, and how it behaves."""

    port: int = 0
    token: str = TOKEN
    received: list[Received] = field(default_factory=list)
    script: list[Scripted] = field(default_factory=list)
    """What it does with the next requests, one each; after that it is itself again."""
    opted_out: set[str] = field(default_factory=set)
    closed_windows: set[str] = field(default_factory=set)
    released: threading.Event = field(default_factory=threading.Event)
    connections: int = 0
    media: dict[str, str] = field(default_factory=dict)
    """Where it redirects to, by the id of a file."""
    asked_for: list[str] = field(default_factory=list)
    """The ids of the files that it was asked for with the account's credentials."""

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self.port}"

    def media_url(self, media_id: str, location: str) -> str:
        """The URL of a file that is really elsewhere, as it stands in a webhook."""
        self.media[media_id] = location
        return f"{self.url}/2010-04-01/Accounts/{SID}/Messages/MM{'0' * 32}/Media/{media_id}"

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request has the account's credentials."""
        expected = "Basic " + base64.b64encode(f"{SID}:{self.token}".encode()).decode()
        return hmac.compare_digest(headers.get("authorization", ""), expected)

    def judge(self, received: Received) -> tuple[int, dict[str, Any]]:
        """Status and body for a form, as documented."""
        if not self.knows(received.headers):
            return _refusal(401, 20003, "Authenticate")
        if received.path != f"/2010-04-01/Accounts/{SID}/Messages.json":
            return _refusal(404, 20404, "The requested resource was not found")
        code = self._fault(received.form)
        if code is not None:
            return _refusal(400, code, f"Refused: {received.form.get('To')} {received.form.get('Body')}")
        channel = "WA" if received["To"].startswith("whatsapp:") else "SM"
        message = {
            "sid": channel.replace("WA", "SM") + hashlib.md5(str(len(self.received)).encode()).hexdigest(),
            "account_sid": SID,
            "status": "accepted" if "MessagingServiceSid" in received.form else "queued",
            "to": received["To"],
            "from": received.form.get("From", [None])[0],
            "messaging_service_sid": received.form.get("MessagingServiceSid", [None])[0],
            "body": received.form.get("Body", [""])[0],
            "num_segments": "1",
            "error_code": None,
            "error_message": None,
            "direction": "outbound-api",
        }
        return 201, message

    def _fault(self, form: dict[str, list[str]]) -> int | None:
        to = form.get("To", [""])[0]
        number = to.removeprefix("whatsapp:")
        sender = form.get("From", [""])[0]
        body = form.get("Body", [""])[0]
        variables = form.get("ContentVariables", ["{}"])[0]
        is_whatsapp = to.startswith("whatsapp:")
        faults = {
            21604: not to,
            21211: not re.fullmatch(r"\+[1-9][0-9]{6,14}", number) or number.startswith("+1500555000"),
            21603: not sender and "MessagingServiceSid" not in form,
            21606: bool(sender) and not is_whatsapp and sender not in (NUMBER, "Acme Bikes"),
            63007: is_whatsapp and sender != f"whatsapp:{WHATSAPP}",
            21619: not body and "ContentSid" not in form and "MediaUrl" not in form,
            21617: len(body) > 1_600,
            21656: not _is_object(variables),
            21609: "StatusCallback" in form and not urlsplit(form["StatusCallback"][0]).netloc,
            21610: number in self.opted_out,
            63016: is_whatsapp and "ContentSid" not in form and number in self.closed_windows,
        }
        return next((code for code, is_wrong in faults.items() if is_wrong), None)

    def callback(
        self, received: Received, sid: str, status: str, base: str, *, token: str = "", **more: str
    ) -> httpx2.Response:
        """Tell what became of a message, at the address that came with it; ``base`` is where that is really."""
        fields = {
            "MessageSid": sid,
            "SmsSid": sid,
            "SmsStatus": status,
            "MessageStatus": status,
            "To": received["To"],
            "AccountSid": SID,
            "ApiVersion": "2010-04-01",
            **more,
        }
        return self.post(received["StatusCallback"], fields, base, token=token)

    def post(self, url: str, fields: dict[str, str], base: str, *, token: str = "") -> httpx2.Response:
        """Post a form that is signed for a public address to where a proxy there would hand it on."""
        parts = urlsplit(url)
        place = parts.path[parts.path.index("/hooks/") :] + (f"?{parts.query}" if parts.query else "")
        return httpx2.post(
            base + place,
            content=urlencode(fields).encode(),
            headers={
                "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
                "X-Twilio-Signature": signature(token or self.token, url, fields),
                "I-Twilio-Idempotency-Token": "0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6f",
                "User-Agent": "TwilioProxy/1.1",
            },
            timeout=TIMEOUT_S,
        )


def signature(token: str, url: str, fields: dict[str, str]) -> str:
    """The URL, then each parameter's name and value in the order of the names; HMAC-SHA1, base64."""
    data = url
    for name in sorted(fields):
        data += name + fields[name]
    return base64.b64encode(hmac.new(token.encode(), data.encode(), hashlib.sha1).digest()).decode()


@contextmanager
def fake_twilio() -> Iterator[FakeTwilio]:
    """A Twilio that listens on loopback while the block runs."""
    fake = FakeTwilio()

    class Handler(_Handler):
        twilio = fake

    with serving(Handler, fake.released.set) as fake.port:
        yield fake


class _Handler(BaseHTTPRequestHandler):
    twilio: FakeTwilio
    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_POST(self) -> None:
        """Take a form."""
        twilio = self.twilio
        twilio.connections += 1
        act = twilio.script.pop(0) if twilio.script else None
        connection = cast("socket.socket", self.connection)
        if act == "reset-unread":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = Received(self.path, headers, parse_qs(body, keep_blank_values=True, strict_parsing=True))
        assert headers["content-type"] == "application/x-www-form-urlencoded"
        twilio.received.append(received)
        match act:
            case "hang":
                twilio.released.wait(20)
                self.close_connection = True
            case "drop":
                self.close_connection = True
            case "html-500":
                self._answer(500, b"<html>Something broke</html>", "text/html")
            case "503":
                self._answer_json(*_refusal(503, 20503, "Service unavailable"))
            case "429":
                self._answer_json(*_refusal(429, 20429, "Too Many Requests"), retry_after="7")
            case "redirect":
                self._answer(307, b"", "text/html", location=f"{twilio.url}/elsewhere")
            case "garbage":
                self._answer(201, b"[1, 2", "application/json")
            case "suspended":
                self._answer_json(*_refusal(403, 20005, "Account not active"))
            case None:
                self._answer_json(*twilio.judge(received))

    def do_GET(self) -> None:
        """Redirect to a file."""
        media_id = self.path.rpartition("/")[2]
        if not self.twilio.knows({name.lower(): value for name, value in self.headers.items()}):
            self._answer_json(*_refusal(401, 20003, "Authenticate"))
        elif media_id not in self.twilio.media:
            self._answer_json(*_refusal(404, 20404, "The requested resource was not found"))
        else:
            self.twilio.asked_for.append(media_id)
            self._answer(307, b"", "application/xml", location=self.twilio.media[media_id])

    def _answer_json(self, status: int, document: dict[str, Any], **headers: str) -> None:
        self._answer(status, json.dumps(document).encode(), "application/json", **headers)

    def _answer(self, status: int, body: bytes, content_type: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Write nothing."""


def _refusal(status: int, code: int, message: str) -> tuple[int, dict[str, Any]]:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return status, {"code": code, "message": message, "more_info": more, "status": status}


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
