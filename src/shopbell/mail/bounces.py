"""Reports that a mail did not arrive: those of RFC 3464, and those that older servers write as a text. Pure."""

import re
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from shopbell.mail import words
from shopbell.mail.address_lists import addresses
from shopbell.mail.bounce_words import DAEMON, DAEMON_NAME, FAILED, GIVEN_UP, RETURNED, SUBJECT, WILL_RETRY
from shopbell.mail.structure import Part, fields_of, split

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]

_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_RETURNED_TYPES = ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global")
_SEVERITY: dict[Action, int] = {"failed": 0, "delayed": 1, "expanded": 2, "relayed": 3, "delivered": 4}
_REPORT_MAX_BYTES = 65_536
_RECIPIENTS_MAX = 50
_STATUS = re.compile(r"(?<![\d.])([245])\.([0-9]{1,3})\.([0-9]{1,3})(?!\d|\.\d)")
_FAILURE_STATUS = re.compile(r"(?<![\d.])([45])\.([0-9]{1,3})\.([0-9]{1,3})(?!\d|\.\d)")
_REPLY_CODE = re.compile(r"(?<![\d.:/-])([45][0-5][0-9])(?![\w.,/])")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,200}@[!-;=?-~]{1,200}>")
_ADDRESS = re.compile(r"<?([A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253})>?")
_ADDRESSES_MAX = 20
NO_RETURN = re.compile(r"<?(?:mailer-daemon(?:@[^>]*)?)?>?", re.IGNORECASE)
"""The return path of a mail that nothing may answer: empty, or as some servers fill it in."""

_NAMED_DAEMON = re.compile(
    r"mailer[-_. ]?daemon|mail[-_. ]deliver(?:y|s)?[-_. ](?:sub)?(?:system|service)", re.IGNORECASE
)
_NOBODY = re.compile(r"no[-_.]?reply\b", re.IGNORECASE)
_ANSWER = re.compile(r"\s*(?:re|aw|sv|antw|fwd?|wg|tr|rv)\s*:", re.IGNORECASE)


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


def bounce_of(mail: Part, text: str, *, sender: str | None, envelope_sender: str | None = None) -> Bounce | None:
    """Read a report.

    A server's word is taken for one by its form (RFC 3464) or by its sentences. A customer may attach or quote such a
    report: then the mail is theirs.

    Args:
        mail: the whole.
        text: its words.
        sender: the address in its From.
        envelope_sender: as the sending server said; None when it is not known.

    Returns:
        None when the mail is no report.
    """
    parts = list(mail.walk())
    is_servers = _is_servers(mail, sender, envelope_sender)
    original = _original_message_id(parts)
    if mail.media_type == "multipart/report" or is_servers:
        for part in parts:
            if part.media_type in _STATUS_TYPES:
                found = _from_report(part, original or _quoted_message_id(text))
                if found is not None:
                    return found
    said = text[:_REPORT_MAX_BYTES]
    if not _is_worded(mail, parts, said, sender, is_servers=is_servers):
        return None
    return _from_text(mail, said, original, sender)


def is_server(sender: str | None) -> bool:
    """Whether an address is a mail server's own."""
    return sender is not None and DAEMON.fullmatch(re.split(r"[+=@]", sender, maxsplit=1)[0]) is not None


def _is_servers(mail: Part, sender: str | None, envelope_sender: str | None) -> bool:
    """Whether a mail server wrote a mail, by what it calls itself or by the envelope that servers use."""
    if is_server(sender) or envelope_sender == "":
        return True
    if NO_RETURN.fullmatch(words.header(mail.first("return-path")) or "-"):
        return True
    named = words.header(mail.first("from"))
    name = named.partition("<")[0] if sender is not None else named
    return DAEMON_NAME.search(name) is not None or _is_unnamed(mail)


def _is_worded(mail: Part, parts: list[Part], text: str, sender: str | None, *, is_servers: bool) -> bool:
    """Whether the words of a mail are those of a report."""
    if mail.media_type == "multipart/report" and mail.parameter("report-type") == "feedback-report":
        return False
    subject = words.header(mail.first("subject"))
    is_failed = FAILED.search(text) is not None
    has_code = _FAILURE_STATUS.search(text) is not None or _REPLY_CODE.search(text) is not None
    is_titled = SUBJECT.search(subject) is not None
    if mail.first("x-failed-recipients") is not None:
        return is_failed or has_code or is_titled
    if mail.media_type == "multipart/report" and mail.parameter("report-type") != "disposition-notification":
        return is_failed or has_code or is_titled
    returned = any(part.media_type in _RETURNED_TYPES for part in parts) or RETURNED.search(text) is not None
    if is_servers:
        is_daemons = (
            _NAMED_DAEMON.search(words.header(mail.first("from"))) is not None
        )  # no person's program is called so
        says = is_failed or has_code or WILL_RETRY.search(text) is not None
        if is_titled:
            return says or returned or is_daemons or is_server(sender)
        is_certain = returned or _is_unnamed(mail) or GIVEN_UP.search(text) is not None
        if (is_daemons or (is_certain and says)) and not _is_answer(mail):
            return True
        return is_server(sender) and is_failed and has_code  # some answer as people do: "Re: Order"
    # Anybody may write of a delivery that failed: a report brings the mail back, and the words of two servers.
    is_titled = is_titled or (sender is not None and _NOBODY.match(sender) is not None)
    return is_titled and not _ANSWER.match(subject) and returned and (is_failed or has_code)


def _is_unnamed(mail: Part) -> bool:
    """Whether the sender of a mail is an empty address, as in its envelope."""
    named = mail.first("from")
    return named is not None and not words.header(named).strip(" <>@")


def _is_answer(mail: Part) -> bool:
    """Whether a mail answers or forwards another one, as people do."""
    return mail.first("in-reply-to") is not None and _ANSWER.match(words.header(mail.first("subject"))) is not None


def _from_report(part: Part, message_id: str | None) -> Bounce | None:
    """Read the fields of RFC 3464: those of the message, then those of each recipient, parted by empty lines."""
    found: list[Bounce] = []
    groups = re.split(rb"\r?\n[ \t]*\r?\n", part.content()[:_REPORT_MAX_BYTES], maxsplit=_RECIPIENTS_MAX)
    for group in groups:
        fields = dict(reversed(fields_of(group.strip(b"\r\n"))))
        code = _STATUS.search(words.header(fields.get("status"))) or _STATUS.search(
            words.header(fields.get("diagnostic-code"))
        )
        recipient = fields.get("original-recipient") or fields.get("final-recipient") or b""
        action = _action(words.header(fields.get("action")), code, has_recipient=bool(recipient))
        if action is None:
            continue
        status = code[0] if code else None
        is_permanent = action == "failed" and not (status or "5").startswith("2")
        found.append(Bounce(_recipient(recipient), action, status, is_permanent, message_id))
    return min(found, key=lambda bounce: _SEVERITY[bounce.action], default=None)


def _action(said: str, code: re.Match[str] | None, *, has_recipient: bool) -> Action | None:
    """What a report says was done; some say it in words of their own, or by the status alone."""
    word = said.strip().lower()
    for action in _SEVERITY:
        if word.startswith(action):
            return action
    if word.startswith(("fail", "expired", "undeliver", "error", "bounce", "reject")):
        return "failed"
    if word.startswith(("delay", "deferred", "queued")):
        return "delayed"
    if not word and has_recipient and code is not None and code[1] == "5":
        return "failed"
    return None


def _recipient(value: bytes) -> str | None:
    address = words.header(value).rpartition(";")[2].strip(" <>")
    pairs = addresses([address.encode()])
    return pairs[0][1] if pairs else None


def _from_text(mail: Part, text: str, message_id: str | None, sender: str | None) -> Bounce:
    failed = mail.first("x-failed-recipients")
    code = _FAILURE_STATUS.search(text)
    subject = words.header(mail.first("subject"))
    is_given_up = GIVEN_UP.search(text) is not None
    retries = not is_given_up and (WILL_RETRY.search(text) or WILL_RETRY.search(subject)) is not None
    recipient = _recipient(failed.split(b",")[0]) if failed else None
    if recipient is None:
        ours = {sender, *(address for _, address in addresses(mail.all("to")))}
        for match in islice(_ADDRESS.finditer(text), _ADDRESSES_MAX):
            recipient = _recipient(match[1].rstrip(".").encode())
            if recipient is not None and recipient not in ours:
                break
    return Bounce(
        recipient=recipient,
        action="delayed" if retries else "failed",
        status=code[0] if code else None,
        is_permanent=not retries,
        message_id=message_id or _quoted_message_id(text),
    )


def _original_message_id(parts: list[Part]) -> str | None:
    """The Message-ID of the mail that came back, whole or its header alone."""
    for part in parts:
        if part.media_type in _RETURNED_TYPES:
            returned, _ = split(part.content()[:_REPORT_MAX_BYTES])
            match = _MESSAGE_ID.search(words.header(returned.first("message-id")))
            if match:
                return match[0]
    return None


def _quoted_message_id(text: str) -> str | None:
    at = text.lower().find("message-id:")
    match = _MESSAGE_ID.search(text, at, at + 500) if at >= 0 else None
    return match[0] if match else None
