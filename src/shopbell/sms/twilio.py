"""Write the forms that Twilio's API takes, and read its responses and webhooks."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from shopbell.sms.error_codes import reason_of
from shopbell.sms.inbound import InboundMedia, InboundText, StatusReport, TextStatus
from shopbell.sms.outgoing import OutgoingText, Senders
from shopbell.sms.stop_words import Intent, Keyword, find_keyword

FIELDS_MAX = 200
_COORDINATE = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]{1,20})?", re.ASCII)
_MEDIA_MAX = 10
_WHATSAPP = "whatsapp:"
# By default Twilio replies to these keywords, without saying so in the form.
_ANSWERED_BY_TWILIO = frozenset(
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
class MessageResponse:
    """Twilio's response: a message id or an error code; neither if it is unreadable."""

    sid: str | None
    error_code: int | None


def message_form(text: OutgoingText, senders: Senders, status_callback: str | None) -> bytes:
    """Return the form that sends a message.

    Args:
        text: the message.
        senders: the default senders.
        status_callback: the URL that Twilio posts delivery statuses to.

    Raises:
        ValueError: this channel has no sender. Its text is a reason of ``error_codes``.
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


def read_response(body: bytes) -> MessageResponse:
    """Read Twilio's response to a message form. A body that is not a JSON object yields neither id nor code."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return MessageResponse(None, None)
    sid = document.get("sid")
    # A rejected request has ``code``; a message that was accepted but failed at once has ``error_code``.
    code = document.get("code") or document.get("error_code")
    return MessageResponse(
        sid if isinstance(sid, str) and 0 < len(sid) <= 64 else None,
        code if isinstance(code, int) and not isinstance(code, bool) else None,
    )


def read_form(body: bytes) -> list[tuple[str, str]]:
    """Decode the fields of a form.

    Args:
        body: at most 200 fields in percent-encoded UTF-8.

    Raises:
        ValueError: the body is not such a form.
    """
    return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")


def inbound_text(fields: Sequence[tuple[str, str]]) -> InboundText | None:
    """Read an inbound message.

    Args:
        fields: the form of a request with a verified signature.

    Returns:
        None if the message id or a phone number is missing.
    """
    form = dict(fields)
    provider_id = form.get("MessageSid") or form.get("SmsMessageSid") or form.get("SmsSid")
    sender, recipient = form.get("From", ""), form.get("To", "")
    if not provider_id or not sender or not recipient:
        return None
    is_whatsapp = sender.startswith(_WHATSAPP)
    body = _content(form).replace("\0", "\ufffd")  # PostgreSQL cannot store NUL
    keyword = find_keyword(body)
    opt_out = _OPT_OUT_TYPES.get(form.get("OptOutType", "").upper())
    if opt_out is not None and (keyword is None or keyword.intent != opt_out):
        keyword = Keyword(opt_out, None)  # a custom keyword of the Twilio account
    return InboundText(
        provider_id=provider_id,
        channel="WHATSAPP" if is_whatsapp else "SMS",
        sender=sender.removeprefix(_WHATSAPP),
        recipient=recipient.removeprefix(_WHATSAPP),
        text=body,
        media=_media(form),
        sender_name=form.get("ProfileName", "").replace("\0", "") or None,
        keyword=keyword,
        is_answered="OptOutType" in form
        or (keyword is not None and not is_whatsapp and body.strip().upper() in _ANSWERED_BY_TWILIO),
    )


def status_report(fields: Sequence[tuple[str, str]], reference: str | None) -> StatusReport | None:
    """Read a status report.

    Args:
        fields: the form of a request with a verified signature.
        reference: our id of the message, from the callback URL.

    Returns:
        None if the status is not one that we use, or the report identifies no message.
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
    """Return the text; a location and the choice from a list have separate fields."""
    lines = [form.get("Body", "")]
    lines += [form.get(name, "") for name in ("ButtonText", "ListTitle", "ListDescription", "Label", "Address")]
    if (place := _coordinates(form)) is not None:
        lines += [place, f"https://www.openstreetmap.org/?mlat={place.replace(', ', '&mlon=')}"]
    # The fields repeat one another: the body of a choice is its title.
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
    number_of_media = form.get("NumMedia", "")
    is_valid = number_of_media.isascii() and number_of_media.isdigit() and len(number_of_media) <= 2
    count = int(number_of_media) if is_valid else 0
    return [
        InboundMedia(url, form.get(f"MediaContentType{number}", "application/octet-stream"))
        for number in range(min(count, _MEDIA_MAX))
        if (url := form.get(f"MediaUrl{number}"))
    ]
