"""How an attempt to send ends.

An outcome is a value; ``outbox.settle`` matches it. ``reason`` is a short stable word such as ``mailbox_unavailable``,
for the log, the API and employees. It is never a text of the provider, which may contain addresses or messages.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider accepted it.

    Args:
        provider_id: the provider's id, which its later reports name.
    """

    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class TryLater:
    """It was certainly not accepted, but may be later.

    Args:
        reason: why.
        retry_after_s: how many seconds the provider asks to wait; None if it does not say.
    """

    reason: str
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It was not accepted and never will be.

    Args:
        reason: why.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have been sent or not.

    ``outbox.settle`` decides whether it is sent again.

    Args:
        reason: what happened.
    """

    reason: str


Outcome: TypeAlias = Sent | TryLater | Refused | Unknown

Item_contra = TypeVar("Item_contra", contravariant=True)


class Transport(Protocol[Item_contra]):
    """A connection to a mail server or provider.

    It never raises because of a provider or a network.
    """

    async def send(self, item: Item_contra) -> Outcome:
        """Send an item once."""

    async def close(self) -> None:
        """Close all connections. Nothing is sent afterwards."""
