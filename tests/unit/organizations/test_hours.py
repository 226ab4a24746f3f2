"""Opening hours, exceptions and clock changes."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shopbell.errors import Invalid
from shopbell.organizations.opening_hours import DAYS, OpeningHours

MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS
OFFICE = {day: [["09:00", "12:00"], ["13:30", "18:00"]] for day in DAYS[:5]}


def at_ms(text: str, time_zone: str = "UTC", *, fold: int = 0) -> int:
    """The time in Unix ms at which a wall's clock shows this: ``2026-12-25 09:00``."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(time_zone), fold=fold).timestamp() * 1000)


def hours(weekly: Any, time_zone: str = "Europe/Paris", *exceptions: Any) -> OpeningHours:
    return OpeningHours.from_json({"weekly": weekly, "exceptions": list(exceptions)}, time_zone)


def every_day(*intervals: list[str]) -> dict[str, list[list[str]]]:
    return {day: list(intervals) for day in DAYS}


def opened_minutes(opening: OpeningHours, first_ms: int, last_ms: int) -> int:
    return sum(opening.is_open(now_ms) for now_ms in range(first_ms, last_ms, MINUTE_MS))


def faults(value: object) -> set[tuple[str, str]]:
    with pytest.raises(Invalid) as raised:
        OpeningHours.from_json(value, "UTC")
    return {("#/" + fault.path, fault.code) for fault in raised.value.errors}


def test_a_business_is_closed_during_a_lunch_break() -> None:
    office = hours(OFFICE)
    for clock, is_open in {
        "08:59": False,
        "09:00": True,
        "11:59": True,
        "12:00": False,
        "13:29": False,
        "13:30": True,
        "17:59": True,
        "18:00": False,
    }.items():
        assert office.is_open(at_ms(f"2026-11-23 {clock}", "Europe/Paris")) is is_open, clock
    assert not office.is_open(at_ms("2026-11-22 10:00", "Europe/Paris")), "a Sunday"


def test_hours_are_in_the_time_zone_of_the_business() -> None:
    noon_in_kolkata_ms = at_ms("2026-11-23 06:30", "UTC")
    assert hours(every_day(["12:00", "12:01"]), "Asia/Kolkata").is_open(noon_in_kolkata_ms)
    assert not hours(every_day(["12:00", "12:01"]), "UTC").is_open(noon_in_kolkata_ms)


def test_hours_past_midnight_continue_on_the_next_day() -> None:
    bar = hours({"fri": [["22:00", "02:00"]]})
    assert bar.is_open(at_ms("2026-11-28 01:59", "Europe/Paris"))
    assert not bar.is_open(at_ms("2026-11-28 02:00", "Europe/Paris"))
    assert not bar.is_open(at_ms("2026-11-27 01:59", "Europe/Paris"))


def test_midnight_can_be_written_in_two_ways() -> None:
    assert hours({"mon": [["18:00", "24:00"]]}) == hours({"mon": [["18:00", "00:00"]]})


def test_a_business_that_is_always_open_has_no_closed_period() -> None:
    always = hours(every_day(["00:00", "24:00"]), "America/New_York")
    for now_ms in range(at_ms("2026-01-01 00:00"), at_ms("2027-01-01 00:00"), 127 * MINUTE_MS):
        assert always.is_open(now_ms)
    assert always.closed_period_id(now_ms) is None
    assert always.next_opening_ms(now_ms) == now_ms


def test_a_business_that_never_opens_has_one_closed_period() -> None:
    never = hours({})
    assert never.next_opening_ms(at_ms("2026-11-23 10:00")) is None
    assert never.closed_period_id(at_ms("2026-11-23 10:00")) == never.closed_period_id(at_ms("2036-01-01 10:00")) == 0


def test_exceptions_override_the_weekly_hours() -> None:
    christmas = {"date": "2026-12-25", "intervals": [], "name": "Christmas"}
    long_saturday = {"date": "2026-12-19", "intervals": [["10:00", "20:00"]]}
    shop = hours(OFFICE, "Europe/Paris", christmas, long_saturday)
    assert shop.is_open(at_ms("2026-12-24 10:00", "Europe/Paris"))
    assert not shop.is_open(at_ms("2026-12-25 10:00", "Europe/Paris"))
    assert shop.is_open(at_ms("2026-12-19 19:59", "Europe/Paris"))
    assert not shop.is_open(at_ms("2026-12-26 10:00", "Europe/Paris"))
    assert shop.next_opening_ms(at_ms("2026-12-24 18:00", "Europe/Paris")) == at_ms("2026-12-28 09:00", "Europe/Paris")


def test_hours_before_a_holiday_continue_past_midnight() -> None:
    bar = hours(every_day(["22:00", "02:00"]), "Europe/Paris", {"date": "2026-12-25", "intervals": []})
    assert bar.is_open(at_ms("2026-12-25 01:59", "Europe/Paris"))
    assert not bar.is_open(at_ms("2026-12-25 22:00", "Europe/Paris"))
    assert not bar.is_open(at_ms("2026-12-26 01:00", "Europe/Paris"))


def test_an_evening_a_night_and_a_weekend_are_each_one_closed_period() -> None:
    office = hours(OFFICE)

    def period(text: str) -> int | None:
        return office.closed_period_id(at_ms(text, "Europe/Paris"))

    assert period("2026-11-27 17:59") is None
    assert period("2026-11-27 18:00") == period("2026-11-29 12:00") == period("2026-11-30 08:59")
    assert period("2026-11-27 18:00") == at_ms("2026-11-27 18:00", "Europe/Paris")
    assert len({period("2026-11-26 23:00"), period("2026-11-27 12:30"), period("2026-11-27 18:00")}) == 3


def test_the_next_opening_is_after_a_year_of_exceptions() -> None:
    mondays = [date(2026, 11, 23) + timedelta(weeks=weeks) for weeks in range(366)]
    closed = [{"date": monday.isoformat(), "intervals": []} for monday in mondays]
    shop = hours({"mon": [["09:00", "10:00"]]}, "Europe/Paris", *closed)
    after = (mondays[-1] + timedelta(weeks=1)).isoformat()
    assert shop.next_opening_ms(at_ms("2026-11-22 12:00")) == at_ms(f"{after} 09:00", "Europe/Paris")
    assert shop.closed_period_id(at_ms(f"{after} 08:59", "Europe/Paris")) == at_ms("2026-11-16 10:00", "Europe/Paris")


def test_a_business_open_on_single_dates_finds_them_years_away() -> None:
    fair = hours(
        {},
        "UTC",
        {"date": "2020-07-01", "intervals": [["10:00", "18:00"]]},
        {"date": "2032-07-01", "intervals": [["10:00", "18:00"]]},
    )
    assert fair.next_opening_ms(at_ms("2026-01-01 00:00")) == at_ms("2032-07-01 10:00")
    assert fair.closed_period_id(at_ms("2026-01-01 00:00")) == at_ms("2020-07-01 18:00")
    assert fair.next_opening_ms(at_ms("2033-01-01 00:00")) is None


def test_the_state_changes_at_closing_and_at_opening() -> None:
    lunch = hours({"mon": [["09:00", "12:00"], ["12:00", "13:00"], ["14:00", "18:00"]]}, "UTC")
    moments = [at_ms("2026-03-02T08:00")]
    for _ in range(5):
        change_ms = lunch.next_change_ms(moments[-1])
        assert change_ms is not None
        moments.append(change_ms)
    days = ("2026-03-02T09:00", "2026-03-02T13:00", "2026-03-02T14:00", "2026-03-02T18:00", "2026-03-09T09:00")
    assert moments[1:] == [at_ms(each) for each in days]


def test_a_constant_state_never_changes() -> None:
    always = hours(every_day(["00:00", "24:00"]), "UTC")
    assert always.next_change_ms(at_ms("2026-03-02T08:00")) is None
    assert hours({}, "UTC").next_change_ms(at_ms("2026-03-02T08:00")) is None


def test_in_paris_a_skipped_hour_does_not_exist_and_a_repeated_one_counts_once() -> None:
    night = hours(every_day(["02:15", "02:45"]))
    spring_ms = at_ms("2026-03-29 00:00", "Europe/Paris")
    assert opened_minutes(night, spring_ms, spring_ms + DAY_MS - 60 * MINUTE_MS) == 0
    autumn_ms = at_ms("2026-10-25 00:00", "Europe/Paris")
    assert opened_minutes(night, autumn_ms, autumn_ms + DAY_MS + 60 * MINUTE_MS) == 30
    assert night.is_open(at_ms("2026-10-25 02:20", "Europe/Paris", fold=0))
    assert not night.is_open(at_ms("2026-10-25 02:20", "Europe/Paris", fold=1))


def test_in_new_york_a_repeated_closing_hour_closes_the_first_time() -> None:
    bar = hours({"sat": [["22:00", "01:30"]]}, "America/New_York")
    assert bar.is_open(at_ms("2026-11-01 01:29", "America/New_York", fold=0))
    assert not bar.is_open(at_ms("2026-11-01 01:30", "America/New_York", fold=0))
    assert not bar.is_open(at_ms("2026-11-01 01:10", "America/New_York", fold=1))


def test_in_new_york_hours_that_start_in_a_skipped_hour_start_at_the_change() -> None:
    early = hours({"sun": [["02:30", "05:00"]]}, "America/New_York")
    midnight_ms = at_ms("2026-03-08 00:00", "America/New_York")
    assert early.next_opening_ms(midnight_ms) == at_ms("2026-03-08 03:00", "America/New_York")
    assert opened_minutes(early, midnight_ms, midnight_ms + DAY_MS) == 120


def test_in_casablanca_ramadan_changes_the_clock_and_not_the_hours() -> None:
    shop = hours(every_day(["09:00", "17:00"]), "Africa/Casablanca")
    for day in ("2025-02-22", "2025-02-23", "2025-04-05", "2025-04-06"):
        assert shop.is_open(at_ms(f"{day} 09:00", "Africa/Casablanca"))
        assert not shop.is_open(at_ms(f"{day} 08:59", "Africa/Casablanca"))
    before_ms, during_ms = (
        at_ms("2025-02-20 09:00", "Africa/Casablanca"),
        at_ms("2025-02-24 09:00", "Africa/Casablanca"),
    )
    assert during_ms - before_ms == 4 * DAY_MS + 60 * MINUTE_MS


def test_in_apia_the_skipped_friday_has_no_hours() -> None:
    shop = hours(every_day(["09:00", "17:00"]), "Pacific/Apia")
    thursday_ms = at_ms("2011-12-29 17:00", "Pacific/Apia")
    assert (
        shop.next_opening_ms(thursday_ms)
        == at_ms("2011-12-31 09:00", "Pacific/Apia")
        == thursday_ms + 16 * 60 * MINUTE_MS
    )
    fridays_only = hours({"fri": [["00:00", "24:00"]]}, "Pacific/Apia")
    assert fridays_only.next_opening_ms(thursday_ms) == at_ms("2012-01-06 00:00", "Pacific/Apia")
    all_thursday = hours({"thu": [["00:00", "24:00"]]}, "Pacific/Apia")
    assert opened_minutes(all_thursday, thursday_ms - 2 * DAY_MS, thursday_ms + 3 * DAY_MS) == 1440


def test_a_closed_period_starts_after_the_last_of_overlapping_hours() -> None:
    bar = hours({"mon": [["22:00", "02:00"]], "tue": [["00:30", "01:00"]]})
    assert bar.closed_period_id(at_ms("2026-11-24 03:00", "Europe/Paris")) == at_ms("2026-11-24 02:00", "Europe/Paris")


CHANGES = {
    "Europe/Paris": (date(2026, 3, 29), date(2026, 10, 25)),
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "Africa/Casablanca": (date(2025, 2, 23), date(2025, 4, 6)),
    "Pacific/Apia": (date(2011, 12, 30), date(2012, 4, 1)),
    "America/Sao_Paulo": (date(2018, 11, 4), date(2018, 2, 18)),
    "America/Havana": (date(2026, 3, 8), date(2026, 11, 1)),
    "America/St_Johns": (date(2006, 4, 2), date(2006, 10, 29)),
    "Australia/Lord_Howe": (date(2026, 4, 5), date(2026, 10, 4)),
    "Asia/Kolkata": (date(2026, 1, 1), date(2026, 7, 1)),
}
"""When clocks change in some zones; never in the last one."""


@pytest.mark.parametrize("time_zone", CHANGES)
def test_adjacent_hours_leave_no_gap_when_clocks_change(time_zone: str) -> None:
    clocks = [f"{hour:02}:30" for hour in range(24)]
    touching = [["00:00", "00:30"], *([start, end] for start, end in pairwise(clocks)), ["23:30", "24:00"]]
    halves = hours(every_day(*touching[::2]), time_zone), hours(every_day(*touching[1::2]), time_zone)
    for day in CHANGES[time_zone]:
        noon_ms = round(datetime.combine(day, time(12), UTC).timestamp() * 1000)
        for now_ms in range(noon_ms - DAY_MS, noon_ms + DAY_MS, 10 * MINUTE_MS):
            assert any(half.is_open(now_ms) for half in halves)


@st.composite
def intervals(draw: st.DrawFn) -> list[list[str]]:
    """Up to three intervals of a day that do not overlap, the last one perhaps over midnight."""
    ends = sorted(draw(st.sets(st.integers(0, 1440 + 600), max_size=6)))
    pairs = [pair for pair in zip(ends[::2], ends[1::2], strict=False) if pair[0] < 1440 and pair[1] - pair[0] < 1440]
    return [[f"{start // 60:02}:{start % 60:02}", f"{end % 1440 // 60:02}:{end % 60:02}"] for start, end in pairs]


@st.composite
def changes_of_clocks(draw: st.DrawFn) -> tuple[str, date]:
    """A zone and a date, as often as not one on which its clocks change."""
    zone = draw(st.sampled_from(sorted(CHANGES)))
    return zone, draw(st.sampled_from(CHANGES[zone]) | st.dates(date(2000, 1, 1), date(2037, 12, 31)))


def walked(value: dict[str, Any], time_zone: str, first_ms: int, last_ms: int) -> Iterator[tuple[int, bool]]:
    """Each minute with whether it is open, by a clock on the wall: what counts is the latest time that it has shown."""
    zone, shown = ZoneInfo(time_zone), datetime.combine(date.min, time.min)
    exceptions = {entry["date"]: entry["intervals"] for entry in value["exceptions"]}
    for now_ms in range(first_ms - 180 * MINUTE_MS, last_ms, MINUTE_MS):
        shown = max(shown, datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone).replace(tzinfo=None))
        is_open = False
        for day in (shown.date(), shown.date() - timedelta(days=1)):
            midnight = datetime.combine(day, time.min)
            for start, end in exceptions.get(day.isoformat(), value["weekly"].get(DAYS[day.weekday()], [])):
                starts, ends = (midnight + timedelta(hours=int(at[:2]), minutes=int(at[3:])) for at in (start, end))
                is_open |= starts <= shown < (ends if ends > starts else ends + timedelta(days=1))
        if now_ms >= first_ms:
            yield now_ms, is_open


@settings(max_examples=20, deadline=None, phases=set(Phase) - {Phase.shrink})  # a failing walk is short enough
@given(
    st.dictionaries(st.sampled_from(DAYS), intervals()),
    st.dictionaries(st.integers(-3, 3), intervals(), max_size=3),
    changes_of_clocks(),
)
def test_being_open_agrees_with_a_minute_by_minute_check(
    weekly: dict[str, list[list[str]]], exceptions: dict[int, list[list[str]]], zone_and_day: tuple[str, date]
) -> None:
    time_zone, day = zone_and_day
    value = {
        "weekly": weekly,
        "exceptions": [
            {"date": (day + timedelta(days=offset)).isoformat(), "intervals": entry}
            for offset, entry in exceptions.items()
        ],
    }
    opening = OpeningHours.from_json(value, time_zone)
    middle_ms = round(datetime.combine(day, time(12), UTC).timestamp() * 1000)
    walk = list(walked(value, time_zone, middle_ms - DAY_MS, middle_ms + DAY_MS))
    opens_ms, closed_ms = opening.next_opening_ms(walk[0][0]), opening.closed_period_id(walk[0][0])
    for now_ms, is_open in walk:
        assert opening.is_open(now_ms) is is_open, datetime.fromtimestamp(now_ms / 1000, UTC)
        if is_open:
            assert opens_ms is not None
            assert opens_ms <= now_ms
            closed_ms = None
        elif closed_ms is None:
            closed_ms = now_ms
            opens_ms = opening.next_opening_ms(now_ms)
        if now_ms % (30 * MINUTE_MS) == 0:
            assert opening.closed_period_id(now_ms) == closed_ms
            assert opening.next_opening_ms(now_ms) == (now_ms if is_open else opens_ms)


def test_hours_round_trip_through_json() -> None:
    christmas = {"date": "2026-12-25", "intervals": [["10:00", "24:00"]], "name": "Christmas"}
    shop = hours({"mon": [["13:00", "02:00"], ["00:00", "12:00"]]}, "Europe/Paris", christmas)
    written = shop.as_json()
    assert OpeningHours.from_json(written, "Europe/Paris") == shop
    assert written["weekly"] == {**every_day(), "mon": [["00:00", "12:00"], ["13:00", "02:00"]]}
    assert written["exceptions"] == [christmas]


def test_all_errors_are_reported_at_once() -> None:
    value = {
        "weekly": {
            "monday": [],
            "tue": [["9:00", "12:00"], ["24:00", "01:00"], ["08:00", "08:00"], ["08:00"]],
            "wed": [["09:00", "12:00"], ["11:00", "13:00"]],
            "thu": "closed",
            "fri": [["09:00", None]],
            "sat": [["00:00", "00:01"]] * 25,
        },
        "exceptions": [
            {"date": "2026-02-30", "intervals": []},
            {"date": "2026-12-25"},
            {"date": "2026-12-25", "intervals": [], "name": 25},
            "2026-12-26",
            {"date": "2026-12-27", "intervals": [["25:00", "26:00"]], "name": "x" * 101},
            {"date": "2026-12-28", "intervals": [], "name": "line\nbreak"},
            {"date": 20261229, "intervals": []},
        ],
    }
    here = "#/openingHours"
    assert faults(value) == {
        (f"{here}/weekly", "invalid_value"),
        (f"{here}/weekly/tue/0/0", "invalid_format"),
        (f"{here}/weekly/tue/1/0", "invalid_value"),
        (f"{here}/weekly/tue/2", "invalid_value"),
        (f"{here}/weekly/tue/3", "type"),
        (f"{here}/weekly/wed", "invalid_value"),
        (f"{here}/weekly/thu", "type"),
        (f"{here}/weekly/fri/0/1", "invalid_format"),
        (f"{here}/weekly/sat", "too_long"),
        (f"{here}/exceptions/0/date", "invalid_format"),
        (f"{here}/exceptions/1/intervals", "required"),
        (f"{here}/exceptions/2/date", "invalid_value"),
        (f"{here}/exceptions/2/name", "type"),
        (f"{here}/exceptions/3", "type"),
        (f"{here}/exceptions/4/intervals/0/0", "invalid_format"),
        (f"{here}/exceptions/4/intervals/0/1", "invalid_format"),
        (f"{here}/exceptions/4/name", "too_long"),
        (f"{here}/exceptions/5/name", "invalid_character"),
        (f"{here}/exceptions/6/date", "invalid_format"),
    }


@pytest.mark.parametrize("value", ["always", None, 24, [], {"weekly": []}, {"exceptions": {}}])
def test_invalid_opening_hours_are_refused(value: object) -> None:
    assert {code for _, code in faults(value)} == {"type"}


def test_more_exceptions_than_days_in_a_year_are_refused() -> None:
    assert faults({"exceptions": [{}] * 367}) == {("#/openingHours/exceptions", "too_long")}


def test_submitted_values_are_not_repeated() -> None:
    with pytest.raises(Invalid) as raised:
        OpeningHours.from_json({"weekly": {"secret": [], "mon": [["secret", "secret"]]}}, "UTC")
    assert "secret" not in raised.value.developer_message + str(raised.value.errors)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from([*DAYS, "weekly", "exceptions", "date", "intervals", "name"]) | st.text(), inner
            )
        ),
    )
)
def test_arbitrary_input_is_valid_hours_or_refused(value: object) -> None:
    with suppress(Invalid):
        assert OpeningHours.from_json(value, "UTC").as_json()


def test_a_time_zone_missing_on_this_machine_has_its_own_error() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        OpeningHours.from_json({}, "Europe/Atlantis")
