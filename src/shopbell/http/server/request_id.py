"""The id of a request, as in the header ``X-Request-Id``, in the ``instance`` of a problem, and in the log."""

import os
import re
from collections.abc import Iterable

_UUID = re.compile(rb"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_UUID_BYTES = 16
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""What stands for a random digit where a UUID has its variant (RFC 9562, 4.1)."""


class _Random:
    """A buffer of random bytes: one system call serves many ids."""

    __slots__ = ("_left", "_reserve")

    def __init__(self) -> None:
        self._reserve = ""
        self._left = 0

    def uuid4(self) -> str:
        if not self._left:
            self._reserve = os.urandom(_UUID_BYTES * 256).hex()
            self._left = len(self._reserve)
        end = self._left
        self._left = start = end - 2 * _UUID_BYTES
        digits = self._reserve[start:end]
        variant = _VARIANTS[digits[16]]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


_random = _Random()
# A forked process must not use the ids of its parent.
os.register_at_fork(after_in_child=_random.__init__)  # type: ignore[misc]


def new_request_id() -> str:
    """Return a random UUID (version 4): 36 characters in lower case."""
    return _random.uuid4()


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the id of a request: the client's ``X-Request-Id`` if it is a UUID, else a new one.

    Args:
        headers: of the request, with names in lower case, as in an ASGI scope.
    """
    for name, value in headers:
        if name == b"x-request-id":
            # Anything else could bring line breaks, a secret or a megabyte into the log.
            return value.decode("ascii") if _UUID.fullmatch(value) else _random.uuid4()
    return _random.uuid4()
