"""Settings for a mailbox that Shopbell reads by IMAP; ``Settings`` inherits them."""

import re
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from shopbell.settings.mail import MailSettings

TOKEN_URLS = {
    "google": "https://oauth2.googleapis.com/token",
    "microsoft": "https://login.microsoftonline.com/common/oauth2/v2.0/token",
}
_IMAPS_PORT = 993
_FOLDER = re.compile(r'[^\x00-\x1f\x7f-\U0010ffff&"\\*%]{1,200}')


class MailboxAddress(NamedTuple):
    """A mailbox on an IMAP server.

    Args:
        host: a host name or IP address.
        port: the TCP port, which expects TLS.
        user: the login name.
        password: None with OAuth 2.0.
        folder: the folder in which new email arrives.
    """

    host: str
    port: int
    user: str
    password: str | None
    folder: str


class MailboxSettings(MailSettings):
    """The mailbox from which Shopbell takes email."""

    imap_url: SecretStr | None = Field(
        None,
        description="Mailbox in which email to SHOPBELL_MAIL_REPLY_DOMAIN arrives: "
        "`imaps://user:password@imap.example.com/INBOX`. Shopbell takes the replies from it and moves them to "
        "SHOPBELL_IMAP_DONE_FOLDER. Without a password, OAuth 2.0 is used.",
    )
    imap_done_folder: str = Field(
        "Shopbell", description="Folder to which Shopbell moves emails that it has stored. Created if missing."
    )
    imap_failed_folder: str = Field(
        "Shopbell failed",
        description="Folder to which Shopbell moves emails that it cannot store, for example because they are larger "
        "than SHOPBELL_MAIL_LIMIT_BYTES. Created if missing.",
    )
    imap_oauth_token_url: str | None = Field(
        None,
        description="Where Shopbell exchanges the refresh token for access tokens (OAuth 2.0): `google`, `microsoft`, "
        "or the https URL of a token endpoint.",
    )
    imap_oauth_client_id: str | None = Field(None, max_length=500, description="Client id for OAuth 2.0.")
    imap_oauth_client_secret: SecretStr | None = Field(
        None, description="Client secret for OAuth 2.0. Unset for a public client."
    )
    imap_oauth_refresh_token: SecretStr | None = Field(
        None, description="Refresh token of the mailbox's owner. Newer ones that the provider sends are stored."
    )

    @property
    def mailbox(self) -> MailboxAddress | None:
        """The mailbox to read; None if there is none."""
        return _parse(self.imap_url)

    @property
    def imap_token_endpoint(self) -> str | None:
        """The URL of the token endpoint."""
        url = self.imap_oauth_token_url
        return TOKEN_URLS.get(url, url) if url is not None else None

    @field_validator("imap_url")
    @classmethod
    def _check_imap_url(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            _parse(value)
        except ValueError:  # its text may quote the password
            raise ValueError("must look like imaps://user:password@imap.example.com/INBOX") from None
        return value

    @field_validator("imap_done_folder", "imap_failed_folder")
    @classmethod
    def _check_folder(cls, value: str) -> str:
        if not _FOLDER.fullmatch(value):
            raise ValueError('must be the name of a folder in ASCII, without & " \\ * %')
        return value

    @field_validator("imap_oauth_token_url")
    @classmethod
    def _check_token_url(cls, value: str | None) -> str | None:
        if value is not None and value not in TOKEN_URLS and not re.fullmatch(r"https?://[^/?#@\s]+/[^?#\s]*", value):
            raise ValueError("must be google, microsoft or the https URL of a token endpoint")
        return value

    @model_validator(mode="after")
    def _check_mailbox_requirements(self) -> Self:
        mailbox = self.mailbox
        if mailbox is None:
            return self
        if self.mail_reply_domain is None:
            raise ValueError("SHOPBELL_MAIL_REPLY_DOMAIN is required with SHOPBELL_IMAP_URL")
        if len({mailbox.folder, self.imap_done_folder, self.imap_failed_folder}) < 3:
            raise ValueError("SHOPBELL_IMAP_DONE_FOLDER: the three folders of the mailbox must differ")
        for name in ("token_url", "client_id", "refresh_token") if mailbox.password is None else ():
            if getattr(self, f"imap_oauth_{name}") is None:
                raise ValueError(f"SHOPBELL_IMAP_OAUTH_{name.upper()} is required if SHOPBELL_IMAP_URL has no password")
        return self


def _parse(url: SecretStr | None) -> MailboxAddress | None:
    """Parse the URL.

    Raises:
        ValueError: it is not the URL of a mailbox.
    """
    if url is None:
        return None
    parts = urlsplit(url.get_secret_value())
    folder = unquote(parts.path.strip("/")) or "INBOX"
    password = None if parts.password is None else unquote(parts.password)
    user = unquote(parts.username or "")
    is_whole = parts.scheme == "imaps" and parts.hostname and user and not parts.query and not parts.fragment
    if (
        not is_whole
        or not _FOLDER.fullmatch(folder)
        or password == ""
        or re.search(r"[\0\r\n]", user + (password or ""))
    ):
        raise ValueError
    return MailboxAddress(parts.hostname or "", parts.port or _IMAPS_PORT, user, password, folder)
