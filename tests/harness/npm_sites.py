"""Website libraries installed by npm from ``tests/browser/sites``."""

import json
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "browser" / "sites"
TURBO = "@hotwired/turbo/dist/turbo.es2017-umd.js"
TURBOLINKS = "turbolinks/dist/turbolinks.js"


def library(path: str) -> str:
    """The text of a file of an installed package.

    Args:
        path: below ``node_modules``.
    """
    file = FOLDER / "node_modules" / path
    assert file.exists(), "npm packages are missing: run `make test-browser`, or `npm ci --prefix tests/browser/sites`"
    return file.read_text()


def react_page(version: str, tag: dict[str, str]) -> tuple[str, str]:
    """A document that React has rendered on the server.

    Args:
        version: ``react18`` or ``react19``.
        tag: the attributes of the widget's script tag.

    Returns:
        Its HTML, and the script ``/react.js`` that hydrates it: at once, or by ``hydrate()`` if ``waits`` is set.
    """
    command = ["node", "react.cjs", version, json.dumps(tag)]
    run = subprocess.run(command, cwd=FOLDER, capture_output=True, check=True, text=True)
    rendered = json.loads(run.stdout)
    return rendered["html"], rendered["script"]
