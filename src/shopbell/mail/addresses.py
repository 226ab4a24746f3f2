"""Addresses that say what a mail to them is about: the signed reply address, and where bounces come back to."""

import re
from dataclasses import dataclass
from enum import IntEnum

from shopbell.keys import Keys
from shopbell.mail.signed_ids import SignedIds

LOCAL_PART_MAX_BYTES = 64
"""Octets of a local part that every mail server takes (RFC 5321, section 4.5.3.1.1)."""

_LOCAL = re.compile(r"(?P<kind>reply|bounce)\+(?P<token>[a-z2-7]{10,58})", re.ASCII | re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<(?P<token>[a-z2-7]{10,64})@[!-=?-~]{1,200}>", re.ASCII | re.IGNORECASE)
_BOUNCE = 0  # beside the numbers of Audience
_MESSAGE = 3
_THREAD = 4


class Audience(IntEnum):
    """Who was written to, and so who answers."""

    CUSTOMER = 1
    STORE = 2


_AUDIENCES = frozenset(Audience)


@dataclass(frozen=True, slots=True)
class ReplyAddress:
    """A mail to it goes on with a conversation."""

    organization_id: int
    thread_id: int
    audience: Audience


@dataclass(frozen=True, slots=True)
class BounceAddress:
    """A mail to it says what became of something that we sent."""

    organization_id: int
    dispatch_id: int


class MailAddresses:
    """Makes the addresses of this installation, and knows its own again.

    Args:
        keys: the installation's keys; addresses that were signed with the former one are still good.
        sender: the address that all mails are from.
        reply_domain: whose mail comes in here; without it nobody can answer by mail.
    """

    def __init__(self, keys: Keys, *, sender: str, reply_domain: str | None) -> None:
        self._signed = SignedIds(keys, "mail address")
        self._sender = sender
        self._reply_domain = reply_domain

    def reply(self, organization_id: int, thread_id: int, audience: Audience) -> str | None:
        """The address by which one side of a conversation answers, or None where answers cannot come in."""
        if self._reply_domain is None:
            return None
        return f"reply+{self._signed.sign(audience, organization_id, thread_id)}@{self._reply_domain}"

    def bounce(self, organization_id: int, dispatch_id: int) -> str:
        """The envelope's sender of one mail: reports about it come back there (VERP), or to whom all mails are from."""
        if self._reply_domain is None:
            return self._sender
        return f"bounce+{self._signed.sign(_BOUNCE, organization_id, dispatch_id)}@{self._reply_domain}"

    def message_id(self, organization_id: int, dispatch_id: int) -> str:
        """The ``Message-ID`` of one mail, the same in every attempt."""
        return f"<{self._signed.sign(_MESSAGE, organization_id, dispatch_id)}@{self._id_domain}>"

    def thread_id(self, organization_id: int, thread_id: int) -> str:
        """The id that all mails of a conversation refer to, so that mail programs keep them together."""
        return f"<{self._signed.sign(_THREAD, organization_id, thread_id)}@{self._id_domain}>"

    def parse_message_id(self, text: str) -> BounceAddress | None:
        """Which of our mails a ``Message-ID`` names, when a report or an answer quotes it; brackets included.

        Returns:
            None when it is not one of ours.
        """
        match = _MESSAGE_ID.fullmatch(text)
        content = self._signed.read(match["token"]) if match else None
        if content is None or len(content) != 3 or content[0] != _MESSAGE:
            return None
        return BounceAddress(content[1], content[2])

    def parse(self, address: str) -> ReplyAddress | BounceAddress | None:
        """What an address is about. It may be whatever a stranger sent.

        Args:
            address: as it stands in an envelope, without angle brackets. Its domain is not looked at: relays may have
                changed it, and the signature alone proves that the address was made here.

        Returns:
            None when it is not one of ours.
        """
        match = _LOCAL.fullmatch(address.rpartition("@")[0])
        content = self._signed.read(match["token"]) if match else None
        if match is None or content is None or len(content) != 3:
            return None
        kind, organization_id, number = content
        is_bounce = match["kind"].lower() == "bounce"
        if is_bounce and kind == _BOUNCE:
            return BounceAddress(organization_id, number)
        if not is_bounce and kind in _AUDIENCES:
            return ReplyAddress(organization_id, number, Audience(kind))
        return None  # one was renamed into another

    @property
    def _id_domain(self) -> str:
        return self._reply_domain or self._sender.rpartition("@")[2]
