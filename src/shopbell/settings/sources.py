"""Find the value of a setting: environment variables come before the settings file."""

import os
import tomllib
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

PREFIX = "SHOPBELL_"
CONFIG = f"{PREFIX}CONFIG"
"""The environment variable that names the settings file; ``--config`` sets it."""


def file() -> Path:
    """Return the path of the settings file, which need not exist."""
    return Path(os.environ.get(CONFIG) or "shopbell.toml")


def file_values() -> Mapping[str, Any]:
    """Return the content of the settings file; nothing if it does not exist.

    Raises:
        ValueError: it is not TOML in UTF-8.
    """
    return tomllib.loads(file().read_text("utf-8")) if file().is_file() else {}


def variable(name: str) -> str | None:
    """Return the value of a setting's environment variable; None if it is empty or not set.

    Args:
        name: the setting, as in the file.
    """
    # The library that reads the settings does not distinguish upper and lower case, either.
    sought = f"{PREFIX}{name.upper()}"
    return next((value for each, value in os.environ.items() if each.upper() == sought and value), None)


def place(name: str, given: Collection[str]) -> str:
    """Name the place that a setting's value comes from, for errors.

    Args:
        name: the setting, as in the file.
        given: the settings that the command line has.
    """
    if name not in given and variable(name) is None and name in file_values():
        return f"{file()}: {name}"
    return f"{PREFIX}{name.upper()}"


def unknown_names(known: Collection[str]) -> Iterator[str]:
    """Yield an error for each name in the file that is not a setting.

    Args:
        known: all settings, as in the file.

    Raises:
        ValueError: the file is not TOML in UTF-8.
    """
    for name in file_values():
        if name not in known:
            near = get_close_matches(name.lower().removeprefix(PREFIX.lower()), known, 1)
            yield f"{file()}: unknown setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
