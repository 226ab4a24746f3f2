"""Recognize and read bounces: RFC 3464 reports, and plain text from older servers."""

import re
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from shopbell.email import decoding
from shopbell.email.address_lists import addresses
from shopbell.email.bounce_words import DAEMON, DAEMON_NAME, FAILED, GIVEN_UP, RETURNED, SUBJECT, WILL_RETRY
from shopbell.email.mime import Part, fields_of, split

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
"""A return path that must not be replied to: empty, or a placeholder of some servers."""

_NAMED_DAEMON = re.compile(
    r"mailer[-_. ]?daemon|mail[-_. ]deliver(?:y|s)?[-_. ](?:sub)?(?:system|service)", re.IGNORECASE
)
_NO_REPLY = re.compile(r"no[-_.]?reply\b", re.IGNORECASE)
_ANSWER = re.compile(r"\s*(?:re|aw|sv|antw|fwd?|wg|tr|rv)\s*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bounce:
    """A server's report on an email that we sent. Unknown values are None.

    Args:
        recipient: the normalized address of the recipient.
        action: the reported action; for several recipients, the most severe one.
        status: the enhanced status code (RFC 3463), such as ``5.1.1``.
        is_permanent: whether the server gave up.
        message_id: the ``Message-ID`` of our email, including angle brackets.
    """

    recipient: str | None
    action: Action
    status: str | None
    is_permanent: bool
    message_id: str | None


def bounce_of(email: Part, text: str, *, sender: str | None, envelope_sender: str | None = None) -> Bounce | None:
    """Read a bounce.

    A bounce is recognized by its format (RFC 3464) or by its wording. If a customer attaches or quotes a bounce, the
    email counts as the customer's message.

    Args:
        email: the whole email.
        text: its text.
        sender: the address in From.
        envelope_sender: None if unknown.

    Returns:
        None if the email is not a bounce.
    """
    parts = list(email.walk())
    is_servers = _is_servers(email, sender, envelope_sender)
    original = _original_message_id(parts)
    if email.media_type == "multipart/report" or is_servers:
        for part in parts:
            if part.media_type in _STATUS_TYPES:
                found = _from_report(part, original or _quoted_message_id(text))
                if found is not None:
                    return found
    said = text[:_REPORT_MAX_BYTES]
    if not _is_worded(email, parts, said, sender, is_servers=is_servers):
        return None
    return _from_text(email, said, original, sender)


def is_server(sender: str | None) -> bool:
    """Return whether an address belongs to an email server itself."""
    return sender is not None and DAEMON.fullmatch(re.split(r"[+=@]", sender, maxsplit=1)[0]) is not None


def _is_servers(email: Part, sender: str | None, envelope_sender: str | None) -> bool:
    """Return whether a server wrote an email, judging by From and the envelope."""
    if is_server(sender) or envelope_sender == "":
        return True
    if NO_RETURN.fullmatch(decoding.header(email.first("return-path")) or "-"):
        return True
    named = decoding.header(email.first("from"))
    name = named.partition("<")[0] if sender is not None else named
    return DAEMON_NAME.search(name) is not None or _is_unnamed(email)


def _is_worded(email: Part, parts: list[Part], text: str, sender: str | None, *, is_servers: bool) -> bool:
    """Return whether an email is worded like a bounce."""
    if email.media_type == "multipart/report" and email.parameter("report-type") == "feedback-report":
        return False
    subject = decoding.header(email.first("subject"))
    is_failed = FAILED.search(text) is not None
    has_code = _FAILURE_STATUS.search(text) is not None or _REPLY_CODE.search(text) is not None
    is_titled = SUBJECT.search(subject) is not None
    if email.first("x-failed-recipients") is not None:
        return is_failed or has_code or is_titled
    if email.media_type == "multipart/report" and email.parameter("report-type") != "disposition-notification":
        return is_failed or has_code or is_titled
    returned = any(part.media_type in _RETURNED_TYPES for part in parts) or RETURNED.search(text) is not None
    if is_servers:
        is_daemons = _NAMED_DAEMON.search(decoding.header(email.first("from"))) is not None  # names that no person uses
        says = is_failed or has_code or WILL_RETRY.search(text) is not None
        if is_titled:
            return says or returned or is_daemons or is_server(sender)
        is_certain = returned or _is_unnamed(email) or GIVEN_UP.search(text) is not None
        if (is_daemons or (is_certain and says)) and not _is_answer(email):
            return True
        return is_server(sender) and is_failed and has_code  # some servers reply like people: "Re: Order"
    # Any customer may write about a failed delivery. A bounce also returns the email and has a typical subject.
    is_titled = is_titled or (sender is not None and _NO_REPLY.match(sender) is not None)
    return is_titled and not _ANSWER.match(subject) and returned and (is_failed or has_code)


def _is_unnamed(email: Part) -> bool:
    """Return whether From contains an empty address, like the envelope of a bounce."""
    named = email.first("from")
    return named is not None and not decoding.header(named).strip(" <>@")


def _is_answer(email: Part) -> bool:
    """Return whether an email replies to or forwards another one, as people do."""
    return email.first("in-reply-to") is not None and _ANSWER.match(decoding.header(email.first("subject"))) is not None


def _from_report(part: Part, message_id: str | None) -> Bounce | None:
    """Read an RFC 3464 report: fields of the message, then of each recipient.

    Empty lines separate these groups.
    """
    found: list[Bounce] = []
    groups = re.split(rb"\r?\n[ \t]*\r?\n", part.content()[:_REPORT_MAX_BYTES], maxsplit=_RECIPIENTS_MAX)
    for group in groups:
        fields = dict(reversed(fields_of(group.strip(b"\r\n"))))
        code = _STATUS.search(decoding.header(fields.get("status"))) or _STATUS.search(
            decoding.header(fields.get("diagnostic-code"))
        )
        recipient = fields.get("original-recipient") or fields.get("final-recipient") or b""
        action = _action(decoding.header(fields.get("action")), code, has_recipient=bool(recipient))
        if action is None:
            continue
        status = code[0] if code else None
        is_permanent = action == "failed" and not (status or "5").startswith("2")
        found.append(Bounce(_recipient(recipient), action, status, is_permanent, message_id))
    return min(found, key=lambda bounce: _SEVERITY[bounce.action], default=None)


def _action(said: str, code: re.Match[str] | None, *, has_recipient: bool) -> Action | None:
    """Return the reported action; some servers use other words, or only the status."""
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
    address = decoding.header(value).rpartition(";")[2].strip(" <>")
    pairs = addresses([address.encode()])
    return pairs[0][1] if pairs else None


def _from_text(email: Part, text: str, message_id: str | None, sender: str | None) -> Bounce:
    failed = email.first("x-failed-recipients")
    code = _FAILURE_STATUS.search(text)
    subject = decoding.header(email.first("subject"))
    is_given_up = GIVEN_UP.search(text) is not None
    retries = not is_given_up and (WILL_RETRY.search(text) or WILL_RETRY.search(subject)) is not None
    recipient = _recipient(failed.split(b",")[0]) if failed else None
    if recipient is None:
        ours = {sender, *(address for _, address in addresses(email.all("to")))}
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
    """Return the Message-ID of the returned email or of its returned headers."""
    for part in parts:
        if part.media_type in _RETURNED_TYPES:
            returned, _ = split(part.content()[:_REPORT_MAX_BYTES])
            match = _MESSAGE_ID.search(decoding.header(returned.first("message-id")))
            if match:
                return match[0]
    return None


def _quoted_message_id(text: str) -> str | None:
    at = text.lower().find("message-id:")
    match = _MESSAGE_ID.search(text, at, at + 500) if at >= 0 else None
    return match[0] if match else None
