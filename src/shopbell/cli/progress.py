"""The progress bar of long commands, on a terminal's standard error only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show progress while the block runs.

    Yields:
        A function to call with a description, the number of steps done and the total.
    """
    if not sys.stderr.isatty():
        yield lambda doing, done, total: None  # noqa: ARG005 - same parameters as `tell`
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task, now = shown.add_task("", total=None), ""

        def tell(doing: str, done: int, total: int) -> None:
            nonlocal task, now
            if doing != now:
                shown.remove_task(task)
                task, now = shown.add_task(doing, total=total), doing
            shown.update(task, completed=done)

        yield tell
