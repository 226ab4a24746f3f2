"""Addresses that say what a mail to them is about: the signed reply address, and where bounces come back to."""

import re
from dataclasses import dataclass
from enum import IntEnum

from shopbell.keys import Keys
from shopbell.mail.signed_ids import SignedIds

LOCAL_PART_MAX_BYTES = 64
"""Octets of a local part that every mail server takes (RFC 5321, section 4.5.3.1.1)."""

_LOCAL = re.compile(r"(?P<kind>reply|bounce)\+(?P<token>[a-z2-7]{10,58})", re.ASCII | re.IGNORECASE)
_BOUNCE = 0


class Audience(IntEnum):
    """Who was written to, and so who answers."""

    CUSTOMER = 1
    STORE = 2


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
        domain: whose mail comes in here.
    """

    def __init__(self, keys: Keys, domain: str) -> None:
        self._signed = SignedIds(keys, "mail address")
        self._domain = domain

    def reply(self, organization_id: int, thread_id: int, audience: Audience) -> str:
        """The address by which one side of a conversation answers."""
        return f"reply+{self._signed.sign(audience, organization_id, thread_id)}@{self._domain}"

    def bounce(self, organization_id: int, dispatch_id: int) -> str:
        """The envelope's sender of one mail: reports about it come back there (VERP)."""
        return f"bounce+{self._signed.sign(_BOUNCE, organization_id, dispatch_id)}@{self._domain}"

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
        if is_bounce != (kind == _BOUNCE):  # one was renamed into the other
            return None
        return (
            BounceAddress(organization_id, number)
            if is_bounce
            else ReplyAddress(organization_id, number, Audience(kind))
        )
