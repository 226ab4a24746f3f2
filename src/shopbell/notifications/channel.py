"""The interface of channels: how a notification is rendered and sent."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from shopbell.notifications.capabilities import Capabilities
from shopbell.notifications.content import Notification
from shopbell.notifications.outcomes import Outcome
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Rendered:
    """A notification as its channel sends it.

    Args:
        item: what ``Channel.send`` takes.
        segments: how much of the organization's daily limit of text messages it costs; None if it is not limited.
    """

    item: Any = field(repr=False)
    segments: int | None = None


class Channel(ABC):
    """A folder of ``channels/``, which sends notifications.

    It has one name or several, such as SMS and WhatsApp.

    Args:
        settings: those of this process.
        keys: the installation's keys.

    Raises:
        SettingsError: a setting of the channel is wrong.
    """

    def __init__(self, settings: Settings, keys: Keys) -> None:  # noqa: ARG002 - for derived classes
        self.capabilities = self.declare(settings)

    @property
    def names(self) -> tuple[str, ...]:
        """Its names."""
        return tuple(each.name for each in self.capabilities)

    @staticmethod
    @abstractmethod
    def declare(settings: Settings) -> Sequence[Capabilities]:
        """What it can do with these settings, for each of its names."""

    @staticmethod
    def warnings(settings: Settings) -> list[str]:  # noqa: ARG004 - for derived classes
        """What it does not send with these settings.

        One sentence for each, for the operator.
        """
        return []

    @abstractmethod
    def render(self, tx: Connection, notification: Notification) -> Rendered:
        """Render a notification.

        Raises:
            ValueError: nothing can be sent to its address.
        """

    @abstractmethod
    async def send(self, item: Any) -> Outcome:
        """Send a rendered item once. It never raises because of a provider or a network.

        It is called only while no ``hindrance`` is declared.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close all connections. Nothing is sent afterwards."""
