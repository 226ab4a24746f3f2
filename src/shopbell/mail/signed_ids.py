"""Ids in an address that nobody can make but we: a text of letters and digits that survives any mail server."""

import base64
import binascii
import hmac
import re

from shopbell.keys import Keys

MAC_BYTES = 16
_ID_BYTES = 7  # ids stay below 2^53
_TEXT = re.compile(r"[a-z2-7]{10,96}", re.ASCII | re.IGNORECASE)


class SignedIds:
    """Makes such texts for one purpose, and knows its own again.

    Args:
        keys: the installation's keys; what was signed with the former one is still good.
        purpose: other purposes have other keys: what is good for one is nothing to the others.
    """

    def __init__(self, keys: Keys, purpose: str) -> None:
        self._keys = keys.derive(purpose)

    def sign(self, kind: int, *ids: int) -> str:
        """Make a text.

        Args:
            kind: what the ids are, 0 to 255.
            ids: each from 0 to 2^53 - 1.

        Returns:
            39 lower-case letters and digits for one id, 50 for two, 61 for three, 84 for five; case does not matter.
        """
        content = bytes([kind]) + b"".join(number.to_bytes(_ID_BYTES) for number in ids)
        return base64.b32encode(content + _mac(self._keys[0], content)).decode("ascii").rstrip("=").lower()

    def read(self, text: str) -> tuple[int, ...] | None:
        """Read what a text says, if it is one of ours. It may be whatever a stranger sent.

        Returns:
            The kind and the ids, or None.
        """
        if not _TEXT.fullmatch(text):
            return None
        try:
            signed = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
        except binascii.Error:
            return None
        content, mac = signed[:-MAC_BYTES], signed[-MAC_BYTES:]
        # All keys are tried, so that the time tells nothing of which one was near.
        known = [hmac.compare_digest(_mac(key, content), mac) for key in self._keys]
        if not any(known) or len(content) % _ID_BYTES != 1:
            return None
        ids = (content[at : at + _ID_BYTES] for at in range(1, len(content), _ID_BYTES))
        return (content[0], *map(int.from_bytes, ids))


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, "sha256")[:MAC_BYTES]
