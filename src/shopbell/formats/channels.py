"""The names of the channels, and the identities of customers that they write to.

Database, API, links and opt-outs follow from this table.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from shopbell.formats.identities import normal_email, phone_key

IDENTITY_KINDS: Mapping[str, str] = {
    "EMAIL": "email",
    "SMS": "phone",
    "WHATSAPP": "phone",
}
"""The kind of identity that each channel writes to. ``WEB`` is no such channel: customers read their messages there."""

CHANNELS = ("WEB", *IDENTITY_KINDS)

if TYPE_CHECKING:
    ChannelName: TypeAlias = str
else:
    ChannelName = Literal[CHANNELS]

_NORMAL: Mapping[str, Callable[[str], str]] = {"email": normal_email, "phone": phone_key}


def identity_value(kind: str, address: str) -> str:
    """Return the normal form by which the customer with an address is found.

    Args:
        kind: a value of ``IDENTITY_KINDS``. Identities other than email addresses and phone numbers are compared as
            they are.
        address: the address or number in any spelling.

    Raises:
        ValueError: it is no email address.
    """
    return _NORMAL[kind](address) if kind in _NORMAL else address
