"""Reports that a mail did not arrive: those of RFC 3464, and those that older servers write as a text. Pure."""

import re
from dataclasses import dataclass
from typing import Literal

from shopbell.mail import words
from shopbell.mail.address_lists import addresses
from shopbell.mail.structure import Part, fields_of, split

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]

_ACTIONS: dict[str, Action] = {
    "failed": "failed",
    "delayed": "delayed",
    "delivered": "delivered",
    "relayed": "relayed",
    "expanded": "expanded",
}
_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_SEVERITY: dict[Action, int] = {"failed": 0, "delayed": 1, "expanded": 2, "relayed": 3, "delivered": 4}
_REPORT_MAX_BYTES = 65_536
_RECIPIENTS_MAX = 50
_STATUS = re.compile(r"\b([245])\.([0-9]{1,3})\.([0-9]{1,3})\b")
_REPLY_CODE = re.compile(r"(?<![\d.])([45][0-9]{2})[ -]")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,200}@[!-;=?-~]{1,200}>")
_ADDRESS = re.compile(r"<?([A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253})>?")
_SENDER = re.compile(r"(?:mailer-daemon|mail-daemon|postmaster|microsoftexchange[0-9a-f]*)(?:[+=-].*)?@.*")
_SUBJECT = re.compile(
    r"(?:undeliver(?:ed|able)|mail delivery (?:failed|failure|system)|delivery (?:status|failure)|failure notice|"
    r"returned mail|delivery has failed|unzustellbar|non remis|échec de la remise|no se puede entregar|"
    r"mancata consegna|"
    r"não (?:foi )?entregue|onbestelbaar|warning: .{0,80}delayed|delayed mail|تعذر التسليم)",
    re.IGNORECASE,
)
_FAILED = re.compile(
    r"(?:could not be delivered|couldn't be delivered|permanent (?:fatal )?error|permanently failed|user unknown|"
    r"unknown user|no such user|mailbox (?:unavailable|not found|full)|does not exist|address not found|"
    r"delivery failed|"
    r"undeliverable|recipient (?:address )?rejected|wasn't delivered|unable to deliver|over quota|quota exceeded)",
    re.IGNORECASE,
)
_WILL_RETRY = re.compile(
    r"(?:will (?:retry|keep trying|be retried)|still (?:being )?retr|has been delayed|not yet been)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Bounce:
    """What became of a mail of ours, as a server reports it.

    Args:
        recipient: whom it was to, in normal form; None when the report does not say.
        action: of the report; of several recipients, the one that it went worst for.
        status: enhanced status code (RFC 3463) such as ``5.1.1``; None when the report does not say.
        is_permanent: whether it was given up.
        message_id: of our mail, angle brackets included; None when the report does not say.
    """

    recipient: str | None
    action: Action
    status: str | None
    is_permanent: bool
    message_id: str | None


def bounce_of(mail: Part, text: str, *, sender: str | None) -> Bounce | None:
    """Read a report.

    Args:
        mail: the whole.
        text: its words.
        sender: the address in its From.

    Returns:
        None when the mail is no report.
    """
    parts = list(mail.walk())
    status = next((part for part in parts if part.media_type in _STATUS_TYPES), None)
    original = _original_message_id(parts)
    if status is not None:
        return _from_report(status, original or _quoted_message_id(text))
    if sender is None or not _SENDER.fullmatch(sender) or not _SUBJECT.search(words.header(mail.first("subject"))):
        return None
    return _from_text(mail, text[:_REPORT_MAX_BYTES], original)


def _from_report(part: Part, message_id: str | None) -> Bounce | None:
    """Read the fields of RFC 3464: those of the message, then those of each recipient, parted by empty lines."""
    found: list[Bounce] = []
    groups = re.split(rb"\r?\n[ \t]*\r?\n", part.content()[:_REPORT_MAX_BYTES], maxsplit=_RECIPIENTS_MAX)
    for group in groups:
        fields = dict(reversed(fields_of(group.strip(b"\r\n"))))
        action = _ACTIONS.get(words.header(fields.get("action")).lower().split(" ")[0])
        if action is None:
            continue
        code = _STATUS.search(words.header(fields.get("status"))) or _STATUS.search(
            words.header(fields.get("diagnostic-code"))
        )
        recipient = fields.get("original-recipient") or fields.get("final-recipient") or b""
        status = code[0] if code else None
        is_permanent = action == "failed" and not (status or "5").startswith("2")
        found.append(Bounce(_recipient(recipient), action, status, is_permanent, message_id))
    return min(found, key=lambda bounce: _SEVERITY[bounce.action], default=None)


def _recipient(value: bytes) -> str | None:
    address = words.header(value).rpartition(";")[2].strip(" <>")
    pairs = addresses([address.encode()])
    return pairs[0][1] if pairs else None


def _from_text(mail: Part, text: str, message_id: str | None) -> Bounce | None:
    failed = mail.first("x-failed-recipients")
    code = _STATUS.search(text)
    reply = _REPLY_CODE.search(text)
    retries = _WILL_RETRY.search(text) is not None
    if not (failed or code or reply or retries or _FAILED.search(text)):
        return None
    digit = code[1] if code else reply[1][0] if reply else "5"
    recipient = _recipient(failed.split(b",")[0]) if failed else None
    if recipient is None:
        address = _ADDRESS.search(text)
        recipient = _recipient(address[1].encode()) if address else None
    return Bounce(
        recipient=recipient,
        action="delayed" if retries else "failed",
        status=code[0] if code else None,
        is_permanent=not retries and digit == "5",
        message_id=message_id or _quoted_message_id(text),
    )


def _original_message_id(parts: list[Part]) -> str | None:
    """The Message-ID of the mail that came back, whole or its header alone."""
    for part in parts:
        if part.media_type in ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global"):
            returned, _ = split(part.content()[:_REPORT_MAX_BYTES])
            match = _MESSAGE_ID.search(words.header(returned.first("message-id")))
            if match:
                return match[0]
    return None


def _quoted_message_id(text: str) -> str | None:
    at = text.lower().find("message-id:")
    match = _MESSAGE_ID.search(text, at, at + 500) if at >= 0 else None
    return match[0] if match else None
