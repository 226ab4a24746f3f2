"""A text on its way out, as every provider takes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

TextChannel = Literal["SMS", "WHATSAPP"]


@dataclass(frozen=True, slots=True)
class OutgoingText:
    """One text to one number. Neither the number nor the text is in its repr.

    Args:
        reference: what it is called here, ``<organization>-<dispatch>``: the same at every attempt.
        channel: by which network.
        to: the recipient's number in E.164.
        text: what it says; unused when ``content_sid`` names a template.
        sender: the sender's number in E.164 or, for SMS, a short code or a name; None for the operator's own. For
            WhatsApp only a number that is a sender there, such as the one that the customer wrote to.
        content_sid: the provider's id of an approved template.
        content_variables: what is filled into the template.
        media_urls: addresses of files that go with it, which the provider can reach.
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
    """Whom texts are from where the text itself does not say: a messaging service, or a number, or nobody."""

    messaging_service_sid: str | None = None
    sms: str | None = None
    whatsapp: str | None = None


def as_json(text: OutgoingText, senders: Senders) -> dict[str, object]:
    """A text as a service by HTTP is sent it, and as it is written into a file.

    Args:
        text: what is sent.
        senders: whom it is from unless it says so itself.
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
