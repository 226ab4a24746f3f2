"""A backup is due once a day, also if the time of day passed while no process ran."""

from datetime import UTC, datetime, time, timedelta

import pytest

from shopbell.operations.backups.record import Last, Series, is_due

AT = time(3, 0)


def ms(text: str) -> int:
    """A time of November 2026 in Unix ms, such as ``29 03:00``."""
    return round(datetime.strptime(f"2026-11-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("taken", "now", "due"),
    [
        ("28 03:00", "29 02:59", False),
        ("28 03:00", "29 03:00", True),
        ("28 03:00", "29 18:00", True),
        ("29 03:00", "29 03:01", False),
        ("28 17:00", "29 02:00", False),
        ("20 03:00", "29 02:00", True),
        ("29 02:59", "29 03:00", True),
    ],
)
def test_a_backup_is_due_after_its_time_of_day(taken: str, now: str, due: bool) -> None:
    assert is_due(Last(ms(taken), 0), AT, now_ms=ms(now)) is due


def test_the_first_backup_is_due_at_once() -> None:
    assert is_due(None, AT, now_ms=ms("29 12:00"))


def test_a_backup_in_the_future_does_not_count() -> None:
    made = Last(ms("29 12:00") + round(timedelta(days=365).total_seconds() * 1000), 0)
    assert is_due(made, AT, now_ms=ms("29 12:00"))


def test_a_name_has_the_time_of_its_backup() -> None:
    name = Series("0a1b2c3d").name(ms("29 03:00"))
    assert name == "shopbell-0a1b2c3d-20261129T030000Z.tar"
    assert Series("0a1b2c3d").taken(name) == datetime(2026, 11, 29, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    [
        "shopbell-ffffffff-20261129T030000Z.tar",  # of another database
        "shopbell-0a1b2c3d-20261129T030000Z.tar.gz",
        "shopbell-0a1b2c3d-20261129T0300 0Z.tar",
        "shopbell-0a1b2c3d-20261329T030000Z.tar",
        "Shopbell-0a1b2c3d-20261129T030000Z.tar",
        "shopbell-before-restore-20261129T030000Z.tar",
        "shopbell.db",
        "",
    ],
)
def test_other_names_are_not_backups_of_this_database(name: str) -> None:
    assert Series("0a1b2c3d").taken(name) is None
