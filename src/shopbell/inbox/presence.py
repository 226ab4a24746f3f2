"""Which employees have a conversation open, or write in it, right now.

Nothing is stored: each process receives the signals of all processes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shopbell.realtime.hub import PubSub
from shopbell.realtime.signals import Kind, Signal

State = Literal["viewing", "writing", "left"]

FORGET_AFTER_S = 15
"""Seconds without a signal after which an employee counts as gone."""
_SWEEP_SIZE = 1_000
"""If more are registered, those who have left are removed."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """An employee in a conversation; ``state`` is never ``left``."""

    employee_id: int
    state: State


class Presence:
    """The registry of one process.

    Args:
        pubsub: sends the signals to all processes.
        monotonic_s: seconds of a clock that cannot be set.
    """

    def __init__(self, pubsub: PubSub, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._pubsub = pubsub
        self._monotonic_s = monotonic_s
        self._known: dict[tuple[int, int], dict[int, tuple[State, float]]] = {}
        pubsub.hear_signals(self._hear)

    def tell(
        self, organization_id: int, thread_id: int, business_id: int, employee_id: int, name: str, state: State
    ) -> None:
        """Publish what an employee does in a conversation to all processes and streams."""
        data = {"employeeUserId": str(employee_id), "name": name, "state": state}
        kind: Kind = "writing" if state == "writing" else "viewing"
        self._pubsub.signal(Signal(organization_id, thread_id, business_id, kind, data))

    def of_thread(self, organization_id: int, thread_id: int) -> list[Viewer]:
        """Who is in a conversation."""
        now_s = self._monotonic_s()
        here = self._known.get((organization_id, thread_id), {})
        return [Viewer(id_, state) for id_, (state, until_s) in here.items() if until_s > now_s]

    def _hear(self, signal: Signal) -> None:
        if signal.kind not in ("viewing", "writing"):
            return
        place, employee_id = (signal.organization_id, signal.thread_id), int(str(signal.data["employeeUserId"]))
        state: State = "writing" if signal.kind == "writing" else "viewing"
        if signal.data["state"] == "left":
            self._known.get(place, {}).pop(employee_id, None)
            return
        if len(self._known) >= _SWEEP_SIZE:
            self._forget()
        self._known.setdefault(place, {})[employee_id] = state, self._monotonic_s() + FORGET_AFTER_S

    def _forget(self) -> None:
        now_s = self._monotonic_s()
        for place, here in [*self._known.items()]:
            left = [id_ for id_, (_, until_s) in here.items() if until_s <= now_s]
            for id_ in left:
                del here[id_]
            if not here:
                del self._known[place]
