"""Who caused an event."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who caused an event.

    Args:
        type: ``employee``, ``token``, ``customer`` or ``system``. Other types may be added.
        id: the id of the employee, token or customer, if it is known.
    """

    type: str
    id: str | None
