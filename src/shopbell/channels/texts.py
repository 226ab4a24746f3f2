"""Which channel carries texts: the table of providers, one line each."""

import json
from collections.abc import Callable, Mapping

from pydantic import SecretStr

from shopbell import extra_headers
from shopbell.channels.channel import Channel
from shopbell.channels.http_texts import HttpTextChannel
from shopbell.channels.provider import Provider
from shopbell.channels.text_folder import TextFolder
from shopbell.channels.twilio import TwilioChannel
from shopbell.errors import SettingsError
from shopbell.settings import Settings
from shopbell.texting.outgoing import OutgoingText, Senders


def open_texts(settings: Settings) -> Channel[OutgoingText] | None:
    """The channel for SMS and WhatsApp.

    Args:
        settings: those of this process.

    Returns:
        The channel; None where no provider is set and no text goes out.

    Raises:
        SettingsError: a header of the operator's may not be sent.
    """
    build = _PROVIDERS.get(settings.sms_provider)
    return build(settings) if build else None


def _twilio(settings: Settings) -> Channel[OutgoingText]:
    account_sid = settings.twilio_account_sid or ""
    url = f"{str(settings.twilio_api_url).rstrip('/')}/2010-04-01/Accounts/{account_sid}/Messages.json"
    return TwilioChannel(
        _provider(settings, url),
        account_sid=account_sid,
        auth_token=_secret(settings.twilio_auth_token),
        senders=_senders(settings),
        public_url=str(settings.public_url).rstrip("/"),
    )


def _http(settings: Settings) -> Channel[OutgoingText]:
    return HttpTextChannel(
        _provider(settings, str(settings.sms_http_url)),
        secret=_secret(settings.sms_http_secret),
        headers=_headers(settings.sms_http_headers),
        senders=_senders(settings),
        deduplicates=settings.sms_http_deduplicates,
    )


def _folder(settings: Settings) -> Channel[OutgoingText]:
    return TextFolder(settings.mail_outbox, _senders(settings))


_PROVIDERS: Mapping[str, Callable[[Settings], Channel[OutgoingText]]] = {
    "twilio": _twilio,
    "http": _http,
    "folder": _folder,
}


def _provider(settings: Settings, url: str) -> Provider:
    return Provider(
        url,
        timeout_s=settings.delivery_timeout_s,
        connect_timeout_s=settings.delivery_connect_timeout_s,
        dns_timeout_s=settings.delivery_dns_timeout_s,
    )


def _senders(settings: Settings) -> Senders:
    return Senders(settings.twilio_messaging_service_sid, settings.sms_from, settings.whatsapp_from)


def _headers(given: SecretStr | None) -> dict[str, str]:
    headers: dict[str, str] = json.loads(given.get_secret_value()) if given else {}
    try:
        for name, value in headers.items():
            extra_headers.check_name(name)
            extra_headers.check_value(value)
        extra_headers.check_together(list(headers))
    except ValueError as error:
        raise SettingsError(f"SHOPBELL_SMS_HTTP_HEADERS: each {error}") from None
    return headers


def _secret(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
