"""Mails and texts are due as before when the clock is set back."""

from sqlalchemy import Connection

from shopbell import installation
from shopbell.clock import SetBack
from shopbell.outreach import budgets, dispatches


def move_up(tx: Connection, set_back: SetBack, *, now_ms: int) -> bool:
    """Let everything that waits be due as much earlier as the clock was set back.

    Of several workers that notice the same change, the first one does this.

    Args:
        tx: the transaction.
        set_back: what happened to the clock.
        now_ms: the time in Unix ms, by the clock as it is now.

    Returns:
        Whether it was done here.
    """
    if not installation.note_set_back(tx, "dispatches", since_ms=set_back.since_ms, now_ms=now_ms):
        return False
    dispatches.move_up(tx, set_back.by_ms, now_ms=now_ms)
    budgets.move_up(tx, set_back.by_ms)
    return True
