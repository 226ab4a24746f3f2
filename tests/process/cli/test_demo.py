"""``shopbell demo`` prints a command that sends the first message."""

import json
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import make_url

from harness.demo import running_demo
from harness.installation import STOP_TIMEOUT_S, Installation
from harness.ports import free_port
from harness.shop import WIDGET
from harness.waiting import wait_until


@dataclass
class Demo:
    """A running ``shopbell demo`` and the first two lines that it printed."""

    sentence: str
    command: str
    url: str
    process: "subprocess.Popen[str]"

    def stop(self) -> str:
        """End it and return what else it has printed to stdout."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_TIMEOUT_S)
        # Not by ``communicate``, which leaves out what was read together with the lines before.
        assert self.process.stdout is not None
        output = self.process.stdout.read()
        assert self.process.returncode == 0
        return output


@contextmanager
def demo(installation: Installation) -> Iterator[Demo]:
    """Start it and read what it prints, through a pipe as a script would."""
    port = free_port()
    with (installation.folder / "demo.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "shopbell", "demo", "--port", str(port)],
            cwd=installation.folder,
            env=installation.environment,
            stdout=subprocess.PIPE,
            stderr=log,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    assert process.stdout is not None
    try:
        sentence, command = process.stdout.readline(), process.stdout.readline()
        assert command, (installation.folder / "demo.log").read_text()
        yield Demo(sentence, command.removesuffix("\n"), f"http://127.0.0.1:{port}", process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def token_in(command: str) -> str:
    """The token of a printed command."""
    (header,) = (part for part in shlex.split(command) if part.startswith("token: "))
    return header.removeprefix("token: ")


def send(running: Demo) -> str:
    """Run the printed command as it stands and return the conversation's id."""
    done = subprocess.run(["sh", "-c", running.command], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer["result"] == "ok"
    thread_id = answer["customerThreadId"]
    assert isinstance(thread_id, str)
    return thread_id


def test_emails_of_the_demo_go_into_a_folder(installation: Installation) -> None:
    outbox = installation.folder / "outbox"
    settings = {"SHOPBELL_MAIL_BATCH_S": "0", "SHOPBELL_MAIL_OUTBOX": str(outbox)}
    with demo(replace(installation, settings=dict(installation.settings) | settings)) as running:
        send(running)
        wait_until(lambda: list(outbox.glob("*.eml")), lambda: "the business got no email")


def test_the_printed_command_sends_the_first_message(fresh_installation: Installation) -> None:
    with demo(fresh_installation) as running:
        assert running.command.startswith(f"curl -sS -X POST {running.url}/api/widget/send-message-to-business ")
        assert f"{running.url.replace('127.0.0.1', 'localhost')}/ " in running.sentence
        assert "curl" not in running.sentence
        thread = fresh_installation.cli("threads", "show", send(running))
        assert thread["businessId"] == "12345"
        assert [each["body"] for each in thread["messages"]] == ["Hello, I need help with my order."]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_demo_writes_emails_to_files_and_sends_none(fresh_installation: Installation) -> None:
    database = make_url(fresh_installation.database.url).database
    outbox = Path(database or "").parent / "outbox"
    with demo(fresh_installation) as running:
        thread_id = send(running)
        # To the shop and to the customer.
        wait_until(lambda: len(list(outbox.glob("*.eml"))) == 2, (fresh_installation.folder / "demo.log").read_text)
        running.stop()
    query = "SELECT DISTINCT state FROM outbound_messages WHERE thread_id = :id"
    assert fresh_installation.database.value(query, id=int(thread_id)) == "sent"
    assert "no mail is sent" not in (fresh_installation.folder / "demo.log").read_text()


def test_later_starts_keep_the_data_and_print_the_same_command(fresh_installation: Installation) -> None:
    with demo(fresh_installation) as first:
        thread_id = send(first)
        first.stop()
    with demo(fresh_installation) as second:
        assert token_in(second.command) == token_in(first.command)
        assert send(second) == thread_id
        second.stop()
    assert len(fresh_installation.cli("organization", "list")) == 1
    assert len(fresh_installation.cli("threads", "show", thread_id)["messages"]) == 2


def test_the_printed_link_signs_the_owner_in(fresh_installation: Installation) -> None:
    forms = {"Sec-Fetch-Site": "same-origin"}
    with demo(fresh_installation) as running:
        link = json.loads(kept_in(fresh_installation).read_bytes())["invitation"]
        with httpx2.Client(base_url=running.url, headers=forms) as browser:
            fields = {"name": "Alice", "password": "correct horse battery"}
            assert browser.post(f"/invitations/{link}", data=fields).status_code == 303
            assert "organization:manage" in browser.get("/api/me").json()["permissions"]
        assert f"{running.url.replace('127.0.0.1', 'localhost')}/invitations/{link}\n" in running.stop()
    with demo(fresh_installation) as later:
        assert "/sign-in\n" in later.stop()
    shown = [(each["name"], each["email"]) for each in fresh_installation.cli("employee", "list")]
    assert shown == [("Alice", "alice@example.com"), ("Ben Carter", "ben@example.com")]


def test_the_demo_has_two_businesses(fresh_installation: Installation) -> None:
    with demo(fresh_installation) as running:
        running.stop()
    shown = [
        (each["name"], each["locale"], each["defaultRegion"], each["timeZone"])
        for each in fresh_installation.cli("business", "list")
    ]
    assert shown == [
        ("Corner Shop", "en", "US", "America/New_York"),
        ("Boutique du Coin", "fr", "FR", "Europe/Paris"),
    ]


def kept_in(installation: Installation) -> Path:
    """Where the demo is remembered."""
    if installation.database.is_sqlite:
        return Path(make_url(installation.database.url).database or "").with_name("demo.json")
    return installation.folder / "data" / "demo.json"


def test_the_demo_token_is_readable_by_its_owner_only(fresh_installation: Installation) -> None:
    with demo(fresh_installation) as running:
        running.stop()
    kept = kept_in(fresh_installation)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    document = json.loads(kept.read_text())
    assert document.pop("publishableKey").startswith("pk_live_")
    assert document.pop("invitation").startswith("sbi_")
    assert document == {
        "organizationId": "12344",
        "businessIds": ["12345", "12347"],
        "token": token_in(running.command),
    }


@pytest.mark.parametrize(
    ("engine", "lost"),
    [("sqlite", "revoked"), ("sqlite", "damaged"), ("sqlite", "deleted"), ("postgresql", "deleted")],
)
def test_an_invalid_demo_token_is_replaced(fresh_installation: Installation, lost: str) -> None:
    with demo(fresh_installation) as first:
        first.stop()
    if lost == "revoked":
        (token,) = fresh_installation.cli("token", "list")
        fresh_installation.cli("token", "revoke", token["id"])
    elif lost == "damaged":
        kept_in(fresh_installation).write_text('{"token": ')
    else:
        kept_in(fresh_installation).unlink()
    with demo(fresh_installation) as second:
        assert token_in(second.command) != token_in(first.command)
        send(second)
        second.stop()
    assert len(fresh_installation.cli("organization", "list")) == 1
    assert stat.S_IMODE(kept_in(fresh_installation).stat().st_mode) == 0o600


@pytest.mark.parametrize("engine", ["sqlite"])
def test_plain_serve_creates_no_demo(fresh_installation: Installation) -> None:
    with fresh_installation.serving():
        assert fresh_installation.cli("organization", "list") == []
    assert not kept_in(fresh_installation).exists()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_log_of_a_demo_does_not_contain_its_token(fresh_installation: Installation) -> None:
    with demo(fresh_installation) as running:
        send(running)
        running.stop()
    log = (fresh_installation.folder / "demo.log").read_text()
    assert token_in(running.command)[8:] not in log
    assert "customer@example.com" not in log


def test_the_first_message_logs_no_warning(tmp_path: Path) -> None:
    with running_demo(tmp_path) as shop:
        body = {"businessId": shop.business, "message": "Hello", "user": {"email": "carol@example.com"}}
        with httpx2.Client(base_url=shop.url, trust_env=False) as client:
            assert client.post(WIDGET, json=body, headers={"token": shop.token}).status_code == 200
        outbox = tmp_path / "data" / "outbox"
        log = tmp_path / "demo.log"
        # The notice to the store is the last of what follows from the message.
        wait_until(lambda: any(b"/answer/" in mail.read_bytes() for mail in outbox.glob("*.eml")), log.read_text)
        assert "Warning" not in log.read_text()
