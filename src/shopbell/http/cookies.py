"""Cookies of requests: hidden from frameworks, read in linear time.

FastAPI parses the cookies of every request, with a parser of Python's standard library that takes quadratic time before
3.12.6, 3.11.10 and 3.10.15 (CVE-2024-7592): one header of 16 KB cost half a second. Shopbell reads few cookies, all of
them its own, which need no quoting.
"""

from collections.abc import Mapping
from typing import Any

from starlette.types import Scope

_KEY = "shopbell.cookies"


def hide(scope: Scope) -> None:
    """Move the cookies of a request to where only ``value_of`` finds them.

    Args:
        scope: the ASGI scope of the request.
    """
    headers = scope["headers"]
    if any(name == b"cookie" for name, _ in headers):
        scope[_KEY] = b";".join(value for name, value in headers if name == b"cookie")
        scope["headers"] = [pair for pair in headers if pair[0] != b"cookie"]


def forget(scope: Scope) -> None:
    """Free the memory that hidden cookies take.

    Args:
        scope: the ASGI scope of the request.
    """
    scope.pop(_KEY, None)


def value_of(scope: Mapping[str, Any], name: str) -> str | None:
    """Find a cookie.

    Args:
        scope: the ASGI scope of a request whose cookies are hidden.
        name: the cookie's name; letters, digits and ``_``.

    Returns:
        The value as it was sent, not unquoted; the last one where several have the name. None when there is none.
    """
    wanted = name.encode("ascii")
    found = None
    for pair in scope.get(_KEY, b"").split(b";"):
        sent_name, equals, value = pair.partition(b"=")
        if equals and sent_name.strip() == wanted:
            found = value.strip().decode("latin-1")
    return found
