"""``shopbell webhooks listen``: a receiver on this machine that prints deliveries and checks their signatures.

It needs neither the database nor the settings of the server.
"""

import hmac
import json as json_module
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Annotated, Any

import typer
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from shopbell.cli.output import JSON, print_json, say
from shopbell.errors import CommandError
from shopbell.runtime import clock

app = typer.Typer()

HOST = "127.0.0.1"
TOLERANCE_S = 300
BODY_MAX_BYTES = 4 * 1024 * 1024
_SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")
# Headers of every request, which say nothing about a delivery.
_ORDINARY = {"host", "content-length", "content-type", "accept-encoding", "user-agent", "connection", *_SIGNED}


@app.command("listen")
def listen(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port on 127.0.0.1. 0: any free port.")] = 9000,
    secret: Annotated[
        list[str] | None,
        typer.Option(metavar="whsec_…", help="The webhook's secret, to check signatures. Repeatable, for a rotation."),
    ] = None,
    status: Annotated[
        int, typer.Option(min=200, max=599, help="Status to respond with. Use 500 to see retries.")
    ] = 200,
    json: JSON = False,
) -> None:
    """Receive and print webhooks on this machine.

    It runs until Ctrl-C. With --json, each delivery is one line.
    """
    inspector = Inspector(_keys(secret or ()), status, json=json)
    try:
        server = _Server((HOST, port), inspector)
    except OSError as error:
        raise CommandError(f"cannot listen on {HOST}:{port}: {error.strerror}") from None
    port = server.server_address[1]
    say(f"Listening at http://{HOST}:{port}/", error=True)
    say(f"To allow deliveries to it, run the server with SHOPBELL_OUTBOUND_ALLOW={HOST}:{port}", error=True)
    if not secret:
        say("Signatures are not checked. To check them, add --secret whsec_…", error=True)
    with server:
        server.serve_forever(poll_interval=0.1)


class Inspector:
    """Checks deliveries and prints them, one at a time.

    Args:
        keys: the keys of the accepted signatures.
        status: the status to respond with.
        json: whether to print each as a line of JSON.
    """

    def __init__(self, keys: Sequence[Webhook], status: int, *, json: bool) -> None:
        self.status = status
        self._keys = keys
        self._json = json
        self._seen: set[str] = set()
        self._lock = Lock()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Check a delivery and print it.

        Args:
            path: of the request.
            headers: by name in lower case.
            body: as received.
        """
        with self._lock:
            event_id = headers.get("webhook-id", "")
            facts: dict[str, Any] = {
                "at": clock.now_ms(),
                "path": path,
                "id": event_id or None,
                "signature": self._signature(headers, body),
                "repeated": event_id in self._seen,
                "headers": {name: value for name, value in headers.items() if name not in _ORDINARY},
                "answered": self.status,
                "body": _read(body),
            }
            if event_id:
                self._seen.add(event_id)
            if self._json:
                print_json(facts, one_line=True)
            else:
                _print(facts)

    def _signature(self, headers: dict[str, str], body: bytes) -> str:
        event_id, said, signatures = (headers.get(name, "") for name in _SIGNED)
        if not (event_id and said and signatures):
            return "missing"
        if not self._keys:
            return "not checked"
        if not re.fullmatch(r"[0-9]{1,11}", said):
            return "wrong"
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return "wrong"
        # Like the client, which the server must not import. `verify` of the library cannot tell old from wrong.
        signed_at = datetime.fromtimestamp(int(said), UTC)
        expected = [key.sign(event_id, signed_at, text).encode() for key in self._keys]
        given = [signature.encode() for signature in signatures.split(" ")]
        if not any(hmac.compare_digest(one, other) for one in expected for other in given):
            return "wrong"
        age_s = time.time() - int(said)
        return "valid" if abs(age_s) <= TOLERANCE_S else "too old" if age_s > 0 else "from the future"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # On Windows this would let a second process listen on the port. Elsewhere it allows a quick restart.
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], inspector: Inspector) -> None:
        super().__init__(address, _Handler)
        self.inspector = inspector


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        """Take a delivery."""
        assert isinstance(self.server, _Server)  # noqa: S101 - `_Server` creates it
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_MAX_BYTES:
            self.close_connection = True
            self._answer(411 if not length.isdigit() else 413)
            return
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._answer(self.server.inspector.status)
        self.server.inspector.take(self.path, headers, body)

    def _answer(self, status: int) -> None:
        body = b"" if status in (204, 304) else f"{status}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Print nothing: the inspector prints deliveries."""


def _keys(secrets: Sequence[str]) -> list[Webhook]:
    try:
        return [Webhook(secret) for secret in secrets]
    except (ValueError, EmptyWebhookSecretError):
        raise typer.BadParameter("must be a webhook's secret: whsec_ and base64", param_hint="--secret") from None


def _read(body: bytes) -> Any:
    text = body.decode(errors="replace")
    try:
        return json_module.loads(text)
    except (ValueError, RecursionError):
        return text


def _print(facts: dict[str, Any]) -> None:
    at = datetime.fromtimestamp(facts["at"] / 1000, UTC).strftime("%H:%M:%S")
    notes = [f"signature {facts['signature']}", *(["repeated"] if facts["repeated"] else [])]
    body = facts["body"]
    kind = body.get("eventType", "") if isinstance(body, dict) else ""
    by = _actor(body.get("data", body)) if isinstance(body, dict) else ""
    say(" ".join(filter(None, (at, facts["path"], str(kind), by, facts["id"] or "", f"({', '.join(notes)})"))))
    for name, value in facts["headers"].items():
        say(f"  {name}: {value}")
    text = body if isinstance(body, str) else json_module.dumps(body, indent=2, ensure_ascii=False)
    for line in text.splitlines():
        say(f"  {line}")
    say("")


def _actor(data: Any) -> str:
    """Say who caused an event, such as ``by employee 12351``."""
    actor = data.get("actor") if isinstance(data, dict) else None
    if not isinstance(actor, dict):
        return ""
    return " ".join(str(part) for part in ("by", actor.get("type"), actor.get("id")) if part is not None)
