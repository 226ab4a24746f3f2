"""When a business is open: weekly hours, dated exceptions, and what the clocks of its time zone do. Pure.

A time of day means the first moment at which the clock on the wall shows it, or later. When clocks go forward over it,
that is the moment they do; when they go back over it, the first of the two. So hours that touch still touch, whatever
clocks do, and hours that a time zone leaves out are no time at all.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain, pairwise
from unicodedata import category
from zoneinfo import ZoneInfo

from shopbell.errors import FAULTS_MAX, Fault, Invalid

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
"""What ``OpeningHours.from_json`` takes, as a JSON Schema."""

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_A_DAY = timedelta(days=1)

Interval = tuple[int, int]
"""Minutes after midnight, from and to; to may be of the next day, up to 2879."""


@dataclass(frozen=True, slots=True)
class Exceptional:
    """The hours of one date in place of the week's: none of them when it is closed."""

    on: date
    intervals: tuple[Interval, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """When a business is open.

    Hours belong to the day on which they begin: what runs over midnight into an exception is not cut by it.

    Args:
        zone: where its clocks are.
        weekly: the intervals of each day, Monday first.
        exceptions: the dates that differ.
    """

    zone: ZoneInfo
    weekly: tuple[tuple[Interval, ...], ...]
    exceptions: Mapping[date, Exceptional]

    @classmethod
    def from_json(cls, value: object, time_zone: str, *, pointer: str = "#/openingHours") -> "OpeningHours":
        """Read what was sent or stored.

        Args:
            value: ``{"weekly": {"mon": [["09:00", "12:00"]]}, "exceptions": [{"date", "intervals", "name"}]}``, parsed.
            time_zone: a name of the IANA time zone database.
            pointer: where the value stands in a request's body.

        Raises:
            Invalid: 400; every fault is listed.
            ZoneInfoNotFoundError: this machine does not know the time zone.
        """
        reading = _Reading()
        weekly, exceptions = reading.hours(value, pointer)
        if reading.faults:
            raise Invalid(reading.faults)
        return cls(ZoneInfo(time_zone), weekly, exceptions)

    def as_json(self) -> dict[str, object]:
        """The hours as ``from_json`` takes them, in one normal form: all seven days, everything in order of time."""
        exceptions: list[dict[str, object]] = []
        for on, exceptional in sorted(self.exceptions.items()):
            entry: dict[str, object] = {"date": on.isoformat(), "intervals": _intervals_as_json(exceptional.intervals)}
            exceptions.append(entry if exceptional.name is None else {**entry, "name": exceptional.name})
        weekly = {day: _intervals_as_json(intervals) for day, intervals in zip(DAYS, self.weekly, strict=True)}
        return {"weekly": weekly, "exceptions": exceptions}

    def is_open(self, at_ms: int) -> bool:
        """Whether it is open at a time in Unix ms."""
        day = self._local_date(at_ms)
        # Clocks that go back, or over the date line, may have shown tomorrow before they show today.
        return any(start_ms <= at_ms < end_ms for start_ms, end_ms in self._between(day - 3 * _A_DAY, day + 2 * _A_DAY))

    def next_opening_ms(self, at_ms: int) -> int | None:
        """The first time from one on at which it is open, both in Unix ms; None if it never is again."""
        if self.is_open(at_ms):
            return at_ms
        day = self._local_date(at_ms)
        first, horizon = day - 3 * _A_DAY, day + self._reach()
        beyond = sorted(on for on in self.exceptions if on > horizon)
        days = chain(_days(first, horizon), beyond)
        return next((start_ms for on in days for start_ms, _ in self._on(on) if start_ms >= at_ms), None)

    def closed_period_id(self, at_ms: int) -> int | None:
        """What all times of one closed period have in common: when it closed, in Unix ms.

        0 if it has never been open before; None while it is open.
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
        """How far away the week's next hours can be: an exception may take a week's, a change of clocks, too."""
        return timedelta(days=7 * (len(self.exceptions) + 3)) if any(self.weekly) else timedelta(days=3)

    def _between(self, first: date, last: date) -> Iterator[tuple[int, int]]:
        return chain.from_iterable(self._on(day) for day in _days(first, last))

    def _on(self, day: date) -> Iterator[tuple[int, int]]:
        """The hours that begin on a day, from and to in Unix ms, in order, without those that clocks leave out."""
        exceptional = self.exceptions.get(day)
        for start, end in self.weekly[day.weekday()] if exceptional is None else exceptional.intervals:
            start_ms, end_ms = _first_moment_ms(day, start, self.zone), _first_moment_ms(day, end, self.zone)
            if start_ms < end_ms:
                yield start_ms, end_ms


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=days) for days in range((last - first).days + 1))


def _first_moment_ms(day: date, minutes: int, zone: ZoneInfo) -> int:
    """The first moment in Unix ms at which a clock there shows so many minutes after that day's midnight, or later."""
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
    """One reading of opening hours, with all that is wrong with them."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def hours(self, value: object, pointer: str) -> tuple[tuple[tuple[Interval, ...], ...], dict[date, Exceptional]]:
        given = self._object(value, pointer)
        weekly = self._object(given.get("weekly"), f"{pointer}/weekly", may_be_absent=True)
        if not weekly.keys() <= set(DAYS):
            # The name that was sent is not repeated, and so is not pointed at.
            self._add(
                f"{pointer}/weekly", "invalid_value", f"must name days {', '.join(DAYS)} only", allowed=list(DAYS)
            )
        week = tuple(self._intervals(weekly.get(day), f"{pointer}/weekly/{day}", may_be_absent=True) for day in DAYS)
        return week, self._exceptions(given.get("exceptions"), f"{pointer}/exceptions")

    def _exceptions(self, value: object, pointer: str) -> dict[date, Exceptional]:
        found: dict[date, Exceptional] = {}
        for place, entry in enumerate(self._list(value, pointer, EXCEPTIONS_MAX)):
            there = f"{pointer}/{place}"
            if not isinstance(entry, Mapping):
                self._add(there, "type", "must be an object", expected="object")
                continue
            on = self._date(entry.get("date"), f"{there}/date")
            intervals = self._intervals(entry.get("intervals"), f"{there}/intervals", may_be_absent=False)
            name = self._name(entry.get("name"), f"{there}/name")
            if on in found:
                self._add(f"{there}/date", "invalid_value", "must be of one exception only")
            elif on is not None:
                found[on] = Exceptional(on, intervals, name)
        return found

    def _intervals(self, value: object, pointer: str, *, may_be_absent: bool) -> tuple[Interval, ...]:
        if value is None and not may_be_absent:
            self._add(pointer, "required", "must be there; an empty list means closed")
        found: list[Interval] = []
        for place, entry in enumerate(self._list(value, pointer, INTERVALS_MAX)):
            there = f"{pointer}/{place}"
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
                    there, "invalid_value", "must end at another time than it begins; a whole day is 00:00 to 24:00"
                )
            else:
                found.append((start, end if end > start else end + _MINUTES_PER_DAY))
        found.sort()
        if any(before[1] > after[0] for before, after in pairwise(found)):
            self._add(pointer, "invalid_value", "must not overlap")
        return tuple(found)

    def _time(self, value: object, pointer: str) -> int | None:
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            self._add(pointer, "invalid_format", "must be a time of day from 00:00 to 24:00 such as 09:30")
            return None
        return int(value[:2]) * 60 + int(value[3:])

    def _date(self, value: object, pointer: str) -> date | None:
        try:
            if isinstance(value, str) and _DATE.fullmatch(value):
                on = date.fromisoformat(value)
                if FIRST_YEAR <= on.year <= LAST_YEAR:
                    return on
        except ValueError:  # no such day: reported with the rest
            pass
        self._add(pointer, "invalid_format", f"must be a date from {FIRST_YEAR} to {LAST_YEAR} such as 2026-12-25")
        return None

    def _name(self, value: object, pointer: str) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            self._add(pointer, "type", "must be a string", expected="string")
        elif len(value) > NAME_MAX_CHARACTERS:
            self._add(
                pointer,
                "too_long",
                f"must have at most {NAME_MAX_CHARACTERS} characters",
                maxLength=NAME_MAX_CHARACTERS,
            )
        elif any(category(character) in ("Cc", "Cs") for character in value):
            self._add(pointer, "invalid_character", "must not hold control characters")
        else:
            return value.strip() or None
        return None

    def _object(self, value: object, pointer: str, *, may_be_absent: bool = False) -> Mapping[str, object]:
        if isinstance(value, Mapping):
            return value
        if not (value is None and may_be_absent):
            self._add(pointer, "type", "must be an object", expected="object")
        return {}

    def _list(self, value: object, pointer: str, longest: int) -> list[object]:
        if value is None:
            return []
        if not isinstance(value, list):
            self._add(pointer, "type", "must be an array", expected="array")
            return []
        if len(value) > longest:
            self._add(pointer, "too_long", f"must have at most {longest} entries", maxLength=longest)
            return []
        return value

    def _add(self, pointer: str, code: str, detail: str, **members: object) -> None:
        if len(self.faults) > FAULTS_MAX:  # one more than are listed tells that there are more
            return
        self.faults.append(Fault("body", pointer, code, detail, members=members))
