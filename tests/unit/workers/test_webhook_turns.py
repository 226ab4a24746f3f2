"""When the worker for webhooks looks for work, and how long it waits for that."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from shopbell.db.database import Database
from shopbell.realtime.hub import PubSub
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings
from shopbell.webhooks.batches import Run
from shopbell.webhooks.claim import Claimed, Outlook, Taken
from shopbell.workers import webhook_worker
from shopbell.workers.webhook_worker import WebhookWorker

WEBHOOK = (1, 2)
WORK = Outlook(1, {WEBHOOK: 4}, 0, None)
NO_WORK = Outlook(1, {}, None, None)
ONE = Claimed((*WEBHOOK, 3), 4, 1, 0, 0, 2**50, 0, "{}", "http://127.0.0.1/", (), None, is_failing=False)


class FakeDatabase:
    """Has some claims; notes what it is asked for. A look takes as long as ``passes`` says."""

    def __init__(self, claims: list[list[Claimed]], passes: Callable[[], None] = lambda: None) -> None:
        self.claims = claims
        self.asked: list[str] = []
        self._passes = passes

    async def read(self, work: Any, *_: object, **__: object) -> object:
        """Answer the look for work, and that the clock was not set back."""
        if work is not webhook_worker._look_unless_held_back:
            return None
        self.asked.append("look")
        self._passes()
        return WORK if self.claims else NO_WORK

    async def write(self, work: Any, *_: object, **__: object) -> object:
        """Answer a claim."""
        if work is not webhook_worker.claim:
            return None
        self.asked.append("claim")
        return Taken(self.claims.pop(0), WORK) if self.claims else Taken([], NO_WORK)


class SendsNothing(WebhookWorker):
    """Sends nothing; notes its pauses instead of waiting."""

    def __init__(self, database: FakeDatabase) -> None:
        super().__init__(Settings(), cast("Database", database), Keys((b"k" * 32,)), PubSub())
        self._clock_changes = NoClockChanges()  # type: ignore[assignment]
        self.pauses_s: list[float] = []

    async def _pause(self, seconds: float) -> None:
        self.pauses_s.append(max(seconds, 0))

    def _send(self, run: Run) -> None:
        pass


class NoClockChanges:
    """A clock that is never set back."""

    async def follow(self) -> int:
        """Return by how many milliseconds it was set back."""
        return 0


def _turns(worker: SendsNothing, count: int) -> None:
    async def run() -> None:
        for _ in range(count):
            await worker._turn()

    asyncio.run(run())


def test_a_worker_that_found_work_claims_again_without_looking_first() -> None:
    database = FakeDatabase([[ONE], [ONE]])
    _turns(SendsNothing(database), 4)
    assert database.asked == ["look", "claim", "claim", "claim", "look"]


def test_a_slow_look_delays_the_next_one_by_at_most_50_ms(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [1_000.0]
    monkeypatch.setattr(webhook_worker.time, "monotonic", lambda: now_s[0])

    def pass_two_seconds() -> None:
        now_s[0] += 2

    worker = SendsNothing(FakeDatabase([], pass_two_seconds))
    _turns(worker, 2)
    assert worker.pauses_s == pytest.approx([0, 0.05])
