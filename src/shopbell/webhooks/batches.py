"""Runs: deliveries that a slot sends one after the other."""

from collections import deque
from collections.abc import Sequence

from shopbell.webhooks.claim import Claimed
from shopbell.webhooks.retry_policy import WebhookKey

QUICK_MS = 100
"""A webhook is quick if its last response took at most this long. Then a slot takes several deliveries at once."""
RUN_S = 1
"""After this time, deliveries of a run that were not started are released: a receiver may hang now."""


class Run:
    """The deliveries of a slot.

    Args:
        claimed: deliveries of one webhook in the order in which they are sent.
    """

    def __init__(self, claimed: Sequence[Claimed]) -> None:
        self.webhook = claimed[0].webhook
        self.left = deque(claimed)
        """Deliveries that were not started."""


def runs_of(claimed: Sequence[Claimed]) -> list[Run]:
    """Group claimed deliveries by slot."""
    by_slot: dict[tuple[WebhookKey, int], list[Claimed]] = {}
    for one in claimed:
        by_slot.setdefault((one.webhook, one.slot), []).append(one)
    return [Run(run) for run in by_slot.values()]
