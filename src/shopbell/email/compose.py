"""Compose emails as plain text and HTML, in the reader's language, with their headers."""

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from shopbell.email import marker
from shopbell.email.headers import Token, clean, header, mailbox
from shopbell.email.message import EmailContent, Purpose, Quoted
from shopbell.email.outgoing import OutgoingEmail
from shopbell.email.texts import words
from shopbell.formats.brand_colors import palette
from shopbell.i18n.translations import for_locale

REFERENCES_MAX = 20

_WEB = Path(__file__).parents[1] / "web" / "mail"
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,300}>", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE_ENDS = re.compile(r"\r\n|[\r\n\x0b\x0c\x85\u2028\u2029]")

_jinja = Environment(
    # Plain text is not escaped, since it is shown as it is.
    loader=FileSystemLoader(_WEB),
    autoescape=select_autoescape(("html",), default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

# RFC 3834. A reply has no such header, because a person wrote it.
_AUTO_SUBMITTED = {
    Purpose.INVITATION: "auto-generated",
    Purpose.LINK: "auto-replied",
    Purpose.BUSINESS_NOTICE: "auto-generated",
    Purpose.AUTO_REPLY: "auto-replied",
    Purpose.SURVEY: "auto-generated",
}


def compose(email: EmailContent) -> OutgoingEmail:
    """Compose an email.

    Args:
        email: its content; texts and names are untrusted.

    Returns:
        The email with its envelope. The same content always produces the same bytes.

    Raises:
        ValueError: an address is invalid, or an id or a link contains characters that a header cannot contain.
    """
    email = replace(email, business_name=clean(email.business_name), customer_name=clean(email.customer_name))
    recipient = mailbox(email.recipient, email.recipient_name)
    policy = SMTP.clone(cte_type="7bit", utf8=not recipient.is_ascii)
    message = EmailMessage(policy=policy)
    texts = for_locale(email.locale, email.business_locale)
    wording = words(texts, email)
    references = [reference for reference in email.references if _MESSAGE_ID.fullmatch(reference)]
    if len(references) > REFERENCES_MAX:  # email programs use the first one and the last ones
        references = references[:1] + references[1 - REFERENCES_MAX :]

    headers = [
        header("Date", format_datetime(datetime.fromtimestamp(email.at_ms // 1_000, UTC))),
        header("From", mailbox(email.sender, email.business_name)),
        header("To", recipient),
        header("Message-ID", Token(email.message_id)),
        header("Subject", wording.subject),
        # Suppress all automatic responses except bounces, which we process.
        header("X-Auto-Response-Suppress", "DR, RN, NRN, OOF, AutoReply"),
    ]
    if email.reply_to:
        headers.append(header("Reply-To", mailbox(email.reply_to, email.business_name)))
    if email.in_reply_to and _MESSAGE_ID.fullmatch(email.in_reply_to):
        headers.append(header("In-Reply-To", Token(email.in_reply_to)))
    if references:
        headers.append(header("References", *map(Token, references)))
    if email.purpose in _AUTO_SUBMITTED:
        headers.append(header("Auto-Submitted", Token(_AUTO_SUBMITTED[email.purpose])))
    if email.unsubscribe_url:
        headers.append(header("List-Unsubscribe", Token(f"<{email.unsubscribe_url}>")))
        if email.unsubscribe_url.startswith("https://"):  # RFC 8058 requires HTTPS
            headers.append(header("List-Unsubscribe-Post", Token("List-Unsubscribe=One-Click")))
    for each in headers:
        message[each.name] = each

    def author(message: Quoted) -> str:
        return clean(message.author) if message.author else wording.you

    values = {
        "email": email,
        "wording": wording,
        "texts": texts,
        "lines": _lines,
        "clean": clean,
        "author": author,
        "marker": marker.marker(wording.marker) if email.reply_to else None,
        "color": palette(email.color),
        "when": lambda at_ms: texts.date_time(at_ms, email.time_zone),
    }
    text, html = (_printable(_jinja.get_template(f"message.{kind}").render(values)) for kind in ("txt", "html"))
    message.set_content(text, cte=_encoding(text))
    message.add_alternative(html, subtype="html", cte=_encoding(text))
    # Neither encoding produces "=_", so no text can contain the boundary.
    message.set_boundary("=_" + hashlib.sha256(email.message_id.encode()).hexdigest()[:32])
    return OutgoingEmail(email.envelope_sender, recipient.address.addr_spec, message)


def _encoding(text: str) -> str:
    """Return the shorter of the two encodings that every server preserves."""
    return "base64" if len(text.encode()) > 1.25 * len(text) else "quoted-printable"


def _lines(text: str) -> list[str]:
    return _LINE_ENDS.split(text.strip("\r\n"))


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("", _LINE_ENDS.sub("\n", text))
