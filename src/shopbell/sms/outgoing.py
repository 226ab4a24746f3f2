"""An outgoing SMS or WhatsApp message, independent of the provider."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

TextChannel = Literal["SMS", "WHATSAPP"]


@dataclass(frozen=True, slots=True)
class OutgoingText:
    """One message to one phone number. Its repr shows neither the number nor the text.

    Args:
        reference: our id of the message, ``<organization>-<outbound message>``; the same for every attempt.
        to: the recipient's number in E.164.
        text: unused if ``content_sid`` names a template.
        sender: a number in E.164 or, for SMS, a short code or a name; None for the operator's default. For WhatsApp
            it must be a registered WhatsApp sender, such as the number that the customer wrote to.
        content_sid: the provider's id of an approved template.
        content_variables: the values of the template's variables.
        media_urls: attached files, at URLs that the provider can reach.
    """

    reference: str
    channel: TextChannel
    to: str = field(repr=False)
    text: str = field(repr=False)
    sender: str | None = None
    content_sid: str | None = None
    content_variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    media_urls: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Senders:
    """The default senders, used if a message names none. Each may be absent."""

    messaging_service_sid: str | None = None
    sms: str | None = None
    whatsapp: str | None = None


def as_json(text: OutgoingText, senders: Senders) -> dict[str, object]:
    """Return the JSON document that an HTTP gateway receives and the file channel writes.

    Args:
        text: the message.
        senders: the default senders.
    """
    document: dict[str, object] = {
        "id": text.reference,
        "channel": text.channel,
        "to": text.to,
        "from": text.sender or (senders.whatsapp if text.channel == "WHATSAPP" else senders.sms),
        "text": text.text,
    }
    if text.content_sid is not None:
        document |= {"contentSid": text.content_sid, "contentVariables": dict(text.content_variables)}
    if text.media_urls:
        document["mediaUrls"] = list(text.media_urls)
    return document
