"""Files that are their owner's alone, and on the disk before anybody counts on them."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter; one that is there already stays as it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def owner_only(path: str, flags: int) -> int:
    """The ``opener`` of ``open()`` for a new file that only its owner may read."""
    return os.open(path, flags, 0o600)


def write_private(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Write a file that only its owner may read: whole and on the disk, or not at all.

    Args:
        path: where; its folder is made when absent.
        content: all that it holds.
        replace: whether a file of that name is replaced; else the one that is there first stays.
    """
    make_private_folder(path.parent)
    # A name of its own, and not the process id: in containers that repeats, after a crash and side by side.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            unfinished.replace(path)
        else:
            with suppress(FileExistsError):
                path.hardlink_to(unfinished)
        sync_folder(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Sync to the disk which files a folder has."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
