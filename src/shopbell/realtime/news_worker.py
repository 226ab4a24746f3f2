"""The base class of background workers that look for work when there is news."""

from abc import abstractmethod

from shopbell.realtime.hub import Listener, PubSub
from shopbell.runtime.background_worker import BackgroundWorker


class NewsWorker(BackgroundWorker):
    """Looks for work whenever an organization has news, in this process or another.

    A subclass works in ``_work``, by one or several ``_repeat``.

    Args:
        name: for the log and for the metric ``shopbell_task_deaths``.
        pubsub: notifies of news; must be started.
        shutdown_timeout_s: how long work that has begun may go on after ``end``.
    """

    def __init__(self, name: str, pubsub: PubSub, shutdown_timeout_s: float) -> None:
        super().__init__(name, shutdown_timeout_s)
        self._pubsub = pubsub
        self._news = Listener()

    def _wake(self) -> None:
        self._news.wake()

    async def _run(self) -> None:
        with self._pubsub.listen(None) as self._news:
            await self._work()

    @abstractmethod
    async def _work(self) -> None:
        """Work until ``_ending`` is set."""

    async def _wait_for_news(self, timeout_s: float, *, at_least_s: float = 0) -> None:
        """Wait so many seconds, or less if there is news.

        Args:
            at_least_s: the shortest wait despite news, at most ``timeout_s``: under load, there is news all the time.
        """
        await self._pause(min(timeout_s, at_least_s))
        left_s = timeout_s - at_least_s
        if left_s > 0:
            self._pubsub.expect()
        await self._news.wait(left_s)
