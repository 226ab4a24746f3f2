"""Write files durably, readable only by their owner."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from shopbell.errors import CommandError


def make_private_folder(folder: Path) -> None:
    """Create a folder that only its owner may enter; leave an existing one unchanged."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def owner_only(path: str, flags: int) -> int:
    """Open a new file that only its owner may read; for ``open(opener=…)``."""
    return os.open(path, flags, 0o600)


def write_private(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Write a file that only its owner may read, atomically and durably.

    Args:
        path: the file; its folder is created if missing.
        replace: whether to replace an existing file; otherwise the existing one remains.
    """
    make_private_folder(path.parent)
    # A random name: in containers, process ids repeat after a crash and in parallel.
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


def publish(unfinished: Path, file: Path) -> None:
    """Give a finished file its name, without replacing a file created since the check.

    Raises:
        CommandError: there is such a file.
    """
    try:
        _name_without_replacing(unfinished, file)
    except FileExistsError:
        raise CommandError(f"{file} already exists") from None
    sync_folder(file.parent)


def _name_without_replacing(unfinished: Path, file: Path) -> None:
    try:
        file.hardlink_to(unfinished)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: only an own empty file is replaced
        os.close(owner_only(str(file), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        try:
            unfinished.replace(file)
        except OSError:
            file.unlink()
            raise


def sync_folder(folder: Path) -> None:
    """Sync the entries of a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
