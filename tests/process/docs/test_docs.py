"""The documentation matches the code, the command line and a real server."""

import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from harness import ROOT, page_blocks
from harness.databases import Databases
from harness.installation import Installation
from shopbell.events.record import EventType
from shopbell.notifications.reasons import REASONS
from shopbell.operations.demo import curl_command
from shopbell.settings import reference
from shopbell.sms.error_codes import KNOWN

SOURCE = ROOT / "src" / "shopbell"
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/adr/*.md"), *ROOT.glob("clients/*/*.md"))
)


def text_of(document: str) -> str:
    """What a document says."""
    return (ROOT / document).read_text()


def blocks(document: str, language: str) -> list[str]:
    """Its blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(document), re.DOTALL | re.MULTILINE)


def rows(document: str) -> Iterator[list[str]]:
    """The cells of its tables' rows."""
    for line in text_of(document).splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def test_the_settings_page_is_up_to_date() -> None:
    assert text_of("docs/settings.md") == reference.page(), "run `make settings`"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_has_a_target(document: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)|\bsrc=\"(docs/[^\"]+)", text_of(document)):
        path, _, anchor = "".join(target).partition("#")
        if "://" not in path:
            page = (ROOT / document).parent / path if path else ROOT / document
            assert page.exists(), path
            assert not anchor or anchor in anchors(page), anchor


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_named_make_target_exists(document: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    commands = re.findall(r"(?:`|^\$ |^)make ([a-z-]+)(?=`|$| {2,}#)", text_of(document), re.MULTILINE)
    assert set(commands) <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_named_source_file_exists(document: str) -> None:
    saved = {block.file for block in page_blocks.blocks(text_of(document))}
    for name in set(re.findall(r"`((?:src/shopbell/)?(?:[a-z_]+/)*[a-z_]+\.py)`", text_of(document))) - saved:
        assert (ROOT / name).is_file() or (SOURCE / name).is_file(), name


def tour() -> list[tuple[str, str]]:
    """The files of the tour with the names that are in them."""
    stops = [(row[0].strip("`"), row[1].strip("`")) for row in rows("docs/tour.md") if row[0] != "file"]
    assert len(stops) > 30
    return stops


@pytest.mark.parametrize(("file", "name"), tour())
def test_every_file_of_the_tour_exists(file: str, name: str) -> None:
    code = (SOURCE / file).read_text()
    owner, _, member = name.rpartition(".")
    if owner:
        (code,) = re.findall(rf"^class {owner}\b.*?(?=^\S|\Z)", code, re.DOTALL | re.MULTILINE)
    indent = " {4}" if owner else ""
    assert re.search(rf"^{indent}(?:(?:async )?def |class )?{member}(?:\(|\[|:| = )", code, re.MULTILINE)


@pytest.mark.parametrize(("file", "name"), [row[:2] for row in rows("web/README.md") if row[0].startswith("`src/")])
def test_every_file_of_the_tour_of_the_inbox_exists(file: str, name: str) -> None:
    code = (ROOT / "web" / file.strip("`")).read_text()
    word = name.strip("`")
    assert re.search(rf"^(?:export )?(?:async )?(?:function|const) {word}\b", code, re.MULTILINE)


def test_every_dependency_has_exactly_one_row() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))
    client = tomllib.loads(text_of("clients/python/pyproject.toml"))["project"]
    groups = [*project["dependency-groups"].values()]
    for each in (project["project"], client):
        groups += [each["dependencies"], *each["optional-dependencies"].values()]
    for path in ROOT.glob("[a-z]*/**/requirements.in"):
        groups.append([line for line in path.read_text().splitlines() if not line.startswith("#")])
    declared = {re.split(r"[\[>=;]", line)[0].strip() for group in groups for line in group}
    for path in (*ROOT.glob("tests/*/package.json"), *ROOT.glob("*/package.json")):
        packages = json.loads(path.read_text())
        declared |= packages["devDependencies"].keys() | packages.get("dependencies", {}).keys()
    declared.add(text_of("web/requirements.txt").partition("==")[0])
    cells = [re.sub(r"`(tests/[a-z]+|docsite)`", "", row[0]) for row in rows("docs/dependencies.md")]
    named = {name for cell in cells for name in re.findall(r"`(@?[a-z0-9-]+(?:/[a-z0-9-]+)?)`", cell)}
    section = text_of("docs/dependencies.md").partition("## Considered and rejected")[2]
    refused = set(re.findall(r"^\| `([@a-z0-9/-]+)`", section, re.MULTILINE))
    assert named - refused == declared


def test_every_event_type_has_a_row() -> None:
    assert [row[0].strip("`") for row in rows("docs/events.md") if row[0] != "type"] == list(get_args(EventType))


def test_every_reason_for_an_unsent_message_is_explained() -> None:
    explained = text_of("docs/mail.md") + text_of("docs/sms.md")
    for name in (*REASONS, *KNOWN):
        assert re.search(rf"^\|.*`{name}`.*\| .+ \|$", explained, re.MULTILINE), name


def test_the_readme_lists_every_page() -> None:
    listed = set(re.findall(r"\]\((docs/[^)#]+)\)", text_of("README.md").partition("## Documentation")[2]))
    assert listed == {document for document in DOCUMENTS if document.startswith("docs/")} - {
        document for document in DOCUMENTS if re.match(r"docs/adr/\d", document)
    }


def test_the_list_of_decisions_is_complete() -> None:
    pages = {path.name for path in ROOT.glob("docs/adr/[0-9]*.md")}
    assert set(re.findall(r"\((\d{4}[^)]*)\)", text_of("docs/adr/README.md"))) == pages


def test_the_command_in_the_readme_is_the_one_the_demo_prints() -> None:
    (shown,) = re.findall(r"^\$ (curl .*businessId.*)$", "".join(blocks("README.md", "console")), re.MULTILINE)
    assert shown == curl_command("http://127.0.0.1:8080", "sb_live_…", 12345)


def normal(output: str) -> list[str]:
    """An output without what differs from run to run: times, tokens, their ends, and spaces at the end of lines."""
    output = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "T" * 20, output)
    output = re.sub(r"sb_live_\w+", "sb_live_…", output)
    output = re.sub(r"…\w{4}\b", "…    ", output)
    return [line.rstrip() for line in output.rstrip().splitlines()]


def session(document: str) -> list[tuple[str, str]]:
    """The commands of ``shopbell`` that a document shows, with what they print."""
    parts = [part for block in blocks(document, "console") for part in re.split(r"^\$ ", block, flags=re.MULTILINE)]
    commands = [part.partition("\n") for part in parts]
    return [(command, output) for command, _, output in commands if command.startswith("shopbell ")]


def test_the_command_line_page_shows_the_real_output(databases: Databases, tmp_path: Path) -> None:
    installation = Installation(databases.copy("sqlite", "migrated"), tmp_path)
    commands = session("docs/command-line.md")
    assert len(commands) == 7
    token = ""
    for command, output in commands:
        if command == "shopbell threads list":
            send_the_message_of_the_guide(installation, token)
        done = installation.run(*shlex.split(command)[1:])
        assert done.returncode == 0, done.stderr
        assert normal(done.stdout) == normal(output), command
        if command.startswith("shopbell token create"):
            (token,) = re.findall(r"sb_live_\w+", done.stdout)


def test_a_bot_with_the_documented_token_can_do_what_the_guide_shows(databases: Databases, tmp_path: Path) -> None:
    (script,) = [block for block in blocks("docs/api.md", "sh") if block.startswith("# reply")]
    installation = Installation(databases.copy("sqlite", "world"), tmp_path)
    acme = databases.world("sqlite")
    commands = [command for command, _ in session("docs/command-line.md")]
    (command,) = [command for command in commands if command.startswith("shopbell token create")]
    shown_organization = re.findall(r"--organization (\d+)", command)[0]
    token = installation.cli(*shlex.split(command.replace(shown_organization, acme.acme))[1:])["token"]
    with installation.serving() as server:
        opened = server.client.post(
            "/api/widget/send-message-to-business",
            headers={"token": token},
            json={
                "businessId": acme.boston,
                "message": "Are you open on Sunday?",
                "user": {"email": "carol@example.com"},
            },
        )
        ours = {
            "http://127.0.0.1:8080": server.url,
            "sb_live_…": token,
            "12354": opened.json()["customerThreadId"],
        }
        for shown, real in ours.items():
            script = script.replace(shown, real)
        done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True)
    decoder, rest, answers = json.JSONDecoder(), done.stdout, []
    while rest:
        answer, end = decoder.raw_decode(rest)
        answers.append(answer)
        rest = rest[end:]
    replied, read, happened, webhook = answers
    assert replied["messageId"] == read["messages"][-1]["id"] == happened["events"][-1]["messageId"]
    assert webhook["secret"].startswith("whsec_")


def send_the_message_of_the_guide(installation: Installation, token: str) -> None:
    """Send the message of the API guide and of the README, and compare the errors that the guide shows."""
    (command,) = [block for block in blocks("docs/api.md", "sh") if block.startswith("curl")]
    assert command in blocks("README.md", "sh")
    words = shlex.split(command)
    given = [words[place + 1].split(": ") for place, word in enumerate(words) if word == "-H"]
    headers = {**dict(given), "token": token}
    path = next(word for word in words if word.startswith("http")).removeprefix("http://127.0.0.1:8080")
    body = words[words.index("-d") + 1]
    (shown,) = [json.loads(block) for block in blocks("docs/api.md", "json") if "errors" in block]
    with installation.serving() as server:
        answers = [server.client.post(path, content=body, headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[1].headers["idempotent-replayed"] == "true"
        wrong = json.dumps({**json.loads(body), "message": " ", "user": {}})
        said = server.client.post(path, content=wrong, headers=headers).json()
        assert said | {"instance": shown["instance"]} == shown
