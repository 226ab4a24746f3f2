"""What this installation can send, by its settings."""

from dataclasses import dataclass

from shopbell.settings import Settings


@dataclass(frozen=True, slots=True)
class Rules:
    """What this installation can do.

    Args:
        mail_batch_ms: how long a mail waits for more answers.
        sends_mails: whether a mail server is set.
        sends_texts: whether a provider of texts is set.
        sends_whatsapp: whether that provider has a sender for WhatsApp.
    """

    mail_batch_ms: int
    sends_mails: bool
    sends_texts: bool
    sends_whatsapp: bool

    def hindrance(self, channel: str) -> str | None:
        """Why nothing can be sent by a channel.

        Args:
            channel: ``EMAIL``, ``SMS`` or ``WHATSAPP``.

        Returns:
            The reason of a delivery that fails for it; None when the channel is set up.
        """
        if channel == "EMAIL":
            return None if self.sends_mails else "no_mail_server"
        if not self.sends_texts:
            return "no_sms_provider"
        return "no_whatsapp_sender" if channel == "WHATSAPP" and not self.sends_whatsapp else None


def rules_of(settings: Settings) -> Rules:
    """The rules that decisions are made by.

    Args:
        settings: those of this process.
    """
    # Twilio knows its senders of WhatsApp by their numbers; other services know their own.
    knows_sender = settings.sms_provider != "twilio" or settings.whatsapp_from is not None
    return Rules(
        mail_batch_ms=round(settings.mail_batch_s * 1_000),
        sends_mails=settings.sends_mails,
        sends_texts=settings.sms_provider != "none",
        sends_whatsapp=settings.sms_provider != "none" and knows_sender,
    )


def not_sent(settings: Settings) -> list[str]:
    """What this installation does not send: one sentence for each, for the operator.

    Args:
        settings: those of this process.
    """
    sentences = []
    if not settings.sends_mails:
        sentences.append("no mail is sent: set SHOPBELL_SMTP_URL")
    if settings.sms_provider == "none" and not settings.wants_no_texts:
        sentences.append("no text is sent: set SHOPBELL_SMS_PROVIDER")
    if settings.sms_provider == "folder" and not settings.is_demo:
        sentences.append("texts are written into a folder and not sent: set SHOPBELL_SMS_PROVIDER")
    return sentences
