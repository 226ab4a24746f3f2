"""What is to be said to whom by mail, before it is a mail."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Purpose(StrEnum):
    """What a mail is for."""

    REPLY = "reply"
    INVITATION = "invitation"
    LINK = "link"
    STORE_NOTICE = "store-notice"
    AUTO_REPLY = "auto-reply"
    SURVEY = "survey"


@dataclass(frozen=True, slots=True)
class Quoted:
    """A message as a mail shows it.

    Args:
        author: name of who wrote it, or None when the reader did.
        text: what was written; it may be empty beside an attachment.
        at_ms: when, in Unix ms.
        attachment_name: of the file that came with it.
        attachment_url: where the file is, for as long as the link is good.
    """

    author: str | None
    text: str
    at_ms: int
    attachment_name: str | None = None
    attachment_url: str | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be said to whom.

    Args:
        purpose: what the mail is for.
        message_id: as ``MailAddresses.message_id`` makes it for the dispatch.
        envelope_sender: as ``MailAddresses.bounce`` makes it for the dispatch.
        sender: the address that all mails are from.
        recipient: the one address that it goes to.
        business_name: whom it is from, for the customer; who is written to, for the store.
        at_ms: when the dispatch was made, in Unix ms: the mail's date, the same in every attempt.
        locale: the reader's, as far as it is known.
        business_locale: what follows when there are no texts for the former.
        time_zone: IANA name of the zone in which times are told.
        recipient_name: of the reader, as far as it is known.
        customer_name: who has written to the store, for the store: a name, else an address or a number.
        reply_to: signed address for answers; without it the mail says that nobody reads them.
        subject: of the conversation, when the customer gave it one; it stays the same for all of its mails.
        is_follow_up: whether a mail of this conversation went before.
        in_reply_to: ``Message-ID`` of the mail that this one answers.
        references: those of the conversation, the oldest first.
        messages: what is new, the oldest first.
        history: what was said before, the newest first.
        others: how many conversations wait beside this one of which the store is told by their number only.
        button_url: where the conversation goes on.
        unsubscribe_url: link that ends these mails.
        survey: which question is asked.
        color: the business's own, as ``#rrggbb``, from which the mail's colours are made; None for the default one.
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
