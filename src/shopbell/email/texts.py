"""The texts around the messages of an email; every sentence is a msgid of the catalogs."""

import re
from dataclasses import dataclass

from shopbell.email import marker
from shopbell.email.headers import clean
from shopbell.email.message import EmailContent, Purpose
from shopbell.i18n.translations import Texts

SNIPPET_MAX_CHARACTERS = 80
"""Maximum length of the message excerpt in the subject."""

_REPLY_MARK = re.compile(r"^(?:(?:re|aw|sv|antw|r|ref|res|رد)\s*(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wording:
    """The sentences of one email, in the reader's language; empty ones are left out."""

    subject: str
    heading: str
    marker: str
    intro: str
    outro: str
    others: str
    button: str
    history: str
    you: str
    reason: str
    unsubscribe: str


def words(texts: Texts, email: EmailContent) -> Wording:
    """What a email says.

    Args:
        texts: those of the reader's language.
        email: what it is about.
    """
    names = {"business": email.business_name, "customer": email.customer_name}
    is_for_business = email.purpose is Purpose.BUSINESS_NOTICE
    subject, intro, button = _by_purpose(texts, email, names)
    outro = ""
    if email.purpose not in (Purpose.LINK, Purpose.SURVEY):
        outro = _how_to_answer(texts, email, is_for_business=is_for_business)
    elif email.purpose is Purpose.LINK:
        outro = texts.gettext("If you did not ask for this link, you can ignore this email.")
    return Wording(
        subject=subject,
        heading=email.customer_name if is_for_business else email.business_name,
        marker=texts.gettext(marker.LINE),
        intro=intro,
        outro=outro,
        others=texts.ngettext(
            "{count} more conversation is waiting.", "{count} more conversations are waiting.", email.others
        )
        if email.others
        else "",
        button=button,
        history=texts.gettext("Earlier in this conversation"),
        you=texts.gettext("You"),
        reason=texts.gettext(
            "You are receiving this email because {business} receives customer messages through Shopbell.", **names
        )
        if is_for_business
        else texts.gettext("You are receiving this email because you contacted {business}.", **names),
        unsubscribe=texts.gettext("Unsubscribe from these emails"),
    )


def _by_purpose(texts: Texts, email: EmailContent, names: dict[str, str]) -> tuple[str, str, str]:
    """Return the subject, the first sentence and the button's label."""
    go_on = texts.gettext("Open the conversation")
    match email.purpose:
        case Purpose.INVITATION:
            intro = texts.gettext("Thank you for your message to {business}. We will reply to you by email.", **names)
            return _about(texts, email, names), intro, go_on
        case Purpose.LINK:
            intro = texts.gettext("Here is the new link to your conversation with {business}.", **names)
            return texts.gettext("Your link to the conversation with {business}", **names), intro, go_on
        case Purpose.BUSINESS_NOTICE:
            return _news(texts, email, names), "", go_on
        case Purpose.SURVEY:
            question = (
                texts.gettext("How satisfied are you with the help you received from {business}?", **names)
                if email.survey == "csat"
                else texts.gettext("How likely are you to recommend {business} to others?", **names)
            )
            return texts.gettext("A question from {business}", **names), question, texts.gettext("Answer the question")
        case _:
            return _about(texts, email, names), "", go_on


def _about(texts: Texts, email: EmailContent, names: dict[str, str]) -> str:
    """Return the subject for a customer, the same for all emails of a conversation."""
    return _again(clean(email.subject or "") or texts.gettext("Your conversation with {business}", **names), email)


def _news(texts: Texts, email: EmailContent, names: dict[str, str]) -> str:
    """A business's subject: who has written, and how the message begins."""
    if email.messages:
        first = email.messages[0]
        snippet = clean(first.text, SNIPPET_MAX_CHARACTERS) or clean(
            first.attachment_name or "", SNIPPET_MAX_CHARACTERS
        )
        if snippet:
            return texts.gettext("{customer}: {snippet}", snippet=snippet, **names)
    return texts.gettext("New message from {customer} to {business}", **names)


def _again(subject: str, email: EmailContent) -> str:
    bare = _REPLY_MARK.sub("", subject.strip()) or subject
    return f"Re: {bare}" if email.is_follow_up else bare


def _how_to_answer(texts: Texts, email: EmailContent, *, is_for_business: bool) -> str:
    if email.reply_to is None:
        return (
            texts.gettext("Please do not reply to this email: replies are not read. Use the link above instead.")
            if email.button_url
            else ""
        )
    if is_for_business:
        return texts.gettext("Your reply to this email goes to the customer.")
    return texts.gettext("You can reply directly to this email.")
