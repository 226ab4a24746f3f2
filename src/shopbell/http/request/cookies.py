"""Cookies of requests, hidden from frameworks and read in linear time.

FastAPI parses the cookies of every request with the standard library, which takes quadratic time before Python 3.12.6,
3.11.10 and 3.10.15 (CVE-2024-7592): one header of 16 KB cost half a second. Shopbell reads only its own cookies, which
need no quoting.
"""

from collections.abc import Mapping
from typing import Any

from starlette.types import Scope

KEY = "shopbell.cookies"


def hide(scope: Scope) -> None:
    """Move the cookies of an ASGI scope to where only ``value_of`` finds them."""
    headers = scope["headers"]
    if any(name == b"cookie" for name, _ in headers):
        scope[KEY] = b";".join(value for name, value in headers if name == b"cookie")
        scope["headers"] = [pair for pair in headers if pair[0] != b"cookie"]


def value_of(scope: Mapping[str, Any], name: str) -> str | None:
    """Return the value of a cookie as sent, the last one if several have the name, or None.

    Args:
        scope: an ASGI scope whose cookies are hidden.
        name: letters, digits, ``_`` and ``-``.
    """
    wanted = name.encode("ascii")
    found = None
    for pair in scope.get(KEY, b"").split(b";"):
        sent_name, equals, value = pair.partition(b"=")
        if equals and sent_name.strip() == wanted:
            found = value.strip().decode("latin-1")
    return found
