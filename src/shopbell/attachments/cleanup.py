"""Delete unused uploads, and files of deleted messages, drafts and saved replies."""

from collections import defaultdict
from collections.abc import Iterable
from enum import Enum

from shopbell.attachments import attachments
from shopbell.attachments.attachments import UNUSED_MS, Use
from shopbell.attachments.store import Store
from shopbell.db.database import Database
from shopbell.runtime import clock

ABSENT_MS = 2 * 60 * 60 * 1_000
"""How long a file is absent before its bytes are deleted. Until then a concurrent message can restore it, and a running
backup finds it."""

PAGE = 500
"""How many attachments are checked at a time."""


class Verdict(Enum):
    """What to do with an attachment."""

    STAY = "stay"
    HIDE = "hide"
    SHOW = "show"
    DELETE = "delete"


def judge(use: Use, *, now_ms: int) -> Verdict:
    """Decide what to do with an attachment. Pure."""
    if use.absent_since_ms is None:
        return Verdict.HIDE if not use.is_used and now_ms - use.created_at_ms > UNUSED_MS else Verdict.STAY
    if use.is_used:  # a concurrent message got it; a file that is still uploading has none
        return Verdict.SHOW
    return Verdict.DELETE if now_ms - use.absent_since_ms > ABSENT_MS else Verdict.STAY


class Sweep:
    """Checks all attachments again and again, one page at a time. Several processes may run it.

    Args:
        database: has the rows.
        store: has the bytes.
        page: how many are checked at a time.
    """

    def __init__(self, database: Database, store: Store, page: int = PAGE) -> None:
        self._database = database
        self._store = store
        self._page = page
        self._after = (0, 0)

    async def run(self) -> None:
        """Check the next page.

        Raises:
            StorageError: the database or the store failed; the page is checked again in the next round.
        """
        page = await self._database.read(attachments.uses, self._after, limit=self._page)
        self._after = (page[-1].organization_id, page[-1].id) if len(page) == self._page else (0, 0)
        now_ms = clock.now_ms()
        verdicts = _by_verdict(page, now_ms)
        if hidden := verdicts[Verdict.HIDE]:
            await self._database.write(attachments.set_absent, hidden, since_ms=now_ms)
        if shown := verdicts[Verdict.SHOW]:
            await self._database.write(attachments.set_absent, shown, since_ms=None)
        if gone := verdicts[Verdict.DELETE]:
            for use in gone:
                await self._store.delete(attachments.blob_name(use.organization_id, use.uuid))
            await self._database.write(attachments.delete_absent, gone)
        if self._after == (0, 0):
            await self._store.tidy()


def _by_verdict(page: Iterable[Use], now_ms: int) -> dict[Verdict, list[Use]]:
    verdicts: dict[Verdict, list[Use]] = defaultdict(list)
    for use in page:
        verdicts[judge(use, now_ms=now_ms)].append(use)
    return verdicts
