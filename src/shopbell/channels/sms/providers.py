"""The SMS providers: a table with one line for each."""

import json
from collections.abc import Callable, Mapping

from pydantic import SecretStr

from shopbell.channels.sms.folder import TextFolder
from shopbell.channels.sms.http_gateway import HttpTextTransport
from shopbell.channels.sms.provider_client import Provider
from shopbell.channels.sms.twilio import TwilioTransport
from shopbell.errors import SettingsError
from shopbell.notifications.outcomes import Transport
from shopbell.settings.settings import Settings
from shopbell.sms.outgoing import OutgoingText, Senders
from shopbell.webhooks import extra_headers


def open_texts(settings: Settings) -> Transport[OutgoingText] | None:
    """Open the transport of SMS and WhatsApp.

    Returns:
        The transport; None if no provider is set.

    Raises:
        SettingsError: an extra header is not allowed.
    """
    build = _PROVIDERS.get(settings.sms_provider)
    return build(settings) if build else None


def _twilio(settings: Settings) -> Transport[OutgoingText]:
    account_sid = settings.twilio_account_sid or ""
    url = f"{str(settings.twilio_api_url).rstrip('/')}/2010-04-01/Accounts/{account_sid}/Messages.json"
    return TwilioTransport(
        _provider(settings, url),
        account_sid=account_sid,
        auth_token=_secret(settings.twilio_auth_token),
        senders=_senders(settings),
        public_url=str(settings.public_url).rstrip("/"),
    )


def _http(settings: Settings) -> Transport[OutgoingText]:
    return HttpTextTransport(
        _provider(settings, str(settings.sms_http_url)),
        secret=_secret(settings.sms_http_secret),
        headers=_headers(settings.sms_http_headers),
        senders=_senders(settings),
        deduplicates=settings.sms_http_deduplicates,
    )


def _folder(settings: Settings) -> Transport[OutgoingText]:
    return TextFolder(settings.mail_outbox, _senders(settings))


_PROVIDERS: Mapping[str, Callable[[Settings], Transport[OutgoingText]]] = {
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
