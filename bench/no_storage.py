"""The same server without storage: the same edge, token, rate limit and checks, but nothing is queued, written or kept.

`python -m bench.no_storage serve …` takes what `shopbell serve …` takes.
"""

from shopbell.cli import main
from shopbell.messages import Outcome, Send, Sent
from shopbell.storage.group_commit import GroupCommit

NO_THREAD = Sent(thread_id=12_347)


async def _answer_at_once(_queue: GroupCommit[Send, Outcome], _send: Send) -> Outcome:
    return NO_THREAD


if __name__ == "__main__":
    GroupCommit.submit = _answer_at_once  # type: ignore[method-assign, assignment]
    main()
