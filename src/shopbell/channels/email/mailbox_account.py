"""Log in to the mailbox."""

from shopbell.channels.email.access_tokens import AccessTokens
from shopbell.channels.email.imap import ImapConnection, ImapFailure
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.connector import GuardedConnector, dial
from shopbell.safe_http.dns import SystemResolver
from shopbell.safe_http.errors import OutboundFailure
from shopbell.safe_http.hosts import parse_host
from shopbell.settings.mailbox import MailboxAddress
from shopbell.settings.settings import Settings

CONNECT_TIMEOUT_S = 30.0


async def open_mailbox(settings: Settings, mailbox: MailboxAddress, tokens: AccessTokens | None) -> ImapConnection:
    """Connect to the server of the mailbox and log in.

    Args:
        tokens: for a mailbox without a password; None if it has one.

    Raises:
        ImapFailure: the server, or the one for tokens, does not respond as it should.
        OutboundFailure: one of them cannot be reached.
        TimeoutError: the server does not respond.
        StorageError: the database failed.
    """
    token = await tokens.get() if tokens is not None else ""
    connector = GuardedConnector(
        AllowList.parse(settings.outbound_allow),
        resolve=SystemResolver(),
        dial=dial,
        dns_timeout_s=settings.delivery_dns_timeout_s,
    )
    host = _host(mailbox)
    imap = await ImapConnection.open(connector, host, mailbox.port, timeout_s=CONNECT_TIMEOUT_S)
    try:
        if mailbox.password is None:
            await imap.log_in_with_token(mailbox.user, token, host=host, port=mailbox.port)
        else:
            await imap.log_in(mailbox.user, mailbox.password)
    except BaseException:
        if tokens is not None:
            tokens.forget()
        await imap.close()
        raise
    return imap


def _host(mailbox: MailboxAddress) -> str:
    host = mailbox.host
    try:
        return str(parse_host(f"[{host}]" if ":" in host else host))
    except ValueError:
        raise ImapFailure("wrong_host") from None


def reason_of(error: Exception) -> str:
    """A short name for why the mailbox cannot be read, for logs and metrics; ``bug`` for an unexpected error."""
    if isinstance(error, ImapFailure):
        return error.reason
    if isinstance(error, OutboundFailure):
        return error.error_class
    return "timeout" if isinstance(error, TimeoutError) else "bug"
