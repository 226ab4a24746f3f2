"""The id of a request: it is in the answer's ``X-Request-Id``, in a problem's ``instance``, and in the log."""

import os
import re
from collections.abc import Iterable

_UUID = re.compile(rb"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_UUID_BYTES = 16
_VARIANTS = "89ab"


class _Random:
    """Random bytes in reserve: one system call for many ids, because every request needs one."""

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
        variant = _VARIANTS[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


_random = _Random()
# A forked process must not hand out the ids of its parent.
os.register_at_fork(after_in_child=_random.__init__)  # type: ignore[misc]  # made anew, in place


def new_request_id() -> str:
    """Make an id that no other request has.

    Returns:
        A random UUID (version 4), 36 characters, in lower case.
    """
    return _random.uuid4()


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Give the id under which a request is answered and logged.

    Args:
        headers: the request's headers, names in lower case, as in an ASGI scope.

    Returns:
        The client's own ``X-Request-Id`` when the first one is a UUID written 8-4-4-4-12, else a new id.
    """
    for name, value in headers:
        if name == b"x-request-id":
            # Anything else could carry line breaks, a secret or a megabyte into the log.
            return value.decode("ascii") if _UUID.fullmatch(value) else _random.uuid4()
    return _random.uuid4()
