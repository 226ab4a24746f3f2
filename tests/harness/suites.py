"""Decides by a test's folder which suite runs it and where.

========================  ==========================================  ==========================================
folder of ``tests``       `make test`                                 the rest of `make test-all`
========================  ==========================================  ==========================================
``unit``                  once                                        –
``api``                   SQLite, servers in the tests' process       PostgreSQL, servers are processes
``engines``               both engines, servers in the tests' process  –
``smoke``                 both engines, servers are processes         –
all others                –                                           both engines, servers are processes
========================  ==========================================  ==========================================
"""

from pathlib import Path

import pytest

from harness import TESTS

ENGINES = ("sqlite", "postgresql")
VARIANTS = {"engine": ENGINES, "store": ("disk", "s3")}
"""Fixtures that come in two kinds; the first needs nothing but Python."""

FAST = ("unit", "api", "engines", "smoke")
"""The folders of `make test`."""

REST_HELP = "run what `make test` leaves: tests/api on PostgreSQL against processes, and the folders that are named"

in_process = False
"""Whether servers of the test that runs now are threads of this process."""


def variants_of(fixture: str, path: Path, *, is_rest: bool) -> tuple[str, ...]:
    """With which kinds of a fixture the tests of a file run."""
    first, second = VARIANTS[fixture]
    if _folder(path) == "api":
        return (second,) if is_rest else (first,)
    return (first, second)


def is_in_process(path: Path, *, is_rest: bool) -> bool:
    """Whether the servers of a file's tests are threads of this process."""
    return _folder(path) in ("unit", "engines") or (_folder(path) == "api" and not is_rest)


def ran_before(item: pytest.Item) -> bool:
    """Whether `make test` has run a test just as the rest of `make test-all` would."""
    if _folder(item.path) == "api":
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        return all(parameters.get(fixture) != second for fixture, (_, second) in VARIANTS.items())
    return _folder(item.path) in FAST


def _folder(path: Path) -> str:
    return path.relative_to(TESTS).parts[0] if path.is_relative_to(TESTS) else "unit"
