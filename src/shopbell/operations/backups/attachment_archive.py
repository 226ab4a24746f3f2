"""Pack the attachments of a backup into a tar, and unpack them."""

import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, cast

from shopbell.errors import CommandError
from shopbell.operations.backups.tar import DamagedError, PlainHeader, require
from shopbell.security.files import make_private_folder, sync_folder

MEMBER = "attachments.tar"
"""The name of the tar in a backup."""

_NAME = re.compile(r"[0-9]{1,16}/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def pack(folder: Path, names: Iterable[str], target: Path) -> list[str]:
    """Write files from a folder to a tar.

    Args:
        folder: contains the files.
        names: relative paths such as ``12344/0193a5d2-…``.
        target: a file that does not exist yet.

    Returns:
        The names of the missing files.
    """
    missing = []
    with tarfile.open(target, "x:", format=tarfile.GNU_FORMAT) as tar:
        for name in names:
            try:
                file = (folder / name).open("rb")
            except FileNotFoundError:
                missing.append(name)
                continue
            with file:
                header = tarfile.TarInfo(name)
                header.size, header.mode = os.fstat(file.fileno()).st_size, 0o600
                tar.addfile(header, file)
    return missing


def unpack(part: Path, folder: Path) -> int:
    """Add the files of a tar to a folder, without replacing existing files.

    Args:
        part: a tar from ``pack``.
        folder: created if missing.

    Returns:
        The number of added files.

    Raises:
        CommandError: the tar contains something else. Files before it remain in the folder; they do no harm.
    """
    added = 0
    make_private_folder(folder)
    try:
        with tarfile.open(part, "r:", tarinfo=PlainHeader) as tar:
            for header in tar:
                require(_NAME.fullmatch(header.name) is not None)
                added += _add(cast("IO[bytes]", tar.extractfile(header)), folder / header.name)
    except (DamagedError, tarfile.TarError):
        raise CommandError(
            "the attachments in this backup were not written by Shopbell; the database was not restored"
        ) from None
    for each in (*(path for path in folder.iterdir() if path.is_dir()), folder, folder.parent):
        sync_folder(each)
    return added


def _add(content: IO[bytes], path: Path) -> bool:
    if path.exists():
        return False
    make_private_folder(path.parent)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        shutil.copyfileobj(content, file)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).rename(path)
    return True
