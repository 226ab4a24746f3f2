"""``shopbell mail …``."""

import asyncio
from typing import Annotated

import typer

from shopbell.channels.email.smtp import SmtpTransport
from shopbell.cli.access import load_settings
from shopbell.cli.output import JSON, print_json, say
from shopbell.email.own_message import compose_own
from shopbell.email.reply_addresses import EmailAddresses
from shopbell.errors import CommandError
from shopbell.notifications.outcomes import Outcome, Sent
from shopbell.runtime.clock import now_ms
from shopbell.security import keys
from shopbell.settings.settings import Settings

app = typer.Typer()


@app.command("test")
def send_test_mail(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The email address to send to.")],
    json: JSON = False,
) -> None:
    """Send a test email and print the mail server's response. The server is SHOPBELL_SMTP_URL."""
    reason, answer = send_test(load_settings(), address)
    if json:
        print_json({"sent": reason is None, "reason": reason, "answer": answer})
        if reason is not None:
            raise typer.Exit(1)
        return
    if reason is not None:
        raise CommandError(f"not sent: {reason}" + (f"\nthe mail server: {answer}" if answer else ""))
    say(f"Sent. The mail server responded: {answer}")
    say("Now look into the mailbox. If the email is in the spam folder, check SPF, DKIM and DMARC.")


def send_test(settings: Settings, address: str) -> tuple[str | None, str]:
    """Send a test email.

    Returns:
        The reason why it was not sent, or None; and the response of the mail server.

    Raises:
        CommandError: no mail server is set, or the address is not valid.
    """
    channel = SmtpTransport.of(settings)
    if channel is None:
        raise CommandError("no mail server is configured: set SHOPBELL_SMTP_URL and SHOPBELL_MAIL_FROM")
    addresses = EmailAddresses(
        keys.load(settings), sender=settings.mail_sender, reply_domain=settings.mail_reply_domain
    )
    origin = settings.public_url or f"http://{settings.host}:{settings.port}/"
    text = f"This is a test email from Shopbell at {origin}\n\nEmails to customers are sent in the same way.\n"
    try:
        email = compose_own(
            settings.mail_sender, address, addresses, subject="Test email from Shopbell", text=text, at_ms=now_ms()
        )
    except ValueError:
        raise CommandError("ADDRESS must be an email address, such as you@example.com") from None

    async def send() -> tuple[Outcome, str]:
        try:
            return await channel.send_and_quote(email)
        finally:
            await channel.close()

    outcome, answer = asyncio.run(send())
    return None if isinstance(outcome, Sent) else outcome.reason, answer
