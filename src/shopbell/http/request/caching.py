"""Headers that keep answers out of shared caches.

The API authenticates with its own header, ``token``. A cache does not know that a response depends on it (RFC 9111 has
an exception for ``Authorization`` only), and would give the response of one organization to another.
"""

from collections.abc import Sequence

Header = tuple[bytes, bytes]

NO_STORE: Header = (b"cache-control", b"no-store")
NOSNIFF: Header = (b"x-content-type-options", b"nosniff")
VARY: Header = (b"vary", b"token")
API_HEADERS = (NO_STORE, VARY, NOSNIFF)
"""The headers of every response of the API, including errors."""

_CUSTOMERS_VARY: Header = (b"vary", b"token, authorization, cookie, shopbell-thread")


def vary_of(path: str) -> tuple[Header, ...]:
    """Return the ``Vary`` header of the responses at a path; nothing for pages and files."""
    if path.startswith("/api/customer/"):
        return (_CUSTOMERS_VARY,)
    if path == "/graphql":
        return ((b"vary", b"authentication-token"),)
    return (VARY,) if path.startswith(("/api/", "/v1/")) else ()


def complete(headers: Sequence[Header], path: str) -> list[Header]:
    """Add ``Cache-Control: no-store`` and ``nosniff`` to the headers of a response, unless it sets them itself."""
    names = {name for name, _ in headers}
    defaults = [each for each in (NO_STORE, NOSNIFF) if each[0] not in names]
    return [*(each for each in headers if each != VARY), *defaults, *vary_of(path)]
