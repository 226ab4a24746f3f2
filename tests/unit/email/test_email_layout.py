"""Emails have a layout that Outlook for Windows supports."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

import shopbell
from harness.sample_emails import FULL, LETTERS, html_of

TEMPLATES = Path(shopbell.__file__).parent / "web" / "mail"


@dataclass
class Element:
    """An element of a page, and what is declared for it."""

    tag: str
    attributes: dict[str, str]

    @property
    def style(self) -> dict[str, str]:
        pairs = (each.partition(":") for each in self.attributes.get("style", "").split(";") if each.strip())
        return {name.strip(): value.strip() for name, _, value in pairs}


class Page(HTMLParser):
    """The elements of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attributes}))


@pytest.mark.parametrize("name", [name for name in LETTERS if name.endswith("all")])
def test_outlook_for_windows_gets_a_supported_layout(name: str) -> None:
    source = html_of(LETTERS[name])
    elements = Page(source).elements
    for element in elements:
        style = element.style
        padded = [each for each in style if each.startswith("padding")]
        assert not padded or element.tag == "td" or style[padded[0]] == "0", element
        assert "max-width" not in style or element.tag == "table", element
        logical = [each for each in style if re.search(r"inline|block", each)]
        assert logical == [], element
        assert "overflow-wrap" not in style or style["word-break"] == "break-word", element
        if element.tag == "td" and "background-color" in style:
            assert element.attributes["bgcolor"] == style["background-color"]
        if element.tag == "table":
            assert element.attributes["role"] == "presentation"
    assert re.search(r'<!--\[if mso\]><table role="presentation" width="600"', source)
    side = "right" if LETTERS[name].locale == "ar" else "left"
    assert {each for element in elements for each in element.style if re.fullmatch("border-(left|right)", each)} == {
        f"border-{side}"
    }
    (button,) = [element for element in elements if element.attributes.get("href") == FULL.button_url]
    cell = elements[elements.index(button) - 1]
    assert (cell.tag, cell.attributes["bgcolor"]) == ("td", button.style["background-color"])
    assert "padding" in cell.style


def test_no_other_template_is_sent_by_email() -> None:
    assert [path.name for path in TEMPLATES.glob("*.html")] == ["message.html"]
