"""The channel for emails."""

from collections.abc import Sequence

from sqlalchemy import Connection

from shopbell.email.outgoing import OutgoingEmail
from shopbell.notifications.capabilities import Capabilities
from shopbell.notifications.channel import Channel, Rendered
from shopbell.notifications.content import Notification
from shopbell.notifications.outcomes import Outcome, Transport
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings

_TOO_LATE_MS = 5 * 24 * 60 * 60 * 1_000


class EmailChannel(Channel):
    """Sends emails through a mail server; the demo writes them into a folder."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        # A process that sends nothing only asks what the channel can do.
        from shopbell.channels.email.render import EmailRenderer
        from shopbell.email.compose import compose

        super().__init__(settings, keys)
        self._renderer = EmailRenderer(settings, keys)
        self._compose = compose
        self._transport = open_transport(settings)

    @staticmethod
    def declare(settings: Settings) -> Sequence[Capabilities]:
        """What it can do with these settings."""
        email = Capabilities(
            "EMAIL",
            lease_ms=round(2_000 * (settings.smtp_timeout_s + settings.smtp_connect_timeout_s)),
            hindrance=None if settings.sends_emails else "no_mail_server",
            batch_ms=round(settings.mail_batch_s * 1_000),
            too_late_ms=_TOO_LATE_MS,
            reaches_visitors=True,
            carries_surveys=True,
            detects_repeats=True,  # by the ``Message-ID``
        )
        return (email,)

    @staticmethod
    def warnings(settings: Settings) -> list[str]:
        """What it does not send, for the operator."""
        return [] if settings.sends_emails else ["no email is sent: set SHOPBELL_SMTP_URL"]

    def render(self, tx: Connection, notification: Notification) -> Rendered:
        """Render a notification as an email."""
        return Rendered(self._compose(self._renderer.content(tx, notification)))

    async def send(self, item: OutgoingEmail) -> Outcome:
        """Send an email once."""
        assert self._transport is not None  # noqa: S101 - there is a hindrance otherwise
        return await self._transport.send(item)

    async def close(self) -> None:
        """Close all connections."""
        if self._transport is not None:
            await self._transport.close()


def open_transport(settings: Settings) -> Transport[OutgoingEmail] | None:
    """Open the way to the mail server, or in a demo to the folder; None if there is no mail server."""
    from shopbell.channels.email.folder import EmailFolder  # as above
    from shopbell.channels.email.smtp import SmtpTransport

    transport = SmtpTransport.of(settings)
    if transport is None and settings.is_demo:
        return EmailFolder(settings.mail_outbox)
    return transport
