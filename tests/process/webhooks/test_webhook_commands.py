"""``shopbell webhooks`` and its test receiver."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from standardwebhooks import Webhook

from harness.installation import Database, Installation
from harness.ports import free_port
from harness.shop import Shop
from harness.world import World

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
CANARY = "canaryheadervalue"
BODY = '{"eventType": "webhook-test", "timestamp": 1, "data": {}}'


@dataclass
class Listener:
    """A running ``shopbell webhooks listen``."""

    process: "subprocess.Popen[str]"
    url: str

    def post(self, body: str = BODY, headers: dict[str, str] | None = None) -> httpx2.Response:
        with httpx2.Client(trust_env=False, verify=False) as client:
            return client.post(f"{self.url}hook?x=1", content=body.encode(), headers=headers or {})

    def printed(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line: dict[str, Any] = json.loads(self.process.stdout.readline())
        return line

    def printed_block(self) -> list[str]:
        """The lines of the next delivery, which a blank line ends."""
        assert self.process.stdout is not None
        block = []
        while (line := self.process.stdout.readline()) != "\n":
            assert line, "it has ended"
            block.append(line.rstrip("\n"))
        return block

    def end(self) -> str:
        self.process.send_signal(signal.SIGINT)
        output, errors = self.process.communicate(timeout=60)
        assert (self.process.returncode, errors) == (130, "")
        return output


@contextmanager
def listening(folder: Path, *arguments: str, port: int = 0) -> Iterator[Listener]:
    command = [sys.executable, "-m", "shopbell", "webhooks", "listen", "--port", str(port), *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=folder, text=True, **pipes) as process:
        try:
            assert process.stderr is not None
            url = process.stderr.readline().split()[-1]
            assert process.stderr.readline().strip().endswith(f"SHOPBELL_OUTBOUND_ALLOW={url[7:-1]}")
            if "--secret" not in arguments:
                assert "not checked" in process.stderr.readline()
            yield Listener(process, url)
        finally:
            process.kill()


def signed(body: str = BODY, *, secret: str = SECRET, event_id: str = "evt_1", age_s: float = 0) -> dict[str, str]:
    at = datetime.fromtimestamp(int(time.time() - age_s), UTC)
    signature = Webhook(secret).sign(event_id, at, body)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
        "X-Shop": "Boston",
    }


def test_the_receiver_says_whether_a_signature_is_valid(tmp_path: Path) -> None:
    with listening(tmp_path, "--secret", OTHER, "--secret", SECRET, "--json") as listener:
        both = {"webhook-signature": " ".join(signed(secret=key)["webhook-signature"] for key in (OTHER, SECRET))}
        calls = [
            ("valid", signed()),
            ("valid", signed(secret=OTHER)),
            ("valid", signed() | both),
            ("missing", {}),
            ("missing", {name: value for name, value in signed().items() if name != "webhook-timestamp"}),
            ("wrong", signed(BODY + " ")),
            ("wrong", signed() | {"webhook-id": "evt_2"}),
            ("wrong", signed() | {"webhook-signature": "v1,nonsense v2,"}),
            ("wrong", signed() | {"webhook-timestamp": "yesterday"}),
            ("wrong", signed(secret="whsec_" + "A" * 32)),
            ("too old", signed(age_s=301)),
            ("from the future", signed(age_s=-900)),
        ]
        for expected, headers in calls:
            answer = listener.post(headers=headers)
            assert (answer.status_code, answer.text) == (200, "200\n")
            assert listener.printed()["signature"] == expected, headers
        assert listener.end() == ""


def test_the_receiver_prints_a_delivery_as_one_line_for_programs(tmp_path: Path) -> None:
    with listening(tmp_path, "--json", "--status", "503") as listener:
        for repeated in (False, True):
            assert listener.post(headers=signed()).status_code == 503
            line = listener.printed()
            at = line.pop("at")
            assert abs(at - time.time() * 1000) < 60_000
            assert {name: line["headers"].pop(name) for name in ("accept",)} == {"accept": "*/*"}
            assert line == {
                "path": "/hook?x=1",
                "id": "evt_1",
                "signature": "not checked",
                "repeated": repeated,
                "headers": {"x-shop": "Boston"},
                "answered": 503,
                "body": json.loads(BODY),
            }
        listener.post("no JSON\x1b[2J")
        assert listener.printed()["body"] == "no JSON\x1b[2J"


def test_the_receiver_prints_a_readable_block_without_control_characters(tmp_path: Path) -> None:
    with listening(tmp_path, "--secret", SECRET) as listener:
        data = '"messageBody": "Bonjour \\u001b[2J é", "actor": {"type": "employee", "id": 7}'
        body = f'{{"eventType": "message", "data": {{{data}}}}}'
        # It answers before it prints: each block is waited for, or Ctrl-C would be quicker than the last.
        listener.post(body, signed(body))
        first = listener.printed_block()
        listener.post("\x1b]0;title\x07", signed(age_s=9_000))
        second = listener.printed_block()
        assert listener.end() == ""
    assert first[0].endswith(" /hook?x=1 message by employee 7 evt_1 (signature valid)")
    assert "  x-shop: Boston" in first
    assert '    "eventType": "message",' in first
    assert "Bonjour \\u001b[2J é" in "\n".join(first)
    assert second[0].endswith(" /hook?x=1 evt_1 (signature wrong, repeated)")
    assert "\x1b" not in "\n".join(first + second)


def test_the_receiver_reports_errors_in_its_command_line(tmp_path: Path) -> None:
    nowhere = Installation(Database("sqlite:////nowhere/at/all.db"), tmp_path)
    wrong = nowhere.run("webhooks", "listen", "--secret", "hunter2-é")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "hunter2" not in wrong.stderr
    assert "whsec_" in wrong.stderr
    with listening(tmp_path) as listener:
        port = listener.url.rpartition(":")[2].strip("/")
        taken = nowhere.run("webhooks", "listen", "--port", port)
    assert taken.returncode == 1
    assert taken.stderr.startswith(f"shopbell: cannot listen on 127.0.0.1:{port}: ")


def test_a_webhook_created_on_the_command_line_gets_events(
    installation: Installation, people: World, tmp_path: Path
) -> None:
    port = free_port()
    allow = {"SHOPBELL_OUTBOUND_ALLOW": f"127.0.0.1:{port}"}
    installation.settings = dict(installation.settings) | allow
    with installation.serving(poll_interval_s=0.2, delivery_schedule_s="0,0.1,0.1") as server:
        shop = Shop(server, people)
        create = ("webhooks", "create", "--organization", people.acme, f"http://127.0.0.1:{port}/hook")
        made = with_input(installation, f"Bearer {CANARY}\n", *create, "--header", "Authorization")
        webhook_id = made["id"]
        assert made["extraHeaders"] == [{"name": "Authorization", "set": True}]
        new = installation.cli("webhooks", "rotate-secret", webhook_id)["secret"]
        with listening(tmp_path, "--secret", made["secret"], "--secret", new, "--json", port=port) as listener:
            test_id = installation.cli("webhooks", "test", webhook_id)["deliveryId"]
            line = listener.printed()
            assert (line["body"]["eventType"], line["signature"]) == ("webhook-test", "valid")
            assert line["headers"]["authorization"] == f"Bearer {CANARY}"
            thread_id = shop.send(message="Where is my order?")
            line = listener.printed()
            assert line["body"]["data"]["messageBody"] == "Where is my order?"
            message_id = line["id"]
            _wait_until_settled(installation.database, "delivered", 2)
            delivered, test = installation.cli("webhooks", "deliveries", webhook_id)
            assert (delivered["threadId"], delivered["state"], test["id"]) == (thread_id, "delivered", test_id)
            assert installation.cli("webhooks", "replay", webhook_id, delivered["id"])["replayed"] == 1
            line = listener.printed()
            assert (line["id"], line["repeated"], line["signature"]) == (message_id, True, "valid")
        with listening(tmp_path, "--secret", new, "--status", "500", "--json", port=port) as listener:
            shop.send(message="Hello?")
            assert len({listener.printed()["id"] for _ in range(3)}) == 1
            _wait_until_settled(installation.database, "exhausted", 1)
        (failed,) = installation.cli("webhooks", "deliveries", webhook_id, "--state", "exhausted")
        shown = installation.cli("webhooks", "delivery", webhook_id, failed["id"])
        assert [(each["status"], each["answer"]) for each in shown["attemptLog"]] == [(500, "500\n")] * 3
        assert "500" in installation.run("webhooks", "delivery", webhook_id, failed["id"]).stdout
        with listening(tmp_path, "--secret", new, "--json", port=port) as listener:
            assert installation.cli("webhooks", "replay", webhook_id, "--since", "2020-01-01") == {
                "replayed": 1,
                "more": False,
            }
            assert listener.printed()["body"]["data"]["messageBody"] == "Hello?"
        assert CANARY not in server.log
        assert made["secret"] not in server.log


def test_webhooks_are_managed_by_the_operator(shops: Callable[..., Shop], engine: str) -> None:
    shop = shops(engine, run_worker=False)
    installation = shop.server.installation
    url = "https://receiver.example/hook"
    create = ("webhooks", "create", "--organization", shop.world.acme, url, "--event", "transfers", "--disabled")
    made = installation.cli(*create, "--payload-version", "flat")
    assert made.pop("secret").startswith("whsec_")
    expected = {
        "organizationId": shop.world.acme,
        "url": url,
        "enabled": False,
        "subscribedEvents": ["transfers"],
        "payloadVersion": "flat",
        "extraHeaders": [],
        "failingSince": None,
        "disabledReason": None,
        "oldSecretExpiresAt": None,
    }
    webhook_id = made["id"]
    assert made == expected | {"id": webhook_id, "createdAt": made["createdAt"]}
    changed = installation.cli("webhooks", "update", webhook_id, "--enable", "--event", "messages")
    assert changed == made | {"enabled": True, "subscribedEvents": ["messages"]}
    with_header = with_input(installation, "secret\n", "webhooks", "update", webhook_id, "--header", "X-Shop")
    assert with_header == changed | {"extraHeaders": [{"name": "X-Shop", "set": True}]}
    assert installation.cli("webhooks", "show", webhook_id) == with_header
    assert installation.cli("webhooks", "update", webhook_id, "--no-headers") == changed
    assert changed in installation.cli("webhooks", "list")
    assert installation.cli("webhooks", "list", "--organization", shop.world.globex) == []
    assert url in installation.run("webhooks", "list").stdout
    assert installation.cli("webhooks", "delete", webhook_id) == {"id": webhook_id, "deleted": True}
    gone = installation.run("webhooks", "show", webhook_id)
    assert gone.stderr == f"shopbell: there is no webhook {webhook_id}; `shopbell webhooks list` shows them\n"
    sql = "SELECT action, actor FROM audit_entries WHERE subject = :subject ORDER BY id"
    entries = shop.database.rows(sql, subject=f"webhook {webhook_id}")
    assert [entry["action"] for entry in entries] == ["webhook.create", *["webhook.update"] * 3, "webhook.delete"]
    assert {entry["actor"] for entry in entries} == {"command line"}


def test_an_invalid_webhook_is_refused_with_the_requirements(shops: Callable[..., Shop]) -> None:
    shop = shops("sqlite", run_worker=False)
    count = shop.count("webhooks")
    ok = "https://a.example/"
    for arguments, values, told in (
        (
            ("http://receiver.example/",),
            "",
            "the URL must be an https URL unless SHOPBELL_OUTBOUND_ALLOW allows its host",
        ),
        (
            ("https://127.0.0.1/",),
            "",
            "the URL must not point to a private address unless SHOPBELL_OUTBOUND_ALLOW allows it",
        ),
        ((ok, "--header", "Host"), "x\n", "--header must not be a header of"),
        ((ok, "--header", "X-A", "--header", "x-a"), "1\n2\n", "--header must not have the same header twice"),
        ((ok, "--header", "X-A"), f"{CANARY}\x07\n", "the value of --header X-A must be 1 to 4096"),
    ):
        installation = shop.server.installation
        done = _run(installation, values, "webhooks", "create", "--organization", shop.world.acme, *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"shopbell: {told}")
        assert CANARY not in done.stderr
    assert shop.count("webhooks") == count


def with_input(installation: Installation, values: str, *arguments: str) -> dict[str, Any]:
    """Run a command with ``--json`` that reads the values of headers."""
    done = _run(installation, values, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def _run(installation: Installation, values: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "shopbell", *arguments],
        cwd=installation.folder,
        env=installation.environment,
        input=values,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _wait_until_settled(database: Database, state: str, count: int) -> None:
    deadline_s = time.monotonic() + 60
    while database.value("SELECT count(*) FROM deliveries WHERE state = :state", state=state) < count:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
