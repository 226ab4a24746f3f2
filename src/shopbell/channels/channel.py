"""What every way out to a customer or a store looks like: one thing goes in, what came of it comes out.

An outcome is a value, matched where the dispatch is settled. ``reason`` is a short stable word such as
``mailbox_unavailable``, for the log, the API and the employee: never a text of the provider's, which may quote
addresses or messages.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider has taken it.

    Args:
        provider_id: by which the provider knows it, when it tells more later.
    """

    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class TryLater:
    """It was certainly not taken, and may be another time.

    Args:
        reason: why.
        retry_after_s: seconds that the provider asks to wait, when it says so.
    """

    reason: str
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It was not taken and never will be.

    Args:
        reason: why.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows whether it went out: it is never sent again by itself.

    Args:
        reason: what happened.
    """

    reason: str


Outcome: TypeAlias = Sent | TryLater | Refused | Unknown

Item_contra = TypeVar("Item_contra", contravariant=True)


class Channel(Protocol[Item_contra]):
    """One way out. It never raises for what a provider or a network does."""

    async def send(self, item: Item_contra) -> Outcome:
        """Send one thing once.

        Returns:
            What came of it.
        """

    async def close(self) -> None:
        """Let go of connections; nothing is sent after that."""
