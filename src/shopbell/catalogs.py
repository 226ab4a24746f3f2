"""Brings the catalogs up to the source: ``python -m shopbell.catalogs``, which is ``make catalogs``.

What the source says no more stays in a catalog as a comment, and comes back with its translation if the source says it
again.
"""

import ast
import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment, nodes

from shopbell.texts import DOMAIN, LANGUAGES, LOCALES

SOURCE = Path(__file__).parent
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

Said = tuple[str] | tuple[str, str]
"""An English text, or singular and plural."""


def said_in_source(source: Path = SOURCE) -> dict[Said, list[str]]:
    """Every text that Python and templates under a folder say by these calls, with the files, in order."""
    found: dict[Said, list[str]] = {}
    for path in sorted((*source.rglob("*.py"), *source.rglob("*.html"), *source.rglob("*.txt"))):
        text = path.read_text()
        for said in _in_python(text) if path.suffix == ".py" else _in_template(text):
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
    """What an argument may be: one text, or two with a condition between; nothing if only a run can tell."""
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


def po_path(language: str) -> Path:
    """Where the catalog of a language is."""
    return LOCALES / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(language: str) -> Catalog:
    """The catalog of a language; an empty one if there is none."""
    path = po_path(language)
    return parsed(language, path.read_bytes()) if path.exists() else _empty(language)


def parsed(language: str, content: bytes) -> Catalog:
    """The catalog of a language from its file for people."""
    return read_po(io.BytesIO(content), locale=language, domain=DOMAIN, abort_invalid=True)


def _empty(language: str) -> Catalog:
    # The same date for ever: a catalog changes when its texts do.
    return Catalog(language, domain=DOMAIN, project="Shopbell", version="", creation_date=_EPOCH, fuzzy=False)


def brought_up(catalog: Catalog, said: dict[Said, list[str]]) -> Catalog:
    """A catalog with exactly what is said, and the rest of what it had as comments."""
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
    """What a message of a catalog translates."""
    return (message.id,) if isinstance(message.id, str) else (message.id[0], message.id[1])


def missing(catalog: Catalog) -> list[str]:
    """The English texts that a catalog has no full translation of."""
    return [
        key_of(message)[0]
        for message in catalog
        if message.id and not all(message.string if isinstance(message.string, tuple) else (message.string,))
    ]


def po_bytes(catalog: Catalog) -> bytes:
    """A catalog as a file for people."""
    file = io.BytesIO()
    write_po(file, catalog, width=120, include_lineno=False, omit_header=True)
    header = _HEADER.format(language=catalog.locale, plural_forms=catalog.plural_forms)
    return header.encode() + file.getvalue()


def mo_bytes(catalog: Catalog) -> bytes:
    """A catalog as the file that is read at run time."""
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def _id(key: Said) -> str | tuple[str, str]:
    return key[0] if len(key) == 1 else key


def main() -> None:
    """Write all catalogs anew; exit with 1 if a translation is missing."""
    said = said_in_source()
    wanting = 0
    for language in LANGUAGES[1:]:
        catalog = brought_up(read(language), said)
        path = po_path(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(po_bytes(catalog))
        path.with_suffix(".mo").write_bytes(mo_bytes(catalog))
        for text in missing(catalog):
            wanting += 1
            sys.stderr.write(f"{path.relative_to(SOURCE)}: no translation of {text!r}\n")
    sys.exit(1 if wanting else 0)


if __name__ == "__main__":
    main()
