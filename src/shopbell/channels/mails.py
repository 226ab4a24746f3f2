"""Which channel carries mails."""

from shopbell.channels.channel import Channel
from shopbell.channels.mail_folder import MailFolderChannel
from shopbell.channels.smtp import SmtpChannel
from shopbell.mail.outgoing import OutgoingMail
from shopbell.settings import Settings


def open_mails(settings: Settings) -> Channel[OutgoingMail] | None:
    """The channel for mails.

    Args:
        settings: those of this process.

    Returns:
        The channel; None where no mail server is set and no mail goes out. Only the demo writes mails into a folder.
    """
    channel = SmtpChannel.of(settings)
    if channel is None and settings.is_demo:
        return MailFolderChannel(settings.mail_outbox)
    return channel
