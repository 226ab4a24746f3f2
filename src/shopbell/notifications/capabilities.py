"""What a channel can do in this installation, as the channel declares it."""

from collections.abc import Mapping
from dataclasses import dataclass

from shopbell.formats.channels import IDENTITY_KINDS

_DAY_MS = 24 * 60 * 60 * 1_000


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a channel can do.

    Args:
        name: its name in ``formats/channels.py``.
        lease_ms: longest time that an attempt takes. Later, another worker may send the message.
        hindrance: why it cannot send anything, as in ``reasons.py``; None if it is set up.
        batch_ms: how long a message waits for more messages, which are sent together.
        too_late_ms: the age at which a message is not sent any more: a reply that comes days late is worse than one
            that is reported as failed.
        reaches_visitors: whether customers of the website are notified by it. The first such channel comes first.
        carries_surveys: whether customers can be asked to answer a survey by it.
        detects_repeats: whether recipients see a message once if it is sent twice. Only then is a message sent again
            if it may have been sent.
    """

    name: str
    lease_ms: int
    hindrance: str | None = None
    batch_ms: int = 0
    too_late_ms: int = _DAY_MS
    reaches_visitors: bool = False
    carries_surveys: bool = False
    detects_repeats: bool = False

    @property
    def identity_kind(self) -> str:
        """The kind of identity that it writes to."""
        return IDENTITY_KINDS[self.name]


Rules = Mapping[str, Capabilities]
"""The capabilities of all channels by name; those that reach visitors in order of preference."""
