"""A new channel is one folder, one line in each of two lists, and a migration.

The test adds them to a copy of Shopbell and uses the channel as customers and employees do.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shopbell
from harness.installation import PLENTY, Database, Installation, Server
from harness.later_version import newest_revision
from harness.waiting import wait_until

PIGEON = Path(__file__).with_name("pigeon")
LINES = {
    "formats/channels.py": ('    "WHATSAPP": "phone",\n', '    "PIGEON": "loft",\n'),
    "channels/open_channels.py": ("    TextChannel,\n", "    PigeonChannel,\n"),
}
IMPORT = ("from shopbell.channels.sms.channel", "from shopbell.channels.pigeon.channel import PigeonChannel\n")
MIGRATION = """
from shopbell.db.migrations.known_values import change_known_values
from shopbell.formats.channels import CHANNELS

revision = "9998"
down_revision = "{newest}"


def upgrade():
    for table in ("threads", "outbound_messages", "message_deliveries", "scheduled_messages"):
        change_known_values(table, "channel", CHANNELS)
    change_known_values("customer_identities", "kind", ("email", "phone", "loft"))
"""


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """A new installation of Shopbell with the channel."""
    copy = tmp_path / "python" / "shopbell"
    shutil.copytree(Path(shopbell.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PIGEON, copy / "channels" / "pigeon", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (before, line) in LINES.items():
        text = (copy / name).read_text()
        assert text.count(before) == 1
        text = text.replace(before, before + line)
        (copy / name).write_text(text.replace(IMPORT[0], IMPORT[1] + IMPORT[0]))
    migration = MIGRATION.format(newest=newest_revision())
    (copy / "db" / "migrations" / "versions" / "v9998_pigeon.py").write_text(migration)
    settings = PLENTY | {"PYTHONPATH": str(copy.parent), "SHOPBELL_POLL_INTERVAL_S": "0.2"}
    made = Installation(Database(f"sqlite:///{tmp_path / 'shopbell.db'}"), tmp_path, settings)
    done = made.run("migrate")
    assert done.returncode == 0, done.stderr
    return made


def test_a_new_channel_works_with_one_folder_two_lines_and_a_migration(installation: Installation) -> None:
    acme = installation.cli("organization", "create", "Acme")["id"]
    boston = installation.cli("business", "create", "--organization", acme, "Acme Boston")["id"]
    token = installation.cli("token", "create", "--organization", acme)["token"]
    (installation.folder / "lofts" / "carols-roof").mkdir(parents=True)
    with installation.serving() as server:
        api = _api(server, token)
        carol, nobody = (_write(installation, boston, loft) for loft in ("carols-roof", "no-roof"))
        found = api("GET", "/api/threads?channel=PIGEON")["threads"]
        assert {thread["customerThreadId"] for thread in found} == {carol, nobody}
        for thread_id in (carol, nobody):
            api("POST", "/api/send-message-to-customer-thread", {"customerThreadId": thread_id, "text": "It is!"})
        _wait_for_delivery(api, carol, ["PIGEON", "sent", None])
        _wait_for_delivery(api, nobody, ["PIGEON", "failed", "loft_unknown"])
        (letter,) = (installation.folder / "lofts" / "carols-roof").iterdir()
        assert letter.read_text() == "It is!"
        assert '"PIGEON"' in server.client.get("/openapi.json").text


def _write(installation: Installation, business_id: str, loft: str) -> str:
    """A customer writes from a loft; returns the conversation."""
    command = [sys.executable, "-m", "shopbell.channels.pigeon.inbound", str(business_id), loft, "Is it ready?"]
    return subprocess.run(
        command, cwd=installation.folder, env=installation.environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def _api(server: Server, token: str) -> Callable[..., Any]:
    def call(method: str, path: str, body: object = None) -> Any:
        answer = server.client.request(method, path, json=body, headers={"token": token})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return call


def _wait_for_delivery(api: Callable[..., Any], thread_id: str, expected: list[str | None]) -> None:
    """Wait for the only delivery of a conversation's last message.

    ``expected`` has its channel, state and reason.
    """

    def deliveries() -> list[list[str | None]]:
        message = api("GET", f"/api/threads/{thread_id}/messages")["messages"][-1]
        return [[each["channel"], each["state"], each["reason"]] for each in message["deliveries"]]

    wait_until(lambda: deliveries() == [expected], lambda: str(deliveries()))
