"""``shopbell mail …``: test the way that mails take."""

from typing import Annotated

import typer

from shopbell.cli.output import JSON, now_ms, print_json, say
from shopbell.errors import CommandError

mail_app = typer.Typer(help="Test the mail server.", no_args_is_help=True)


@mail_app.command("test")
def send_test_mail(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="E-mail address that the mail goes to.")],
    json: JSON = False,
) -> None:
    """Send one mail through SHOPBELL_SMTP_URL and print what the mail server answers."""
    import asyncio

    from shopbell import keys, settings
    from shopbell.channels.channel import Outcome, Sent
    from shopbell.channels.smtp import SmtpChannel
    from shopbell.mail.addresses import MailAddresses
    from shopbell.mail.trial import compose_trial

    chosen = settings.load()
    channel = SmtpChannel.of(chosen)
    if channel is None:
        raise CommandError("no mail server is set: set SHOPBELL_SMTP_URL and SHOPBELL_MAIL_FROM")
    at_ms = now_ms()
    addresses = MailAddresses(keys.load(chosen), sender=chosen.mail_sender, reply_domain=chosen.mail_reply_domain)
    try:
        mail = compose_trial(
            chosen.mail_sender,
            address,
            envelope_sender=addresses.bounce(0, 0),  # of no mail in the database
            message_id=addresses.message_id(0, at_ms),
            origin=str(chosen.public_url or f"http://{chosen.host}:{chosen.port}/"),
            at_ms=at_ms,
        )
    except ValueError:
        raise CommandError("ADDRESS must be an e-mail address, such as you@example.com") from None

    async def send() -> tuple[Outcome, str]:
        try:
            return await channel.send_and_quote(mail)
        finally:
            await channel.close()

    outcome, answer = asyncio.run(send())
    reason = None if isinstance(outcome, Sent) else outcome.reason
    if json:
        print_json({"sent": reason is None, "reason": reason, "answer": answer})
        if reason is not None:
            raise typer.Exit(1)
        return
    if reason is not None:
        raise CommandError(f"not sent: {reason}" + (f"\nthe mail server: {answer}" if answer else ""))
    say(f"Sent. The mail server answered: {answer}")
    say("Whether the mail arrives, only the mailbox can tell. If it is in the spam folder, check SPF, DKIM and DMARC.")
