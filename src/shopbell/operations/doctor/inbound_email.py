"""Check how inbound email arrives: from a mail server, or from a mailbox."""

from collections.abc import Iterator, Mapping

from shopbell.channels.email.access_tokens import AccessTokens
from shopbell.channels.email.certificate import Certificate
from shopbell.channels.email.imap import ImapFailure
from shopbell.channels.email.mailbox_account import open_mailbox, reason_of
from shopbell.db.database import Database
from shopbell.errors import CommandError, SettingsError
from shopbell.operations.doctor.findings import Finding, Level, ok
from shopbell.safe_http.errors import OutboundFailure
from shopbell.security import keys
from shopbell.settings.mailbox import MailboxAddress
from shopbell.settings.settings import Settings

NAME = "mailbox"

_REMEDIES: Mapping[str, str] = {
    "login_failed": "check user and password in SHOPBELL_IMAP_URL, or the owner of the refresh token",
    "no_login_offered": "the host accepts OAuth 2.0 only: see docs/mail.md",
    "no_oauth_offered": "the host does not support OAuth 2.0: put a password into SHOPBELL_IMAP_URL",
    "token_refused": "authorize Shopbell again and set SHOPBELL_IMAP_OAUTH_REFRESH_TOKEN to the new refresh token",
    "refused": "check the folder in SHOPBELL_IMAP_URL",
    "address_denied": "add the host and port of SHOPBELL_IMAP_URL to SHOPBELL_OUTBOUND_ALLOW",
    "tls_failed": "the certificate must be valid for the host in SHOPBELL_IMAP_URL; to trust your own certificate "
    "authority, set SSL_CERT_FILE",
}


def check_listener(settings: Settings) -> Iterator[Finding]:
    """Check that replies can arrive, and the certificate of the listener."""
    if settings.mail_reply_domain is not None and settings.mail_listen is None and settings.mailbox is None:
        detail = "emails ask for replies to SHOPBELL_MAIL_REPLY_DOMAIN, but Shopbell receives no email"
        remedy = "set SHOPBELL_MAIL_LISTEN or SHOPBELL_IMAP_URL, or unset SHOPBELL_MAIL_REPLY_DOMAIN"
        yield Finding(Level.ERROR, "replies", detail, remedy)
    if settings.mail_listen is not None and settings.mail_tls_certificate is not None:
        try:
            Certificate(settings.mail_tls_certificate, settings.mail_tls_key)
        except CommandError as error:
            yield Finding(Level.ERROR, "mail certificate", "`shopbell serve` would not start", str(error))
        else:
            yield ok("mail certificate", "it can be loaded, and the key belongs to it")


async def check_mailbox(settings: Settings, mailbox: MailboxAddress, database: Database) -> Finding:
    """Check that Shopbell can log in to the mailbox and open its folder.

    Args:
        mailbox: the mailbox of the settings.
        database: has the newest refresh token, and gets the one that replaces it.

    Raises:
        StorageError: the database failed.
    """
    try:
        tokens = AccessTokens(settings, database, keys.load(settings)) if mailbox.password is None else None
        imap = await open_mailbox(settings, mailbox, tokens)
        try:
            await imap.select(mailbox.folder)
        finally:
            await imap.close()
    except SettingsError as error:
        return Finding(Level.ERROR, NAME, "`shopbell serve` would not start", str(error))
    except (ImapFailure, OutboundFailure, TimeoutError) as error:
        reason = reason_of(error)
        remedy = _REMEDIES.get(reason, "check host and port in SHOPBELL_IMAP_URL, and that the server is running")
        return Finding(Level.ERROR, NAME, f"replies by email are not read: {reason}", remedy)
    return ok(NAME, f"{mailbox.host} accepts the login")
