"""The same server without storage.

Token, rate limit and checks are the same, but nothing is queued or stored.

`python -m bench.no_storage serve …` takes what `shopbell serve …` takes.
"""

from shopbell.cli import main
from shopbell.conversations.messages import Outcome, Send, Sent
from shopbell.db.group_commit import Done, GroupCommit

NO_THREAD = Sent(thread_id=12_347)


def _answer_at_once(_queue: GroupCommit[Send, Outcome], _send: Send, done: Done[Outcome]) -> None:
    done(NO_THREAD)


if __name__ == "__main__":
    GroupCommit.submit = _answer_at_once  # type: ignore[method-assign, assignment]  # on purpose
    main()
