"""Emails use only widely supported HTML and CSS."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.sample_emails import LETTERS, html_of

HERE = Path(__file__).parent

# Features in our emails that some programs lack, and why the emails work without them.
TOLERATED = {
    "color-scheme CSS property": "the program chooses the colours of the dark by itself",
    "color-scheme meta tag": "the program chooses the colours of the dark by itself",
    "@media": "the mail stays light in the dark",
    "<style> element": "the mail stays light in the dark; all else is in the elements' own styles",
    "<body> element": "the outer table has the background",
    "border-radius": "corners are square",
    "overflow-wrap": "word-break breaks long words, too; where neither is known the table keeps its width",
    "word-break": "overflow-wrap breaks long words, too; where neither is known the table keeps its width",
    "overflow": "not used: caniemail takes overflow-wrap for it",
    "table-layout": "Outlook for Windows gets a table of a fixed width around the mail",
    "role attribute": "Windows Mail reads the tables out as tables",
}


def unsupported(pages: Sequence[str]) -> list[set[tuple[str, str]]]:
    """The HTML and CSS features in pages that email programs lack.

    Pairs of a feature and a program: Gmail, Outlook, Apple Mail, Yahoo or Samsung Mail.
    """
    assert (HERE / "node_modules").is_dir(), "`make test-system` installs it"
    done = subprocess.run(
        ["node", "caniemail.mjs"], cwd=HERE, input=json.dumps(pages), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [{(title, client) for title, client in found} for found in json.loads(done.stdout)]


def test_every_email_uses_only_widely_supported_html_and_css() -> None:
    found = dict(zip(LETTERS, unsupported([html_of(letter) for letter in LETTERS.values()]), strict=True))
    wrong = {name: {each for each in lacks if each[0] not in TOLERATED} for name, lacks in found.items()}
    assert {name: lacks for name, lacks in wrong.items() if lacks} == {}
    assert {title for lacks in found.values() for title, _ in lacks} == set(TOLERATED)  # none is obsolete


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ('<p style="border-inline-start:1px solid red">x</p>', "border-inline & border-block"),
        ('<p style="display:flex">x</p>', "display:flex"),
        ('<p style="position:absolute">x</p>', "position"),
    ],
)
def test_control_unsupported_html_and_css_is_found(html: str, title: str) -> None:
    (found,) = unsupported([f"<!doctype html><html><body>{html}</body></html>"])
    assert any(each.startswith(title) for each, _ in found)
    assert title not in TOLERATED
