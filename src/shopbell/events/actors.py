"""Who caused an event."""

from dataclasses import dataclass
from typing import Literal, get_args

ActorType = Literal["employee", "token", "customer", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """The employee, API token, customer or system that caused an event.

    The system is Shopbell itself, or its operator.

    Args:
        type: which of them.
        id: their id; None for the system and for an unknown employee.
    """

    type: ActorType
    id: int | None = None

    @property
    def name(self) -> str:
        """The name in the audit log, where the operator has no id."""
        return "command line" if self.id is None else f"{self.type} {self.id}"

    @property
    def employee_id(self) -> int | None:
        """The employee; None for other actors and for an unknown employee."""
        return self.id if self.type == "employee" else None

    @property
    def columns(self) -> tuple[str | None, int | None]:
        """Type and id as events store them; NULL for the event's own customer."""
        return (None, None) if self.type == "customer" else (self.type, self.id)

    @classmethod
    def of_columns(cls, type_: str | None, id_: int | None, customer_id: int | None) -> "Actor":
        """The actor of an event.

        Args:
            type_: as stored.
            id_: as stored.
            customer_id: the customer of the event.
        """
        return cls("customer", customer_id) if type_ is None else cls(_TYPES[type_], id_)


_TYPES: dict[str, ActorType] = {type_: type_ for type_ in get_args(ActorType)}
SYSTEM = Actor("system")
"""Shopbell, or its operator on the command line."""
