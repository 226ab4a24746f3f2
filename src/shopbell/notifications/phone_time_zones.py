"""The time zones of phone numbers, from the table of libphonenumber (Apache-2.0).

``phonenumberslite`` lacks this table, and the complete package ``phonenumbers`` takes 43 MB more. So the table is a
file beside this module. ``make lock`` runs this module to write it from a wheel of ``phonenumbers``.
"""

import ast
import sys
from functools import cache
from pathlib import Path
from zipfile import ZipFile

from phonenumbers import PhoneNumber, PhoneNumberType, is_number_type_geographical, national_significant_number
from phonenumbers import number_type as type_of

_TABLE = Path(__file__).with_suffix(".txt")
"""Each line: the time zones, a colon, and the beginnings of E.164 numbers (without +) that have exactly these zones."""

_TABLE_IN_WHEEL = "phonenumbers/tzdata/data0.py"


def time_zones_of(number: PhoneNumber) -> tuple[str, ...]:
    """Return the IANA names of the time zones that a number may belong to; empty if they are unknown.

    A number that is tied to no place, such as a toll-free one, may belong to all time zones of its country code.
    """
    kind = type_of(number)
    if kind == PhoneNumberType.UNKNOWN or number.country_code is None:
        return ()
    digits = str(number.country_code)
    if is_number_type_geographical(kind, number.country_code):
        digits += national_significant_number(number)
    zones = _zones_by_prefix()
    return next((zones[digits[:length]] for length in range(len(digits), 0, -1) if digits[:length] in zones), ())


@cache
def _zones_by_prefix() -> dict[str, tuple[str, ...]]:
    lines = (line.split(": ") for line in _TABLE.read_text("ascii").splitlines())
    return {prefix: tuple(zones.split()) for zones, prefixes in lines for prefix in prefixes.split()}


def _table_of(wheel: Path) -> str:
    """Return the table of a wheel of ``phonenumbers``, in our form."""
    with ZipFile(wheel) as archive:
        module = ast.parse(archive.read(_TABLE_IN_WHEEL))
    (table,) = (node.value for node in module.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict))
    prefixes: dict[str, list[str]] = {}
    for prefix, zones in sorted(ast.literal_eval(table).items()):
        prefixes.setdefault(" ".join(zones), []).append(prefix)
    return "".join(f"{zones}: {' '.join(prefixes[zones])}\n" for zones in sorted(prefixes))


if __name__ == "__main__":
    _TABLE.write_text(_table_of(Path(sys.argv[1])), "ascii")
