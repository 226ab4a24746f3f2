"""Fetch WhatsApp contacts from Twilio, and add them to the message."""

import asyncio
import base64
from dataclasses import replace
from urllib.parse import urljoin

import structlog

from shopbell import __version__
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.client import HttpResponse, OutboundClient
from shopbell.safe_http.errors import OutboundFailure
from shopbell.safe_http.urls import Target, parse_url
from shopbell.settings.settings import Settings
from shopbell.sms.inbound import InboundMedia, InboundText
from shopbell.sms.vcards import contacts_text

CONTACTS_MAX = 3
"""Most files of one message that are fetched."""
FILE_MAX_BYTES = 65_536
# Twilio waits 15 seconds for the response to its webhook, and the message is stored after this.
TIMEOUT_S = 4.0
_CONCURRENT_MAX = 16
_VCARD_TYPES = frozenset({"text/vcard", "text/x-vcard", "text/directory"})
_OK = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

log = structlog.get_logger()


class TwilioMedia:
    """Fetches contacts from Twilio's media.

    Args:
        api_url: the base URL of Twilio's API. The account's credentials are sent to its origin only, which may be
            private and use plain HTTP.
        account_sid: the account.
        auth_token: its secret.
        allow: private addresses that a redirect may lead to.
        connect_timeout_s: seconds to connect.
        dns_timeout_s: seconds to look up a name.
        timeout_s: seconds for all files of a message, including redirects.
    """

    def __init__(
        self,
        api_url: str,
        *,
        account_sid: str,
        auth_token: str,
        allow: AllowList,
        connect_timeout_s: float,
        dns_timeout_s: float,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        target = parse_url(api_url)
        self._origin = _origin(target)
        self._credentials = base64.b64encode(f"{account_sid}:{auth_token}".encode()).decode()
        self._connect_timeout_s = connect_timeout_s
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(_CONCURRENT_MAX)
        self._client = OutboundClient(
            AllowList(allow.places | {(target.host, target.port)}, allow.networks),
            dns_timeout_s=dns_timeout_s,
            keep_alive_limit=0,
        )

    async def show_contacts(self, text: InboundText) -> InboundText:
        """Replace the file types of contacts in a WhatsApp message by the contacts.

        Args:
            text: from a request that Twilio has signed.

        Returns:
            The text with the contacts of its first three vCards; a file that cannot be read stays a file.
        """
        vcards = [media for media in text.media if _is_vcard(media)][:CONTACTS_MAX]
        if text.channel != "WHATSAPP" or not vcards:
            return text
        contacts = await asyncio.gather(*(self._contacts(vcard.url) for vcard in vcards))
        shown = {id(vcard) for vcard, contact in zip(vcards, contacts, strict=True) if contact is not None}
        return replace(
            text,
            text="\n".join(filter(None, (text.text, *contacts))),
            media=[media for media in text.media if id(media) not in shown],
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _contacts(self, url: str) -> str | None:
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                return contacts_text(await self._file(url))
        except Exception as error:  # noqa: BLE001 - the message is stored even if a file is broken
            # The text of the exception may quote the file.
            reason = error.error_class if isinstance(error, OutboundFailure) else type(error).__name__
            log.warning("the file of a contact could not be read", reason=reason)
            return None

    async def _file(self, url: str) -> bytes:
        if _origin(parse_url(url)) != self._origin:
            raise ValueError("not at Twilio's API")
        response = await self._get(url, {"authorization": f"Basic {self._credentials}"})
        if response.status in _REDIRECTS:
            # The signed URL of another host, which must not get the credentials.
            response = await self._get(urljoin(url, response.headers["location"]), {})
        if response.status != _OK or len(response.body) > FILE_MAX_BYTES:
            raise ValueError("refused or too large")
        return response.body

    async def _get(self, url: str, headers: dict[str, str]) -> HttpResponse:
        return await self._client.get(
            url,
            headers={**headers, "user-agent": f"Shopbell/{__version__}", "connection": "close"},
            timeout_s=self._timeout_s,
            connect_timeout_s=self._connect_timeout_s,
            read_limit_bytes=FILE_MAX_BYTES + 1,
        )


def open_media(settings: Settings) -> TwilioMedia | None:
    """Create the reader of contacts.

    Returns:
        None if the provider is not Twilio.
    """
    if settings.sms_provider != "twilio" or settings.twilio_account_sid is None or settings.twilio_auth_token is None:
        return None
    return TwilioMedia(
        str(settings.twilio_api_url),
        account_sid=settings.twilio_account_sid,
        auth_token=settings.twilio_auth_token.get_secret_value(),
        allow=AllowList.parse(settings.outbound_allow),
        connect_timeout_s=settings.delivery_connect_timeout_s,
        dns_timeout_s=settings.delivery_dns_timeout_s,
    )


def _origin(target: Target) -> tuple[str, str, int]:
    return target.scheme, target.host, target.port


def _is_vcard(media: InboundMedia) -> bool:
    return media.content_type.partition(";")[0].strip().lower() in _VCARD_TYPES
