"""What channels can do in installations with different settings."""

from shopbell.channels.open_channels import rules_of
from shopbell.notifications.capabilities import Rules
from shopbell.settings.settings import load

_TWILIO = {
    "sms_provider": "twilio",
    "twilio_account_sid": "AC" + "0" * 32,
    "twilio_auth_token": "0" * 32,
    "public_url": "https://chat.acme.example",
}


def rules(*, mails: bool = True, texts: bool = True, whatsapp: bool = True, batch_s: float = 60) -> Rules:
    """Return the rules of an installation that sends these messages.

    WhatsApp needs the provider of SMS.
    """
    given: dict[str, object] = {"mail_batch_s": batch_s}
    if mails:
        given |= {"smtp_url": "smtp://mail.acme.example", "mail_from": "shop@acme.example"}
    if texts:
        given |= _TWILIO | {"sms_from": "+15005550006"} | ({"whatsapp_from": "+15005550007"} if whatsapp else {})
    return rules_of(load(**given))
