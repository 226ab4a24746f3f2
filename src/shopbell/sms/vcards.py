"""Read the names, phone numbers and email addresses of vCards (RFC 6350, RFC 2426 and vCard 2.1)."""

import quopri
import re
from collections.abc import Iterator

_VALUE_MAX_CHARACTERS = 200
_TEXT_MAX_CHARACTERS = 1_500
_FOLD = re.compile(r"\n[ \t]")
_PROPERTY = re.compile(r'(?:[A-Z0-9-]+\.)?(?P<name>[A-Z0-9-]+)(?P<parameters>(?:"[^"]*"|[^":])*):', re.IGNORECASE)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# In display order.
_SHOWN = ("FN", "ORG", "TEL", "EMAIL")


def contacts_text(file: bytes) -> str:
    """Show the contacts of a vCard file as text.

    Args:
        file: up to about 64 KiB; may contain several vCards.

    Returns:
        For each contact, "Contact: " and its values, one per line; at most 1,500 characters.

    Raises:
        ValueError: this is not a complete vCard in UTF-8, or a contact has nothing to show.
    """
    contacts = []
    values: dict[str, list[str]] | None = None
    for name, value in _properties(file.decode("utf-8-sig")):
        match name, value.strip().upper():
            case "BEGIN", "VCARD":
                values = {shown: [] for shown in _SHOWN}
            case "END", "VCARD":
                contacts.append(_contact(values or {}))
                values = None
            case _ if values is not None and name in values:
                values[name].append(_shown(name, value))
    if not contacts or values is not None:
        raise ValueError("not a complete vCard")
    text = "\n".join(contacts)
    return text if len(text) <= _TEXT_MAX_CHARACTERS else text[: _TEXT_MAX_CHARACTERS - 1] + "…"


def _properties(text: str) -> Iterator[tuple[str, str]]:
    """Yield each property's name in upper case and its escaped value."""
    lines = iter(_FOLD.sub("", text.replace("\r\n", "\n")).split("\n"))
    for line in lines:
        found = _PROPERTY.match(line)
        if found is None:
            continue
        value = line[found.end() :]
        if "QUOTED-PRINTABLE" in found["parameters"].upper():  # vCard 2.1
            while value.endswith("="):
                value = value[:-1] + next(lines, "")
            value = quopri.decodestring(value.encode()).decode()
        yield found["name"].upper(), value


def _shown(name: str, value: str) -> str:
    parts = re.split(r"(?<!\\);", value) if name == "ORG" else [value]  # the organization, then its units
    text = ", ".join(filter(None, (_ESCAPE.sub(_unescaped, part).strip() for part in parts)))
    if name == "TEL" and text.lower().startswith("tel:"):
        text = text[len("tel:") :]
    # Each value is one line, so that it cannot look like another contact.
    return " ".join(_CONTROL.sub(" ", text).split())[:_VALUE_MAX_CHARACTERS]


def _unescaped(escape: re.Match[str]) -> str:
    return "\n" if escape[1] in "nN" else escape[1]


def _contact(values: dict[str, list[str]]) -> str:
    lines = [line for shown in _SHOWN for line in values.get(shown, []) if line]
    if not lines:
        raise ValueError("nothing to show")
    return "Contact: " + "\n".join(dict.fromkeys(lines))
