"""Runs: what a slot sends, one after the other."""

from collections import deque
from collections.abc import Sequence

from shopbell.outbox.claims import Claimed
from shopbell.schedule import WebhookKey

QUICK_MS = 100
"""Slots take a run of deliveries to a webhook that has last answered, and within this time."""
RUN_S = 1
"""After which what a slot has not begun is put back: a receiver that hangs now holds up one delivery, and not a run."""


class Run:
    """What a slot sends.

    Args:
        claimed: of one webhook, in the order in which they are sent.
    """

    def __init__(self, claimed: Sequence[Claimed]) -> None:
        self.webhook = claimed[0].webhook
        self.left = deque(claimed)
        """What was not begun."""


def runs_of(claimed: Sequence[Claimed]) -> list[Run]:
    """What was claimed, by slots."""
    by_slot: dict[tuple[WebhookKey, int], list[Claimed]] = {}
    for one in claimed:
        by_slot.setdefault((one.webhook, one.slot), []).append(one)
    return [Run(run) for run in by_slot.values()]
