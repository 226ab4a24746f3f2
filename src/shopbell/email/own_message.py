"""Emails of Shopbell to the people who run it, which belong to no conversation."""

import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from shopbell.email.headers import Token, header, mailbox
from shopbell.email.outgoing import OutgoingEmail
from shopbell.email.reply_addresses import EmailAddresses


def compose_own(
    sender: str, recipient: str, addresses: EmailAddresses, *, subject: str, text: str, at_ms: int
) -> OutgoingEmail:
    """Compose an email.

    Args:
        sender: the From address of all emails.
        addresses: sign the address for bounces, as for other emails, because SPF checks its domain.
        at_ms: the date, in Unix ms.

    Raises:
        ValueError: an address is invalid.
    """
    to = mailbox(recipient)
    message = EmailMessage(policy=email.policy.SMTP.clone(cte_type="7bit", utf8=not to.is_ascii))
    for each in (
        header("Date", format_datetime(datetime.fromtimestamp(at_ms // 1_000, UTC))),
        header("From", mailbox(sender, "Shopbell")),
        header("To", to),
        header("Message-ID", Token(addresses.message_id(0, at_ms))),
        header("Subject", subject),
        header("Auto-Submitted", Token("auto-generated")),
    ):
        message[each.name] = each
    message.set_content(text)
    # It belongs to no email in the database.
    return OutgoingEmail(addresses.bounce(0, 0), to.address.addr_spec, message)
