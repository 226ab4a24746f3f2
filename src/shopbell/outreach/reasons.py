"""Why Shopbell itself did not send a message.

A mail server's reasons are in ``channels/smtp.py``, a text provider's in ``texting/reasons.py``.
"""

from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    "no_mail_server": "no mail server is set",
    "no_sms_provider": "no provider of texts is set",
    "no_whatsapp_sender": "no sender for WhatsApp is set",
    "no_address": "there is no address or number to send it to",
    "not_valid": "the address is not one that mails can be sent to",
    "opted_out": "the recipient wants no messages by this channel",
    "blocked": "the customer is blocked",
    "erased": "the customer was erased",
    "too_old": "it was too late to send it",
    "daily_cap": "the organization has used up its segments of the day",
    "unknown": "it may have been sent, and may not",
}
"""The short name of each reason, which stays, and what it means."""
