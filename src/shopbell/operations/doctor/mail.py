"""Check how email is sent: the mail server."""

from collections.abc import Mapping

from shopbell.channels.email.smtp import SmtpTransport
from shopbell.operations.doctor.findings import Finding, Level, ok
from shopbell.settings.settings import Settings

NAME = "mail"

_REMEDIES: Mapping[str, str] = {
    "authentication_failed": "check user and password in SHOPBELL_SMTP_URL; percent-encode / @ : # ? % in them",
    "connect_timeout": "check host and port in SHOPBELL_SMTP_URL; some hosting providers block port 25 or 587",
    "connection_failed": "check host and port in SHOPBELL_SMTP_URL, and that the mail server is running",
    "tls_failed": "its certificate must be valid for the host in SHOPBELL_SMTP_URL; to trust your own certificate "
    "authority, set SSL_CERT_FILE",
    "no_tls_or_authentication_offered": "check the port in SHOPBELL_SMTP_URL; for a server without a certificate on "
    "the same machine or network, set SHOPBELL_SMTP_STARTTLS=never",
}


async def check_smtp(transport: SmtpTransport | None, settings: Settings) -> Finding:
    """Check that the mail server lets this installation send: connect and log in.

    Args:
        transport: as ``SmtpTransport.of`` returns it for the settings.
    """
    if transport is None:
        detail = "no mail server is set: every email to customers and businesses fails with the reason no_mail_server"
        remedy = "set SHOPBELL_SMTP_URL and SHOPBELL_MAIL_FROM, then run `shopbell mail test you@example.com`"
        return Finding(Level.ERROR, NAME, detail, remedy)
    reason, answer = await transport.try_login()
    if reason is None:
        logged_in = "accepts the login" if transport.has_login else "accepts connections"
        hint = "run `shopbell mail test you@example.com` to send an email"
        return ok(NAME, f"{transport.server} {logged_in}; the sender is {settings.mail_sender}; {hint}")
    detail = f"{transport.server} cannot be used: {reason}" + (f" ({answer})" if answer else "")
    return Finding(Level.ERROR, NAME, detail, _REMEDIES.get(reason, "see the response of the mail server"))
