"""Makes mails out of what is to be said: text and HTML, in the reader's language, with the headers that it needs."""

import email.policy
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from shopbell.contrast import palette
from shopbell.mail import marker
from shopbell.mail.headers import Token, clean, header, mailbox
from shopbell.mail.letter import Letter, Purpose, Quoted
from shopbell.mail.outgoing import OutgoingMail
from shopbell.mail.wording import words
from shopbell.texts import for_locale

REFERENCES_MAX = 20

_WEB = Path(__file__).parents[1] / "web" / "mail"
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,300}>", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE_ENDS = re.compile(r"\r\n|[\r\n\x0b\x0c\x85\u2028\u2029]")

_jinja = Environment(
    # A plain text shows what stands in it: nothing is to be escaped there.
    loader=FileSystemLoader(_WEB),
    autoescape=select_autoescape(("html",), default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

# RFC 3834. A reply has none: somebody wrote it.
_AUTO_SUBMITTED = {
    Purpose.INVITATION: "auto-generated",
    Purpose.LINK: "auto-replied",
    Purpose.STORE_NOTICE: "auto-generated",
    Purpose.AUTO_REPLY: "auto-replied",
    Purpose.SURVEY: "auto-generated",
}


def compose(letter: Letter) -> OutgoingMail:
    """Make a mail.

    Args:
        letter: everything that it says; texts and names may be whatever somebody sent.

    Returns:
        The mail with its envelope; the same letter always makes the same bytes.

    Raises:
        ValueError: an address is not one, or an id or a link has characters that cannot stand in a header.
    """
    letter = replace(letter, business_name=clean(letter.business_name), customer_name=clean(letter.customer_name))
    recipient = mailbox(letter.recipient, letter.recipient_name)
    policy = email.policy.SMTP.clone(cte_type="7bit", utf8=not recipient.is_ascii)
    message = EmailMessage(policy=policy)
    texts = for_locale(letter.locale, letter.business_locale)
    wording = words(texts, letter)
    references = [reference for reference in letter.references if _MESSAGE_ID.fullmatch(reference)]
    if len(references) > REFERENCES_MAX:  # the first one and the last ones are what mail programs look at
        references = references[:1] + references[1 - REFERENCES_MAX :]

    headers = [
        header("Date", format_datetime(datetime.fromtimestamp(letter.at_ms // 1_000, UTC))),
        header("From", mailbox(letter.sender, letter.business_name)),
        header("To", recipient),
        header("Message-ID", Token(letter.message_id)),
        header("Subject", wording.subject),
        # All but reports of what could not be delivered: those are waited for.
        header("X-Auto-Response-Suppress", "DR, RN, NRN, OOF, AutoReply"),
    ]
    if letter.reply_to:
        headers.append(header("Reply-To", mailbox(letter.reply_to, letter.business_name)))
    if letter.in_reply_to and _MESSAGE_ID.fullmatch(letter.in_reply_to):
        headers.append(header("In-Reply-To", Token(letter.in_reply_to)))
    if references:
        headers.append(header("References", *map(Token, references)))
    if letter.purpose in _AUTO_SUBMITTED:
        headers.append(header("Auto-Submitted", Token(_AUTO_SUBMITTED[letter.purpose])))
    if letter.unsubscribe_url:
        headers.append(header("List-Unsubscribe", Token(f"<{letter.unsubscribe_url}>")))
        if letter.unsubscribe_url.startswith("https://"):  # RFC 8058 knows no other
            headers.append(header("List-Unsubscribe-Post", Token("List-Unsubscribe=One-Click")))
    for each in headers:
        message[each.name] = each

    def author(message: Quoted) -> str:
        return clean(message.author) if message.author else wording.you

    values = {
        "letter": letter,
        "wording": wording,
        "texts": texts,
        "lines": _lines,
        "clean": clean,
        "author": author,
        "marker": marker.marker(wording.marker) if letter.reply_to else None,
        "color": palette(letter.color),
        "when": lambda at_ms: texts.date_time(at_ms, letter.time_zone),
    }
    text, html = (_printable(_jinja.get_template(f"letter.{kind}").render(values)) for kind in ("txt", "html"))
    message.set_content(text, cte=_encoding(text))
    message.add_alternative(html, subtype="html", cte=_encoding(text))
    # Neither encoding has lines with "=_" in them, so that no text can end its part.
    message.set_boundary("=_" + hashlib.sha256(letter.message_id.encode()).hexdigest()[:32])
    return OutgoingMail(letter.envelope_sender, recipient.address.addr_spec, message)


def _encoding(text: str) -> str:
    """The shorter of the two that every server carries unchanged."""
    return "base64" if len(text.encode()) > 1.25 * len(text) else "quoted-printable"


def _lines(text: str) -> list[str]:
    return _LINE_ENDS.split(text.strip("\r\n"))


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("", _LINE_ENDS.sub("\n", text))
