"""Map a provider's error codes to stable reasons why a text message failed.

===================  =================================================================================
opted_out            the recipient opted out of messages from this sender
invalid_number       not a phone number, or not one that can receive text messages
unreachable          the phone is off, unknown or out of range
window_closed        WhatsApp: the customer's last message is more than 24 h old
blocked              a carrier or the provider filtered it as spam, or the recipient blocked the sender
not_permitted        the account may not send to this country or send this type of message
sender_refused       the account may not use this sender number or name
template_refused     WhatsApp: there is no approved template with this id, or its variables do not match
too_long             longer than the provider accepts
media_refused        a file that this channel cannot carry
expired              not delivered within its validity period
rejected             rejected for any other reason
credentials_refused  wrong account id or token; the operator must correct them
account_inactive     the account is suspended or out of credit; the operator must act
busy                 too many messages at once
===================  =================================================================================
"""

from collections.abc import Mapping

TEMPORARY = frozenset({"credentials_refused", "account_inactive", "busy"})
"""Failures not caused by the message: it is sent once the cause is resolved."""

OTHERWISE = "rejected"

_CODES: Mapping[str, tuple[int, ...]] = {
    "opted_out": (21610,),
    "invalid_number": (21211, 21217, 21265, 21268, 21401, 21604, 21614, 21635, 30005, 30006, 63003, 63024),
    "unreachable": (21214, 21612, 30003),
    "window_closed": (63016,),
    "blocked": (30004, 30007, 63013, 63032, 63033, 63049),
    "not_permitted": (21408, 21608, 30010, 30032, 30034),
    "sender_refused": (21212, 21266, 21603, 21606, 21607, 21659, 21660, 21661, 21703, 21705, 63007),
    "template_refused": (21654, 21655, 21656, 21658, 63005, 63021, 63027, 63028, 63040, 63041, 63042),
    "too_long": (21605, 21617, 30019),
    "media_refused": (21620, 21623, 63019),
    "expired": (30036, 30410),
    "credentials_refused": (20003,),
    "account_inactive": (10001, 20005, 30002, 63051),
    "busy": (14107, 20429, 21611, 30001, 30022, 30023, 30027, 63018, 63038),
}
_REASONS = {code: reason for reason, codes in _CODES.items() for code in codes}
KNOWN = frozenset({*_CODES, OTHERWISE})


def reason_of(code: int | None) -> str:
    """Return the reason for a Twilio error code.

    Args:
        code: from a response or a status callback; None if it contains no code.
    """
    return OTHERWISE if code is None else _REASONS.get(code, OTHERWISE)
