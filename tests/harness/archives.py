"""An organization with one row of everything, and its exported file."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.databases import Databases
from harness.installation import Installation
from harness.shop import Shop
from harness.world import GLOBEX_CANARY, World

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CANARY = "canary-of-a-header"


class Filled:
    """Acme with conversations, answers, notes, transfers, merges, blocks, templates, files and a webhook; beside it
    Globex, of which nothing may be in Acme's file."""

    def __init__(self, installation: Installation, people: World) -> None:
        self.installation, self.people = installation, people
        self.files = f"file://{installation.folder / 'files'}"
        installation.settings = dict(installation.settings) | {"SHOPBELL_ATTACHMENTS_URL": self.files}
        self.secret = ""
        with installation.serving(run_worker=False) as server:
            self._fill(Shop(server, people))

    def _fill(self, shop: Shop) -> None:
        def post(path: str, **body: Any) -> dict[str, Any]:
            answer = shop.post(body, path=f"/api/{path}")
            assert answer.status_code == 200, answer.text
            done: dict[str, Any] = answer.json()
            return done

        employee = self.installation.cli("employee", "create", "--organization", self.people.acme, "Alice")["id"]
        self.installation.cli("template", "create", "--organization", self.people.acme, "Ready", "It is ready.")
        deleted = self.installation.cli(
            "webhooks", "create", "--organization", self.people.acme, "https://gone.example/"
        )
        self.installation.cli("webhooks", "delete", deleted["id"])
        hook = post(
            "webhooks/",
            url="https://receiver.example/hook",
            subscribedEvents=["messages", "transfers"],
            extraHeaders=[{"name": "X-Shop", "value": CANARY}],
        )
        self.secret = str(hook.get("secret"))
        threads = [shop.send(message=f'Grüße {number}, 你好 \\ \t\n"') for number in range(6)]
        upload = shop.server.client.post(
            "/api/attachments", files={"file": ("receipt.png", PNG)}, headers={"token": self.people.token}
        )
        assert upload.status_code == 200, upload.text
        self.attachment = upload.json()["attachmentId"]
        send = "send-message-to-customer-thread"
        post(send, customerThreadId=threads[0], text="We look into it.", attachmentId=self.attachment)
        post(send, customerThreadId=threads[1], text="A note.", internal=True)
        post("assign-customer-thread", customerThreadId=threads[1], employeeUserId=employee)
        post("transfer-customer-thread", customerThreadId=threads[2], businessId=self.people.paris)
        of_alice = {"customerThreadId": threads[1], "employeeUserId": employee}
        post("inbox/drafts", mode="reply", text="Dear Carol", attachmentIds=[self.attachment], **of_alice)
        post("inbox/snooze", until=4_102_444_800_000, **of_alice)
        tag = post("tags", name="Repair")["tagId"]
        post("tags/set-on-thread", addTagIds=[tag], **of_alice)
        saved = {"shortcut": "list", "title": "List", "text": "Our list", "businessId": self.people.boston}
        post("saved-replies", attachmentIds=[self.attachment], **saved)
        post("saved-views", name="Repairs", query=f"view=open&tagId={tag}", shared=True, employeeUserId=employee)
        kept, other, blocked = (shop.customer_of(thread_id) for thread_id in threads[3:])
        post(f"customers/{kept}/merge", otherCustomerId=str(other))
        post(f"customers/{blocked}/block")
        (known,) = shop.identities(blocked)["email"]
        shop.send(user={"email": known}, message="Kept apart.")
        shop.send(token=self.people.globex_token, businessId=self.people.london, message=GLOBEX_CANARY)

    def exported(self, file: Path, *options: str) -> dict[str, Any]:
        """Write Acme to a file."""
        answer: dict[str, Any] = self.installation.cli("organization", "export", self.people.acme, file, *options)
        return answer


def rows_of(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """Tables and rows of a file, with ids counted from the organization's, and without the entries of imports."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    base = lines[0]["organizationId"]
    rows = []
    for line in lines:
        if "row" not in line or line["row"].get("action") == "organization.import":
            continue
        row = {
            name: value - base if isinstance(value, int) and (name == "id" or name.endswith("_id")) else value
            for name, value in line["row"].items()
        }
        for name in ("details", "subject", "actor", "query"):
            if isinstance(row.get(name), str):
                row[name] = re.sub(r"\b[0-9]{5,10}\b", lambda match: str(int(match[0]) - base), row[name])
        rows.append((line["table"], row))
    return rows


def sealed(lines: list[dict[str, Any]]) -> bytes:
    """A file of these lines, the first of which counts the rows, with the last line that belongs to them."""
    counts: dict[str, int] = {}
    for line in lines[1:]:
        if isinstance(line.get("table"), str):
            counts[line["table"]] = counts.get(line["table"], 0) + 1
    whole = [lines[0] | {"counts": counts}, *lines[1:]]
    body = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in whole).encode()
    end = {"end": True, "lines": len(whole) + 1, "sha256": hashlib.sha256(body).hexdigest()}
    return body + json.dumps(end, separators=(",", ":")).encode() + b"\n"


def documents(content: bytes) -> list[dict[str, Any]]:
    """All lines but the last."""
    return [json.loads(line) for line in content.splitlines()[:-1]]


def with_a_wrong_row(
    content: bytes, table: str, change: Callable[[list[dict[str, Any]], int], None]
) -> tuple[bytes, int]:
    """A file whose second row of a table is changed, with a last line that belongs to it; and that line's number.

    Args:
        content: the file as it is.
        table: the table's name.
        change: gets all lines but the last, and which of them to change.
    """
    lines = documents(content)
    at = [number for number, line in enumerate(lines) if line.get("table") == table][1]
    change(lines, at)
    return sealed(lines), at + 1


def filled_installations(databases: Databases, folders: pytest.TempPathFactory) -> Iterator[Callable[[str], Filled]]:
    """Give the filled installation of an engine; create it when a test first asks for it."""
    made: dict[str, Filled] = {}

    def get(engine: str) -> Filled:
        if engine not in made:
            installation = Installation(databases.copy(engine, "world"), folders.mktemp(f"filled-{engine}"))
            made[engine] = Filled(installation, databases.world(engine))
        return made[engine]

    yield get
    for each in made.values():
        databases.drop(each.installation.database)
