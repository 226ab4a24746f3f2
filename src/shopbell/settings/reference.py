"""Generate ``docs/settings.md``: ``python -m shopbell.settings.reference``."""

import sys
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from pydantic import AnyHttpUrl, SecretStr
from pydantic.fields import FieldInfo

from shopbell.settings.settings import SECRET_KEY_MIN_BYTES, Settings
from shopbell.settings.sources import PREFIX

_HEAD = f"""\
# Settings

Set a setting as an environment variable or in a TOML file. Shopbell reads `shopbell.toml` in the working directory, or
the file that the option `--config` of every command or the variable `{PREFIX}CONFIG` names. In the file, write names in
lower case and without the prefix. `shopbell init` writes a first one.

- Environment variables override the file. The options `--host`, `--port` and `--workers` override both.
- Shopbell ignores empty environment variables.
- If a value is invalid, the command prints one line about it and exits with code 1. The line names the variable, or the
  file and the name in it. It does not show the value.
- If the file has a name that is not a setting, the command names the nearest setting and exits with code 1.
- If a variable starts with `{PREFIX}` but is not a setting, the command prints a warning.

```toml
# shopbell.toml
database_url = "postgresql://shopbell@db.internal/shopbell"
public_url = "https://chat.example.org"
trusted_proxies = "10.0.0.0/8"
```

Names end with their unit: `_s` is seconds, `_bytes` is bytes. `make settings` generates this page from
`src/shopbell/settings/`; edit the descriptions there.

| Setting | Default | Values | Description |
| --- | --- | --- | --- |
"""

_TYPES: dict[object, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    AnyHttpUrl: "http(s) URL",
    SecretStr: "text, secret",
    Path: "path",
}
_LIMITS = (("ge", "{:,} to"), ("gt", "more than {:,}, up to"), ("le", "{:,}"))


def page() -> str:
    """Return the whole page."""
    rows = (
        f"| `{PREFIX}{name.upper()}` | {_default(field)} | {_allowed(name, field)} | {field.description} |\n"
        for name, field in _in_order()
    )
    return _HEAD + "".join(rows)


def _in_order() -> list[tuple[str, FieldInfo]]:
    """List the server's settings, then the inherited ones, by topic."""
    inherited = {name for base in Settings.__bases__ for name in getattr(base, "model_fields", ())}
    return sorted(Settings.model_fields.items(), key=lambda item: item[0] in inherited)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value in ((), ""):
        return "none"
    if isinstance(value, tuple):
        return f"`{','.join(format(part, 'g') for part in value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _allowed(name: str, field: FieldInfo) -> str:
    kind: Any = field.annotation
    if isinstance(kind, UnionType) and len(members := [each for each in get_args(kind) if each is not NoneType]) == 1:
        kind = members[0]
    if name in ("secret_key", "secret_key_old"):
        return f"≥ {SECRET_KEY_MIN_BYTES} bytes"
    if get_origin(kind) is tuple:
        return "numbers" if float in get_args(kind) else "networks"
    for member in get_args(kind):
        if get_origin(kind) is not Literal and member in _TYPES:
            return _TYPES[member]
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if kind is bool:
        return "`true`, `false`"
    if kind in (int, float):
        limits = [
            text.format(getattr(limit, name))
            for name, text in _LIMITS
            for limit in field.metadata
            if hasattr(limit, name)
        ]
        return " ".join(limits) or _TYPES[kind]
    return _TYPES[kind]


if __name__ == "__main__":
    sys.stdout.write(page())
