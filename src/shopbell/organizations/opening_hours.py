"""Opening hours: weekly hours and exceptions for dates, in the time zone of the business. Pure.

A time of day means the first moment at which the local clock shows this time or a later one. If clocks skip the time,
it is the moment of the change; if they repeat it, the first of the two. So adjacent hours stay adjacent, and hours that
a time zone skips have no length.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain, pairwise
from unicodedata import category
from zoneinfo import ZoneInfo

from shopbell.errors import FIELD_ERRORS_MAX, FieldError, Invalid

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EXCEPTIONS_MAX = 366
INTERVALS_MAX = 24
NAME_MAX_CHARACTERS = 100
FIRST_YEAR, LAST_YEAR = 1970, 2199

_MINUTES_PER_DAY = 1440
_JSON_TIME = {"type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"}
_JSON_INTERVAL = {"type": "array", "items": _JSON_TIME, "minItems": 2, "maxItems": 2}
_JSON_DAY = {"type": "array", "items": _JSON_INTERVAL, "maxItems": INTERVALS_MAX}
JSON_SCHEMA = {
    "type": "object",
    "properties": {
        "weekly": {
            "type": ["object", "null"],
            "properties": {day: {**_JSON_DAY, "type": ["array", "null"]} for day in DAYS},
            "additionalProperties": False,
            "description": "From and to of each day; a day that is absent is closed.",
        },
        "exceptions": {
            "type": ["array", "null"],
            "maxItems": EXCEPTIONS_MAX,
            "items": {
                "type": "object",
                "required": ["date", "intervals"],
                "properties": {
                    "date": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
                    "intervals": _JSON_DAY,
                    "name": {"type": ["string", "null"], "maxLength": NAME_MAX_CHARACTERS},
                },
            },
            "description": "Dates that have hours of their own; an empty list means closed.",
        },
    },
}
"""The JSON Schema of what ``OpeningHours.from_json`` takes."""

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_A_DAY = timedelta(days=1)

Interval = tuple[int, int]
"""From and to, in minutes after midnight; to may be on the next day, up to 2879."""


@dataclass(frozen=True, slots=True)
class Exceptional:
    """The hours of one date instead of the weekly ones; none if it is closed."""

    on: date
    intervals: tuple[Interval, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """When a business is open.

    Hours belong to the day on which they begin: an exception does not cut hours that began on the day before.

    Args:
        zone: the time zone.
        weekly: the intervals of each day, Monday first.
        exceptions: the dates with other hours.
    """

    zone: ZoneInfo
    weekly: tuple[tuple[Interval, ...], ...]
    exceptions: Mapping[date, Exceptional]

    @classmethod
    def from_json(cls, value: object, time_zone: str) -> "OpeningHours":
        """Read opening hours that were sent or stored.

        Args:
            value: ``{"weekly": {"mon": [["09:00", "12:00"]]}, "exceptions": [{"date", "intervals", "name"}]}``, parsed.
            time_zone: an IANA time zone.

        Raises:
            Invalid: 400; with every fault.
            ZoneInfoNotFoundError: this machine does not know the time zone.
        """
        reading = _Reading()
        weekly, exceptions = reading.hours(value, "openingHours")
        if reading.errors:
            raise Invalid(reading.errors)
        return cls(ZoneInfo(time_zone), weekly, exceptions)

    def as_json(self) -> dict[str, object]:
        """The hours as ``from_json`` takes them, in normal form: all seven days, everything in chronological order."""
        exceptions: list[dict[str, object]] = []
        for on, exceptional in sorted(self.exceptions.items()):
            entry: dict[str, object] = {"date": on.isoformat(), "intervals": _intervals_as_json(exceptional.intervals)}
            exceptions.append(entry if exceptional.name is None else {**entry, "name": exceptional.name})
        weekly = {day: _intervals_as_json(intervals) for day, intervals in zip(DAYS, self.weekly, strict=True)}
        return {"weekly": weekly, "exceptions": exceptions}

    def is_open(self, at_ms: int) -> bool:
        """Whether the business is open at a time in Unix ms."""
        day = self._local_date(at_ms)
        # Clocks that go back, or over the date line, may have shown tomorrow before they show today.
        return any(start_ms <= at_ms < end_ms for start_ms, end_ms in self._between(day - 3 * _A_DAY, day + 2 * _A_DAY))

    def next_opening_ms(self, at_ms: int) -> int | None:
        """The first time at or after a given one at which it is open, both in Unix ms; None if it never opens again."""
        if self.is_open(at_ms):
            return at_ms
        day = self._local_date(at_ms)
        first, horizon = day - 3 * _A_DAY, day + self._reach()
        beyond = sorted(on for on in self.exceptions if on > horizon)
        days = chain(_days(first, horizon), beyond)
        return next((start_ms for on in days for start_ms, _ in self._on(on) if start_ms >= at_ms), None)

    def next_change_ms(self, at_ms: int) -> int | None:
        """The first time after ``at_ms`` at which it opens or closes, both in Unix ms.

        None if it stays closed for ever, or open for longer than two weeks.
        """
        if not self.is_open(at_ms):
            return self.next_opening_ms(at_ms)
        first, last = self._local_date(at_ms) - 3 * _A_DAY, self._local_date(at_ms) + 14 * _A_DAY
        closes_ms = at_ms
        for start_ms, end_ms in sorted(self._between(first, last)):
            if start_ms <= closes_ms < end_ms:
                closes_ms = end_ms
        return closes_ms if self._local_date(closes_ms) < last else None

    def closed_period_id(self, at_ms: int) -> int | None:
        """When the current closed period began, in Unix ms.

        0 if it was never open before; None while it is open.
        """
        if self.is_open(at_ms):
            return None
        day = self._local_date(at_ms)
        horizon = day - self._reach()
        before = sorted((on for on in self.exceptions if on < horizon), reverse=True)
        for on in chain(reversed(list(_days(horizon, day + 2 * _A_DAY))), before):
            if any(end_ms <= at_ms for _, end_ms in self._on(on)):
                # Hours that began on the day before may end later than these.
                return max(end_ms for _, end_ms in self._between(on - _A_DAY, on) if end_ms <= at_ms)
        return 0

    def _local_date(self, at_ms: int) -> date:
        return datetime.fromtimestamp(at_ms // 1000, self.zone).date()

    def _reach(self) -> timedelta:
        """How many days ahead the next weekly hours can be: exceptions and clock changes may remove some."""
        return timedelta(days=7 * (len(self.exceptions) + 3)) if any(self.weekly) else timedelta(days=3)

    def _between(self, first: date, last: date) -> Iterator[tuple[int, int]]:
        return chain.from_iterable(self._on(day) for day in _days(first, last))

    def _on(self, day: date) -> Iterator[tuple[int, int]]:
        """The hours that begin on a day, from and to in Unix ms, in order, without those that clocks skip."""
        exceptional = self.exceptions.get(day)
        for start, end in self.weekly[day.weekday()] if exceptional is None else exceptional.intervals:
            start_ms, end_ms = _first_moment_ms(day, start, self.zone), _first_moment_ms(day, end, self.zone)
            if start_ms < end_ms:
                yield start_ms, end_ms


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=days) for days in range((last - first).days + 1))


def _first_moment_ms(day: date, minutes: int, zone: ZoneInfo) -> int:
    """The first moment, in Unix ms, at which the local clock shows these minutes after midnight of a day, or later."""
    wall = datetime.combine(day, time.min) + timedelta(minutes=minutes)
    moment_s = int(wall.replace(tzinfo=zone).timestamp())
    if _wall(moment_s, zone) == wall:
        return moment_s * 1000
    # Clocks go forward over it: with the offset of afterwards it is before they do, with that of before afterwards.
    before_s, after_s = int(wall.replace(tzinfo=zone, fold=1).timestamp()), moment_s
    while after_s - before_s > 1:
        between_s = (before_s + after_s) // 2
        if _wall(between_s, zone) >= wall:
            after_s = between_s
        else:
            before_s = between_s
    return after_s * 1000


def _wall(at_s: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at_s, UTC).astimezone(zone).replace(tzinfo=None, fold=0)


def _intervals_as_json(intervals: tuple[Interval, ...]) -> list[list[str]]:
    def written(minutes: int) -> str:
        kept = minutes if minutes <= _MINUTES_PER_DAY else minutes - _MINUTES_PER_DAY
        return f"{kept // 60:02}:{kept % 60:02}"

    return [[written(start), written(end)] for start, end in intervals]


class _Reading:
    """Reads opening hours and collects their faults."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def hours(self, value: object, path: str) -> tuple[tuple[tuple[Interval, ...], ...], dict[date, Exceptional]]:
        given = self._object(value, path)
        weekly = self._object(given.get("weekly"), f"{path}/weekly", may_be_absent=True)
        if not weekly.keys() <= set(DAYS):
            # No path to the unknown name: errors do not repeat what was sent.
            self._add(f"{path}/weekly", "invalid_value", f"must name days {', '.join(DAYS)} only", allowed=list(DAYS))
        week = tuple(self._intervals(weekly.get(day), f"{path}/weekly/{day}", may_be_absent=True) for day in DAYS)
        return week, self._exceptions(given.get("exceptions"), f"{path}/exceptions")

    def _exceptions(self, value: object, path: str) -> dict[date, Exceptional]:
        found: dict[date, Exceptional] = {}
        for place, entry in enumerate(self._list(value, path, EXCEPTIONS_MAX)):
            there = f"{path}/{place}"
            if not isinstance(entry, Mapping):
                self._add(there, "type", "must be an object", expected="object")
                continue
            on = self._date(entry.get("date"), f"{there}/date")
            intervals = self._intervals(entry.get("intervals"), f"{there}/intervals", may_be_absent=False)
            name = self._name(entry.get("name"), f"{there}/name")
            if on in found:
                self._add(f"{there}/date", "invalid_value", "must not be the date of another exception")
            elif on is not None:
                found[on] = Exceptional(on, intervals, name)
        return found

    def _intervals(self, value: object, path: str, *, may_be_absent: bool) -> tuple[Interval, ...]:
        if value is None and not may_be_absent:
            self._add(path, "required", "is required; an empty list means closed")
        found: list[Interval] = []
        for place, entry in enumerate(self._list(value, path, INTERVALS_MAX)):
            there = f"{path}/{place}"
            if not isinstance(entry, list | tuple) or len(entry) != 2:
                self._add(there, "type", 'must be a list of two times: ["09:00", "12:00"]', expected="array")
                continue
            start, end = (self._time(shown, f"{there}/{end}") for end, shown in enumerate(entry))
            if start is None or end is None:
                continue
            if start == _MINUTES_PER_DAY:
                self._add(f"{there}/0", "invalid_value", "must be before 24:00")
            elif start == end:
                self._add(
                    there, "invalid_value", "must not begin and end at the same time; a whole day is 00:00 to 24:00"
                )
            else:
                found.append((start, end if end > start else end + _MINUTES_PER_DAY))
        found.sort()
        if any(before[1] > after[0] for before, after in pairwise(found)):
            self._add(path, "invalid_value", "must not overlap")
        return tuple(found)

    def _time(self, value: object, path: str) -> int | None:
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            self._add(path, "invalid_format", "must be a time of day from 00:00 to 24:00 such as 09:30")
            return None
        return int(value[:2]) * 60 + int(value[3:])

    def _date(self, value: object, path: str) -> date | None:
        try:
            if isinstance(value, str) and _DATE.fullmatch(value):
                on = date.fromisoformat(value)
                if FIRST_YEAR <= on.year <= LAST_YEAR:
                    return on
        except ValueError:  # no such day: reported with the rest
            pass
        self._add(path, "invalid_format", f"must be a date from {FIRST_YEAR} to {LAST_YEAR} such as 2026-12-25")
        return None

    def _name(self, value: object, path: str) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            self._add(path, "type", "must be a string", expected="string")
        elif len(value) > NAME_MAX_CHARACTERS:
            self._add(
                path,
                "too_long",
                f"must have at most {NAME_MAX_CHARACTERS} characters",
                maxLength=NAME_MAX_CHARACTERS,
            )
        elif any(category(character) in ("Cc", "Cs") for character in value):
            self._add(path, "invalid_character", "must not contain control characters")
        else:
            return value.strip() or None
        return None

    def _object(self, value: object, path: str, *, may_be_absent: bool = False) -> Mapping[str, object]:
        if isinstance(value, Mapping):
            return value
        if not (value is None and may_be_absent):
            self._add(path, "type", "must be an object", expected="object")
        return {}

    def _list(self, value: object, path: str, longest: int) -> list[object]:
        if value is None:
            return []
        if not isinstance(value, list):
            self._add(path, "type", "must be an array", expected="array")
            return []
        if len(value) > longest:
            self._add(path, "too_long", f"must have at most {longest} entries", maxLength=longest)
            return []
        return value

    def _add(self, path: str, code: str, detail: str, **members: object) -> None:
        if len(self.errors) > FIELD_ERRORS_MAX:  # one more than are listed, to show that there are more
            return
        self.errors.append(FieldError(path, code, detail, members=members))
