"""Signed links to attachments, which open a file without a token until they expire."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from urllib.parse import quote

from shopbell.security.keys import Keys

_DIGITS = re.compile(r"[0-9]{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Link:
    """The URL of a file, and when it expires, in Unix ms."""

    url: str
    expires_at_ms: int


class AttachmentLinks:
    """Creates and checks links.

    Args:
        keys: the secret keys; links that were signed with the old one are still valid.
        valid_s: how long a link is valid.
    """

    def __init__(self, keys: Keys, valid_s: int) -> None:
        self._keys = keys.derive("attachment link")
        self._valid_s = valid_s

    def link(self, base_url: str, uuid: str, name: str, *, now_ms: int) -> Link:
        """Create a link.

        Args:
            base_url: the URL of this server, without a slash at the end.
            uuid: that of the attachment.
            name: the file's name.
        """
        expires_s = now_ms // 1_000 + self._valid_s
        signature = _sign(self._keys[0], uuid, expires_s)
        path = f"/attachments/{uuid}/{quote(name, safe='')}"
        return Link(f"{base_url}{path}?expires={expires_s}&signature={signature}", expires_s * 1_000)

    def is_good(self, uuid: str, expires: str, signature: str, *, now_ms: int) -> bool:
        """Whether a link is valid. All arguments may be any text.

        Args:
            uuid: of the path.
            expires: the parameter of that name.
            signature: the parameter of that name.
        """
        if not _DIGITS.fullmatch(expires):
            return False
        given = signature.encode("utf-8", "replace")
        # All keys are tried, so that the time does not depend on the key.
        known = [hmac.compare_digest(_sign(key, uuid, int(expires)).encode(), given) for key in self._keys]
        return any(known) and int(expires) * 1_000 > now_ms


def _sign(key: bytes, uuid: str, expires_s: int) -> str:
    digest = hmac.digest(key, f"{uuid}\n{expires_s}".encode("utf-8", "replace"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")
