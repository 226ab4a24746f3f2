"""Periodic jobs of a server."""

import asyncio

from shopbell import app
from shopbell.errors import StorageError


def test_a_failed_job_runs_again_the_next_time() -> None:
    failures: list[Exception] = [TypeError("a bug"), StorageError("away")]
    done = asyncio.Event()

    async def job() -> None:
        if failures:
            raise failures.pop()
        done.set()

    async def run() -> None:
        task = asyncio.create_task(app._every(0.001, "a job", job))
        await asyncio.wait_for(done.wait(), 10)
        task.cancel()

    asyncio.run(run())
    assert failures == []
