"""Check the machine: its clock, its disk, and whether the database can be written."""

import ctypes
import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from shopbell.operations.doctor.findings import Finding, Level, ok

_MIB = 1024 * 1024
DISK_ERROR_BYTES = 100 * _MIB
DISK_WARNING_BYTES = 1024 * _MIB
PLAUSIBLE_YEARS = range(2026, 2100)
_TIME_ERROR = 5
"""``adjtimex`` returns it for a clock that nothing synchronizes."""


def _is_synchronized() -> bool | None:
    """Whether a program such as chrony keeps the clock right; None if the system does not tell.

    Shopbell asks no time server: the operator did not choose one.
    """
    if not sys.platform.startswith("linux"):
        return None
    # A `struct timex`, which has at most 208 bytes. With zeros, `adjtimex` only reads.
    result = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    return None if result < 0 else result != _TIME_ERROR


def clock(now_ms: int, *, is_synchronized: Callable[[], bool | None] = _is_synchronized) -> Finding:
    """Check the machine's clock.

    Args:
        now_ms: this machine's time in Unix ms.
        is_synchronized: asks the system; None if it does not tell.
    """
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    shown = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    remedy = "set the machine's clock and synchronize it with NTP"
    if now.year not in PLAUSIBLE_YEARS:
        return Finding(Level.ERROR, "clock", f"{shown} is not plausible", remedy)
    if is_synchronized() is False:
        return Finding(Level.WARNING, "clock", f"{shown}, but the system does not synchronize it", remedy)
    return ok("clock", shown)


def disk(file: Path) -> Finding:
    """Check the free space where a file is, or will be."""
    folder = _nearest(file)
    free_bytes = shutil.disk_usage(folder).free
    detail = f"{free_bytes // _MIB} MiB free in {folder}"
    if free_bytes >= DISK_WARNING_BYTES:
        return ok("disk", detail)
    level = Level.WARNING if free_bytes >= DISK_ERROR_BYTES else Level.ERROR
    return Finding(level, "disk", detail, "free some space: if the disk is full, messages are refused with 503")


def data_folder(file: Path) -> Finding:
    """Check that this user may create and change files next to a file, which need not exist yet."""
    folder = _nearest(file)
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return ok("data folder", f"this user may write in {folder}")
    remedy = "run Shopbell as the user that owns the folder, or choose another folder with SHOPBELL_DATABASE_URL"
    return Finding(Level.ERROR, "data folder", f"this user may not create files in {folder}", remedy)


def _nearest(file: Path) -> Path:
    return next(parent for parent in file.absolute().parents if parent.exists())
