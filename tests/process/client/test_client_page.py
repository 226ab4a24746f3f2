"""The programs and tables of docs/client.md are correct."""

import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook
from websites import (
    DOCUMENT,
    FRAMEWORKS,
    LINES_AT_MOST,
    SECRET,
    customers_messages,
    documented,
    of_shop,
    programs,
    serving,
)

import shopbell_client
from harness.shop import Shop
from shopbell_client.clients import Endpoint, Endpoints, PagedEndpoint


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_contact_form_takes_at_most_ten_lines(framework: str) -> None:
    assert len([line for line in documented(framework).splitlines() if line.strip()]) <= LINES_AT_MOST


def test_the_documented_receiver_prints_a_customers_message(tmp_path: Path) -> None:
    (program,) = [program for program in programs() if "webhook_blueprint" in program]
    message = {
        "fromCustomer": True,
        "invisible": False,
        "customerThreadId": 12,
        "businessId": 4,
        "organizationId": 2,
        "customerId": "3",
        "customerType": "prospect",
        "messageId": 7,
        "messageBody": "Hello",
        "messageTimestamp": 1,
        "threadSequence": 1,
        **dict.fromkeys(["messageAttachmentUUID", "messageAttachmentName", "messageAttachmentContentType"]),
        **dict.fromkeys(["messageAttachmentContentLength", "employeeUserId", "messageExternalId"]),
    }
    body = json.dumps({"eventType": "message", "timestamp": 1, "data": message}).encode()
    now = datetime.fromtimestamp(int(time.time()), UTC)
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(int(now.timestamp()))}
    headers["webhook-signature"] = Webhook(SECRET).sign("evt_1", now, body.decode())
    with serving("flask", program, tmp_path, SHOPBELL_SECRET=SECRET) as site:
        assert site.browser.post("/shopbell-events", content=body, headers=headers).status_code == 204
        assert site.line() == "message 1 in conversation 12"


def run(program: str, shop: Shop, folder: Path) -> str:
    """Run a documented program, and return its output."""
    program, environment = of_shop(program, shop)
    source = folder / "program.py"
    source.write_text(program)
    path = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, str(source)],
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_documented_conversation_works(shop: Shop, tmp_path: Path) -> None:
    (program,) = [program for program in programs() if "last_seen_message_id" in program]
    email = shop.somebody()
    assert run(program.replace("customer@example.com", email), shop, tmp_path).startswith(
        "Another employee has replied"
    )
    question, *replies = customers_messages(shop, email)
    assert question == "Are you open on Sunday?"
    assert replies == ["Yes, from ten to six.", "This customer asks every week.", "But not in August!"]


def test_the_documented_work_in_the_inbox_is_done(shop: Shop, tmp_path: Path) -> None:
    (program,) = [program for program in programs() if "start_conversation" in program]
    email = shop.somebody()
    run(program.replace("customer@example.com", email), shop, tmp_path)
    assert customers_messages(shop, email) == ["Your bell is ready."]
    drafts = shop.database.rows("SELECT body, thread_id FROM drafts ORDER BY id")
    assert drafts[-1]["body"] == "Shall we send it to you?"
    assert shop.thread(str(drafts[-1]["thread_id"]))["status"] == "replied"


def test_the_documented_feed_reader_replies_once_to_each_message(shop: Shop, tmp_path: Path) -> None:
    (program,) = [program for program in programs() if "shop.events(" in program]
    email = shop.somebody()
    *_, last = shop.database.rows("SELECT max(position) AS position FROM events")
    program = program.replace("position = 0", f"position = {last['position'] or 0}", 1)
    first = run(program.replace("customer@example.com", email), shop, tmp_path)
    assert re.fullmatch("Read all events up to position [0-9]+\n", first)
    assert customers_messages(shop, email) == ["Are you open on Sunday?", "We will reply soon."]
    run(program.replace("customer@example.com", shop.somebody()), shop, tmp_path)  # reads the first message again
    assert len(customers_messages(shop, email)) == 2


def table(heading: str) -> str:
    """Return the tables under a heading of the document."""
    _, _, section = DOCUMENT.read_text().partition(f"## {heading}\n")
    return "\n".join(line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| "))


def test_every_method_and_every_exception_is_on_the_page() -> None:
    methods = {name for name, member in vars(Endpoints).items() if isinstance(member, Endpoint | PagedEndpoint)}
    assert set(re.findall(r"`([a-z_]+)`", table("All methods"))) == methods
    errors = {name for name in shopbell_client.__all__ if name in vars(shopbell_client.errors)}
    unnamed = {"FieldError", "Problem", "ProblemError", "ShopbellError"}
    assert set(re.findall(r"`([A-Z]\w+)`", table("Errors"))) == errors - unnamed


def test_the_first_two_programs_print_the_conversations_id(shop: Shop, tmp_path: Path) -> None:
    for program in programs()[:2]:
        thread_id = run(program, shop, tmp_path).strip()
        assert shop.messages(thread_id)[-1]["body"] == "Are you open on Sunday?"


def test_the_documented_errors_are_printed(shop: Shop, tmp_path: Path) -> None:
    (program,) = [program for program in programs() if "ValidationFailed" in program]
    (shown,) = re.findall(r"^```text\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    assert run(program, shop, tmp_path) == shown
