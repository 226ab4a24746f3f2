"""Send invitations to employees."""

from shopbell.email.outgoing import OutgoingEmail
from shopbell.email.reply_addresses import EmailAddresses
from shopbell.i18n.translations import Texts
from shopbell.notifications.outcomes import Sent, Transport
from shopbell.runtime.clock import now_ms
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings


class InvitationSender:
    """Sends invitations at once, without a queue: the person who invites sees whether it worked.

    Args:
        settings: have the mail server, if there is one, and the sender's address.
        keys: sign the address for bounces.
    """

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._settings = settings
        self._sender = settings.mail_sender
        self._addresses = EmailAddresses(keys, sender=settings.mail_sender, reply_domain=settings.mail_reply_domain)
        self._transport: Transport[OutgoingEmail] | None = None

    async def send(self, recipient: str, organization: str, link: str, texts: Texts) -> bool:
        """Send an invitation; returns whether the mail server has accepted it."""
        # On first use: most servers invite seldom, and the worker sends all other emails.
        from shopbell.channels.email.channel import open_transport
        from shopbell.email.invitation_message import invitation
        from shopbell.email.own_message import compose_own

        self._transport = self._transport or open_transport(self._settings)
        if self._transport is None:
            return False
        subject, text = invitation(organization, link, texts)
        try:
            mail = compose_own(self._sender, recipient, self._addresses, subject=subject, text=text, at_ms=now_ms())
        except ValueError:
            return False
        return isinstance(await self._transport.send(mail), Sent)

    async def close(self) -> None:
        """Close the connection to the mail server."""
        if self._transport is not None:
            await self._transport.close()
