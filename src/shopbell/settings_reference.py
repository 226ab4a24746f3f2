"""Makes ``docs/settings.md`` from the settings: ``python -m shopbell.settings_reference > docs/settings.md``."""

import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import AnyHttpUrl, SecretStr
from pydantic.fields import FieldInfo

from shopbell.settings import PREFIX, SECRET_KEY_MIN_BYTES, Settings

_HEAD = f"""\
# Settings

A setting comes from the environment, or from a TOML file: `shopbell.toml` in the working folder, or the file that
`{PREFIX}CONFIG` names. In the file the names are without the prefix and in lower case. The environment wins over the
file, and `--host`, `--port` and `--workers` of the command line win over both. An empty variable counts as absent. A
wrong value is one clear line and exit code 1. A variable that begins with `{PREFIX}` and is not a setting is a warning.

```toml
# shopbell.toml
database_url = "postgresql://shopbell@db.internal/shopbell"
public_url = "https://chat.example.org"
trusted_proxies = "10.0.0.0/8"
```

The unit is in the name: `_s` seconds, `_bytes` bytes. This page is made from `src/shopbell/settings.py` by `make docs`,
and a test keeps it true.

| setting | default | values | |
| --- | --- | --- | --- |
"""

_TYPES: dict[object, str] = {str: "text", AnyHttpUrl: "http(s) URL", SecretStr: "text, secret", Path: "folder"}
_LIMITS = (("ge", "{:,} to"), ("gt", "more than {:,}, up to"), ("le", "{:,}"))


def page() -> str:
    """The whole page."""
    rows = (
        f"| `{PREFIX}{name.upper()}` | {_default(field)} | {_allowed(name, field)} | {field.description} |\n"
        for name, field in _in_order()
    )
    return _HEAD + "".join(rows)


def _in_order() -> list[tuple[str, FieldInfo]]:
    """The server's own first, and then those of mails and texts, which Python puts before them."""
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
    if name in ("secret_key", "secret_key_old"):
        return f"≥ {SECRET_KEY_MIN_BYTES} bytes"
    for member in get_args(kind):
        if get_origin(kind) is not Literal and member in _TYPES:
            return _TYPES[member]
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) is tuple:
        return "numbers" if float in get_args(kind) else "networks"
    if kind is bool:
        return "`true`, `false`"
    if kind in (int, float):
        return " ".join(
            text.format(getattr(limit, name))
            for name, text in _LIMITS
            for limit in field.metadata
            if hasattr(limit, name)
        )
    return _TYPES[kind]


if __name__ == "__main__":
    sys.stdout.write(page())
