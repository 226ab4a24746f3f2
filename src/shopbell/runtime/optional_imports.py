"""Import a library as if another one were not installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """Hide an installed library from what is imported in this context, unless it is imported already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = cast("Any", None)  # Python's own way to say that there is no such module
    try:
        yield
    finally:
        del sys.modules[name]
