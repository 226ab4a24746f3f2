"""What the routes for providers of texts work with, and how they refuse."""

from dataclasses import dataclass
from typing import cast

from fastapi import Request

from shopbell.channels.twilio_media import TwilioMedia
from shopbell.errors import Forbidden, NotFound, Problem
from shopbell.settings import Settings
from shopbell.texting.inbound import OnInbound, OnStatus


@dataclass(frozen=True)
class TextHooks:
    """What the routes hand on.

    Args:
        settings: those of this process.
        on_inbound: stores a text that came in.
        on_status: stores what became of one that went out.
        twilio_media: reads the contacts that come by WhatsApp; None where Twilio does not carry the texts.
    """

    settings: Settings
    on_inbound: OnInbound
    on_status: OnStatus
    twilio_media: TwilioMedia | None


class NotSigned(Forbidden):
    """403: the request is not signed by the provider, or long ago; which of them is not said."""

    def __init__(self) -> None:
        Problem.__init__(self, "The request is not signed by the provider.", "Signature is missing, wrong or too old")


def hooks_of(request: Request, provider: str) -> TextHooks:
    """What a route works with.

    Args:
        request: of anybody.
        provider: whom the route is for.

    Raises:
        NotFound: 404, the operator has set another provider.
    """
    hooks = cast("TextHooks | None", getattr(request.app.state, "text_hooks", None))
    if hooks is None or hooks.settings.sms_provider != provider:
        raise NotFound
    return hooks
