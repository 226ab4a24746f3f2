"""Links to attachments: whoever has one may read the file until the link expires, without a token."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from urllib.parse import quote

from shopbell.keys import Keys

_DIGITS = re.compile(r"[0-9]{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Link:
    """An address of a file, and when it ends, in Unix ms."""

    url: str
    expires_at_ms: int


class AttachmentLinks:
    """Makes links, and knows its own again.

    Args:
        keys: the installation's keys; links that were signed with the former one are still good.
        valid_s: how long a link is good, in seconds.
    """

    def __init__(self, keys: Keys, valid_s: int) -> None:
        self._keys = keys.derive("attachment link")
        self._valid_s = valid_s

    def link(self, base_url: str, uuid: str, name: str, *, now_ms: int) -> Link:
        """Make a link.

        Args:
            base_url: how this server is reached, without a slash at the end.
            uuid: the attachment's.
            name: the file's name.
            now_ms: the time in Unix ms.
        """
        expires_s = now_ms // 1_000 + self._valid_s
        signature = _sign(self._keys[0], uuid, expires_s)
        path = f"/attachments/{uuid}/{quote(name, safe='')}"
        return Link(f"{base_url}{path}?expires={expires_s}&signature={signature}", expires_s * 1_000)

    def is_good(self, uuid: str, expires: str, signature: str, *, now_ms: int) -> bool:
        """Whether a link is one of ours, and not over. Everything may be whatever a stranger sent.

        Args:
            uuid: of the path.
            expires: the parameter of that name.
            signature: the parameter of that name.
            now_ms: the time in Unix ms.
        """
        if not _DIGITS.fullmatch(expires):
            return False
        given = signature.encode("utf-8", "replace")
        # All keys are tried, so that the time tells nothing of which one was near.
        known = [hmac.compare_digest(_sign(key, uuid, int(expires)).encode(), given) for key in self._keys]
        return any(known) and int(expires) * 1_000 > now_ms


def _sign(key: bytes, uuid: str, expires_s: int) -> str:
    digest = hmac.digest(key, f"{uuid}\n{expires_s}".encode("utf-8", "replace"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")
