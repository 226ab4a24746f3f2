"""What is around a mail that comes in, and what is answered to its sender's server. Pure."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from shopbell.mail.parse import IncomingMail


@dataclass(frozen=True, slots=True)
class Envelope:
    """For whom a mail is, and who is told when it cannot be delivered.

    Args:
        sender: as the sending server said; "" in reports and automatic answers.
        recipient: one address of ours, as the sending server said; a mail to two of ours comes in twice.
        raw: the mail as it came.
    """

    sender: str
    recipient: str
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """It is kept for good: committed before this is returned."""


@dataclass(frozen=True, slots=True)
class NotNow:
    """It is not kept; the sending server keeps it and tries again."""


@dataclass(frozen=True, slots=True)
class NotWanted:
    """It is not kept and never will be; the sending server tells its sender.

    Args:
        reason: a plain ASCII sentence without anything of the mail in it.
    """

    reason: str


Verdict: TypeAlias = Accepted | NotNow | NotWanted

Receive: TypeAlias = Callable[[Envelope, IncomingMail], Awaitable[Verdict]]
"""Keeps a mail. The same one may come again after a lost answer: it is to be kept once. A ``StorageError`` means
``NotNow``."""
