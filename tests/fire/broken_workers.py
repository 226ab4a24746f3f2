"""``shopbell`` with one protection of the deliveries taken out: the controls of these tests, which must catch each.

    python broken_workers.py CHANGES worker

``CHANGES`` names functions of this file, separated by commas.
"""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from shopbell import worker
from shopbell.channels.webhook import WebhookChannel
from shopbell.cli import main
from shopbell.outbox import claims
from shopbell.outbox.settlements import Finished
from shopbell.schedule import Attempt, Delivered

PROGRAM = Path(__file__)


def program(*changes: str) -> tuple[str, ...]:
    """What runs the command with these changes."""
    return (str(PROGRAM), ",".join(changes))


def settles_before_it_sends() -> None:
    """Write down a success, and send then: what the machine does not come to send is lost."""

    async def deliver(self: Any, claimed: claims.Claimed) -> bool:
        self._finished.append(Finished(claimed, Attempt(0, 0, status=200), Delivered()))
        await self._settle_and_claim_nothing()
        await self._channel.send(claimed)
        return True

    async def settle_and_claim_nothing(self: Any) -> None:
        finished, self._finished = self._finished, []
        await self._database.write(worker._settle_and_claim, self._rules, finished, 0, {}, 0, worker._now_ms())

    worker.Worker._deliver = deliver  # type: ignore[method-assign]
    worker.Worker._settle_and_claim_nothing = settle_and_claim_nothing  # type: ignore[attr-defined]


def takes_no_lease() -> None:
    """Claim without a lease: what one worker has, the next one claims, too."""
    init = worker.Worker.__init__

    def without_lease(self: Any, *arguments: Any) -> None:
        init(self, *arguments)
        self._rules = replace(self._rules, lease_ms=0)

    async def deliver(self: Any, claimed: claims.Claimed) -> bool:
        return await whole_lease(self, replace(claimed, leased_until_ms=claimed.leased_until_ms + 3_600_000))

    whole_lease = worker.Worker._deliver
    worker.Worker.__init__ = without_lease  # type: ignore[method-assign]
    worker.Worker._deliver = deliver  # type: ignore[method-assign]


def sends_slowly() -> None:
    """No protection less: each attempt begins a moment later, so that a kill finds more of them under way."""
    send = WebhookChannel.send

    async def late(self: WebhookChannel, claimed: claims.Claimed) -> Attempt:
        await asyncio.sleep(0.1)
        return await send(self, claimed)

    WebhookChannel.send = late  # type: ignore[method-assign]


if __name__ == "__main__":
    for change in sys.argv.pop(1).split(","):
        globals()[change]()
    main()
