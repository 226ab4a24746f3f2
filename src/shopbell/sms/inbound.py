"""What SMS and WhatsApp providers report: inbound messages and delivery statuses."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from shopbell.sms.outgoing import TextChannel
from shopbell.sms.stop_words import Keyword

TextStatus = Literal["queued", "sent", "delivered", "read", "failed"]

# A reported delivery outranks a failure, in whichever order the two reports arrive.
_RANKS: dict[TextStatus, int] = {"queued": 0, "sent": 1, "failed": 2, "delivered": 3, "read": 4}


@dataclass(frozen=True, slots=True)
class InboundMedia:
    """A file attached to an inbound message.

    Args:
        url: the file at the provider. Twilio may require the account id and token to download it.
        content_type: the media type that the provider reports.
    """

    url: str = field(repr=False)
    content_type: str


@dataclass(frozen=True, slots=True)
class InboundText:
    """A text message sent to a business. Its repr shows no number, text or name.

    Args:
        provider_id: the provider's message id. A message that arrives again with the same id is ignored.
        sender: the customer's number in E.164; only the digits for a short code.
        recipient: the business's number, in the same format.
        text: may be empty if there are files.
        sender_name: the sender's WhatsApp profile name. Senders choose it freely, so it proves nothing.
        keyword: set if the text consists of one STOP, START or HELP keyword.
        is_answered: whether the provider replies to the keyword; if so, Shopbell does not.
    """

    provider_id: str
    channel: TextChannel
    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    media: Sequence[InboundMedia] = ()
    sender_name: str | None = field(default=None, repr=False)
    keyword: Keyword | None = None
    is_answered: bool = False


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The delivery status of a message that we sent.

    Reports may arrive late, twice and in any order: ``later_of`` decides which one counts.

    Args:
        reference: our id of the message (``OutgoingText.reference``), if the report contains it. It identifies the
            message even if we never received the provider's id.
        provider_id: the provider's id of the message.
        reason: why it failed, one of the reasons in ``error_codes.py``; None if it did not fail.
    """

    status: TextStatus
    reference: str | None
    provider_id: str | None
    reason: str | None = None


OnInbound = Callable[[InboundText], Awaitable[None]]
"""Stores an inbound message and returns after the commit.

It raises ``StorageError`` if nothing was stored; the provider then sends the message again.
"""

OnStatus = Callable[[StatusReport], Awaitable[None]]
"""Stores a status report in the same way. A report of an unknown message is not an error."""


def later_of(current: TextStatus, reported: TextStatus) -> TextStatus:
    """Return the status that counts, in whichever order two reports arrived.

    A message never moves back to an earlier status.
    """
    return max(current, reported, key=_RANKS.__getitem__)
