"""Why Shopbell itself did not send a message.

A mail server's reasons are in ``channels/email/smtp.py``, a text provider's in ``sms/error_codes.py``.
"""

from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    "no_mail_server": "no mail server is set",
    "no_sms_provider": "no SMS provider is set",
    "no_whatsapp_sender": "no sender for WhatsApp is set",
    "no_address": "there is no address or number to send it to",
    "not_valid": "emails cannot be sent to this address",
    "opted_out": "the recipient has opted out of this channel",
    "blocked": "the customer is blocked",
    "erased": "the customer was erased",
    "too_old": "it was too late to send it",
    "daily_cap": "the organization has reached its daily limit of SMS segments",
    "unknown": "it is unknown whether it was sent",
}
"""The short, stable name of each reason, and its meaning."""
