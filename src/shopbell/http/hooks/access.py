"""Access of SMS providers to their webhooks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from fastapi import Request

from shopbell.errors import NotFound, RequestError
from shopbell.http.request.errors import Forbidden
from shopbell.settings.settings import Settings
from shopbell.sms.inbound import OnInbound, OnStatus

if TYPE_CHECKING:
    from shopbell.channels.sms.twilio_media import TwilioMedia


@dataclass(frozen=True)
class TextHooks:
    """What the routes call.

    Args:
        settings: the settings.
        on_inbound: stores an incoming message.
        on_status: stores the status of an outgoing message.
        twilio_media: reads contacts sent by WhatsApp; None if Twilio is not the provider.
    """

    settings: Settings
    on_inbound: OnInbound
    on_status: OnStatus
    twilio_media: "TwilioMedia | None"


class NotSigned(Forbidden):
    """403: the signature is missing, wrong or too old. Which of them is not said."""

    def __init__(self) -> None:
        RequestError.__init__(
            self, "The request is not signed by the provider.", "Signature is missing, wrong or too old"
        )


def hooks_of(request: Request, provider: str) -> TextHooks:
    """Return what the routes of a provider call.

    Raises:
        NotFound: 404; the operator has configured another provider.
    """
    hooks = cast("TextHooks | None", getattr(request.app.state, "text_hooks", None))
    if hooks is None or hooks.settings.sms_provider != provider:
        raise NotFound
    return hooks
