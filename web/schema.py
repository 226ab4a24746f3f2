"""Write ``src/api/schema.ts``: API types of the inbox from the OpenAPI document.

Run ``make types`` after a change of these routes. A test compares the file with the server.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WEB = Path(__file__).parent
TARGET = WEB / "src" / "api" / "schema.ts"
MODELS = (
    "BulkDone",
    "EarlierMessages",
    "FirstSteps",
    "InboxAction",
    "InboxCounts",
    "InboxThreads",
    "Invited",
    "Me",
    "OpenedConversation",
    "PublishableKeys",
    "SavedReplies",
    "SavedViews",
    "ScheduledMessages",
    "Tags",
    "Undone",
)
"""What the inbox reads and sends; what these refer to is added."""
_TEXTS = ("description", "examples", "example", "title")
_REFERENCE = "#/components/schemas/"
_DIGEST = re.compile(r"^// ([0-9a-f]{64})$", re.MULTILINE)
_DOCUMENT_OF_SERVER = """
import json
from shopbell.app import create_app
rest = create_app()._rest
while not hasattr(rest, "openapi"):
    rest = rest.app
print(json.dumps(rest.openapi()))
"""


def schemas_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas of ``MODELS`` and of all that they refer to, without texts."""
    every = document["components"]["schemas"]
    wanted, found = list(MODELS), dict[str, Any]()
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = _without_texts(every[name])
            wanted.extend(_references(found[name]))
    return dict(sorted(found.items()))


def digest_of(document: dict[str, Any]) -> str:
    """Return what the file has in its first lines if it is up to date."""
    return hashlib.sha256(json.dumps(schemas_of(document), sort_keys=True).encode()).hexdigest()


def digest_in_file() -> str:
    """Return the digest of the schemas from which the file was written."""
    found = _DIGEST.search(TARGET.read_text())
    return found[1] if found else ""


def _without_texts(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_texts(each) for each in part]
    if not isinstance(part, dict):
        return part
    # A property may have the name of a text.
    return {
        name: {key: _without_texts(each) for key, each in value.items()}
        if name == "properties"
        else _without_texts(value)
        for name, value in part.items()
        if name not in _TEXTS
    }


def _references(part: Any) -> Iterator[str]:
    for each in part if isinstance(part, list) else part.values() if isinstance(part, dict) else ():
        if isinstance(each, str) and each.startswith(_REFERENCE):
            yield each.removeprefix(_REFERENCE)
        yield from _references(each)


def _document() -> dict[str, Any]:
    """Return the document of this source, as a server without data has it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "shopbell", "migrate"]
        subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
        printed = subprocess.run(
            [sys.executable, "-c", _DOCUMENT_OF_SERVER], cwd=folder, check=True, stdout=subprocess.PIPE
        ).stdout
    found: dict[str, Any] = json.loads(printed)
    return found


def main() -> None:
    """Write the file. openapi-typescript must be installed (``npm ci``)."""
    document = _document()
    reduced = {
        "openapi": "3.1.0",
        "info": {"title": "", "version": ""},
        "components": {"schemas": schemas_of(document)},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(reduced | {"paths": {}}, file)
        file.flush()
        command = ["node_modules/.bin/openapi-typescript", file.name, "--root-types", "--root-types-no-schema-prefix"]
        written = subprocess.run(command, cwd=WEB, check=True, stdout=subprocess.PIPE).stdout.decode()
    digest = digest_of(document)
    head = f"// `make types` writes this file. It is up to date with the schemas of this digest:\n// {digest}\n"
    TARGET.write_text(head + written.partition("*/\n")[2])


if __name__ == "__main__":
    main()
