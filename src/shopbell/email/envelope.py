"""The envelope of an inbound email, and the possible responses to its sending server."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from shopbell.email.parse import IncomingEmail


@dataclass(frozen=True, slots=True)
class Envelope:
    """The envelope and the bytes of an inbound email.

    Args:
        sender: the envelope sender; "" in bounces and automatic replies.
        recipient: one of our addresses. An email to two of them is processed twice.
        raw: the email as received.
    """

    sender: str
    recipient: str
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The email is stored: the transaction is committed."""


@dataclass(frozen=True, slots=True)
class NotNow:
    """The email is not stored; the sending server must try again later."""


@dataclass(frozen=True, slots=True)
class Broken(NotNow):
    """The email is not stored because of a bug, which an update of Shopbell may fix."""


@dataclass(frozen=True, slots=True)
class NotWanted:
    """The email is permanently rejected; the sending server informs its sender.

    Args:
        reason: an ASCII sentence that contains nothing from the email.
    """

    reason: str


Verdict: TypeAlias = Accepted | NotNow | NotWanted

Receive: TypeAlias = Callable[[Envelope, IncomingEmail], Awaitable[Verdict]]
"""Stores an email. The same email may arrive again if our response was lost; it must be stored only once.

A ``StorageError`` means ``NotNow``.
"""
