"""A simulated disk that forgets unsynced writes of SQLite at a power cut.

``record`` puts itself between SQLite and its access to files (``sqlite3_vfs``), in the process that it is called in.
Every sync and deletion is noted in a journal after it was done, every write and truncation before, and nothing else is
done in between; so what a client was told while the journal had a certain length must be in the files rebuilt from so
much of it, and of what the files hold when the process is killed only the last change on record can be missing or half
done (``redo_last``). The disk is never full: a write that failed would be on record as one that was done.
"""

import ctypes
import importlib
import os
import struct
import threading
from collections.abc import Callable, Iterator
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from pathlib import Path
from typing import Any

WRITE, TRUNCATE, SYNC, DELETE = 1, 2, 3, 4
SUFFIXES = ("", "-wal", "-journal")
"""The files that hold data. The index of the log (``-shm``) is rebuilt from the log after a crash."""

_HEAD = struct.Struct("<BBqq")

_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_Delete = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
_Write = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)


class _Vfs(Structure):
    """The beginning of ``struct sqlite3_vfs``."""

    _fields_ = [
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        ("xOpen", _Open),
        ("xDelete", _Delete),
    ]


class _Methods(Structure):
    """``struct sqlite3_io_methods``, version 3."""

    _fields_ = [
        ("iVersion", c_int),
        ("xClose", c_void_p),
        ("xRead", c_void_p),
        ("xWrite", _Write),
        ("xTruncate", _Truncate),
        ("xSync", _Sync),
        ("others", c_void_p * 13),
    ]


class _File(Structure):
    """``struct sqlite3_file``."""

    _fields_ = [("pMethods", POINTER(_Methods))]


_alive: list[Any] = []  # what C holds pointers to


def record(journal: Path) -> None:
    """Note in ``journal`` what this process does to SQLite databases from now on; one database at most."""
    try:
        library = importlib.import_module("pysqlite3._sqlite3").__file__
    except ImportError:  # no wheel for this platform
        library = importlib.import_module("_sqlite3").__file__
    find = ctypes.CDLL(library).sqlite3_vfs_find
    find.restype = POINTER(_Vfs)
    vfs = find(None).contents
    handle = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    turn = threading.Lock()
    files: dict[int, int] = {}
    open_, delete = _Open(_address(vfs.xOpen)), _Delete(_address(vfs.xDelete))
    wrapped: dict[int, _Methods] = {}

    def note(kind: int, number: int, offset: int = 0, data: bytes = b"") -> None:
        entry = _HEAD.pack(kind, number, offset, len(data)) + data
        assert os.write(handle, entry) == len(entry)

    @_Open
    def x_open(this: int, name: int, file: int, flags: int, out_flags: int) -> int:
        result = open_(this, name, file, flags, out_flags)
        number = _number(ctypes.string_at(name).decode()) if name else None
        if result == 0 and number is not None:
            files[file] = number
            place = _File.from_address(file)
            original = ctypes.addressof(place.pMethods.contents)
            if original not in wrapped:
                wrapped[original] = methods_around(place.pMethods.contents)
            place.pMethods = ctypes.pointer(wrapped[original])
        return int(result)

    @_Delete
    def x_delete(this: int, name: bytes, sync_folder: int) -> int:
        with turn:
            result = int(delete(this, name, sync_folder))
            number = _number(name.decode())
            if result == 0 and number is not None:
                note(DELETE, number)
        return result

    def methods_around(original: _Methods) -> _Methods:
        write, truncate = _Write(_address(original.xWrite)), _Truncate(_address(original.xTruncate))
        sync = _Sync(_address(original.xSync))

        @_Write
        def x_write(file: int, data: int, length: int, offset: int) -> int:
            with turn:
                note(WRITE, files[file], offset, ctypes.string_at(data, length))
                return int(write(file, data, length, offset))

        @_Truncate
        def x_truncate(file: int, size: int) -> int:
            with turn:
                note(TRUNCATE, files[file], size)
                return int(truncate(file, size))

        @_Sync
        def x_sync(file: int, flags: int) -> int:
            with turn:
                result = int(sync(file, flags))
                if result == 0:
                    note(SYNC, files[file])
            return result

        methods = _Methods.from_buffer_copy(original)
        methods.xWrite, methods.xTruncate, methods.xSync = x_write, x_truncate, x_sync
        _alive.extend((methods, write, truncate, sync, x_write, x_truncate, x_sync))
        return methods

    _alive.extend((open_, delete, x_open, x_delete))
    vfs.xOpen, vfs.xDelete = x_open, x_delete


def _address(function: Any) -> int:
    address = ctypes.cast(function, c_void_p).value
    assert address is not None
    return address


def _number(path: str) -> int | None:
    if path.endswith("-shm"):
        return None
    return next((number for number, suffix in enumerate(SUFFIXES) if suffix and path.endswith(suffix)), 0)


def rebuild(before: dict[str, bytes], journal: bytes, *, until: int, survives: Callable[[], bool]) -> dict[str, bytes]:
    """The files as they are after a power cut.

    Args:
        before: the files' bytes when the recording began, by suffix.
        journal: what was recorded.
        until: how much of it had happened, in bytes of the journal.
        survives: decides for each write that was not synced whether it reached the disk nevertheless.

    Returns:
        The files' bytes by suffix; a file that is not there is absent.
    """
    disk = {number: bytearray(before[suffix]) for number, suffix in enumerate(SUFFIXES) if suffix in before}
    waiting: dict[int, list[tuple[int, int, bytes]]] = {}
    for kind, number, offset, data in _entries(journal, until):
        if kind in (WRITE, TRUNCATE):
            waiting.setdefault(number, []).append((kind, offset, data))
        elif kind == SYNC:
            for change in waiting.pop(number, ()):
                _apply(disk.setdefault(number, bytearray()), *change)
        else:
            waiting.pop(number, None)
            disk.pop(number, None)
    for number, changes in waiting.items():
        for change in changes:
            if survives():
                _apply(disk.setdefault(number, bytearray()), *change)
    return {SUFFIXES[number]: bytes(content) for number, content in disk.items()}


def redo_last(files: dict[str, bytes], journal: bytes) -> dict[str, bytes]:
    """The files of a process that was killed, with the last change on record done, which it may have kept it from."""
    *_, (kind, number, offset, data) = _entries(journal, len(journal))
    if kind not in (WRITE, TRUNCATE):
        return files
    content = bytearray(files.get(SUFFIXES[number], b""))
    _apply(content, kind, offset, data)
    return files | {SUFFIXES[number]: bytes(content)}


def kinds(journal: bytes) -> Iterator[tuple[int, str]]:
    """What was recorded, and of which file, by suffix."""
    for kind, number, _, _ in _entries(journal, len(journal)):
        yield kind, SUFFIXES[number]


def _entries(journal: bytes, until: int) -> Iterator[tuple[int, int, int, bytes]]:
    place = 0
    while place + _HEAD.size <= min(until, len(journal)):
        kind, number, offset, length = _HEAD.unpack_from(journal, place)
        place += _HEAD.size
        data = journal[place : place + length]
        place += length
        if place > until:
            return
        yield kind, number, offset, data


def _apply(content: bytearray, kind: int, offset: int, data: bytes) -> None:
    if kind == TRUNCATE:
        del content[offset:]
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if kind == WRITE:
        content[offset : offset + len(data)] = data
