"""The documentation site: which pages it has, and which faults `make docs` finds in it."""

import re
from pathlib import Path

import pytest
from docsite import build, links, pages

from harness import ROOT


def pages_in(value: object) -> list[str]:
    """The pages of a navigation."""
    if isinstance(value, dict):
        value = list(value.values())
    return [page for each in value for page in pages_in(each)] if isinstance(value, list) else [str(value)]


def test_every_page_is_in_the_navigation_once() -> None:
    found = sorted(page for page in pages_in(pages.navigation()) if page.startswith("docs/"))
    written = {path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("docs/*.md"), *ROOT.glob("docs/adr/*.md"))}
    assert found == sorted(written | {pages.COMMANDS, pages.REFERENCE})


def test_the_navigation_is_by_kind() -> None:
    sections = [name for section in pages.navigation() if isinstance(section, dict) for name in section]
    assert {"Tutorial", "How-to guides", "Reference", "Explanations"} <= set(sections)
    assert len(sections) == len(set(sections))


def test_the_copied_pages_have_what_they_show(tmp_path: Path) -> None:
    pages.copy(tmp_path)
    assert (tmp_path / "README.md").is_file()
    assert (tmp_path / "LICENSE").is_file()
    assert (tmp_path / "docs/images/demo.png").is_file()
    assert (tmp_path / "deploy/nginx/shopbell.conf").is_file()
    assert "badge" not in (tmp_path / "README.md").read_text()


def test_a_linked_folder_gets_a_page_that_lists_its_files(tmp_path: Path) -> None:
    pages.copy_folder(ROOT / "deploy", tmp_path)
    assert (tmp_path / "deploy/nginx/shopbell.conf").is_file()
    assert "(nginx/shopbell.conf)" in (tmp_path / "deploy/index.md").read_text()


def test_lists_are_indented_as_the_site_reads_them() -> None:
    text = "1. First\n\n   ```sh\n   if true; then\n     ls\n   fi\n   ```\n2. Second\n\nText\n   not in a list\n"
    assert pages.for_site(text) == re.sub("(?m)^   (?!not)", "    ", text)


def test_code_that_looks_like_a_list_is_unchanged() -> None:
    text = "```yaml\n- one:\n  two\n```\n\n- one\n"
    assert pages.for_site(text) == text


def test_the_navigation_is_valid_toml() -> None:
    assert build.toml([{"A": ["b", {"c": 'd"'}]}]) == '[{"A" = ["b", {"c" = "d\\""}]}]'


SITE = {"index.html": '<h1 id="top">A</h1><a href="b/c.html#end">c</a>', "b/c.html": '<p id="end">'}


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ("<a href='nothing.html'>", "nothing.html does not exist"),
        ("<a href='b/c.html#nothing'>", "b/c.html#nothing has no such heading"),
        ("<a href='#nothing'>", "#nothing has no such heading"),
        ("<img src='nothing.png'>", "nothing.png does not exist"),
        ("<script src='https://cdn.example/x.js'>", "https://cdn.example/x.js is on another host"),
        ("<link rel='stylesheet' href='//fonts.example/x.css'>", "//fonts.example/x.css is on another host"),
        ("<img src='http://pixel.example/x.png'>", "http://pixel.example/x.png is on another host"),
    ],
)
def test_a_faulty_link_or_resource_is_found(tmp_path: Path, html: str, fault: str) -> None:
    write(tmp_path, SITE)
    assert links.faults(tmp_path) == []
    write(tmp_path, {"index.html": SITE["index.html"] + html})
    assert links.faults(tmp_path) == [f"index.html: {fault}"]


def test_a_style_sheet_that_loads_a_font_from_another_host_is_found(tmp_path: Path) -> None:
    write(tmp_path, SITE | {"x.css": "@font-face { src: url(https://fonts.example/x.woff2) }"})
    assert links.faults(tmp_path) == ["x.css: url(http"]


def test_links_to_other_sites_and_from_the_root_are_allowed(tmp_path: Path) -> None:
    write(tmp_path, SITE | {"404.html": "<a href='/b/c.html'><a href='https://example.org/'><a href='/'>"})
    assert links.faults(tmp_path) == []


def write(folder: Path, files: dict[str, str]) -> None:
    """Write the files of a site."""
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
