"""The pages of the site and their navigation, from the Markdown files of the repository."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOME = "README.md"
DECISIONS = "docs/adr/README.md"
COMMANDS = "docs/all-commands.md"
REFERENCE = "docs/api-reference.md"
"""Pages that only the site has, beside the pages to which they belong."""
_BESIDE = {"docs/command-line.md": COMMANDS, "docs/api.md": REFERENCE}
_PAGES = ("*.md", "docs/*.md", "docs/adr/*.md", "clients/*/README.md", "web/README.md")


def copy(folder: Path) -> None:
    """Copy all pages, and the files to which they link, to the same paths below a folder."""
    for pattern in _PAGES:
        for page in ROOT.glob(pattern):
            text = page.read_text()
            target = folder / page.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(for_site(text))
            for name in re.findall(r"\]\(([^)\s#]+)|\bsrc=\"([^\"]+)", for_site(text)):
                linked = (page.parent / "".join(name)).resolve()
                if linked.is_dir():
                    copy_folder(linked, folder)
                elif linked.is_file() and linked.suffix != ".md":
                    _copy_file(linked, folder)


def _copy_file(file: Path, folder: Path) -> None:
    copied = folder / file.relative_to(ROOT)
    copied.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, copied)


def copy_folder(linked: Path, folder: Path) -> None:
    """Copy the files of a folder, and list them on a page."""
    files = sorted(path for path in linked.rglob("*") if path.is_file())
    for path in files:
        _copy_file(path, folder)
    names = [path.relative_to(linked).as_posix() for path in files]
    rows = "".join(f"- [`{name}`]({name})\n" for name in names)
    (folder / linked.relative_to(ROOT) / "index.md").write_text(f"# {linked.relative_to(ROOT)}\n\n{rows}")


def for_site(text: str) -> str:
    """Return a page without badges and comments for tests, and with lists as the site reads them.

    Badges are on other hosts. Python-Markdown wants the lines of a list's item to be indented by four columns; GitHub
    needs only the width of the marker.
    """
    lines = []
    width = 0
    is_code = False
    for line in text.splitlines():
        is_badge = "badge" in line and re.match(r"!\[|<a ", line)
        if is_badge or re.match(r" *<!-- (not run|runs on|after Ctrl-C): ", line):
            continue
        if line.startswith("```"):
            is_code = not is_code
        if not is_code and line and not line.startswith(" "):
            marker = re.match(r"(?:\d+\.|[-*]) +", line)
            width = len(marker[0]) if marker else 0
        is_inside = width and line.startswith(" " * width)
        lines.append(" " * 4 + line[width:] if is_inside else line)
    return "\n".join(lines) + "\n"


def navigation() -> list[object]:
    """Return the navigation in the form of the configuration: it follows the table of the README.

    ``How-to guides: operators`` is the section "Operators" of the section "How-to guides".
    """
    sections: dict[str, list[object]] = {}
    found: list[object] = [{"Home": HOME}]
    for row in (ROOT / HOME).read_text().partition("## Documentation")[2].partition("\n## ")[0].splitlines():
        name, _, cell = row.strip("| ").partition(" | ")
        pages = [_page(title, path) for title, path in re.findall(r"\[([^\]]+)\]\(([^)]+)\)", cell)]
        if not pages:
            continue
        section, _, part = name.partition(": ")
        if section not in sections:
            sections[section] = []
            found.append({section: sections[section]})
        sections[section] += [{part.capitalize(): pages}] if part else pages
    return found


def _page(title: str, path: str) -> object:
    if path == DECISIONS:
        return {title: [path, *sorted(str(each.relative_to(ROOT)) for each in ROOT.glob("docs/adr/[0-9]*.md"))]}
    if path in _BESIDE:
        return {title: [path, _BESIDE[path]]}
    return {title: path}
