"""Cancel tasks that may swallow a cancellation."""

import asyncio
from collections.abc import Collection
from typing import Any

AGAIN_AFTER_S = 1.0
"""Seconds after which a task that still runs is cancelled again.

Before Python 3.12, ``asyncio.wait_for`` swallows a cancellation if its result arrives at the same moment. Libraries use
it, and the task goes on.
"""


async def cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks, again and again until each has ended.

    Their exceptions count as retrieved.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=AGAIN_AFTER_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()
