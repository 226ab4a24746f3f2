"""Write the first settings file of an installation, with a comment for each setting."""

import json
import textwrap
from collections.abc import Mapping

from shopbell.settings.settings import Settings
from shopbell.settings.sources import PREFIX

WIDTH = 100

_HEAD = f"""\
# Settings of Shopbell, written by `shopbell init`. docs/settings.md describes all settings.
# Environment variables ({PREFIX}PUBLIC_URL, …) override this file. `shopbell doctor` checks the installation.
# Keep this file secret: it can contain passwords.
"""
_PROPOSED: Mapping[str, str] = {
    "trusted_proxies": "127.0.0.1, ::1",
    "mail_reply_domain": "reply.chat.example.org",
    "mail_listen": "lmtp://127.0.0.1:8024",
}
"""Settings that many installations need next, with examples."""


def compose(values: Mapping[str, str]) -> str:
    """Compose a settings file.

    Args:
        values: the settings to write, by their names in the file.

    Returns:
        The file in TOML. It also has settings that many installations need next, commented out.
    """
    parts = [_HEAD]
    for name in (*values, *(each for each in _PROPOSED if each not in values)):
        line = f"{name} = {_string(values.get(name) or _PROPOSED[name])}"
        parts.append(_comment(name) + (line if name in values else f"# {line}") + "\n")
    return "\n".join(parts)


def _comment(name: str) -> str:
    text = Settings.model_fields[name].description or ""
    lines = textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    return "".join(f"# {line}\n" for line in lines)


def _string(text: str) -> str:
    """Write a TOML string. It has JSON's escapes, but must also escape DEL (TOML 1.0, "String")."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
