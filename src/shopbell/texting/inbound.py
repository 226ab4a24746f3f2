"""What providers tell us: a text came in, or something became of one that we sent. The types, and one rule."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from shopbell.texting.opt_out import Asked
from shopbell.texting.outgoing import TextChannel

TextStatus = Literal["queued", "sent", "delivered", "read", "failed"]

# That it arrived is proof against a failure that was told of before or after it.
_RANKS: dict[TextStatus, int] = {"queued": 0, "sent": 1, "failed": 2, "delivered": 3, "read": 4}


@dataclass(frozen=True, slots=True)
class InboundMedia:
    """A file that came with a text.

    Args:
        url: where the provider keeps it; with Twilio it may need the account's name and token to be read.
        content_type: the type that the provider says it has.
    """

    url: str = field(repr=False)
    content_type: str


@dataclass(frozen=True, slots=True)
class InboundText:
    """A text that somebody sent to a business. Numbers, text and name are not in its repr.

    Args:
        provider_id: what the provider calls it; it may come several times with the same, and counts once.
        channel: by which network it came.
        sender: whoever wrote it, in E.164 as the provider says; for short codes the digits alone.
        recipient: the business's number, likewise.
        text: what it says; may be empty when there are files.
        media: the files that came with it.
        sender_name: what the sender calls himself (WhatsApp); anybody can call himself anything.
        asked: whether it is one of the words that end texts, take them up or ask for help.
        is_answered: whether the provider itself answers that word: then we do not.
    """

    provider_id: str
    channel: TextChannel
    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    media: Sequence[InboundMedia] = ()
    sender_name: str | None = field(default=None, repr=False)
    asked: Asked | None = None
    is_answered: bool = False


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What became of a text that we sent. Reports come late, twice and in any order: ``later_of`` says which counts.

    Args:
        status: where it is now.
        reference: what it is called here (``OutgoingText.reference``), if the provider tells; it is known even where
            we never learnt what the provider calls it.
        provider_id: what the provider calls it.
        reason: why it failed, as one of the short names of ``reasons.py``; None unless it did.
    """

    status: TextStatus
    reference: str | None
    provider_id: str | None
    reason: str | None = None


OnInbound = Callable[[InboundText], Awaitable[None]]
"""Stores a text; returns after the commit, and raises StorageError when nothing is stored: the provider comes again."""

OnStatus = Callable[[StatusReport], Awaitable[None]]
"""Stores what became of a text, likewise; a report of a text that nobody knows is no error."""


def later_of(known: TextStatus, told: TextStatus) -> TextStatus:
    """Which of two states of one text counts, in whatever order they came: never one that it was past already.

    Args:
        known: the state as it stands.
        told: the state that was reported now.
    """
    return max(known, told, key=_RANKS.__getitem__)
