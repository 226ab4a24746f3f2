"""The folder in which the processes of an installation with several servers keep their metrics."""

import os
from contextlib import suppress

from prometheus_client.multiprocess import mark_process_dead


def folder() -> str | None:
    """Its path; None if there is one server: its worker process sends it the metrics."""
    return os.environ.get("PROMETHEUS_MULTIPROC_DIR")


def forget(pid: int) -> None:
    """Delete the metrics that describe the present state of a process that ends, such as how long deliveries wait."""
    if path := folder():
        with suppress(OSError):
            mark_process_dead(pid, path)  # type: ignore[no-untyped-call]  # no types
