"""Encode ids as signed tokens of letters and digits, which survive any email server."""

import base64
import binascii
import hmac
import re

from shopbell.security.keys import Keys

MAC_BYTES = 16
_ID_BYTES = 7  # ids stay below 2^53
_TEXT = re.compile(r"[a-z2-7]{10,96}", re.ASCII | re.IGNORECASE)


class SignedIds:
    """Signs and verifies tokens for one purpose.

    Args:
        keys: the installation's keys. Tokens signed with the previous key remain valid.
        purpose: each purpose has its own derived key, so a token is valid for one purpose only.
    """

    def __init__(self, keys: Keys, purpose: str) -> None:
        self._keys = keys.derive(purpose)

    def sign(self, kind: int, *ids: int) -> str:
        """Create a token.

        Args:
            kind: the type of the ids, 0 to 255.
            ids: each from 0 to 2^53 - 1.

        Returns:
            39 lower-case letters and digits for one id, 50 for two, 61 for three, 84 for five. Case is ignored.
        """
        content = bytes([kind]) + b"".join(number.to_bytes(_ID_BYTES) for number in ids)
        return base64.b32encode(content + _mac(self._keys[0], content)).decode("ascii").rstrip("=").lower()

    def read(self, text: str) -> tuple[int, ...] | None:
        """Verify an untrusted token.

        Returns:
            The kind and the ids; None if the token is invalid.
        """
        if not _TEXT.fullmatch(text):
            return None
        try:
            signed = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
        except binascii.Error:
            return None
        content, mac = signed[:-MAC_BYTES], signed[-MAC_BYTES:]
        # Try all keys, so that the time does not reveal which one matched.
        known = [hmac.compare_digest(_mac(key, content), mac) for key in self._keys]
        if not any(known) or len(content) % _ID_BYTES != 1:
            return None
        ids = (content[at : at + _ID_BYTES] for at in range(1, len(content), _ID_BYTES))
        return (content[0], *map(int.from_bytes, ids))


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, "sha256")[:MAC_BYTES]
