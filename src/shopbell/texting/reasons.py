"""Why a text did not get through: short names that stay, made of a provider's numbers that change.

===================  ===================================================================
opted_out            the recipient wants no texts from this sender
invalid_number       no number, or none that gets texts
unreachable          a phone that is off, unknown or out of reach
window_closed        WhatsApp: the customer's last message is more than 24 h ago
blocked              a carrier or the provider took it for spam, or the recipient blocked it
not_permitted        this country or kind of text is not allowed for the account
sender_refused       the sender's number or name may not be used
template_refused     WhatsApp: no approved template of that id, or its variables do not fit
too_long             longer than the provider takes
media_refused        a file that does not go this way
expired              it did not arrive within its time
rejected             refused, and not one of these
credentials_refused  account and token do not fit: for the operator to mend
account_inactive     the account is suspended or out of money: likewise
busy                 too many at once
===================  ===================================================================
"""

from collections.abc import Mapping

TEMPORARY = frozenset({"credentials_refused", "account_inactive", "busy"})
"""Not the text's fault: it is sent as soon as that is mended."""

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
    """The short name of Twilio's error code.

    Args:
        code: as an answer or a callback has it; None where it has none.
    """
    return OTHERWISE if code is None else _REASONS.get(code, OTHERWISE)
