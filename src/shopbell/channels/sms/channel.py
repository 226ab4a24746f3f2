"""The channel for SMS and WhatsApp messages, which one provider sends."""

from collections.abc import Sequence

from sqlalchemy import Connection

from shopbell.notifications.capabilities import Capabilities
from shopbell.notifications.channel import Channel, Rendered
from shopbell.notifications.content import Notification
from shopbell.notifications.outcomes import Outcome
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings
from shopbell.sms.outgoing import OutgoingText


class TextChannel(Channel):
    """Sends SMS and WhatsApp messages."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        # A process that sends nothing only asks what the channel can do.
        from shopbell.channels.sms.providers import open_texts
        from shopbell.channels.sms.render import TextRenderer
        from shopbell.sms.segments import segments

        super().__init__(settings, keys)
        self._renderer = TextRenderer(settings, keys)
        self._segments = segments
        self._transport = open_texts(settings)

    @staticmethod
    def declare(settings: Settings) -> Sequence[Capabilities]:
        """What it can do with these settings."""
        # A second SMS costs money and annoys, so none is sent that may have been sent before.
        lease_ms = round(settings.delivery_lease_s * 1_000)
        no_provider = "no_sms_provider" if settings.sms_provider == "none" else None
        # Twilio identifies WhatsApp senders by number; other services know their own sender.
        knows_sender = settings.sms_provider != "twilio" or settings.whatsapp_from is not None
        no_whatsapp = no_provider or (None if knows_sender else "no_whatsapp_sender")
        return (
            Capabilities("SMS", lease_ms, no_provider, reaches_visitors=True),
            Capabilities("WHATSAPP", lease_ms, no_whatsapp),
        )

    @staticmethod
    def warnings(settings: Settings) -> list[str]:
        """What it does not send, for the operator."""
        if settings.sms_provider == "none" and not settings.sms_turned_off:
            return ["no text is sent: set SHOPBELL_SMS_PROVIDER"]
        if settings.sms_provider == "folder" and not settings.is_demo:
            return ["texts are written into a folder and not sent: set SHOPBELL_SMS_PROVIDER"]
        return []

    def render(self, tx: Connection, notification: Notification) -> Rendered:
        """Render a notification as a text message."""
        text = self._renderer.text(tx, notification)
        return Rendered(text, self._segments(text.text).count if text.channel == "SMS" else 1)

    async def send(self, item: OutgoingText) -> Outcome:
        """Send a text message once."""
        assert self._transport is not None  # noqa: S101 - there is a hindrance otherwise
        return await self._transport.send(item)

    async def close(self) -> None:
        """Close all connections."""
        if self._transport is not None:
            await self._transport.close()
