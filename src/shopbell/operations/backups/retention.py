"""Decide which backups to delete."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from shopbell.settings.backups import KEEP, KEEP_WRONG


def _day(at: datetime) -> tuple[int, ...]:
    return (at.year, at.month, at.day)


def _iso_week(at: datetime) -> tuple[int, ...]:
    return at.isocalendar()[:2]


def _month(at: datetime) -> tuple[int, ...]:
    return (at.year, at.month)


@dataclass(frozen=True, slots=True)
class Keep:
    """How many days, ISO weeks and months keep their newest backup."""

    days: int = 0
    weeks: int = 0
    months: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a rule such as ``7d4w12m``.

        Raises:
            ValueError: it is none; the message says what a rule looks like.
        """
        match = KEEP.fullmatch(text)
        if match is None:
            raise ValueError(KEEP_WRONG)
        return cls(*(int(number or 0) for number in match.groups()))

    def superfluous(self, taken: Collection[datetime]) -> set[datetime]:
        """Return the times of the backups that may be deleted.

        Days, weeks and months without a backup do not count, so nothing is deleted because backups failed for a while
        or because the clock was wrong. The newest backup is always kept.

        Args:
            taken: the times of all backups, in UTC.
        """
        kept = {max(taken)} if taken else set()
        periods: tuple[tuple[int, Callable[[datetime], tuple[int, ...]]], ...] = (
            (self.days, _day),
            (self.weeks, _iso_week),
            (self.months, _month),
        )
        for count, period in periods:
            newest = {period(at): at for at in sorted(taken)}
            kept.update(newest[each] for each in sorted(newest, reverse=True)[:count])
        return set(taken) - kept
