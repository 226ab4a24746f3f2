"""The content and the recipient of an email, from which ``compose`` creates it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Purpose(StrEnum):
    """The purpose of an email."""

    REPLY = "reply"
    INVITATION = "invitation"
    LINK = "link"
    BUSINESS_NOTICE = "store-notice"
    AUTO_REPLY = "auto-reply"
    SURVEY = "survey"


@dataclass(frozen=True, slots=True)
class Quoted:
    """A message of the conversation, as the email shows it.

    Args:
        author: the author's name; None if the reader wrote it.
        text: may be empty if there is an attachment.
        at_ms: the time of the message, in Unix ms.
        attachment_url: a link to the file, which expires.
    """

    author: str | None
    text: str
    at_ms: int
    attachment_name: str | None = None
    attachment_url: str | None = None


@dataclass(frozen=True, slots=True)
class EmailContent:
    """The content of one email and its recipient.

    Args:
        message_id: created by ``EmailAddresses.message_id`` for the outbound message.
        envelope_sender: created by ``EmailAddresses.bounce`` for the outbound message.
        sender: the From address of all emails.
        recipient: the only recipient's address.
        business_name: the sender of an email to a customer; the addressee of an email to the business.
        at_ms: the creation time of the outbound message, in Unix ms. It is the date of the email in every attempt.
        locale: the reader's locale, if known.
        business_locale: the fallback if there are no texts for ``locale``.
        time_zone: the IANA name of the time zone in which times are shown.
        recipient_name: the reader's name, if known.
        customer_name: in an email to the business, the customer's name, address or phone number.
        reply_to: the signed address for replies; without it, the email says that replies are not read.
        subject: the subject that the customer gave the conversation, if any; the same in all of its emails.
        is_follow_up: whether an earlier email of this conversation was sent.
        in_reply_to: the ``Message-ID`` of the email that this one replies to.
        references: the message ids of the conversation, oldest first.
        messages: the new messages, oldest first.
        history: the earlier messages, newest first.
        others: the number of other conversations that wait for the business; the email gives only this number.
        button_url: the URL at which the conversation continues.
        unsubscribe_url: the link that stops these emails.
        survey: the question, ``nps`` or ``csat``.
        color: the business's color as ``#rrggbb``, from which the colors of the email are derived; None for the
            default.
    """

    purpose: Purpose
    message_id: str
    envelope_sender: str
    sender: str
    recipient: str
    business_name: str
    at_ms: int
    locale: str | None = None
    business_locale: str | None = None
    time_zone: str = "UTC"
    recipient_name: str = ""
    customer_name: str = ""
    reply_to: str | None = None
    subject: str | None = None
    is_follow_up: bool = False
    in_reply_to: str | None = None
    references: Sequence[str] = ()
    messages: Sequence[Quoted] = ()
    history: Sequence[Quoted] = ()
    others: int = 0
    button_url: str | None = None
    unsubscribe_url: str | None = None
    survey: str = "nps"
    color: str | None = None
