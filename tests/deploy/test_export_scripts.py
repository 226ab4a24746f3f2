"""The scripts of ``docs/import.md`` save what the APIs of other products return, and Shopbell imports it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from harness import ROOT
from harness.installation import Installation
from harness.page_blocks import blocks
from harness.page_runner import PageRunner
from harness.programs import program
from harness.world import World

EXAMPLES = ROOT / "tests" / "unit" / "imports" / "examples"
IDS = ("147", "148", "149")
"""The conversations of the other product, on pages of two."""


def intercom(query: dict[str, list[str]]) -> dict[str, object]:
    """A page of Intercom's list of conversations."""
    assert query["per_page"] == ["150"]
    after = query.get("starting_after", [""])[0]
    rest = IDS[IDS.index(after) + 1 :] if after else IDS
    following = {"next": {"page": 2, "starting_after": rest[1]}} if len(rest) > 2 else {}
    return {"conversations": [{"id": id_} for id_ in rest[:2]], "pages": {"type": "pages", **following}}


def freescout(query: dict[str, list[str]]) -> dict[str, object]:
    """A page of FreeScout's list of conversations; the one after the last is empty."""
    first = 2 * int(query["page"][0]) - 2
    return {"_embedded": {"conversations": [{"id": int(id_)} for id_ in IDS[first : first + 2]]}}


PAGES = {"intercom": intercom, "freescout": freescout}


@contextmanager
def api(product: str, refusals: list[int]) -> Iterator[str]:
    """The API of a product; yields its address. Each conversation is the example with another id.

    Args:
        product: its name.
        refusals: the status codes of its first responses.
    """
    example = json.loads((EXAMPLES / f"{product}.json").read_text())
    page: Callable[[dict[str, list[str]]], dict[str, object]] = PAGES[product]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert "the-key" in str(self.headers)
            if refusals:
                self.send_error(refusals.pop())
                return
            url = urlsplit(self.path)
            name = url.path.rpartition("/")[2]
            if name == "conversations":
                body = page(parse_qs(url.query))
            else:
                assert product != "freescout" or url.query == "embed=threads,tags"
                body = example | {"id": type(example["id"])(name)}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body, indent=2).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def save(product: str, refusals: list[int], folder: Path) -> Path:
    """Run the script of a product; returns the file that it has written."""
    program("jq", "jq")
    page = (ROOT / "docs" / "import.md").read_text()
    (script,) = (block for block in blocks(page) if block.section.lower() == product)
    with api(product, refusals) as url:
        runner = PageRunner(folder, {}, {"https://api.intercom.io": url})
        runner.export(TOKEN="the-key", KEY="the-key", SITE=url)
        runner.run(script)
    return runner.work / "conversations.json"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("product", PAGES)
def test_all_conversations_are_saved_and_imported(
    product: str, installation: Installation, people: World, tmp_path: Path
) -> None:
    file = save(product, [429], tmp_path)
    saved = [json.loads(line) for line in file.read_text().splitlines()]
    assert [str(conversation["id"]) for conversation in saved] == list(IDS)
    report = installation.cli("import", product, file, "--organization", people.acme, "--business", people.boston)
    assert report["conversations"] == len(IDS), report


@pytest.mark.parametrize("product", PAGES)
def test_a_script_ends_if_its_key_is_refused(product: str, tmp_path: Path) -> None:
    assert save(product, [401] * 9, tmp_path).read_text() == ""
