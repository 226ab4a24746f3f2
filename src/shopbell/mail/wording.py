"""What a mail says beside the messages in it, for each purpose; every sentence is a msgid of the catalogs."""

import re
from dataclasses import dataclass

from shopbell.mail import marker
from shopbell.mail.headers import clean
from shopbell.mail.letter import Letter, Purpose
from shopbell.texts import Texts

SNIPPET_MAX_CHARACTERS = 80
"""Most characters of a message in the subject of the mail about it."""

_REPLY_MARK = re.compile(r"^(?:(?:re|aw|sv|antw|r|ref|res|رد)\s*(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wording:
    """The sentences of one mail, in the reader's language; an empty one is left out."""

    subject: str
    heading: str
    marker: str
    intro: str
    outro: str
    others: str
    button: str
    history: str
    you: str
    attachment: str
    reason: str
    unsubscribe: str


def words(texts: Texts, letter: Letter) -> Wording:
    """What a letter says.

    Args:
        texts: those of the reader's language.
        letter: what it is about.
    """
    names = {"business": letter.business_name, "customer": letter.customer_name}
    is_for_store = letter.purpose is Purpose.STORE_NOTICE
    subject, intro, button = _by_purpose(texts, letter, names)
    outro = ""
    if letter.purpose not in (Purpose.LINK, Purpose.SURVEY):
        outro = _how_to_answer(texts, letter, is_for_store=is_for_store)
    elif letter.purpose is Purpose.LINK:
        outro = texts.gettext("If you did not ask for it, you need not do anything.")
    return Wording(
        subject=subject,
        heading=letter.customer_name if is_for_store else letter.business_name,
        marker=texts.gettext(marker.LINE),
        intro=intro,
        outro=outro,
        others=texts.ngettext(
            "{count} more conversation is waiting.", "{count} more conversations are waiting.", letter.others
        )
        if letter.others
        else "",
        button=button,
        history=texts.gettext("Earlier in this conversation"),
        you=texts.gettext("You"),
        attachment=texts.gettext("Attachment"),
        reason=texts.gettext("You get this mail because {business} takes messages by Shopbell.", **names)
        if is_for_store
        else texts.gettext("You get this mail because you wrote to {business}.", **names),
        unsubscribe=texts.gettext("Stop these e-mails"),
    )


def _by_purpose(texts: Texts, letter: Letter, names: dict[str, str]) -> tuple[str, str, str]:
    """Subject, first sentence, and what stands on the button."""
    go_on = texts.gettext("Open the conversation")
    match letter.purpose:
        case Purpose.INVITATION:
            intro = texts.gettext("Thank you for your message to {business}. You will get the answer by mail.", **names)
            return _about(texts, letter, names), intro, go_on
        case Purpose.LINK:
            intro = texts.gettext("Here is the new link to your conversation with {business}.", **names)
            return texts.gettext("Your link to the conversation with {business}", **names), intro, go_on
        case Purpose.STORE_NOTICE:
            return _news(texts, letter, names), "", go_on
        case Purpose.SURVEY:
            question = (
                texts.gettext("How satisfied are you with the answers of {business}?", **names)
                if letter.survey == "csat"
                else texts.gettext("How likely is it that you recommend {business} to others?", **names)
            )
            return texts.gettext("A question from {business}", **names), question, texts.gettext("Answer")
        case _:
            return _about(texts, letter, names), "", go_on


def _about(texts: Texts, letter: Letter, names: dict[str, str]) -> str:
    """A customer's subject: the same for all mails of a conversation."""
    return _again(clean(letter.subject or "") or texts.gettext("Your conversation with {business}", **names), letter)


def _news(texts: Texts, letter: Letter, names: dict[str, str]) -> str:
    """A store's subject: who has written, and how the message begins."""
    if letter.messages:
        first = letter.messages[0]
        snippet = clean(first.text, SNIPPET_MAX_CHARACTERS) or clean(
            first.attachment_name or "", SNIPPET_MAX_CHARACTERS
        )
        if snippet:
            return texts.gettext("{customer}: {snippet}", snippet=snippet, **names)
    return texts.gettext("{customer} has written to {business}", **names)


def _again(subject: str, letter: Letter) -> str:
    bare = _REPLY_MARK.sub("", subject.strip()) or subject
    return f"Re: {bare}" if letter.is_follow_up else bare


def _how_to_answer(texts: Texts, letter: Letter, *, is_for_store: bool) -> str:
    if letter.reply_to is None:
        return texts.gettext("Please do not reply to this mail: nobody would read it.") if letter.button_url else ""
    if is_for_store:
        return texts.gettext("Reply to this mail, and the customer gets your answer.")
    return texts.gettext("Simply reply to this mail to answer.")
