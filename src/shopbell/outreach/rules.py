"""What this installation can send, by its settings."""

from shopbell.outreach.decisions import Rules
from shopbell.settings import Settings


def rules_of(settings: Settings) -> Rules:
    """The rules that decisions are made by.

    Args:
        settings: those of this process.
    """
    # Twilio knows its senders of WhatsApp by their numbers; other services know their own.
    knows_sender = settings.sms_provider != "twilio" or settings.whatsapp_from is not None
    sends_texts = settings.sms_provider != "none"
    return Rules(
        mail_batch_ms=round(settings.mail_batch_s * 1_000),
        sends_texts=sends_texts,
        sends_whatsapp=sends_texts and knows_sender,
    )
