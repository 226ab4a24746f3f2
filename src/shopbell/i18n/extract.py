"""Update the catalogs from the source: ``make catalogs``.

The server and the inbox in ``web/`` have separate catalogs.

Texts that the source no longer contains stay in a catalog as comments. If the source contains them again, they get
their translations back.
"""

import ast
import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment, nodes

from shopbell.i18n.translations import DOMAIN, LANGUAGES, LOCALES, folder_name

SOURCE = Path(__file__).parents[1]
WEB = Path(__file__).parents[3] / "web"
PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
_EPOCH = datetime.fromtimestamp(0, UTC)
_HEADER = r"""msgid ""
msgstr ""
"Language: {language}\n"
"Plural-Forms: {plural_forms}\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"

"""
_CALLS = ("_", "gettext", "msgid", "ngettext")

_STRING = r'("(?:[^"\\\n]|\\.)*")'
_IN_TYPESCRIPT = re.compile(rf"\b(?:(?:t|msgid)\(\s*{_STRING}|n\(\s*{_STRING},\s*{_STRING})")

Said = tuple[str] | tuple[str, str]
"""An English text, or its singular and plural."""


@dataclass(frozen=True)
class Catalogs:
    """The catalogs of one source, with a file for each language.

    Args:
        source: the folder with the texts.
        file: the path of a catalog; ``{language}`` stands for its language.
        is_compiled: whether an MO file is written next to each.
    """

    source: Path
    file: str
    is_compiled: bool

    def path(self, language: str) -> Path:
        """Return the path of a language's catalog."""
        return Path(self.file.format(language=folder_name(language)))


SERVER = Catalogs(SOURCE, f"{LOCALES}/{{language}}/LC_MESSAGES/{DOMAIN}.po", is_compiled=True)
INBOX = Catalogs(WEB / "src", f"{WEB}/locales/{{language}}.po", is_compiled=False)


def said_in_source(source: Path = SOURCE) -> dict[Said, list[str]]:
    """Find the texts in the files of a folder, with their files."""
    found: dict[Said, list[str]] = {}
    for path in sorted(path for path in source.rglob("*.*") if path.suffix in _READERS):
        text = path.read_text()
        for said in _READERS[path.suffix](text):
            places = found.setdefault(said, [])
            if (name := path.relative_to(source).as_posix()) not in places:
                places.append(name)
    return found


def _in_python(text: str) -> Iterator[Said]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            yield from _in_call(name, [_strings(argument) for argument in node.args])


def _strings(node: ast.expr) -> list[str]:
    """Return the strings of an argument: one, or two of a condition; none if dynamic."""
    if isinstance(node, ast.IfExp):
        return [*_strings(node.body), *_strings(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def _in_template(text: str) -> Iterator[Said]:
    for node in Environment(autoescape=True).parse(text).find_all(nodes.Call):
        name = getattr(node.node, "attr", getattr(node.node, "name", ""))
        yield from _in_call(name, [list(_template_strings(argument)) for argument in node.args])


def _template_strings(node: nodes.Expr) -> Iterator[str]:
    if isinstance(node, nodes.CondExpr):
        yield from _template_strings(node.expr1)
        if node.expr2 is not None:
            yield from _template_strings(node.expr2)
    elif isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value


def _in_call(name: str, arguments: list[list[str]]) -> Iterator[Said]:
    if name not in _CALLS or not arguments:
        return
    if name == "ngettext":
        if len(arguments) > 1 and arguments[0] and arguments[1]:
            yield arguments[0][0], arguments[1][0]
    else:
        yield from ((text,) for text in arguments[0] if text)


def _in_typescript(text: str) -> Iterator[Said]:
    """Find literals in calls of ``t``, ``n`` and ``msgid``.

    The formatter writes them with double quotes.
    """
    for alone, one, other in _IN_TYPESCRIPT.findall(text):
        yield (json.loads(alone),) if alone else (json.loads(one), json.loads(other))


_READERS = {
    ".py": _in_python,
    ".html": _in_template,
    ".txt": _in_template,
    ".ts": _in_typescript,
    ".tsx": _in_typescript,
}


def read(language: str, catalogs: Catalogs = SERVER) -> Catalog:
    """Read the catalog of a language; empty if the file is missing."""
    path = catalogs.path(language)
    return parsed(language, path.read_bytes()) if path.exists() else _empty(language)


def parsed(language: str, content: bytes) -> Catalog:
    """Parse a catalog in the PO format."""
    return read_po(io.BytesIO(content), locale=folder_name(language), domain=DOMAIN, abort_invalid=True)


def _empty(language: str) -> Catalog:
    # A constant date, so that a catalog changes only with its texts.
    return Catalog(
        folder_name(language), domain=DOMAIN, project="Shopbell", version="", creation_date=_EPOCH, fuzzy=False
    )


def brought_up(catalog: Catalog, said: dict[Said, list[str]]) -> Catalog:
    """Return a catalog with exactly the texts of the source, and its other texts as comments."""
    before: dict[Said, Message] = {}
    for message in (*catalog.obsolete.values(), *catalog):
        if message.id:
            before[key_of(message)] = message
    after = _empty(str(catalog.locale))
    for key, places in sorted(said.items()):
        known = before.pop(key, None)
        after.add(_id(key), known.string if known else "", [(place, 0) for place in places])
    for key, message in sorted(before.items()):
        if message.string and any(message.string):
            after.obsolete[_id(key)] = Message(_id(key), message.string)
    return after


def key_of(message: Message) -> Said:
    """Return the English text of a catalog's message."""
    return (message.id,) if isinstance(message.id, str) else (message.id[0], message.id[1])


def missing(catalog: Catalog) -> list[str]:
    """List the English texts without a complete translation."""
    return [
        key_of(message)[0]
        for message in catalog
        if message.id and not all(message.string if isinstance(message.string, tuple) else (message.string,))
    ]


def po_bytes(catalog: Catalog) -> bytes:
    """Write a catalog in the PO format."""
    file = io.BytesIO()
    write_po(file, catalog, width=120, include_lineno=False, omit_header=True)
    header = _HEADER.format(language=catalog.locale, plural_forms=catalog.plural_forms)
    return header.encode() + file.getvalue()


def mo_bytes(catalog: Catalog) -> bytes:
    """Write a catalog in the MO format, which the server reads."""
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def _id(key: Said) -> str | tuple[str, str]:
    return key[0] if len(key) == 1 else key


def main() -> None:
    """Write all catalogs; exit with 1 if a translation is missing."""
    wanting = 0
    for catalogs in (SERVER, INBOX):
        said = said_in_source(catalogs.source)
        for language in LANGUAGES[1:]:
            catalog = brought_up(read(language, catalogs), said)
            path = catalogs.path(language)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(po_bytes(catalog))
            if catalogs.is_compiled:
                path.with_suffix(".mo").write_bytes(mo_bytes(catalog))
            for text in missing(catalog):
                wanting += 1
                sys.stderr.write(f"{path.relative_to(WEB.parent)}: no translation of {text!r}\n")
    sys.exit(1 if wanting else 0)


if __name__ == "__main__":
    main()
