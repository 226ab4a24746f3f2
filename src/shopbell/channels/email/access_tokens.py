"""Access tokens for the mailbox, from its owner's refresh token (OAuth 2.0, RFC 6749, section 6)."""

import hashlib
import time
from urllib.parse import urlencode

import orjson
import structlog

from shopbell import __version__
from shopbell.channels.email.imap import ImapFailure
from shopbell.db.database import Database
from shopbell.db.installation import find_fact, store_fact
from shopbell.errors import SettingsError
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.client import OutboundClient
from shopbell.safe_http.urls import check_url
from shopbell.security.encryption import Cipher
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings

TIMEOUT_S = 20.0
_SEALING_PURPOSE = "mailbox refresh token"
_FACT = "mailbox_refresh_token"
_HEADERS = {
    "accept": "application/json",
    "content-type": "application/x-www-form-urlencoded",
    "user-agent": f"Shopbell/{__version__}",
    "connection": "close",
}
_OK = 200
_LEEWAY_S = 60.0
_DEFAULT_LIFE_S = 300.0
_RESPONSE_MAX_BYTES = 65_536

log = structlog.get_logger()


class AccessTokens:
    """Gets access tokens, and stores the refresh tokens that a provider replaces.

    Microsoft sends a new refresh token with each access token; the first one expires after some months.

    Args:
        settings: those of the process.
        database: stores newer refresh tokens.
        keys: encrypt them.

    Raises:
        SettingsError: the token endpoint is not allowed.
    """

    def __init__(self, settings: Settings, database: Database, keys: Keys) -> None:
        self._settings = settings
        self._endpoint = token_endpoint(settings)
        self._database = database
        self._cipher = Cipher(keys, _SEALING_PURPOSE)
        self._token = ""
        self._valid_until_s = 0.0

    async def get(self) -> str:
        """Return an access token that is valid for another minute.

        Raises:
            ImapFailure: ``token_refused`` if the provider refuses the refresh token, or ``token_unavailable``.
            OutboundFailure: the provider cannot be reached.
            StorageError: the database failed.
        """
        if time.monotonic() >= self._valid_until_s:
            await self._refresh()
        return self._token

    def forget(self) -> None:
        """Get a new access token next time: the mailbox refused this one."""
        self._valid_until_s = 0.0

    async def _refresh(self) -> None:
        settings = self._settings
        given = settings.imap_oauth_refresh_token
        assert given is not None  # noqa: S101 - the settings say so
        first = given.get_secret_value()
        current = await self._stored(first)
        form = {
            "grant_type": "refresh_token",
            "refresh_token": current,
            "client_id": settings.imap_oauth_client_id or "",
        }
        if settings.imap_oauth_client_secret is not None:
            form["client_secret"] = settings.imap_oauth_client_secret.get_secret_value()
        began_s = time.monotonic()
        async with OutboundClient(
            AllowList.parse(settings.outbound_allow), dns_timeout_s=settings.delivery_dns_timeout_s, keep_alive_limit=0
        ) as client:
            response = await client.post(
                self._endpoint,
                headers=_HEADERS,
                content=urlencode(form).encode(),
                timeout_s=TIMEOUT_S,
                connect_timeout_s=settings.delivery_connect_timeout_s,
                read_limit_bytes=_RESPONSE_MAX_BYTES,
            )
        if response.status != _OK:
            is_refused = 400 <= response.status < 500 and response.status != 429
            raise ImapFailure("token_refused" if is_refused else "token_unavailable")
        try:
            granted = orjson.loads(response.body)
            token, life_s, newer = granted["access_token"], granted.get("expires_in"), granted.get("refresh_token")
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ImapFailure("token_unavailable") from None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise ImapFailure("token_unavailable")
        self._token = token
        lasts_s = life_s if isinstance(life_s, (int, float)) else _DEFAULT_LIFE_S
        self._valid_until_s = began_s + lasts_s - _LEEWAY_S
        if isinstance(newer, str) and newer not in ("", current):
            await self._database.write(store_fact, _name(first), self._cipher.encrypt(newer))

    async def _stored(self, first: str) -> str:
        """The newest refresh token that began with the one in the settings."""
        sealed = await self._database.read(find_fact, _name(first))
        try:
            return first if sealed is None else self._cipher.open(sealed)
        except SettingsError:  # the secret key has changed since; the provider sends a newer one now
            return first


def token_endpoint(settings: Settings) -> str:
    """The URL of the token endpoint, which gets the refresh token and the client secret.

    Raises:
        SettingsError: it is neither an https URL nor allowed by the operator.
    """
    url = settings.imap_token_endpoint or ""
    try:
        check_url(url, AllowList.parse(settings.outbound_allow))
    except ValueError as error:
        raise SettingsError(f"SHOPBELL_IMAP_OAUTH_TOKEN_URL: {error}") from None
    return url


def _name(first: str) -> str:
    """The name under which the newer tokens are stored: a new token in the settings counts at once."""
    return f"{_FACT}:{hashlib.sha256(first.encode()).hexdigest()[:32]}"
