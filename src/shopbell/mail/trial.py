"""The mail with which an operator tests the mail server."""

import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from shopbell.mail.headers import Token, header, mailbox
from shopbell.mail.outgoing import OutgoingMail


def compose_trial(
    sender: str, recipient: str, *, envelope_sender: str, message_id: str, origin: str, at_ms: int
) -> OutgoingMail:
    """Make a test mail.

    Args:
        sender: the address that all mails are from.
        recipient: the address that it goes to.
        envelope_sender: where reports come back to, as of other mails: SPF is checked for its domain.
        message_id: with its angle brackets.
        origin: where this installation is reached.
        at_ms: its date, in Unix ms.

    Raises:
        ValueError: an address is not one.
    """
    to = mailbox(recipient)
    message = EmailMessage(policy=email.policy.SMTP.clone(cte_type="7bit", utf8=not to.is_ascii))
    for each in (
        header("Date", format_datetime(datetime.fromtimestamp(at_ms // 1_000, UTC))),
        header("From", mailbox(sender, "Shopbell")),
        header("To", to),
        header("Message-ID", Token(message_id)),
        header("Subject", "Test mail from Shopbell"),
        header("Auto-Submitted", Token("auto-generated")),
    ):
        message[each.name] = each
    message.set_content(f"This is a test mail from Shopbell at {origin}\n\nMails to customers take the same way.\n")
    return OutgoingMail(envelope_sender, to.address.addr_spec, message)
