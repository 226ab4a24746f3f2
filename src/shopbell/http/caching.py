"""Keeps answers out of caches that several clients share.

The credential of the API is a header of its own, ``token``: a cache does not know that an answer depends on it (RFC
9111 makes an exception for ``Authorization`` alone), and would give one organization's answer to another.
"""

from collections.abc import Sequence

Header = tuple[bytes, bytes]

NO_STORE: Header = (b"cache-control", b"no-store")
NOSNIFF: Header = (b"x-content-type-options", b"nosniff")
VARY: Header = (b"vary", b"token")
API_HEADERS = (NO_STORE, VARY, NOSNIFF)
"""What every answer of the API has, errors included."""

_CUSTOMERS_VARY: Header = (b"vary", b"token, authorization, cookie, shopbell-thread")


def vary_of(path: str) -> tuple[Header, ...]:
    """``Vary`` of the answers at a path; for pages and files, nothing."""
    if path.startswith("/api/customer/"):
        return (_CUSTOMERS_VARY,)
    if path == "/graphql":
        return ((b"vary", b"authentication-token"),)
    return (VARY,) if path.startswith(("/api/", "/v1/")) else ()


def complete(headers: Sequence[Header], path: str) -> list[Header]:
    """Add what an answer does not say itself: it must not be stored, and is what its type says.

    Args:
        headers: those of the answer; its own rules for caches stay as they are.
        path: the request's.
    """
    names = {name for name, _ in headers}
    defaults = [each for each in (NO_STORE, NOSNIFF) if each[0] not in names]
    return [*(each for each in headers if each != VARY), *defaults, *vary_of(path)]
