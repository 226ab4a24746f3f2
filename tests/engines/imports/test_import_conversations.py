"""Conversations are imported once, as they were, and without telling anyone."""

import asyncio
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.inbox import call, catch_up, get, listed
from harness.installation import SECRET_KEY, Installation
from harness.shop import Shop
from harness.world import World
from shopbell.channels.open_channels import open_channels
from shopbell.conversations import history
from shopbell.customers.opt_outs import OptOuts
from shopbell.db.connect import open_database
from shopbell.imports import run
from shopbell.notifications import feed_consumer
from shopbell.notifications.prepare import Preparer
from shopbell.runtime.clock import now_ms
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings

KEYS = Keys((SECRET_KEY.encode(),))
SPRING = "2023-11-14T22:13:20Z"
USERS = (
    {"id": 1, "name": "Alice", "email": "alice@acme.example", "role": "agent"},
    {"id": 2, "name": "Carol Jones", "email": "Carol@example.com", "phone": "(617) 555-0100", "role": "end-user"},
    {"id": 3, "name": "Dave", "email": "dave@example.com", "role": "end-user"},
    {"id": 4, "name": "Visitor", "role": "end-user"},
)


def ticket(id_: int, requester: int = 2, day: int = 14, **fields: Any) -> dict[str, Any]:
    """A ticket with a question and a reply by Alice."""
    question = {"author_id": requester, "body": f"Question {id_}", "created_at": f"2023-11-{day:02}T10:00:00Z"}
    answer = {"author_id": 1, "body": f"Answer {id_}", "created_at": f"2023-11-{day:02}T11:00:00Z"}
    base = {"id": id_, "requester_id": requester, "subject": f"Order {id_}", "status": "solved", "group_id": 7}
    return {**base, "via": {"channel": "email"}, "tags": ["delivery"], "comments": [question, answer], **fields}


class Imports:
    """Imports Zendesk's files into Acme."""

    def __init__(self, installation: Installation, people: World, folder: Path) -> None:
        self.installation, self.people, self.folder = installation, people, folder

    def file(self, *records: object, name: str = "export.json") -> Path:
        """A file with one record per line; a text is written as it is."""
        path = self.folder / name
        path.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in records))
        return path

    def options(self, *options: object) -> tuple[object, ...]:
        """The options of each import into Boston."""
        return ("--organization", self.people.acme, "--business", self.people.boston, *options)

    def run(self, *records: object, options: tuple[object, ...] = ()) -> dict[str, Any]:
        """Import records, and return the report."""
        done: dict[str, Any] = self.installation.cli("import", "zendesk", self.file(*records), *self.options(*options))
        return done

    def skipped(self, report: Mapping[str, Any]) -> dict[str, int]:
        """How often each kind of thing was left out, by its reason."""
        return {f"{each['kind']}: {each['reason']}": each["count"] for each in report["skipped"]}

    def tables(self) -> dict[str, int]:
        """The number of rows of each table."""
        names = ("customers", "customer_identities", "threads", "messages", "events", "tags", "audit_entries")
        names += ("thread_tags", "assignments", "imported_conversations", "mail_details", "employee_reads", "feeds")
        return {name: self.installation.database.value(f"SELECT count(*) FROM {name}") for name in names}


@pytest.fixture
def imports(installation: Installation, people: World, tmp_path: Path) -> Imports:
    """Acme's imports; Alice is an employee."""
    arguments = ("employee", "create", "--organization", people.acme, "Alice", "--email", "alice@acme.example")
    installation.cli(*arguments)
    return Imports(installation, people, tmp_path)


def counts(report: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """New and known customers, conversations and messages."""
    customers = report["customers"]
    return customers["new"], customers["known"], report["conversations"], report["messages"]


def test_the_inbox_and_the_search_show_imported_conversations(imports: Imports, people: World) -> None:
    report = imports.run(*USERS, ticket(1), ticket(2, requester=3, status="open"))
    assert counts(report) == (2, 0, 2, 4)
    assert imports.skipped(report) == {}
    with imports.installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        catch_up(shop)
        assert [each["customerName"] for each in listed(shop)] == ["Dave"]
        assert [each["customerName"] for each in listed(shop, view="resolved")] == ["Carol Jones"]
        (found,) = get(shop, "/api/customers", name="jones")["customers"]
        assert (found["emailAddresses"], found["phoneNumbers"]) == (["Carol@example.com"], ["+16175550100"])
        (thread,) = get(shop, "/api/threads", customerId=found["id"])["threads"]
        told = get(shop, f"/api/threads/{thread['customerThreadId']}/messages")["messages"]
        assert [(each["text"], each["fromCustomer"]) for each in told] == [("Question 1", True), ("Answer 1", False)]
        assert told[0]["mail"]["subject"] == "Order 1"
        (alice,) = get(shop, "/api/employees")["employees"]
        assert told[1]["employeeUserId"] == alice["id"]


def test_a_second_run_skips_what_is_there(imports: Imports) -> None:
    imports.run(*USERS, ticket(1), ticket(2, requester=3))
    before = imports.tables()
    report = imports.run(*USERS, ticket(1), ticket(2, requester=3))
    assert counts(report) == (0, 0, 0, 0)
    assert imports.skipped(report) == {"conversation: imported before": 2}
    assert imports.tables() == before
    report = imports.run(*USERS, ticket(1), ticket(3, day=20))
    assert counts(report) == (0, 1, 1, 2)
    report = imports.run(*USERS, ticket(1, day=21), options=("--account", "second"))
    assert counts(report) == (0, 1, 1, 2)  # another account has its own ids


def test_a_dry_run_reports_the_same_and_writes_nothing(imports: Imports) -> None:
    doubled = {**USERS[1], "id": 9, "email": "carol@EXAMPLE.com", "phone": ""}
    records = (
        *(*USERS, doubled, "nonsense", {"id": 5, "name": "A group"}),
        *(ticket(1), ticket(2, requester=3), ticket(3, requester=9, day=15), ticket(4, requester=4, tags=[])),
        *(ticket(5, requester=4, day=16), ticket(6, requester=77)),
    )
    before = imports.tables()
    planned = imports.run(*records, options=("--dry-run",))
    assert imports.tables() == before
    done = imports.run(*records)
    assert done == planned | {"dryRun": False}
    assert counts(done) == (3, 0, 5, 10)
    assert imports.skipped(done) == {
        "conversation: its customer is in none of the files: import the file with people together with this one": 1,
        "record: broken: is not JSON": 1,
        "record: neither a ticket nor a user": 1,
    }


def test_an_import_that_fails_in_the_middle_has_whole_conversations_and_is_continued(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "BATCH_MESSAGES", 1)
    records = [*USERS, *(ticket(number, day=number) for number in range(1, 7))]
    stored = []

    def fail(*arguments: Any, **options: Any) -> None:
        stored.append(arguments)
        if len(stored) == 4:
            raise RuntimeError("the power fails")
        real(*arguments, **options)

    real = history.record_import
    monkeypatch.setattr(history, "record_import", fail)
    done = imports.installation.run("import", "zendesk", imports.file(*records), *imports.options())
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "RuntimeError: the power fails")
    tables = imports.tables()
    assert (tables["imported_conversations"], tables["messages"]) == (3, 6)
    monkeypatch.setattr(history, "record_import", real)
    report = imports.run(*records)
    assert counts(report) == (0, 1, 3, 6)
    bodies = imports.installation.database.rows("SELECT body, sequence FROM messages ORDER BY sequence")
    assert [row["body"] for row in bodies] == [f"{kind} {n}" for n in range(1, 7) for kind in ("Question", "Answer")]


def test_nobody_is_notified(imports: Imports, people: World) -> None:
    mails = {"smtp_url": "smtp://127.0.0.1:25", "mail_from": "shop@acme.example"}
    settings = Settings(database_url=imports.installation.database.url, secret_key=SECRET_KEY, **mails)
    rules = Preparer(settings, KEYS, open_channels(settings, KEYS)).rules
    tables = ("deliveries", "delivery_queues", "outbound_messages", "message_deliveries", "pushes", "surveys")

    def told() -> dict[str, int]:
        """What organization Acme would send, once all decisions are taken."""
        database = open_database(settings)
        acme, at_ms = int(people.acme), now_ms()
        while (
            decided := database.read_now(feed_consumer.read_and_decide, acme, rules, OptOuts(KEYS), now_ms=at_ms)
        ) is not None:
            assert database.write_now(feed_consumer.write_decided, decided, rules, now_ms=at_ms)
        asyncio.run(database.close())
        return {name: imports.installation.database.value(f"SELECT count(*) FROM {name}") for name in tables}

    with imports.installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        hook = {"url": "https://receiver.example/", "subscribedEvents": ["messages", "transfers", "deliveries"]}
        call(shop, "/api/webhooks/", **hook)
        call(shop, f"/api/businesses/{people.boston}/update", email="boston@acme.example", survey="nps")
        imports.run(*USERS, ticket(1), ticket(2, requester=3, status="open", assignee_id=1))
        assert set(told().values()) == {0}
        shop.send(user={"email": "dave@example.com"})  # the control
        assert {name for name, count in told().items() if count} >= {"deliveries", "outbound_messages"}


def test_another_organization_is_untouched(imports: Imports, people: World) -> None:
    with imports.installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        shop.send(token=people.globex_token, businessId=people.london, user={"email": "carol@example.com"})
    query = "SELECT * FROM {} WHERE organization_id = :id"
    database, globex = imports.installation.database, int(people.globex)
    tables = ("customers", "customer_identities", "threads", "messages", "events", "audit_entries")
    before = [database.rows(query.format(table), id=globex) for table in tables]
    assert counts(imports.run(*USERS, ticket(1))) == (1, 0, 1, 2)
    assert [database.rows(query.format(table), id=globex) for table in tables] == before
    assert database.value("SELECT organization_id FROM imported_conversations") == int(people.acme)


def test_customers_are_those_who_wrote_already(imports: Imports, people: World) -> None:
    with imports.installation.serving(run_worker=False) as server:
        thread_id = Shop(server, people).send(user={"email": "carol@example.com"}, businessId=people.paris)
    assert counts(imports.run(*USERS, ticket(1))) == (0, 1, 1, 2)
    database = imports.installation.database
    threads = database.rows("SELECT id, customer_id, business_id FROM threads ORDER BY id")
    assert [str(row["business_id"]) for row in threads] == [people.paris, people.boston]
    assert str(threads[0]["id"]) == thread_id
    assert threads[0]["customer_id"] == threads[1]["customer_id"]


def test_a_blocked_customer_gets_no_conversation(imports: Imports, people: World) -> None:
    with imports.installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        customer_id = shop.customer_of(shop.send(user={"email": "carol@example.com"}))
        call(shop, f"/api/customers/{customer_id}/block")
    for options in (("--dry-run",), ()):
        report = imports.run(*USERS, ticket(1), options=options)
        assert counts(report) == (0, 0, 0, 0)
        assert imports.skipped(report) == {"conversation: its customer is blocked": 1}


def test_inboxes_are_mapped_to_businesses(imports: Imports, people: World) -> None:
    organization = ("--organization", people.acme)
    file = imports.file(
        *USERS, ticket(1), ticket(2, 3, group_id=8), ticket(3, 3, group_id=None, group={"name": "Paris shop"})
    )
    mapped = ("--map", f"7={people.boston}", "--map", f"Paris shop={people.paris}")
    report = imports.installation.cli("import", "zendesk", file, *organization, *mapped)
    assert report["conversations"] == 2
    assert imports.skipped(report) == {"conversation: no business for its inbox: use --business or --map": 1}
    rows = imports.installation.database.rows("SELECT business_id FROM threads ORDER BY business_id")
    assert [str(row["business_id"]) for row in rows] == sorted((people.boston, people.paris))


def test_since_and_retention_leave_out_what_is_older(imports: Imports, people: World) -> None:
    report = imports.run(*USERS, ticket(1, day=1), ticket(2, day=20), options=("--since", "2023-11-10"))
    assert imports.skipped(report) == {"conversation: without messages since the time given with --since": 1}
    imports.installation.cli("organization", "update", people.acme, "--keep-messages-days", "365")
    report = imports.run(*USERS, ticket(3))
    assert imports.skipped(report) == {"conversation: older than the organization keeps messages": 1}


def test_the_report_file_is_private_and_has_no_private_data(imports: Imports) -> None:
    path = imports.folder / "left-out.jsonl"
    bad = {**USERS[2], "email": "dave at example", "phone": "call me"}
    imports.run(USERS[0], bad, '{"id": 1, "secret', ticket(1, 3), options=("--report", path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(each["kind"], each["line"]) for each in lines] == [("record", 3), ("contact", 4), ("contact", 4)]
    assert "dave" not in path.read_text()
    done = imports.installation.run("import", "zendesk", imports.file(), *imports.options("--report", path))
    assert (done.returncode, done.stderr) == (1, f"shopbell: {path} already exists\n")


def test_strict_imports_nothing_if_a_record_is_broken(imports: Imports) -> None:
    before = imports.tables()
    file = imports.file(*USERS, ticket(1), ticket(2, comments=[]))
    done = imports.installation.run("import", "zendesk", file, *imports.options("--strict"))
    assert done.returncode == 1
    assert done.stderr == (
        "shopbell: export.json, line 6: the record has no messages with text or files; nothing was imported\n"
    )
    assert imports.tables() == before


def test_long_texts_files_tags_and_unknown_authors(imports: Imports) -> None:
    long_text = {"author_id": 2, "body": "x" * 10_001, "created_at": SPRING, "attachments": [{"file_name": "a.png"}]}
    long_html = {"author_id": 2, "html_body": "<i>y</i>" * 10_001, "created_at": SPRING}
    by_stranger = {"author_id": 1, "body": "By an agent who left", "created_at": SPRING, "public": False}
    users = ({**USERS[0], "name": "Zoe", "email": "zoe@acme.example"}, *USERS[1:])
    report = imports.run(*users, ticket(1, comments=[long_text, long_html, by_stranger], tags=["VIP", "x" * 51, "vip"]))
    assert counts(report) == (1, 0, 1, 4)
    assert imports.skipped(report) == {
        "message: its HTML is too long: only the beginning is imported": 1,
        "author: not an employee of the organization": 1,
        "file: the export has only its name": 1,
        "tag: longer than 50 characters": 1,
    }
    rows = imports.installation.database.rows("SELECT body, internal, from_customer FROM messages ORDER BY sequence")
    assert [len(row["body"]) for row in rows] == [10_000, 9, 10_000, 20]
    assert rows[1]["body"] == "x\n[a.png]"
    assert [bool(row["internal"]) for row in rows] == [False, False, False, True]
    assert [row["name"] for row in imports.installation.database.rows("SELECT name FROM tags")] == ["VIP"]


def test_all_employees_of_a_large_organization_have_read_what_was_resolved(imports: Imports, people: World) -> None:
    # With five parameters for each, a statement would have more than PostgreSQL accepts, and some builds of SQLite.
    hire = """
        INSERT INTO employees (organization_id, id, name, created_at_ms, deactivated_at_ms)
        WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 14000)
        SELECT :acme, 1000000 + i, 'Employee', 1, CASE WHEN i = 1 THEN 2 END FROM s
    """
    imports.installation.database.change(hire, acme=people.acme)
    assert counts(imports.run(*USERS, ticket(1))) == (1, 0, 1, 2)
    database = imports.installation.database
    have_read = "SELECT count(*) FROM employee_reads WHERE organization_id = :acme AND sequence = 2"
    active = "SELECT count(*) FROM employees WHERE organization_id = :acme AND deactivated_at_ms IS NULL"
    assert database.value(have_read, acme=people.acme) == database.value(active, acme=people.acme) > 13_999
    assert database.value("SELECT count(*) FROM employee_reads WHERE employee_id = 1000001") == 0  # they have left
    assert database.value("SELECT count(*) FROM employee_reads WHERE organization_id <> :acme", acme=people.acme) == 0


def test_what_is_wrong_with_a_command_is_said(imports: Imports, people: World) -> None:
    def fault(*arguments: object) -> str:
        done = imports.installation.run("import", *arguments)
        assert done.returncode != 0
        return done.stderr

    file, acme = imports.file(*USERS), ("--organization", people.acme)
    assert "there is no file" in fault("zendesk", imports.folder / "missing", *imports.options())
    assert "name the business" in fault("zendesk", file, *acme)
    assert f"there is no business {people.london}" in fault("zendesk", file, *acme, "--business", people.london)
    assert "must be INBOX=ID" in fault("zendesk", file, *acme, "--map", "Support")
    assert "there is no organization 7" in fault("zendesk", file, "--organization", "7", "--business", people.boston)


def test_an_exported_organization_remembers_what_it_imported(imports: Imports, tmp_path: Path) -> None:
    imports.run(*USERS, ticket(1))
    installation = imports.installation
    installation.cli("organization", "export", imports.people.acme, tmp_path / "acme.jsonl")
    copy = installation.cli("organization", "import", tmp_path / "acme.jsonl")["organizationId"]
    query = "SELECT id FROM businesses WHERE organization_id = :id ORDER BY id LIMIT 1"
    boston = installation.database.value(query, id=int(copy))
    file = imports.file(*USERS, ticket(1), ticket(2, day=15))
    report = installation.cli("import", "zendesk", file, "--organization", copy, "--business", boston)
    assert counts(report) == (0, 1, 1, 2)
    threads = installation.database.rows("SELECT id FROM threads WHERE organization_id = :id", id=int(copy))
    assert len(threads) == 1  # the second ticket continues the conversation of the first


def test_people_read_the_report_as_a_table(imports: Imports) -> None:
    file = imports.file(*USERS, ticket(1, comments=[]), ticket(2))
    done = imports.installation.run("import", "zendesk", file, *imports.options("--dry-run"))
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["Nothing", "was", "written.", "An", "import", "would", "do", "this:"],
        ["new", "customers", "1"],
        ["known", "customers", "0"],
        ["conversations", "1"],
        ["messages", "2"],
        [],
        ["Left", "out", "or", "incomplete:"],
        ["what", "why", "count", "where"],
        ["record", "broken:", "has", "no", "messages", "with", "text", "or", "files", "1", "export.json:5"],
    ]
