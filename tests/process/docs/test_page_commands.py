"""The commands of the documentation work, one page after the other."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import pytest

from harness import ROOT, page_needs
from harness.databases import Databases
from harness.installation import Database, Installation, Server
from harness.page_blocks import Block, blocks
from harness.page_needs import Need
from harness.page_runner import PageRunner
from harness.ports import free_port
from harness.shop import WIDGET

ORGANIZATION = "12344"
BUSINESS = "12345"


@dataclass(frozen=True)
class Page:
    """How a page is tested.

    ``has_server`` is whether a server runs before its first command; otherwise the page says how to start one.
    ``ids`` are ids that the page shows and no command tells: Carol has begun a conversation. ``variables`` are what its
    programs expect in the environment. ``needs`` prepares what its commands need beside the server. Whether it
    ``is_reference`` whose readers read one section: no variables or servers last until the next one.
    """

    has_server: bool = True
    ids: dict[str, str] = field(default_factory=dict)
    variables: tuple[str, ...] = ()
    needs: Need | None = None
    is_reference: bool = False


PAGES = {
    "README.md": Page(has_server=False),
    "docs/api.md": Page(ids={"12354": "thread"}),
    "docs/backups.md": Page(needs=page_needs.backups),
    "docs/client.md": Page(variables=("SHOPBELL_URL", "SHOPBELL_TOKEN", "SHOPBELL_SECRET")),
    "docs/employees.md": Page(),
    "docs/events.md": Page(ids={"4711": "position"}),
    "docs/first-hour.md": Page(has_server=False),
    "docs/graphql.md": Page(ids={"12346": "customer"}),
    "docs/identity.md": Page(ids={"12347": "thread"}),
    "docs/import.md": Page(needs=page_needs.exports),
    "docs/inbox-api.md": Page(ids={"12347": "thread", "12362": "thread", "12363": "message"}),
    "docs/ivr.md": Page(),
    "docs/mail.md": Page(needs=page_needs.emails, is_reference=True),
    "docs/operations.md": Page(needs=page_needs.operations, is_reference=True),
    "docs/performance.md": Page(has_server=False),
    "docs/push.md": Page(),
    "docs/sms.md": Page(),
    "docs/upgrade.md": Page(needs=page_needs.upgrade),
    "docs/webhooks.md": Page(),
    "docs/widget.md": Page(),
}
ELSEWHERE = {
    "docs/command-line.md": "test_docs.py",
    "docs/install.md": "test_installations.py",
    "docs/systemd.md": "test_systemd.py",
}
"""Pages whose commands another test runs."""
NOT_RUN = 19
"""So many blocks of these pages are not run. A comment before each has the reason, or names the test that runs it."""
STATIC = ("docs/growth.md",)
"""Pages whose commands no test runs.

`docs/growth.md` needs two machines and minutes of both cores. `tests/crash/test_failover.py` makes a replica as that
page says, and `tests/unit/bench/test_simulate.py` simulates a little.
"""


@pytest.fixture
def postgres(databases: Databases) -> Iterator[str]:
    """The address of an empty PostgreSQL database."""
    database = databases.empty()
    yield database.url
    databases.drop(database)


@contextmanager
def runner_of(page: Page, databases: Databases, folder: Path) -> Iterator[PageRunner]:
    """A terminal for the commands of a page, with a server if they need one."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SHOPBELL_")}
    if not page.has_server:
        runner = PageRunner(folder, inherited, {})
        yield runner
        return
    receiver = free_port()
    installation = Installation(databases.copy("sqlite", "migrated"), folder)
    allowed = {"SHOPBELL_OUTBOUND_ALLOW": f"127.0.0.1:{receiver}", "SHOPBELL_POLL_INTERVAL_S": "0.2"}
    installation.settings = dict(installation.settings) | allowed
    assert str(installation.cli("organization", "create", "Acme")["id"]) == ORGANIZATION
    named = (
        "--organization",
        ORGANIZATION,
        "Acme Boston",
        "--region",
        "US",
        "--phone",
        "+16175550100",
        "--no-notify-business",
        "--no-invite-customers",
    )
    assert str(installation.cli("business", "create", *named)["id"]) == BUSINESS
    token = installation.cli("token", "create", "--organization", ORGANIZATION)["token"]
    with installation.serving() as server:
        known = _known(installation, server, token) if page.ids else {}
        real = {
            "8080": str(server.port),
            "9000": str(receiver),
            "https://chat.example.org": server.url,
            "sb_live_…": token,
            "Bearer …": "Bearer of-your-service",
            **{shown: known[kind] for shown, kind in page.ids.items()},
        }
        sample = {"SHOPBELL_URL": server.url, "SHOPBELL_TOKEN": token, "SHOPBELL_SECRET": f"whsec_{'A' * 32}"}
        given = {name: sample[name] for name in page.variables}
        yield PageRunner(folder, installation.environment | given, real, server.stop)
    databases.drop(installation.database)


def _known(installation: Installation, server: Server, token: str) -> dict[str, str]:
    """The ids of what Carol's first message has created."""
    user = {"email": "carol@example.com", "name": "Carol Jones"}
    body = {"businessId": BUSINESS, "message": "Is my bell ready?", "user": user}
    server.client.post(WIDGET, json=body, headers={"token": token}).raise_for_status()
    (known,) = installation.database.rows(
        "SELECT messages.id AS message, threads.id AS thread, threads.customer_id AS customer,"
        " (SELECT max(position) FROM events) - 1 AS position"
        " FROM messages JOIN threads ON threads.id = messages.thread_id"
    )
    return {kind: str(value) for kind, value in known.items()}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", PAGES)
def test_the_commands_of_a_page_work(name: str, databases: Databases, postgres: str, tmp_path: Path) -> None:
    page = PAGES[name]
    with runner_of(page, databases, tmp_path) as runner, page.needs(runner, databases) if page.needs else nullcontext():
        runner.real["postgresql://shopbell@localhost/shopbell"] = postgres
        for _, section in groupby(_blocks(name), lambda block: page.is_reference and block.section):
            with runner.session():
                for block in section:
                    if not block.not_run:
                        runner.run(block)


def test_a_command_that_fails_is_noticed(tmp_path: Path) -> None:
    runner = PageRunner(tmp_path, {}, {})
    with pytest.raises(AssertionError, match="line 7: false"):
        runner.run(Block("sh", "false\ntrue\n", 7))


def test_a_request_that_is_refused_is_noticed(tmp_path: Path) -> None:
    installation = Installation(Database(f"sqlite:///{tmp_path}/data/shopbell.db"), tmp_path)
    with installation.serving() as server:
        runner = PageRunner(tmp_path, {}, {"8080": str(server.port)})
        runner.run(Block("sh", "curl -sS http://127.0.0.1:8080/healthz\n", 1))
        with pytest.raises(AssertionError, match="401"):
            runner.run(Block("sh", "curl -sS http://127.0.0.1:8080/api/businesses\n", 1))


def test_another_output_than_on_the_page_is_noticed(tmp_path: Path) -> None:
    runner = PageRunner(tmp_path, {}, {})
    runner.run(Block("console", "$ echo Acme\nAcme\n", 1))
    with pytest.raises(AssertionError, match="it printed\nGlobex"):
        runner.run(Block("console", "$ echo Globex\nAcme\n", 1))


def test_variables_files_and_folders_last_until_the_page_ends(tmp_path: Path) -> None:
    runner = PageRunner(tmp_path, {}, {})
    runner.run(Block("sh", "mkdir bell && cd bell\nname='Acme Boston'\n", 1))
    runner.run(Block("text", "a bell\n", 1, file="bell.txt"))
    runner.run(Block("console", "$ echo $name $(basename $PWD)\nAcme Boston bell\n$ cat ../bell.txt\na bell\n", 1))


def test_every_page_with_commands_is_tested() -> None:
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))}
    assert {name for name in pages if _blocks(name)} == {*PAGES, *ELSEWHERE, *STATIC}


def test_every_block_that_is_not_run_says_why() -> None:
    reasons = [block.not_run for name in PAGES for block in _blocks(name) if block.not_run]
    assert len(reasons) == NOT_RUN, reasons
    assert all(reason.startswith("it ") for reason in reasons)
    for name in re.findall(r"\btests/\S+", " ".join(reasons)):
        assert (ROOT / name).is_file(), name


def _blocks(name: str) -> list[Block]:
    return list(blocks((ROOT / name).read_text()))
