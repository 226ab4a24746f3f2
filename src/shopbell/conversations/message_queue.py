"""Queues of messages that wait to be stored.

Each batch is one transaction of the hot path.
"""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from prometheus_client import Histogram

from shopbell.db.database import Database
from shopbell.db.group_commit import GroupCommit
from shopbell.db.program import Program
from shopbell.errors import StorageError
from shopbell.realtime.hub import PubSub
from shopbell.settings.settings import Settings

if TYPE_CHECKING:
    from shopbell.conversations.commit_tracing import CommitTracing

BATCH_SIZE = Histogram("shopbell_batch_size", "Messages per commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512))
COMMIT_SECONDS = Histogram(
    "shopbell_commit_seconds",
    "Seconds from the start of a batch to the end of its commit.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


class OfOrganization(Protocol):
    """A message that waits in a queue."""

    @property
    def organization_id(self) -> int:
        """The organization that gets news of it."""


class NotesWrites(Protocol):
    """Notes whether writes succeed: ``http/pages/readiness.py``."""

    def note_write(self, *, stored: bool) -> None:
        """Note the end of a write; :class:`MessageQueue` calls this."""


Item = TypeVar("Item", bound=OfOrganization)
Result = TypeVar("Result")


class MessageQueue(GroupCommit[Item, Result]):
    """Stores messages in batches, then publishes which organizations have news.

    The two queues are ``CustomerMessageQueue`` (``messages.py``) and ``ReplyQueue`` (``replies.py``).

    Args:
        settings: have the limits of the queue.
        database: where the messages are stored.
        readiness: notes whether each write succeeded.
        pubsub: publishes news.
    """

    def __init__(self, settings: Settings, database: Database, readiness: NotesWrites, pubsub: PubSub) -> None:
        super().__init__(
            queue_limit=settings.queue_limit, batch_limit=settings.batch_limit, timeout_s=settings.write_timeout_s
        )
        self._database = database
        self._readiness = readiness
        self._pubsub = pubsub

    def trace(self, tracing: "CommitTracing") -> None:
        """Make spans from now on. Methods are replaced, so that a queue without traces does no more than before."""
        self.submit = partial(tracing.submit, self.submit)  # type: ignore[method-assign]  # on purpose
        self._write_batch = partial(tracing.write_batch, self._write_batch)  # type: ignore[method-assign]  # on purpose

    @abstractmethod
    def _program(self, batch: Sequence[Item]) -> Program[list[Result]]:
        """The transaction that stores a batch.

        ``Database.run`` calls this, again after each lost race.
        """

    async def _write_batch(self, batch: Sequence[Item]) -> Sequence[Result]:
        BATCH_SIZE.observe(len(batch))
        with COMMIT_SECONDS.time():
            try:
                results = await self._database.run(partial(self._program, batch))
            except StorageError:
                self._readiness.note_write(stored=False)
                raise
        self._readiness.note_write(stored=True)
        self._pubsub.publish({item.organization_id for item in batch})
        return results

    def _on_stalled(self) -> None:
        self._readiness.note_write(stored=False)
