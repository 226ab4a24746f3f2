"""Create and verify signed reply addresses, bounce addresses and message ids."""

import re
from dataclasses import dataclass
from enum import IntEnum

from shopbell.email.signed_ids import SignedIds
from shopbell.security.keys import Keys

LOCAL_PART_MAX_BYTES = 64
"""The local part's length that every email server accepts (RFC 5321, section 4.5.3.1.1)."""

_LOCAL = re.compile(r"(?P<kind>reply|bounce)\+(?P<token>[a-z2-7]{10,58})", re.ASCII | re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<(?P<token>[a-z2-7]{10,64})@[!-=?-~]{1,200}>", re.ASCII | re.IGNORECASE)
_BOUNCE = 0  # must differ from the values of Audience
_MESSAGE = 3
_THREAD = 4


class Audience(IntEnum):
    """The side of a conversation that received the email, and that replies to it."""

    CUSTOMER = 1
    BUSINESS = 2


_AUDIENCES = frozenset(Audience)


@dataclass(frozen=True, slots=True)
class ReplyAddress:
    """An address at which emails continue a conversation."""

    organization_id: int
    thread_id: int
    audience: Audience


@dataclass(frozen=True, slots=True)
class BounceAddress:
    """An address at which bounces of one outbound message arrive."""

    organization_id: int
    outbound_message_id: int


class EmailAddresses:
    """Signs and verifies the addresses and message ids of this installation.

    Args:
        keys: the installation's keys. Addresses signed with the previous key remain valid.
        sender: the From address of all emails.
        reply_domain: the domain whose email arrives here; None if replies by email are impossible.
    """

    def __init__(self, keys: Keys, *, sender: str, reply_domain: str | None) -> None:
        self._signed = SignedIds(keys, "mail address")
        self._sender = sender
        self._reply_domain = reply_domain

    def reply(self, organization_id: int, thread_id: int, audience: Audience) -> str | None:
        """Return the address at which one side replies; None without a reply domain."""
        if self._reply_domain is None:
            return None
        return f"reply+{self._signed.sign(audience, organization_id, thread_id)}@{self._reply_domain}"

    def bounce(self, organization_id: int, outbound_message_id: int) -> str:
        """Return the envelope sender of one email, to which its bounces return (VERP).

        Without a reply domain it is the From address of all emails.
        """
        if self._reply_domain is None:
            return self._sender
        return f"bounce+{self._signed.sign(_BOUNCE, organization_id, outbound_message_id)}@{self._reply_domain}"

    def message_id(self, organization_id: int, outbound_message_id: int) -> str:
        """Return the ``Message-ID`` of one email, the same in every attempt."""
        return f"<{self._signed.sign(_MESSAGE, organization_id, outbound_message_id)}@{self._id_domain}>"

    def thread_id(self, organization_id: int, thread_id: int) -> str:
        """Return the id that all emails of a conversation reference.

        Email programs use it to group them.
        """
        return f"<{self._signed.sign(_THREAD, organization_id, thread_id)}@{self._id_domain}>"

    def parse_message_id(self, text: str) -> BounceAddress | None:
        """Return the outbound message of a ``Message-ID``, quoted in a bounce or a reply.

        Args:
            text: including angle brackets.

        Returns:
            None if this installation did not create it.
        """
        match = _MESSAGE_ID.fullmatch(text)
        content = self._signed.read(match["token"]) if match else None
        if content is None or len(content) != 3 or content[0] != _MESSAGE:
            return None
        return BounceAddress(content[1], content[2])

    def parse(self, address: str) -> ReplyAddress | BounceAddress | None:
        """Verify an untrusted address and return what it refers to.

        Args:
            address: an envelope address without angle brackets. Its domain is ignored: relays may have changed it, and
                the signature alone proves that this installation created the address.

        Returns:
            None if this installation did not create it.
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
        return None  # someone changed "bounce" to "reply" or the reverse

    @property
    def _id_domain(self) -> str:
        return self._reply_domain or self._sender.rpartition("@")[2]
