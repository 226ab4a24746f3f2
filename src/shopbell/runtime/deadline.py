"""The end of a process, at the latest: what waits for a silent database cannot be told to stop."""

import os
import threading

import structlog

from shopbell.runtime.log_output import output

LAST_WAIT_S = 1.0
"""Seconds, after the last that is under way, that closing the database may take."""

log = structlog.get_logger()


def end_after(seconds: float) -> None:
    """End the process then, whatever still waits: a thread that asks a silent database cannot be told to stop.

    Args:
        seconds: from now on; a process that ends before is not held up.
    """

    def end() -> None:
        try:
            log.warning("ended while the database was silent")
            output().drain()
        finally:
            os._exit(0)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
