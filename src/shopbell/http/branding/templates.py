"""Jinja's templates of pages."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def templates(folder: Path, **names: Any) -> "Environment":
    """Return the templates of a folder.

    Values are escaped, and an undefined variable is an error.

    Args:
        folder: has the templates.
        names: functions that all templates can call.
    """
    # A server that only has API clients shows no page, and saves 2 MB.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(names)
    return made
