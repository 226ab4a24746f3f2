"""A retention rule keeps the newest backup of each period, and deletes the others."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopbell.operations.backups.retention import Keep

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)  # a Sunday

rules = st.builds(Keep, *[st.integers(0, 10)] * 3)
FIRST_S = round(datetime(2023, 12, 20, tzinfo=UTC).timestamp())
times = st.sets(
    st.integers(0, 750 * 24 * 60 * 60).map(lambda second: datetime.fromtimestamp(FIRST_S + second, UTC)), max_size=60
)


def daily(days: int) -> list[datetime]:
    """A backup at noon on each of the last days, the newest first."""
    return [NOON - timedelta(days=number) for number in range(days)]


def kept(keep: Keep, taken: list[datetime]) -> list[datetime]:
    """What a rule leaves, the newest first."""
    return sorted(set(taken) - keep.superfluous(taken), reverse=True)


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("7d4w", Keep(7, 4)),
        ("7d4w12m", Keep(7, 4, 12)),
        ("30d", Keep(30)),
        ("6m", Keep(months=6)),
        ("2w1m", Keep(0, 2, 1)),
    ],
)
def test_a_rule_is_parsed(text: str, keep: Keep) -> None:
    assert Keep.parse(text) == keep


@pytest.mark.parametrize(
    "text", ["", "7", "d", "0d", "4w7d", "7d 4w", "7D", "-1d", "7d4x", "99999d", "7d\n", "٧d", "1٧d"]
)
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 7d4w"):
        Keep.parse(text)


def test_daily_backups_leave_seven_days_and_four_weeks() -> None:
    sundays = [NOON - timedelta(weeks=number) for number in range(4)]
    assert kept(Keep(7, 4), daily(60)) == sorted({*daily(7), *sundays}, reverse=True)


def test_months_keep_their_newest_backup() -> None:
    found = kept(Keep(months=3), daily(100))
    assert [at.date().isoformat() for at in found] == ["2026-11-29", "2026-10-31", "2026-09-30"]


def test_the_newest_of_several_backups_of_a_day_stays() -> None:
    hourly = [NOON - timedelta(hours=number) for number in range(12)]
    assert kept(Keep(1), hourly) == [NOON]


def test_an_iso_week_may_span_two_years() -> None:
    wednesday, friday = datetime(2025, 12, 31, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    assert kept(Keep(weeks=2), [wednesday, friday]) == [friday]


def test_a_time_without_backups_deletes_nothing() -> None:
    old = daily(7)
    late = NOON + timedelta(days=300)
    assert kept(Keep(8), [late, *old]) == [late, *old]


@given(rules, times)
def test_the_newest_backup_is_never_deleted(keep: Keep, taken: set[datetime]) -> None:
    assert not taken or max(taken) not in keep.superfluous(taken)


@given(rules, times)
def test_only_existing_backups_are_deleted(keep: Keep, taken: set[datetime]) -> None:
    assert keep.superfluous(taken) <= taken


@given(rules, times)
def test_a_second_run_deletes_nothing(keep: Keep, taken: set[datetime]) -> None:
    left = taken - keep.superfluous(taken)
    assert keep.superfluous(left) == set()


@given(rules, times)
def test_each_of_the_last_periods_keeps_its_newest_backup(keep: Keep, taken: set[datetime]) -> None:
    left = taken - keep.superfluous(taken)
    periods: list[tuple[int, Callable[[datetime], str]]] = [
        (keep.days, lambda at: f"{at:%Y-%m-%d}"),
        (keep.weeks, lambda at: f"{at:%G-%V}"),
        (keep.months, lambda at: f"{at:%Y-%m}"),
    ]
    for count, name in periods:
        for period in sorted({name(at) for at in taken}, reverse=True)[:count]:
            assert max(at for at in taken if name(at) == period) in left


@given(rules, times)
def test_no_more_is_kept_than_the_rule_says(keep: Keep, taken: set[datetime]) -> None:
    assert len(taken - keep.superfluous(taken)) <= max(1, keep.days + keep.weeks + keep.months)


@given(rules, times)
def test_deleting_after_each_backup_leaves_the_same_as_deleting_once(keep: Keep, taken: set[datetime]) -> None:
    left: set[datetime] = set()
    for at in sorted(taken):
        left.add(at)
        left -= keep.superfluous(left)
    assert left == taken - keep.superfluous(taken)
