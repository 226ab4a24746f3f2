"""What Twilio is sent, and what it sends: its forms and answers, read and written."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from shopbell.texting.inbound import InboundMedia, InboundText, StatusReport, TextStatus
from shopbell.texting.opt_out import Asked, Intent, asked
from shopbell.texting.outgoing import OutgoingText, Senders
from shopbell.texting.reasons import reason_of

FIELDS_MAX = 200
_COORDINATE = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]{1,20})?", re.ASCII)
_MEDIA_MAX = 10
_WHATSAPP = "whatsapp:"
# An own account has these answered by Twilio itself unless it is told otherwise; the form does not say so.
_ANSWERED_THERE = frozenset(
    {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "START", "UNSTOP", "HELP", "INFO"}
)
_OPT_OUT_TYPES: Mapping[str, Intent] = {"STOP": "stop", "START": "start", "HELP": "help"}
_STATUSES: Mapping[str, TextStatus] = {
    "accepted": "queued",
    "scheduled": "queued",
    "queued": "queued",
    "sending": "queued",
    "sent": "sent",
    "delivered": "delivered",
    "partially_delivered": "delivered",
    "read": "read",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}


@dataclass(frozen=True, slots=True)
class MessageAnswer:
    """What Twilio answered: the message's id, or the number of an error; neither where it cannot be read."""

    sid: str | None
    error_code: int | None


def message_form(text: OutgoingText, senders: Senders, status_callback: str | None) -> bytes:
    """The form that sends a text.

    Args:
        text: what is sent.
        senders: whom it is from unless it says so itself.
        status_callback: where Twilio tells what becomes of it.

    Raises:
        ValueError: there is no sender for this channel; the text is a reason.
    """
    fields: list[tuple[str, str]] = [("To", _address(text, text.to)), *_sender(text, senders)]
    if text.content_sid is not None:
        fields.append(("ContentSid", text.content_sid))
        if text.content_variables:
            fields.append(("ContentVariables", json.dumps(dict(text.content_variables), ensure_ascii=False)))
    else:
        fields.append(("Body", text.text))
    fields += [("MediaUrl", url) for url in text.media_urls]
    if status_callback is not None:
        fields.append(("StatusCallback", status_callback))
    return urlencode(fields).encode()


def read_answer(body: bytes) -> MessageAnswer:
    """Read what Twilio answered to such a form.

    Args:
        body: as it came; what is no JSON object is no id and no number.
    """
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return MessageAnswer(None, None)
    sid = document.get("sid")
    # A refusal has ``code``; a message that was taken and has failed at once has ``error_code``.
    code = document.get("code") or document.get("error_code")
    return MessageAnswer(
        sid if isinstance(sid, str) and 0 < len(sid) <= 64 else None,
        code if isinstance(code, int) and not isinstance(code, bool) else None,
    )


def read_form(body: bytes) -> list[tuple[str, str]]:
    """The fields of a form.

    Args:
        body: at most 200 fields, percent-encoded UTF-8.

    Raises:
        ValueError: it is none.
    """
    return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")


def inbound_text(fields: Sequence[tuple[str, str]]) -> InboundText | None:
    """The text that a form brings.

    Args:
        fields: of a request that Twilio has signed.

    Returns:
        The text; None where it is none: without an id or numbers.
    """
    form = dict(fields)
    provider_id = form.get("MessageSid") or form.get("SmsMessageSid") or form.get("SmsSid")
    sender, recipient = form.get("From", ""), form.get("To", "")
    if not provider_id or not sender or not recipient:
        return None
    is_whatsapp = sender.startswith(_WHATSAPP)
    body = _content(form).replace("\0", "\ufffd")  # which PostgreSQL does not keep
    wish = asked(body)
    told = _OPT_OUT_TYPES.get(form.get("OptOutType", "").upper())
    if told is not None and (wish is None or wish.intent != told):
        wish = Asked(told, None)  # by a word that only the account's own list has
    return InboundText(
        provider_id=provider_id,
        channel="WHATSAPP" if is_whatsapp else "SMS",
        sender=sender.removeprefix(_WHATSAPP),
        recipient=recipient.removeprefix(_WHATSAPP),
        text=body,
        media=_media(form),
        sender_name=form.get("ProfileName", "").replace("\0", "") or None,
        asked=wish,
        is_answered="OptOutType" in form
        or (wish is not None and not is_whatsapp and body.strip().upper() in _ANSWERED_THERE),
    )


def status_report(fields: Sequence[tuple[str, str]], reference: str | None) -> StatusReport | None:
    """What a form tells of a text that we sent.

    Args:
        fields: of a request that Twilio has signed.
        reference: what the text is called here, from the address of the callback.

    Returns:
        The report; None for a status that says nothing to us.
    """
    form = dict(fields)
    status = _STATUSES.get((form.get("MessageStatus") or form.get("SmsStatus") or "").lower())
    provider_id = form.get("MessageSid") or form.get("SmsSid") or None
    if status is None or (provider_id is None and reference is None):
        return None
    code = form.get("ErrorCode", "")
    number = int(code) if code.isascii() and code.isdigit() and len(code) <= 6 else None
    return StatusReport(status, reference, provider_id, reason_of(number) if status == "failed" else None)


def _content(form: Mapping[str, str]) -> str:
    """What a text says: a location, and what was chosen from a list, are in fields of their own."""
    lines = [form.get("Body", "")]
    lines += [form.get(name, "") for name in ("ButtonText", "ListTitle", "ListDescription", "Label", "Address")]
    if (place := _coordinates(form)) is not None:
        lines += [place, f"https://www.openstreetmap.org/?mlat={place.replace(', ', '&mlon=')}"]
    # The fields repeat each other: the body of a choice is its title.
    return "\n".join(line for line in dict.fromkeys(lines) if line.strip())


def _coordinates(form: Mapping[str, str]) -> str | None:
    numbers = [form.get("Latitude", ""), form.get("Longitude", "")]
    return ", ".join(numbers) if all(map(_COORDINATE.fullmatch, numbers)) else None


def _address(text: OutgoingText, number: str) -> str:
    return _WHATSAPP + number if text.channel == "WHATSAPP" else number


def _sender(text: OutgoingText, senders: Senders) -> list[tuple[str, str]]:
    is_whatsapp = text.channel == "WHATSAPP"
    number = text.sender or (senders.whatsapp if is_whatsapp else None)
    if number is None and not is_whatsapp:
        if senders.messaging_service_sid is not None:
            return [("MessagingServiceSid", senders.messaging_service_sid)]
        number = senders.sms
    if number is None:
        raise ValueError("sender_refused")
    return [("From", _address(text, number))]


def _media(form: Mapping[str, str]) -> list[InboundMedia]:
    said = form.get("NumMedia", "")
    count = int(said) if said.isascii() and said.isdigit() and len(said) <= 2 else 0
    return [
        InboundMedia(url, form.get(f"MediaContentType{number}", "application/octet-stream"))
        for number in range(min(count, _MEDIA_MAX))
        if (url := form.get(f"MediaUrl{number}"))
    ]
