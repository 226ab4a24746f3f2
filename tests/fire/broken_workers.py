"""``shopbell`` with one protection of deliveries removed, for controls.

    python broken_workers.py CHANGES worker

``CHANGES`` names functions of this file, separated by commas.
"""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from shopbell.cli import main
from shopbell.webhooks import claim
from shopbell.webhooks.retry_policy import Attempt, Delivered
from shopbell.webhooks.send import WebhookChannel
from shopbell.webhooks.settle import Finished
from shopbell.workers import webhook_worker

PROGRAM = Path(__file__)


def program(*changes: str) -> tuple[str, ...]:
    """What runs the command with these changes."""
    return (str(PROGRAM), ",".join(changes))


def settles_before_it_sends() -> None:
    """Write down a success, and send then: what the machine does not come to send is lost."""

    async def deliver(self: Any, claimed: claim.Claimed) -> bool:
        self._finished.append(Finished(claimed, Attempt(0, 0, status=200), Delivered()))
        await self._settle()
        await self._channel.send(claimed)
        return True

    webhook_worker.WebhookWorker._deliver = deliver  # type: ignore[method-assign]


def takes_no_lease() -> None:
    """Claim without a lease: what one worker has, the next one claims, too."""
    init = webhook_worker.WebhookWorker.__init__

    def without_lease(self: Any, *arguments: Any) -> None:
        init(self, *arguments)
        self._rules = replace(self._rules, lease_ms=0)

    async def deliver(self: Any, claimed: claim.Claimed) -> bool:
        return await whole_lease(self, replace(claimed, leased_until_ms=claimed.leased_until_ms + 3_600_000))

    whole_lease = webhook_worker.WebhookWorker._deliver
    webhook_worker.WebhookWorker.__init__ = without_lease  # type: ignore[method-assign]
    webhook_worker.WebhookWorker._deliver = deliver  # type: ignore[method-assign]


def sends_slowly() -> None:
    """No protection less: each attempt begins a moment later, so that a kill finds more of them under way."""
    send = WebhookChannel.send

    async def late(self: WebhookChannel, claimed: claim.Claimed) -> Attempt:
        await asyncio.sleep(0.1)
        return await send(self, claimed)

    WebhookChannel.send = late  # type: ignore[method-assign]


if __name__ == "__main__":
    for change in sys.argv.pop(1).split(","):
        globals()[change]()
    main()
