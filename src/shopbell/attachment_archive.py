"""Attachments in a backup: the files of a folder as one tar, and back."""

import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from shopbell.errors import CommandError
from shopbell.private_files import make_private_folder, sync_folder

MEMBER = "attachments.tar"
"""The name of that tar inside a backup."""

_NAME = re.compile(r"[0-9]{1,16}/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def pack(folder: Path, names: Iterable[str], target: Path) -> list[str]:
    """Write files of a folder to a tar.

    Args:
        folder: has them.
        names: theirs, such as ``12344/0193a5d2-…``.
        target: a file that does not exist.

    Returns:
        The names of those that are not there.
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
    """Add the files of a tar to a folder. What is there stays: a name never gets another content.

    Args:
        part: what ``pack`` wrote.
        folder: made when absent.

    Returns:
        How many were added.

    Raises:
        CommandError: it holds something else; what came before that has been added, and harms nobody.
    """
    added = 0
    make_private_folder(folder)
    with tarfile.open(part, "r:") as tar:
        for header in tar:
            content = tar.extractfile(header) if header.isreg() and _NAME.fullmatch(header.name) else None
            if content is None:
                raise CommandError("the attachments of this backup are not what Shopbell writes; nothing was restored")
            with content:
                added += _add(content, folder / header.name)
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
